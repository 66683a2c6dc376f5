"""Devices made of bytes: a loopback server that answers each connection as a script says, and remembers what it was sent."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target

Behaviour = Callable[["Wire"], Awaitable[None]]
"""What a device does with one connection."""


@dataclass
class Heard:
    """One request as it came."""

    method: str
    path: str
    fields: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """The local name of what stands in the SOAP body."""
        match = re.search(rb"<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?(\w+)", self.body)
        return match[1].decode() if match else ""


@dataclass
class Wire:
    """One connection, seen from the device."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    device: "FakeDevice"

    async def request(self) -> Heard | None:
        """The next request; None when the gateway closed."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        method, path, _ = head[0].split(" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        heard = Heard(method, path, fields, await self.reader.readexactly(int(fields.get("content-length", 0))))
        self.device.heard.append(heard)
        return heard

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # draining alone never lets anybody else run


@dataclass
class FakeDevice:
    """Where the device listens, and every request that came."""

    address: str
    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0

    def target(self, username: str = "operator", password: str = "correct horse") -> Target:
        return Target(DeviceId("D1"), self.address, Ports(onvif=self.port), Credentials(username, password))

    def operations(self) -> list[str]:
        return [heard.operation for heard in self.heard]


@asynccontextmanager
async def device(behaviour: Behaviour, address: str = "127.0.0.1") -> AsyncIterator[FakeDevice]:
    """A device that treats each connection as `behaviour` does."""
    fake, serving = FakeDevice(address), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fake.connections += 1
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await behaviour(Wire(reader, writer, fake))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, address, 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


def answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """An HTTP answer with its length."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"))
    return f"{head}\r\n".encode() + body


def always(data: bytes) -> Behaviour:
    """Answer every request with `data`."""

    async def behave(wire: Wire) -> None:
        while await wire.request():
            await wire.send(data)

    return behave


def soap(body: str, *, version: str = "http://www.w3.org/2003/05/soap-envelope") -> bytes:
    """A SOAP envelope with the namespaces that tests use."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{version}" xmlns:tt="http://www.onvif.org/ver10/schema" '
        'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
        'xmlns:tr2="http://www.onvif.org/ver20/media/wsdl" xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl" '
        'xmlns:tse="http://www.onvif.org/ver10/search/wsdl" xmlns:ter="http://www.onvif.org/ver10/error">'
        f"<e:Body>{body}</e:Body></e:Envelope>"
    ).encode()


def fault(*subcodes: str, reason: str = "no") -> bytes:
    """A SOAP 1.2 fault with nested subcodes."""
    nested = ""
    for code in reversed(subcodes):
        nested = f"<e:Subcode><e:Value>{code}</e:Value>{nested}</e:Subcode>"
    code = f"<e:Code><e:Value>e:Sender</e:Value>{nested}</e:Code>"
    return soap(f"<e:Fault>{code}<e:Reason><e:Text xml:lang='en'>{reason}</e:Text></e:Reason></e:Fault>")
