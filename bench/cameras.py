"""A fleet of cameras for benches: thousands of loopback addresses behind one listener, answers ready in memory, digests verified.

Run as `python -m bench.cameras`; prints one JSON line, `{"port": …}`, and at the end of its standard input another with its counts.
"""

import asyncio
import base64
import hashlib
import json
import re
import sys
from datetime import UTC, datetime
from typing import ClassVar

USERNAME = "operator"
PASSWORD = "a fine day"
_NAMESPACES = " ".join(f'xmlns:n{number}="http://www.onvif.org/ver10/extension/{number}/wsdl"' for number in range(24))
_TOKEN = re.compile(rb"<(?:\w+:)?Password[^>]*>([^<]+)<.*?Nonce[^>]*>([^<]+)<.*?Created[^>]*>([^<]+)<", re.DOTALL)


def address_of(index: int) -> str:
    """The loopback address of the fleet's camera `index`."""
    return f"127.1.{index // 250}.{index % 250 + 1}"


def envelope(body: str) -> bytes:
    """An answer of ordinary size: firmware declares every namespace that it knows in every answer."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" '
        f'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" {_NAMESPACES}>'
        f"<env:Body>{body}</env:Body></env:Envelope>"
    )
    return text.encode()


def _http(body: bytes, *, close: bool) -> bytes:
    word = "close" if close else "keep-alive"
    head = f"HTTP/1.1 200 OK\r\nServer: webserver\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: {word}\r\n\r\n".encode() + body


def _clock(now: datetime) -> bytes:
    time = f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second></tt:Time>"
    date = f"<tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
    return envelope(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false"
        f"</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8:00:00</tt:TZ></tt:TimeZone><tt:UTCDateTime>{time}{date}</tt:UTCDateTime>"
        f"<tt:LocalDateTime>{time}{date}</tt:LocalDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


_IDENTITY = envelope(
    "<tds:GetDeviceInformationResponse><tds:Manufacturer>HIKVISION</tds:Manufacturer><tds:Model>DS-2CD2T47G2-L</tds:Model>"
    "<tds:FirmwareVersion>V5.7.3 build 220112</tds:FirmwareVersion><tds:SerialNumber>DS-2CD2T47G2-L20220101AAWRG12345678</tds:SerialNumber>"
    "<tds:HardwareId>88</tds:HardwareId></tds:GetDeviceInformationResponse>"
)
_FAULT = envelope(
    "<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>ter:NotAuthorized</env:Value></env:Subcode></env:Code>"
    '<env:Reason><env:Text xml:lang="en">Sender not authorized</env:Text></env:Reason></env:Fault>'
)


class Camera(asyncio.Protocol):
    """One connection to one camera."""

    counts: ClassVar = {"connections": 0, "clock": 0, "identity": 0, "bad_digests": 0}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""
        self.counts["connections"] += 1

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        match = re.search(rb"(?i)content-length: *(\d+)", head)
        length = int(match[1]) if match else 0
        if len(rest) < length:
            return
        self._data = rest[length:]
        close = b"onnection: close" in head
        self._transport.write(_http(self._answer(rest[:length]), close=close))
        if close:
            self._transport.close()

    def now(self) -> datetime:
        """What time it has."""
        return datetime.now(UTC)

    def _answer(self, body: bytes) -> bytes:
        if b"GetSystemDateAndTime" in body:
            self.counts["clock"] += 1
            return _clock(self.now())
        self.counts["identity"] += 1
        if _is_signed(body):
            return _IDENTITY
        self.counts["bad_digests"] += 1
        return _FAULT


def _is_signed(body: bytes) -> bool:
    match = _TOKEN.search(body)
    if match is None:
        return False
    digest = hashlib.sha1(base64.b64decode(match[2]) + match[3] + PASSWORD.encode()).digest()
    return digest == base64.b64decode(match[1])


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Camera, "0.0.0.0", 0, backlog=4096)  # one listener for 127.1.x.y, gone in a minute
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(Camera.counts), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
