"""RTSP 1.0 messages on the wire (RFC 2326): requests, responses and interleaved frames, read strictly and within bounds."""

import mmap
import re
from collections.abc import Mapping
from typing import NamedTuple

from gateway.drivers import textual
from gateway.drivers.rtsp.bursts import Burst, Fragmentation, Received, gather
from gateway.drivers.textual import Headers, Request, Response, content_length, end_of_head
from gateway.errors import ProtocolError

HEAD_LIMIT = 16 * 1024
BODY_LIMIT = 256 * 1024
HEADER_COUNT_LIMIT = 64
_ROOM = 1 << 21
"""So much is read at once where packets are taken together: what a read costs, and a picture that it cuts in two, is shared by more."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS_LINE = re.compile(r"RTSP/1\.\d (\d{3})(?: (.*))?")
_REQUEST_LINE = re.compile(r"([A-Z_]{1,32}) (\S{1,2048}) RTSP/1\.\d")
_DOLLAR = 0x24


class Frame(NamedTuple):
    """Binary data interleaved with the messages (RFC 2326, 10.12): `$`, channel, length, payload."""

    channel: int
    payload: bytes


Message = Request | Response | Frame | Burst


def encode(message: Request | Response) -> bytes:
    """The bytes of a message; Content-Length is added when there is a body. ValueError when a field would break the framing."""
    length = [("Content-Length", str(len(message.body)))] if message.body else []
    return textual.encode(_start_line(message), [*message.headers, *length], message.body)


def _start_line(message: Request | Response) -> str:
    if isinstance(message, Response):
        return f"RTSP/1.0 {message.status} {message.reason}"
    return f"{message.method} {message.uri} RTSP/1.0"


def encode_frame(channel: int, payload: bytes) -> bytes:
    """One interleaved frame; the payload holds at most 65,535 bytes."""
    return b"$" + channel.to_bytes(1) + len(payload).to_bytes(2) + payload


class Parser:
    """Cuts a byte stream into messages. After a ProtocolError the stream is lost: the connection must be closed.

    Never holds more than one message: at most `HEAD_LIMIT` + `BODY_LIMIT` bytes, or one frame of 64 KiB. What is incomplete is not
    looked at again before enough has come, so that a device that drips costs little.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._needed = 1

    @property
    def held(self) -> bytes:
        """What has come of the next message."""
        return b"".join(self._held)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order. Raises ProtocolError (malformed, too-large)."""
        self._size += len(data)
        if self._size < self._needed:
            self._held.append(data)
            return []
        buffer = b"".join((*self._held, data))
        messages, position, missing_to = _cut(buffer, len(buffer), {})
        rest = buffer[position:]
        self._held, self._size, self._needed = [rest] if rest else [], len(rest), missing_to - position
        return messages


class Room:
    """Memory into which a stream is received, and out of which its messages are cut without a copy of the whole; as strict as `Parser`.

    `bursts`: channels of which packets are taken together, as far as they are there.
    """

    def __init__(self, bursts: Mapping[int, Fragmentation], held: bytes = b"") -> None:
        """`held`: what has come of the next message so far."""
        self.bursts = bursts
        self._memory = mmap.mmap(-1, _ROOM)  # slices of it are bytes
        self._view = memoryview(self._memory)
        self._memory[: len(held)] = held
        self._filled = len(held)
        self._needed = 1

    def free(self) -> memoryview:
        """Where to receive more; never empty, for no message is as large as the room."""
        return self._view[self._filled :]

    def take(self, count: int) -> list[Message]:
        """The messages that the next `count` bytes, which have been received, complete. Raises ProtocolError (malformed, too-large)."""
        self._filled += count
        if self._filled < self._needed:
            return []
        messages, position, missing_to = _cut(self._memory, self._filled, self.bursts)
        self._memory.move(0, position, self._filled - position)
        self._filled, self._needed = self._filled - position, missing_to - position
        return messages


def _cut(buffer: Received, end: int, bursts: Mapping[int, Fragmentation]) -> tuple[list[Message], int, int]:
    """The whole messages of `buffer` up to `end`, where they end, and how far it must be filled before another look is worth it."""
    messages: list[Message] = []
    position = 0
    while position < end:
        first = buffer[position]
        if first == _DOLLAR:
            after = position + 4
            stop = after + (buffer[position + 2] << 8 | buffer[position + 3]) if after <= end else after
            if stop > end or after > end:
                return messages, position, stop
            channel = buffer[position + 1]
            if channel in bursts:
                burst = gather(buffer, position, stop, end, bursts[channel])
                messages.append(burst)
                stop = position + burst.size
            else:
                messages.append(Frame(channel, buffer[after:stop]))
        elif first in b"\r\n":  # stray line breaks between messages are tolerated, as in RFC 9112, 2.2
            stop = position + 1
        else:
            message, stop = _message_at(buffer, position, end)
            if message is None:
                return messages, position, stop
            messages.append(message)
        position = stop
    return messages, position, position + 1


def _message_at(buffer: Received, position: int, end: int) -> tuple[Request | Response | None, int]:
    """The text message that starts at `position` and where it ends; or None and how far the buffer must be filled to hold it."""
    head = buffer[position : min(end, position + HEAD_LIMIT + 1)]
    size = end_of_head(head, 0)
    if (size or len(head)) > HEAD_LIMIT:
        raise ProtocolError(f"an RTSP head exceeds {HEAD_LIMIT} bytes", code="too-large")
    if size is None:
        _refuse_unless_text(head[:8])
        return None, end + 1
    start, headers = _parse_head(head[:size])
    body = position + size
    stop = body + (content_length(headers, most=BODY_LIMIT, protocol="an RTSP") or 0)
    if end < stop:
        return None, stop
    return _assemble(start, headers, buffer[body:stop]), stop


def _refuse_unless_text(start: bytes) -> None:
    if not all(0x20 <= octet < 0x7F or octet in b"\r\n" for octet in start):
        raise ProtocolError("what arrived is neither RTSP nor an interleaved frame")


def _parse_head(head: bytes) -> tuple[str, Headers]:
    lines = [line.rstrip("\r") for line in head.decode("utf-8", "replace").split("\n")]
    if any("\r" in line for line in lines):
        raise ProtocolError("a line break within an RTSP header field")
    start, *rest = (line for line in lines if line)
    if len(rest) > HEADER_COUNT_LIMIT:
        raise ProtocolError(f"more than {HEADER_COUNT_LIMIT} RTSP header fields", code="too-large")
    return start, Headers(_parse_field(line) for line in rest)


def _parse_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" ")
    if not colon or not _TOKEN.fullmatch(name):
        raise ProtocolError("an RTSP header field has no name")
    return name, value.strip(" \t")


def _assemble(start: str, headers: Headers, body: bytes) -> Request | Response:
    if status := _STATUS_LINE.fullmatch(start):
        return Response(int(status[1]), status[2] or "", headers, body)
    if line := _REQUEST_LINE.fullmatch(start):
        return Request(line[1], line[2], headers, body)
    raise ProtocolError("the start line is neither an RTSP request nor a response")
