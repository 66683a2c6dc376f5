"""Which part of a file a GET asks for: Range and If-Range (RFC 9110, sections 13.1.5 and 14)."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.domain.handover import Span
from gateway.errors import InvalidInput

_ONE: Final = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes to send. `whole`: all of them, because no part was asked for (200 and not 206)."""

    span: Span
    whole: bool


def part_of(size: int, etag: str, *, asked: str | None, only_if: str | None) -> Part:
    """What of `size` bytes goes out for the headers Range (`asked`) and If-Range (`only_if`), either of which may be missing.

    A Range that is no single range of bytes is ignored, as section 14.2 allows; so is one whose If-Range is not exactly the strong `etag`
    (a date never is: there is no Last-Modified). InvalidInput (`range-not-satisfiable`) for bytes behind the end.
    """
    whole = Part(Span(0, size), whole=True)
    if asked is None or (only_if is not None and only_if.strip() != etag):
        return whole
    match = _ONE.fullmatch(asked.strip())
    if match is None:
        return whole
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return whole  # invalid, and so ignored
    if start >= size or start >= end:
        raise InvalidInput(f"the file has {size} bytes", code="range-not-satisfiable")
    return Part(Span(start, end), whole=False)


def headers(part: Part, size: int, etag: str) -> dict[str, str]:
    """What an answer with `part` says of it."""
    told = {"Accept-Ranges": "bytes", "ETag": etag}
    if not part.whole:
        told["Content-Range"] = f"bytes {part.span.start}-{part.span.end - 1}/{size}"
    return told
