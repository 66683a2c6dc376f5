"""The broker's end of MQTT 3.1.1 connections, in the hands of a test: what it acknowledges, keeps, sends again or cuts off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.waiting import PATIENCE_S

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1,
    2,
    3,
    4,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
)


@dataclass(frozen=True)
class Published:
    """A message that the client published."""

    topic: str
    payload: bytes
    retain: bool
    mid: int


@dataclass
class Link:
    """What one client has done at the broker, and the connection that it has. `hears`: what it is subscribed to now."""

    name: str
    acknowledged: list[int] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    hears: set[str] = field(default_factory=set)
    connects: list[bytes] = field(default_factory=list)
    writer: asyncio.StreamWriter | None = None

    def cut(self) -> None:
        """Break the connection without a word."""
        assert self.writer is not None
        self.writer.transport.abort()


@dataclass
class WireBroker:
    """One listening broker. `withhold` stops acknowledging; `granted` answers subscriptions; `session` is what CONNACK says.

    It does not speak MQTT 5, and says so, hangs up or keeps silent, as `to_v5` tells; `refused` counts how often. Clients of the names in
    `banned` are not let in, those in `denied` may subscribe to nothing. What the gateway sends to itself it gets at once, with QoS 0,
    where it `returns` that.
    """

    port: int = 0
    withhold: bool = False
    granted: int | None = 1
    session: bool = False
    to_v5: Literal["says so", "hangs up", "keeps silent"] = "says so"
    refused: int = 0
    banned: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    returns: bool = True
    published: list[Published] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def commands(self) -> Link:
        return self.link("city-gateway")

    @property
    def stops(self) -> Link:
        return self.link("city-gateway-stop-all")

    def link(self, name: str) -> Link:
        """That of the client of this name, also before it has come."""
        return self.links.setdefault(name, Link(name))

    @property
    def acknowledged(self) -> list[int]:
        """What the session of commands has acknowledged."""
        return self.commands.acknowledged

    async def until(self, done: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """Return when `done` holds, looked at whenever something arrives."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: bool(done()))

    def on(self, topic: str) -> list[bytes]:
        """The payloads that came on `topic`, in order."""
        return [message.payload for message in self.published if message.topic == topic]

    def send(self, topic: str, payload: bytes, *, mid: int, retain: bool = False, again: bool = False, to: Link | None = None) -> None:
        """Deliver a message to who has subscribed to it, or `to` that one alone, with QoS 1, or with QoS 0 when `mid` is 0."""
        flags = PUBLISH << 4 | (8 if again else 0) | (2 if mid else 0) | (1 if retain else 0)
        name = topic.encode()
        number = mid.to_bytes(2, "big") if mid else b""
        for link in [to] if to else [link for link in self.links.values() if topic in link.hears]:
            assert link.writer is not None
            link.writer.write(_packet(flags, len(name).to_bytes(2, "big") + name + number + payload))

    def acknowledge(self, message: Published, *, to: Link) -> None:
        """Send the PUBACK that was withheld."""
        assert to.writer is not None
        to.writer.write(_packet(PUBACK << 4, message.mid.to_bytes(2, "big")))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            _, _, hello = await _read(reader)
            link = self._admit(hello, writer)
            await self._tell()
            while True:
                kind, flags, body = await _read(reader)
                if link is not None:
                    self._take(kind, flags, body, link)
                await self._tell()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _admit(self, hello: bytes, writer: asyncio.StreamWriter) -> Link | None:
        if hello[6] == 5:
            self.refused += 1
            if self.to_v5 == "says so":
                writer.write(_packet(CONNACK << 4, bytes([0, 1])))  # MQTT 3.1.1, 3.1.2.2
            if self.to_v5 != "keeps silent":
                writer.close()
            return None
        name = hello[12 : 12 + int.from_bytes(hello[10:12], "big")].decode()
        link = self.link(name)
        link.connects.append(hello)
        if name in self.banned:
            writer.write(_packet(CONNACK << 4, bytes([0, 5])))
            writer.close()
            return None
        link.writer = writer
        if not self.session:
            link.hears.clear()
        writer.write(_packet(CONNACK << 4, bytes([self.session, 0])))
        return link

    def _take(self, kind: int, flags: int, body: bytes, link: Link) -> None:
        writer = link.writer
        assert writer is not None
        if kind == SUBSCRIBE:
            self._subscribe(body[:2], body[4:-1].decode(), link)
        elif kind == UNSUBSCRIBE:
            link.hears.discard(body[4:].decode())
            writer.write(_packet(UNSUBACK << 4, body[:2]))
        elif kind == PUBLISH:
            self._take_message(flags, body, writer)
        elif kind == PUBACK:
            link.acknowledged.append(int.from_bytes(body, "big"))
        elif kind == PINGREQ:
            writer.write(_packet(PINGRESP << 4, b""))

    def _subscribe(self, number: bytes, topic: str, link: Link) -> None:
        link.subscribed.append(topic)
        granted = 0x80 if link.name in self.denied else self.granted
        if granted is None:
            return
        if granted < 0x80:
            link.hears.add(topic)
        assert link.writer is not None
        link.writer.write(_packet(SUBACK << 4, number + bytes([granted])))

    def _take_message(self, flags: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(body[:2], "big")
        mid = int.from_bytes(body[2 + length : 4 + length], "big")
        self.published.append(Published(body[2 : 2 + length].decode(), body[4 + length :], bool(flags & 1), mid))
        if not self.withhold:
            writer.write(_packet(PUBACK << 4, mid.to_bytes(2, "big")))
        if self.returns:
            self.send(self.published[-1].topic, self.published[-1].payload, mid=0)


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[WireBroker]:
    """A broker on loopback."""
    broker = WireBroker()
    async with await asyncio.start_server(broker.serve, "127.0.0.1", port) as server:
        broker.port = server.sockets[0].getsockname()[1]
        yield broker
        for link in broker.links.values():
            if link.writer is not None:
                link.writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return first >> 4, first & 0x0F, await reader.readexactly(length)


def _packet(first: int, body: bytes) -> bytes:
    length = b""
    rest = len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length += bytes([digit | (0x80 if rest else 0)])
        if not rest:
            return bytes([first]) + length + body
