"""The least that a health check over asyncio can cost: one protocol, one connection, two requests, two answers parsed."""

import asyncio
import os
import re
from datetime import UTC, datetime

from lxml import etree

from bench.cameras import PASSWORD, USERNAME
from gateway.drivers.base import Identity
from gateway.drivers.onvif.answers import read_clock, read_identity
from gateway.drivers.onvif.caller import GET_CLOCK, GET_IDENTITY
from gateway.drivers.onvif.soap import Operation, envelope
from gateway.drivers.onvif.wsse import username_token

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


class _Exchange(asyncio.Protocol):
    def __init__(self, host: str, done: "asyncio.Future[Identity]") -> None:
        self._host = host
        self._done = done
        self._data = b""
        self._clock = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_post(self._host, GET_CLOCK, b"", "keep-alive"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        match = _LENGTH.search(head)
        if not found or match is None or len(body) < int(match[1]):
            return
        self._data = b""
        payload = etree.fromstring(body)[0][0]
        if self._clock:
            self._transport.close()
            if not self._done.done():  # nobody waits any more when the bench ends
                self._done.set_result(read_identity(payload))
            return
        self._clock = True
        now = datetime.now(UTC)
        clock = read_clock(payload, answered_at=now)
        token = username_token(USERNAME, PASSWORD, created=now + clock.offset, nonce=os.urandom(16))
        self._transport.write(_post(self._host, GET_IDENTITY, token, "close"))


async def check_camera(address: str, port: int) -> Identity:
    """Read the clock anonymously and the identity signed."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Identity] = loop.create_future()
    await loop.create_connection(lambda: _Exchange(f"{address}:{port}", done), address, port)
    return await done


def _post(host: str, operation: Operation, header: bytes, connection: str) -> bytes:
    body = envelope(operation.body, header)
    head = f"POST /onvif/device_service HTTP/1.1\r\nHost: {host}\r\n{operation.type[0]}: {operation.type[1]}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n".encode() + body
