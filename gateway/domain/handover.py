"""Footage on its way out: personal links, what was taken by them, and why somebody got nothing."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import DELIVERABLE, FootageState, RequestId
from gateway.errors import Conflict

LinkId = NewType("LinkId", str)

# -- personal links ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """Leave for one named person to fetch `names` of one request's files (none: all), each `downloads` times, until `expires_at`.

    `code_hash` is the SHA-256 of the code that the person was given; the code itself is nowhere. `wrong` counts codes that were not right,
    `denials` everything that was denied.
    """

    id: LinkId
    request: RequestId
    receiver: str
    unit: str
    badge: str
    names: tuple[str, ...]
    downloads: int
    code_hash: str = field(repr=False)
    made_by: Person
    made_at: datetime
    expires_at: datetime
    wrong: int = 0
    denials: int = 0
    revoked_by: Person | None = None
    revoked_at: datetime | None = None

    @property
    def holder(self) -> Person:
        """Whom the record names when the link is used."""
        return Person(Actor(ActorKind.USER, f"link:{self.id}"), self.receiver)


class Denial(StrEnum):
    """Why somebody who came with a link, a key or a wish got nothing."""

    WRONG_CODE = "wrong-code"
    LOCKED = "link-locked"
    REVOKED = "link-revoked"
    EXPIRED = "download-expired"
    USED_UP = "downloads-used-up"
    WRONG_STATE = "wrong-state"
    NO_FILE = "not-found"
    NO_RANGE = "range-not-satisfiable"
    NOT_YOURS = "not-yours"


WRONG_CODES_MAX: Final = 10
"""After so many wrong codes a link is locked for good: the code has 100 bits, so that none of them was a typing error."""
_DENIALS_WRITTEN: Final = 20
_DENIALS_EVERY: Final = 100


def denial(link: Link, state: FootageState, *, now: datetime) -> Denial | None:
    """Why `link`, to a request in `state`, opens nothing at `now`; None when it does."""
    if link.revoked_at is not None:
        return Denial.REVOKED
    if link.wrong >= WRONG_CODES_MAX:
        return Denial.LOCKED
    if now >= link.expires_at:
        return Denial.EXPIRED
    return None if state in DELIVERABLE else Denial.WRONG_STATE


def written(denials: int) -> bool:
    """Whether the denial with this number is a line of the custody log: the first 20 of a link are, then each hundredth with its number."""
    return denials <= _DENIALS_WRITTEN or denials % _DENIALS_EVERY == 0


# -- what was taken ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Bytes of a file, from `start` to `end`, half open."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Take:
    """One download of one file by one link, in however many calls. `sent` counts bytes: booked before they go out, corrected afterwards."""

    link: LinkId
    name: str
    number: int
    size: int
    begun_at: datetime
    last_at: datetime
    calls: int = 1
    sent: int = 0


RESUME_FOR: Final = timedelta(hours=24)
"""So long after its begin a download may be resumed."""
PROBE_MAX: Final = 64 << 10
"""A program that asks for no more than this first has not begun yet: many look at the first byte before they download."""


def taken(link: Link, last: Take | None, span: Span, *, name: str, size: int, now: datetime) -> Take:
    """The take that a call for `span` of the file belongs to, with that span booked. Conflict (`downloads-used-up`): one too many.

    It goes on with the `last` take when it begins behind the first byte, or hardly anything went out yet, and the take stays below twice
    the size of the file: what was on the way when a connection broke goes out again, a second copy does not. Everything else is a new take.
    """
    if last is not None and _goes_on(last, span, now):
        return replace(last, calls=last.calls + 1, sent=last.sent + span.length, last_at=now)
    number = last.number + 1 if last else 1
    if number > link.downloads:
        raise Conflict(f"the file was downloaded {link.downloads} times already", code=Denial.USED_UP, hint="ask for another link")
    return Take(link.id, name, number, size, begun_at=now, last_at=now, sent=span.length)


def _goes_on(take: Take, span: Span, now: datetime) -> bool:
    fresh = now - take.begun_at <= RESUME_FOR
    behind = span.start > 0 or take.sent <= PROBE_MAX
    return fresh and behind and take.sent + span.length <= 2 * take.size
