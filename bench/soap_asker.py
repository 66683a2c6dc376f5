"""Asks simulated cameras, one after the other, for their clock and, signed, for who they are: `python -m bench.soap_asker CITY SECONDS`."""

import base64
import contextlib
import hashlib
import itertools
import json
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROUNDS = 25
"""Pairs of requests on one connection."""
_ENVELOPE = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>{}</s:Header><s:Body>{}</s:Body></s:Envelope>'
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_TOKEN = (
    f'<w:Security xmlns:w="{_OASIS}-wssecurity-secext-1.0.xsd" xmlns:u="{_OASIS}-wssecurity-utility-1.0.xsd"><w:UsernameToken>'
    f'<w:Username>{{}}</w:Username><w:Password Type="{_OASIS}-username-token-profile-1.0#PasswordDigest">{{}}</w:Password>'
    "<w:Nonce>{}</w:Nonce><u:Created>{}</u:Created></w:UsernameToken></w:Security>"
)
_CLOCK = '<d:GetSystemDateAndTime xmlns:d="http://www.onvif.org/ver10/device/wsdl"/>'
_IDENTITY = '<d:GetDeviceInformation xmlns:d="http://www.onvif.org/ver10/device/wsdl"/>'
_numbers = itertools.count()


def ask(city: dict[str, Any], seconds: float) -> dict[str, int]:
    """How many answers came within so long, and how many were not what was asked for."""
    cameras = [one for one in city["devices"] if one["kind"] == "camera" and one["auth"] == "wsse" and not one.get("quirks")]
    counts = {"answers": 0, "wrong": 0}
    deadline = time.monotonic() + seconds
    for camera in itertools.cycle(cameras):
        with contextlib.closing(socket.create_connection((camera["address"], city["http_port"]), 10)) as line:
            for request, expected in _requests(camera):
                line.sendall(request)
                counts["answers"] += 1
                counts["wrong"] += expected not in _answer(line)
                if time.monotonic() > deadline:
                    return counts
    return counts


def _requests(camera: dict[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(ROUNDS):
        yield _http(_ENVELOPE.format("", _CLOCK)), b"UTCDateTime"
        yield _http(_ENVELOPE.format(_signed(camera), _IDENTITY)), b"SerialNumber"


def _signed(camera: dict[str, Any]) -> str:
    """A WS-UsernameToken by the camera's own clock."""
    created = datetime.fromtimestamp(time.time() + camera.get("clock_offset_s", 0.0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    nonce = next(_numbers).to_bytes(16, "big")
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + camera["password"].encode()).digest()).decode()
    return _TOKEN.format(camera["username"], digest, base64.b64encode(nonce).decode(), created)


def _http(body: str) -> bytes:
    head = (
        f"POST /onvif/device_service HTTP/1.1\r\nHost: camera\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body.encode()


def _answer(line: socket.socket) -> bytes:
    received = line.recv(65536)
    while b"\r\n\r\n" not in received:
        received += line.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += line.recv(65536)
    return body


if __name__ == "__main__":
    print(json.dumps(ask(json.loads(Path(sys.argv[1]).read_bytes()), float(sys.argv[2]))))
