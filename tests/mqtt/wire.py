"""The broker's end of an MQTT 3.1.1 connection, in the hands of a test: what it acknowledges, keeps, sends again or cuts off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.waiting import PATIENCE_S

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


@dataclass(frozen=True)
class Published:
    """A message that the client published."""

    topic: str
    payload: bytes
    retain: bool
    mid: int


@dataclass
class WireBroker:
    """One listening broker. `withhold` stops acknowledging; `granted` answers subscriptions; `session` is what CONNACK says.

    It does not speak MQTT 5, and says so, hangs up or keeps silent, as `to_v5` tells; `refused` counts how often.
    """

    port: int = 0
    withhold: bool = False
    granted: int = 1
    session: bool = False
    to_v5: Literal["says so", "hangs up", "keeps silent"] = "says so"
    refused: int = 0
    published: list[Published] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    connects: list[bytes] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writer: asyncio.StreamWriter | None = None

    async def until(self, done: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """Return when `done` holds, looked at whenever something arrives."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: bool(done()))

    def on(self, topic: str) -> list[bytes]:
        """The payloads that came on `topic`, in order."""
        return [message.payload for message in self.published if message.topic == topic]

    def send(self, topic: str, payload: bytes, *, mid: int, retain: bool = False, again: bool = False) -> None:
        """Deliver a message with QoS 1, or with QoS 0 when `mid` is 0."""
        assert self._writer is not None
        flags = PUBLISH << 4 | (8 if again else 0) | (2 if mid else 0) | (1 if retain else 0)
        name = topic.encode()
        number = mid.to_bytes(2, "big") if mid else b""
        self._writer.write(_packet(flags, len(name).to_bytes(2, "big") + name + number + payload))

    def cut(self) -> None:
        """Break the connection without a word."""
        assert self._writer is not None
        self._writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            while True:
                kind, flags, body = await _read(reader)
                self._take(kind, flags, body, writer)
                async with self._changed:
                    self._changed.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _take(self, kind: int, flags: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == CONNECT and body[6] == 5:
            self.refused += 1
            if self.to_v5 == "says so":
                writer.write(_packet(CONNACK << 4, bytes([0, 1])))  # MQTT 3.1.1, 3.1.2.2
            if self.to_v5 != "keeps silent":
                writer.close()
        elif kind == CONNECT:
            self.connects.append(body)
            writer.write(_packet(CONNACK << 4, bytes([self.session, 0])))
        elif kind == SUBSCRIBE:
            self.subscribed.append(body[4:-1].decode())
            writer.write(_packet(SUBACK << 4, body[:2] + bytes([self.granted])))
        elif kind == PUBLISH:
            self._take_message(flags, body, writer)
        elif kind == PUBACK:
            self.acknowledged.append(int.from_bytes(body, "big"))
        elif kind == PINGREQ:
            writer.write(_packet(PINGRESP << 4, b""))

    def _take_message(self, flags: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(body[:2], "big")
        mid = int.from_bytes(body[2 + length : 4 + length], "big")
        self.published.append(Published(body[2 : 2 + length].decode(), body[4 + length :], bool(flags & 1), mid))
        if not self.withhold:
            writer.write(_packet(PUBACK << 4, mid.to_bytes(2, "big")))


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[WireBroker]:
    """A broker on loopback."""
    broker = WireBroker()
    async with await asyncio.start_server(broker.serve, "127.0.0.1", port) as server:
        broker.port = server.sockets[0].getsockname()[1]
        yield broker
        if broker._writer is not None:
            broker._writer.transport.abort()


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
