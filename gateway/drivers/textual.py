"""What RTSP and SIP share: requests and responses as text, a start line, header fields, a body (RFC 2326, RFC 3261, 7)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.errors import ProtocolError

_LENGTH = re.compile(r"\d{1,7}")


class Headers:
    """Header fields in order; names are compared without regard to case."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)

    def get(self, name: str, default: str = "") -> str:
        """The first value of `name`."""
        return next(iter(self.all(name)), default)

    def all(self, name: str) -> list[str]:
        """Every value of `name`, in order."""
        wanted = name.lower()
        return [value for key, value in self._fields if key.lower() == wanted]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self._fields]})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ours or the device's. `uri` is sent as it stands; a method is written in capitals."""

    method: str
    uri: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    reason: str
    headers: Headers
    body: bytes = b""


def encode(start: str, fields: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """The bytes of a message that begins with the line `start`. ValueError when a field would break the framing."""
    lines = [start, *(f"{name}: {value}" for name, value in fields)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header field holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def end_of_head(buffer: bytes, position: int) -> int | None:
    """Where the blank line ends; lines end with CRLF, or LF alone (RFC 2326, 4; in SIP, from sloppy devices)."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := buffer.find(mark, position)) >= 0]
    return min(ends, default=None)


def content_length(headers: Headers, *, most: int, protocol: str) -> int | None:
    """What Content-Length says; None without one. Raises ProtocolError (malformed; too-large beyond `most` bytes)."""
    values = set(headers.all("Content-Length"))
    if not values:
        return None
    if len(values) > 1 or not _LENGTH.fullmatch(value := values.pop()):
        raise ProtocolError("Content-Length is no single number")
    if int(value) > most:
        raise ProtocolError(f"{protocol} body exceeds {most} bytes", code="too-large")
    return int(value)
