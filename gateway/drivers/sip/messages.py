"""SIP messages (RFC 3261, 7) on the wire: parsed within bounds, encoded."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.drivers import textual
from gateway.drivers.textual import Headers, Request, Response, content_length, end_of_head
from gateway.errors import ProtocolError

HEAD_LIMIT: Final = 16 * 1024
BODY_LIMIT: Final = 16 * 1024
HEADER_COUNT_LIMIT: Final = 96
LIST_LIMIT: Final = 32
"""Entries of one list, such as the Via of all proxies on the way."""

_TOKEN = re.compile(r"[!%'*+\-.^_`|~0-9A-Za-z]+")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"([A-Z][A-Z0-9]{0,31}) (\S{1,1024}) SIP/2\.0", re.IGNORECASE)
_SEQUENCE = re.compile(r"(\d{1,10})\s+([A-Z][A-Z0-9]{0,31})")
_URI = re.compile(r"sips?:[!#-;=?-~]{1,500}", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([!%\'*+\-.^_`|~0-9A-Za-z]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^;,"\s]*))?\s*')
# RFC 3261, 7.3.3 and the register of header fields: one letter for what is said in every message.
_COMPACT: Final = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding", "f": "From",
    "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact", "o": "Event", "r": "Refer-To",
    "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
}  # fmt: skip


Message = Request | Response


# -- writing ----------------------------------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """The bytes of a message, Content-Length included. ValueError when a field would break the framing."""
    fields = [*message.headers, ("Content-Length", str(len(message.body)))]
    return textual.encode(_start_line(message), fields, message.body)


def _start_line(message: Message) -> str:
    if isinstance(message, Response):
        return f"SIP/2.0 {message.status} {message.reason}"
    return f"{message.method} {message.uri} SIP/2.0"


# -- reading ----------------------------------------------------------------------------------------------------------


def parse(datagram: bytes) -> Message | None:
    """The message that a datagram holds; None for a keep-alive (RFC 5626, 3.5.1). Raises ProtocolError (malformed, too-large).

    A body is as long as Content-Length says, or the rest of the datagram; one that was cut off is an error (RFC 3261, 18.3).
    """
    start = _first_text(datagram, 0)
    if start == len(datagram) or not datagram.strip(b"\0"):
        return None
    head_end = end_of_head(datagram, start)
    if (head_end or len(datagram)) - start > HEAD_LIMIT:
        raise ProtocolError(f"a SIP head exceeds {HEAD_LIMIT} bytes", code="too-large")
    if head_end is None:
        raise ProtocolError("a SIP message without an end of its head")
    line, headers = _parse_head(datagram[start:head_end])
    length = content_length(headers, most=BODY_LIMIT, protocol="a SIP")
    rest = len(datagram) - head_end
    if length is None and rest > BODY_LIMIT:
        raise ProtocolError(f"a SIP body exceeds {BODY_LIMIT} bytes", code="too-large")
    if (length or 0) > rest:
        raise ProtocolError("a SIP body was cut off")
    return _assemble(line, headers, datagram[head_end : head_end + (rest if length is None else length)])


class StreamParser:
    """Cuts a byte stream (TCP) into messages. After a ProtocolError the stream is lost: the connection must be closed.

    Holds `HEAD_LIMIT` + `BODY_LIMIT` bytes at the most, beside what one `feed` brings.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order. Raises ProtocolError (malformed, too-large)."""
        buffer, position, messages = self._held + data, 0, list[Message]()
        while (position := _first_text(buffer, position)) < len(buffer):
            message, stop = _message_at(buffer, position)
            if message is None:
                break
            messages.append(message)
            position = stop
        self._held = buffer[position:]
        return messages


def _first_text(buffer: bytes, position: int) -> int:
    """Where a message begins: line breaks before it are keep-alives (RFC 3261, 7.5)."""
    while position < len(buffer) and buffer[position] in b"\r\n":
        position += 1
    return position


def _message_at(buffer: bytes, position: int) -> tuple[Message | None, int]:
    head_end = end_of_head(buffer, position)
    if (head_end or len(buffer)) - position > HEAD_LIMIT:
        raise ProtocolError(f"a SIP head exceeds {HEAD_LIMIT} bytes", code="too-large")
    if head_end is None:
        if not all(0x20 <= octet < 0x7F for octet in buffer[position : position + 4]):
            raise ProtocolError("what arrived is not SIP")
        return None, position
    line, headers = _parse_head(buffer[position:head_end])
    stop = head_end + (content_length(headers, most=BODY_LIMIT, protocol="a SIP") or 0)
    if len(buffer) < stop:
        return None, position
    return _assemble(line, headers, buffer[head_end:stop]), stop


def _parse_head(head: bytes) -> tuple[str, Headers]:
    lines = [line.rstrip("\r") for line in head.decode("utf-8", "replace").split("\n")]
    if any("\r" in line for line in lines):
        raise ProtocolError("a line break within a SIP header field")
    start, *rest = (line for line in lines if line)
    fields: list[str] = []
    for line in rest:
        if line[0] in " \t":  # folded (RFC 3261, 7.3.1)
            if not fields:
                raise ProtocolError("a SIP head begins with a folded line")
            fields[-1] += " " + line.strip(" \t")
        else:
            fields.append(line)
    if len(fields) > HEADER_COUNT_LIMIT:
        raise ProtocolError(f"more than {HEADER_COUNT_LIMIT} SIP header fields", code="too-large")
    return start, Headers(_parse_field(line) for line in fields)


def _parse_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not _TOKEN.fullmatch(name):
        raise ProtocolError("a SIP header field has no name")
    return _COMPACT.get(name.lower(), name), value.strip(" \t")


def _assemble(start: str, headers: Headers, body: bytes) -> Message:
    if status := _STATUS_LINE.fullmatch(start):
        return Response(int(status[1]), status[2] or "", headers, body)
    if line := _REQUEST_LINE.fullmatch(start):
        return Request(line[1], line[2], headers, body)
    raise ProtocolError("the start line is neither a SIP request nor a response")


# -- fields -----------------------------------------------------------------------------------------------------------


def listed(headers: Headers, name: str) -> list[str]:
    """The entries of a field that is a list, however they are spread over lines (RFC 3261, 7.3.1); `LIST_LIMIT` at the most."""
    entries = (entry.strip() for value in headers.all(name) for entry in _split(value))
    return [entry for entry in entries if entry][:LIST_LIMIT]


def _split(value: str) -> Iterator[str]:
    """Cut at commas that stand neither in a quoted string nor in angle brackets."""
    start, quoted, bracketed, skip = 0, False, False, False
    for at, character in enumerate(value):
        if skip:
            skip = False
        elif character == "\\" and quoted:
            skip = True
        elif character == '"' and not bracketed:
            quoted = not quoted
        elif character in "<>" and not quoted:
            bracketed = character == "<"
        elif character == "," and not quoted and not bracketed:
            yield value[start:at]
            start = at + 1
    yield value[start:]


def parameters(text: str) -> dict[str, str]:
    """The parameters `;name=value` that follow an address or a value, names in small letters; the first of a name counts."""
    after = text[text.rfind(">") + 1 :] if ">" in text else text
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(after[after.find(";") :] if ";" in after else ""):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value)
    return found


def uri_of(address: str) -> str:
    """The SIP URI of a name-addr or addr-spec (RFC 3261, 20.10); "" when it has none that can be sent again."""
    opened = address.rfind("<")
    uri = address[opened + 1 :].partition(">")[0] if opened >= 0 else address.partition(";")[0].strip()
    return uri if _URI.fullmatch(uri) else ""


def tag_of(headers: Headers, name: str) -> str:
    """The tag of From or To."""
    return parameters(headers.get(name)).get("tag", "")


def sequence_of(headers: Headers) -> tuple[int, str]:
    """CSeq; (-1, "") for what is none."""
    match = _SEQUENCE.fullmatch(headers.get("CSeq"))
    return (int(match[1]), match[2]) if match else (-1, "")


def branch_of(headers: Headers) -> str:
    """The branch of the topmost Via: by it a response finds its request (RFC 3261, 17.1.3)."""
    return next((parameters(via).get("branch", "") for via in listed(headers, "Via")), "")


def tokens(headers: Headers, name: str) -> frozenset[str]:
    """A list of words, such as Allow, Require, Supported."""
    return frozenset(listed(headers, name))


def seconds(text: str) -> int | None:
    """A number of seconds at the head of a value, such as Session-Expires or Retry-After; None for what is none."""
    match = re.match(r"\d{1,9}(?!\d)", text.strip())
    return int(match[0]) if match else None


def answer(
    request: Request, status: int, reason: str, *, tag: str = "", fields: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> Response:
    """A response to `request` (RFC 3261, 8.2.6); `tag` goes to its To, if that has none."""
    to = request.headers.get("To")
    if tag and not tag_of(request.headers, "To"):
        to = f"{to};tag={tag}"
    copied = [("Via", via) for via in request.headers.all("Via")] + [
        ("Record-Route", route) for route in request.headers.all("Record-Route")
    ]
    rest = [(name, request.headers.get(name)) for name in ("From", "Call-ID", "CSeq")]
    return Response(status, reason, Headers([*copied, ("To", to), *rest, *fields]), body)
