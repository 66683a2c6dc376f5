"""SIP messages as a horn reads and writes them (RFC 3261, 7)."""

import re
from dataclasses import dataclass
from typing import Final

COMPACT: Final = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
}
LIMIT: Final = 64 * 1024
REASONS: Final = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 302: "Moved Temporarily", 400: "Bad Request", 401: "Unauthorized",
    404: "Not Found", 405: "Method Not Allowed", 422: "Session Interval Too Small", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
    503: "Service Unavailable", 603: "Decline",
}  # fmt: skip


class Malformed(ValueError):
    """Not a SIP message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`method`, `uri`) or an answer (`status`); names of fields in small letters, in order."""

    method: str = ""
    uri: str = ""
    status: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def field(self, name: str) -> str:
        return next((value for key, value in self.fields if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    @property
    def branch(self) -> str:
        match = re.search(r"branch=([^;,\s]+)", self.field("via"))
        return match[1] if match else ""

    @property
    def number(self) -> int:
        return int(self.field("cseq").split()[0])

    def tag(self, name: str) -> str:
        match = re.search(r";tag=([^;,\s]+)", self.field(name))
        return match[1] if match else ""

    def encoded(self) -> bytes:
        start = f"{self.method} {self.uri} SIP/2.0" if self.method else f"SIP/2.0 {self.status} {REASONS.get(self.status, 'Unknown')}"
        body = self.body.encode()
        lines = [start, *(f"{name.title()}: {value}" for name, value in self.fields), f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def parse(data: bytes) -> Message:
    """One message. Raises Malformed."""
    head, gap, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not gap or len(data) > LIMIT:
        raise Malformed("no end of the head, or too long")
    start, *lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
    fields = tuple(_field(line) for line in lines)
    words = start.split(" ", 2)
    if len(words) < 2 or "SIP/2.0" not in (words[0], words[-1]):
        raise Malformed(f"the start line is {start[:80]!r}")
    if words[0] == "SIP/2.0":
        return Message(status=int(words[1]) if words[1].isdigit() else 0, fields=fields, body=body.decode("utf-8", "replace"))
    made = Message(method=words[0], uri=words[1], fields=fields, body=body.decode("utf-8", "replace"))
    if not re.fullmatch(r"\d{1,9} [A-Z]+", made.field("cseq")) or not made.field("via"):
        raise Malformed("no CSeq or no Via")
    return made


def length(head: bytes) -> int:
    """The length of the body that follows a head on a stream."""
    match = re.search(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d{1,6})", head)
    return int(match[1]) if match else 0


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise Malformed(f"a field is {line[:80]!r}")
    name = name.strip().lower()
    return COMPACT.get(name, name), value.strip()


def answer(request: Message, status: int, *, tag: str = "", fields: tuple[tuple[str, str], ...] = (), body: str = "") -> Message:
    """The answer to a request (RFC 3261, 8.2.6)."""
    to = request.field("to")
    if tag and not request.tag("to"):
        to += f";tag={tag}"
    kept = [("via", via) for via in request.all("via")] + [("record-route", route) for route in request.all("record-route")]
    rest = [("from", request.field("from")), ("to", to), ("call-id", request.field("call-id")), ("cseq", request.field("cseq"))]
    return Message(status=status, fields=(*kept, *rest, *fields), body=body)
