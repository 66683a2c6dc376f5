"""A strict, bounded reader of HTTP/1.1 answers (RFC 9112): bytes go in, one answer comes out, nothing is sent.

Strict where it protects (framing, sizes, syntax), lenient where the standard lets a recipient be (a bare LF ends a line,
RFC 9112, 2.2; an unknown reason phrase; HTTP/1.0). What it refuses raises `ProtocolError`: `not-http`, `malformed`, `too-large`.
"""

import re
import zlib
from typing import NamedTuple

from gateway.errors import ProtocolError

HEAD_LIMIT = 16 * 1024
"""Bytes of status line and header fields together, and of the trailer fields after the last chunk."""

FIELD_LIMIT = 100
CHUNK_LIMIT = 16 * 1024
INTERIM_LIMIT = 4
"""How many 1xx answers may come before the real one."""


class Answer(NamedTuple):
    """One complete answer. Field names are in lower case; a repeated field has its values on lines of their own. All of it is untrusted.

    `elapsed_s` runs from the sending of the request to the last byte of the answer. `reusable`: another request may follow on the
    same connection.
    """

    status: int
    fields: dict[str, str]
    body: bytes
    elapsed_s: float = 0.0
    reusable: bool = False


class AnswerReader:
    """Reads one answer whose body, before and after decompression, has at most `limit` bytes."""

    __slots__ = (
        "_answer",
        "_body",
        "_buffer",
        "_chunks",
        "_fields",
        "_interim",
        "_left",
        "_limit",
        "_persistent",
        "_searched",
        "_state",
        "_status",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._body = bytearray()
        self._chunks = 0
        self._fields: dict[str, str] = {}
        self._status = 0
        self._interim = 0
        self._left = 0
        self._searched = 0
        self._persistent = False
        self._answer: Answer | None = None
        self._state = AnswerReader._read_head

    @property
    def started(self) -> bool:
        """Whether any byte of the answer has come."""
        return bool(self._status or self._interim or self._buffer)

    def feed(self, data: bytes) -> Answer | None:
        """Take what came; return the answer once it is complete."""
        self._buffer += data
        while self._state(self):
            pass
        return self._answer

    def end(self) -> Answer | None:
        """The device closed: the answer, when closing is what ends its body; None when it broke off in the middle."""
        if self._state is AnswerReader._read_until_close:
            self._finish(bytes(self._body), framed=False)
        return self._answer

    # -- states: each takes what it can from the buffer and says whether the next state can go on at once ---------------

    def _read_head(self) -> bool:
        buffer = self._buffer
        if not buffer.startswith(b"HTTP/"[: len(buffer)]):
            raise ProtocolError("what answers does not speak HTTP", code="not-http")
        end = _HEAD_END.search(buffer, max(0, self._searched - 3))
        if (end.start() if end else len(buffer)) > HEAD_LIMIT:
            raise ProtocolError("the header of the answer is too large", code="too-large")
        if end is None:
            self._searched = len(buffer)
            return False
        head = buffer[: end.start()].decode("latin-1")
        del buffer[: end.end()]
        self._parse_head(head)
        return self._choose_body()

    def _parse_head(self, head: str) -> None:
        lines = head.split("\n")
        match = _STATUS_LINE.fullmatch(lines[0].rstrip("\r"))
        if match is None:
            raise ProtocolError("the status line is not HTTP/1.1", code="not-http")
        if len(lines) > FIELD_LIMIT:
            raise ProtocolError("the answer has too many header fields", code="too-large")
        self._status = int(match[2])
        self._fields = _parse_fields(lines[1:])
        words = self._fields.get("connection", "").lower()
        self._persistent = "keep-alive" in words if match[1] == "0" else "close" not in words

    def _choose_body(self) -> bool:
        """RFC 9112, 6.3."""
        if 100 <= self._status < 200:
            return self._skip_interim()
        if self._status in (204, 304):
            return self._finish(b"", framed=True)
        coding, length = self._fields.get("transfer-encoding"), self._fields.get("content-length")
        if coding is not None:
            if length is not None or coding.lower() != "chunked":
                raise ProtocolError("the length of the answer is ambiguous")
            self._state = AnswerReader._read_chunk_size
        elif length is None:
            self._state = AnswerReader._read_until_close
        else:
            self._left = self._within_limit(_parse_length(length))
            self._state = AnswerReader._read_length
        return True

    def _skip_interim(self) -> bool:
        self._interim += 1
        if self._interim > INTERIM_LIMIT or self._status == 101:
            raise ProtocolError("the device keeps answering with interim answers")
        self._status = self._searched = 0
        return bool(self._buffer)

    def _read_length(self) -> bool:
        if len(self._buffer) < self._left:
            return False
        body = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        return self._finish(body, framed=True)

    def _read_until_close(self) -> bool:
        self._within_limit(len(self._body) + len(self._buffer))
        self._body += self._buffer
        self._buffer.clear()
        return False

    def _read_chunk_size(self) -> bool:
        line = self._take_line(_CHUNK_LINE_LIMIT)
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        self._chunks += 1
        if match is None or self._chunks > CHUNK_LIMIT:
            raise ProtocolError("the chunks of the answer are not valid")
        self._left = self._within_limit(int(match[1], 16), also=len(self._body))
        self._state = AnswerReader._read_chunk if self._left else AnswerReader._read_trailer
        self._left = self._left or HEAD_LIMIT
        return True

    def _read_chunk(self) -> bool:
        if len(self._buffer) < self._left + 2:
            return False
        self._body += self._buffer[: self._left]
        if self._buffer[self._left : self._left + 2] != b"\r\n":
            raise ProtocolError("a chunk of the answer does not end where it says")
        del self._buffer[: self._left + 2]
        self._state = AnswerReader._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        """Trailer fields are read past, up to `HEAD_LIMIT` bytes."""
        line = self._take_line(self._left)
        if line is None:
            return False
        if not line:
            return self._finish(bytes(self._body), framed=True)
        self._left -= len(line)
        return True

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _take_line(self, limit: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, limit + 2)
        if end < 0:
            if len(self._buffer) > limit + 2:
                raise ProtocolError("a line of the answer is too long", code="too-large")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _within_limit(self, size: int, *, also: int = 0) -> int:
        if size + also > self._limit:
            raise ProtocolError(f"the answer is larger than {self._limit} bytes", code="too-large")
        return size

    def _finish(self, body: bytes, *, framed: bool) -> bool:
        """Undo the content coding. Bytes after the end belong to no request of ours: such a connection is not used again."""
        coding = self._fields.get("content-encoding", "identity").lower()
        if coding != "identity":
            body = _decompress(body, coding, self._limit)
        self._answer = Answer(self._status, self._fields, body, reusable=framed and self._persistent and not self._buffer)
        self._state = AnswerReader._read_nothing
        return False

    def _read_nothing(self) -> bool:
        return False


_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\x00\r]*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r]*?)[ \t]*\r?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00\n]*)?")
_CHUNK_LINE_LIMIT = 256
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def _parse_fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise ProtocolError("a header field of the answer is malformed")
        name = match[1].lower()
        if name not in fields:
            fields[name] = match[2]
        elif name != "content-length":
            fields[name] += "\n" + match[2]
        elif fields[name] != match[2]:
            raise ProtocolError("the answer states two lengths")
    return fields


def _parse_length(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ProtocolError("the answer states no valid length")
    return int(text)


def _decompress(body: bytes, coding: str, limit: int) -> bytes:
    """At most `limit` bytes are ever made, however much `body` promises."""
    if coding not in _WINDOW_BITS:
        raise ProtocolError("the answer has a content coding that nobody asked for")
    machine = zlib.decompressobj(wbits=_WINDOW_BITS[coding])
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        raise ProtocolError("the answer is not compressed as it says") from None
    if len(plain) > limit:
        raise ProtocolError(f"the answer is larger than {limit} bytes once unpacked", code="too-large")
    if not machine.eof:
        raise ProtocolError("the compressed answer breaks off")
    return plain
