"""RTSP 1.0 messages on the wire (RFC 2326), requests and interleaved frames mixed as they come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

HEAD_BYTES: Final = 16 * 1024
BODY_BYTES: Final = 64 * 1024

REASONS: Final = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    457: "Invalid Range",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
    551: "Option not supported",
}


class Malformed(Exception):
    """What came is not RTSP; the connection cannot be followed any further."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are lower case; a repeated header's values are joined by commas."""

    method: str
    url: str
    version: str
    headers: Mapping[str, str]
    body: bytes = b""

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def path(self) -> str:
        """The URL's path without slashes at its ends; its query, host and port say nothing here."""
        return urlsplit(self.url).path.strip("/")

    @property
    def session(self) -> str:
        return self.header("session").partition(";")[0].strip()

    @property
    def required(self) -> frozenset[str]:
        """The feature tags of Require (RFC 2326 §12.32)."""
        return frozenset(tag.strip() for tag in self.header("require").split(",") if tag.strip())


@dataclass(frozen=True, slots=True)
class Interleaved:
    """One binary frame on the RTSP connection (RFC 2326 §10.12)."""

    channel: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def encoded(self, cseq: str) -> bytes:
        lines = [f"RTSP/1.0 {self.status} {REASONS[self.status]}", f"CSeq: {cseq}", *(f"{name}: {value}" for name, value in self.headers)]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def interleave(channel: int, packet: bytes) -> bytes:
    return b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet


@dataclass(slots=True)
class Parser:
    """Cuts a byte stream into requests and interleaved frames; keeps at most one unfinished message."""

    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Request | Interleaved]:
        """What `data` completes, in order. Raises `Malformed`, after which the parser is of no more use."""
        self._buffer += data
        found: list[Request | Interleaved] = []
        while (message := self._next()) is not None:
            found.append(message)
        return found

    def _next(self) -> Request | Interleaved | None:
        while self._buffer[:2] == b"\r\n":  # some clients end a message with one line too many
            del self._buffer[:2]
        if self._buffer[:1] == b"$":
            return self._frame()
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise Malformed("a head without an end")
            return None
        return self._request(end)

    def _frame(self) -> Interleaved | None:
        if len(self._buffer) < 4:
            return None
        end = 4 + int.from_bytes(self._buffer[2:4], "big")
        if len(self._buffer) < end:
            return None
        frame = Interleaved(self._buffer[1], bytes(self._buffer[4:end]))
        del self._buffer[:end]
        return frame

    def _request(self, head_end: int) -> Request | None:
        try:
            first, *lines = self._buffer[:head_end].decode().split("\r\n")
            method, url, version = first.split(" ")
            headers = _headers(lines)
            length = int(headers.get("content-length", "0"))
        except ValueError as error:
            raise Malformed(f"not a request: {error}") from error
        if not version.startswith("RTSP/") or not 0 <= length <= BODY_BYTES:
            raise Malformed("not an RTSP request")
        end = head_end + 4 + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[head_end + 4 : end])
        del self._buffer[:end]
        return Request(method, url, version, headers, body)


def _headers(lines: list[str]) -> dict[str, str]:
    """Raises ValueError for a line that is no header."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"no header: {line[:40]!r}")
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return headers
