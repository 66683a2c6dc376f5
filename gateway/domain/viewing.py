"""Viewing on site: somebody looks, somebody supervises, no copy leaves; from when to when, and with which outcome."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from gateway.domain.events import Person
from gateway.domain.footage import Filing, RequestId
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput

ViewingId = NewType("ViewingId", str)

_BETWEEN: Final = re.compile(r"[,;/、，；]")
LASTS: Final = timedelta(hours=2)
"""A viewing that nobody ends is over after this."""


class ViewingOutcome(StrEnum):
    """What came of looking."""

    NOTHING_FOUND = "nothing-found"
    NO_COPY = "no-copy"
    COPY_WANTED = "copy-wanted"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Viewing:
    """One session in front of one screen. `identity`: the viewer's card or badge; `companions`: who else was in the room.

    `plays` counts films that were played; `supervisor` is the person on record who sits beside and started it.
    """

    id: ViewingId
    request: RequestId
    viewer: str
    identity: str
    companions: str
    place: str
    supervisor: Person
    started_at: datetime
    until: datetime
    plays: int = 0
    ended_at: datetime | None = None
    outcome: ViewingOutcome | None = None
    note: str = ""

    def open_at(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.until

    @property
    def watermark(self) -> str:
        """What stands in every picture, in letters that need no font: which viewing, whose card."""
        tail = "".join(letter for letter in self.identity if letter.isascii() and letter.isalnum())[-6:].upper()
        return f"{self.id} *{tail}"


def check_viewing(viewing: Viewing, filing: Filing) -> None:
    """InvalidInput unless there is a viewer with an identity; Forbidden (`own-supervisor`).

    Nobody who asked for the footage or looks at it supervises.
    """
    faults = [Fault(f"/{name}", "is missing", "missing") for name in ("viewer", "identity") if not getattr(viewing, name).strip()]
    if faults:
        raise InvalidInput("a viewing needs its viewer", faults=faults, code="bad-request")
    looking = (viewing.viewer, *_BETWEEN.split(viewing.companions), filing.requester, filing.second_officer)
    watched = set(map(_folded, looking)) - {""}
    if _folded(viewing.supervisor.name) in watched:
        raise Forbidden("nobody supervises a viewing of their own", code="own-supervisor", hint="somebody of the centre has to sit beside")


def ended(viewing: Viewing, outcome: ViewingOutcome, *, now: datetime, note: str = "") -> Viewing:
    """`viewing` when it ends. Conflict (`wrong-state`) when it has ended already."""
    if viewing.ended_at is not None:
        raise Conflict("the viewing has ended already", code="wrong-state")
    return replace(viewing, ended_at=min(now, max(viewing.until, viewing.started_at)), outcome=outcome, note=note)


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()
