"""The course of a subscription to a device's events: what to do next, and what to make of what came of it. Pure; seconds are monotonic.

A subscription is a lease (ONVIF Core, 9.2): it ends by itself unless it is pulled or renewed, and a device that restarts forgets it, with
or without saying so. The rules:

* Renew late (at `RENEW_AT` of a lease), and not at all where pulling moves the end; where renewing is refused, subscribe anew instead.
* A pull that is refused means that the subscription is gone: subscribe anew, at once the first time, then ever more rarely.
* A device that was silent, or has told nothing for `QUIET_S`, is asked to tell its states again. When it does not, the subscription is
  dead however friendly it answers, and is replaced.
* A device that denies a subscription is full, or cannot: both are waited out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

LEASE_S: Final = 120.0
"""What is asked for: short, because nobody can list or clear what was left behind."""
SHORTEST_S: Final = 5.0
LONGEST_S: Final = 86_400.0
RENEW_AT: Final = 0.8
PULL_S: Final = 20.0
PACE_S: Final = 1.0
"""Between the starts of two pulls: some devices answer at once, always."""
QUIET_S: Final = 300.0
BACKOFF_S: Final = 5.0
LONGEST_BACKOFF_S: Final = 300.0
UNABLE_S: Final = 60.0
LONGEST_UNABLE_S: Final = 3600.0
"""How long a device that says it cannot is left alone: it may only be starting, or never learn it."""


class Phase(StrEnum):
    ABSENT = "absent"
    OPEN = "open"
    DOUBTED = "doubted"
    """It may be dead: the next pull must tell something."""


class Sign(StrEnum):
    """What came of a step."""

    GRANTED = "granted"
    DENIED = "denied"
    UNABLE = "unable"
    TOLD = "told"
    QUIET = "quiet"
    REFUSED = "refused"
    SILENT = "silent"
    RENEWED = "renewed"
    REPLACED = "replaced"
    ASKED = "asked"


TABLE: Final[Mapping[tuple[Phase, Sign], Phase]] = {
    (Phase.ABSENT, Sign.GRANTED): Phase.OPEN,
    (Phase.ABSENT, Sign.DENIED): Phase.ABSENT,
    (Phase.ABSENT, Sign.UNABLE): Phase.ABSENT,
    (Phase.ABSENT, Sign.SILENT): Phase.ABSENT,
    (Phase.OPEN, Sign.TOLD): Phase.OPEN,
    (Phase.OPEN, Sign.QUIET): Phase.OPEN,
    (Phase.OPEN, Sign.REFUSED): Phase.ABSENT,
    (Phase.OPEN, Sign.SILENT): Phase.DOUBTED,
    (Phase.OPEN, Sign.RENEWED): Phase.OPEN,
    (Phase.OPEN, Sign.REPLACED): Phase.ABSENT,
    (Phase.OPEN, Sign.ASKED): Phase.DOUBTED,
    (Phase.DOUBTED, Sign.TOLD): Phase.OPEN,
    (Phase.DOUBTED, Sign.QUIET): Phase.ABSENT,
    (Phase.DOUBTED, Sign.REFUSED): Phase.ABSENT,
    (Phase.DOUBTED, Sign.SILENT): Phase.ABSENT,
    (Phase.DOUBTED, Sign.RENEWED): Phase.DOUBTED,
    (Phase.DOUBTED, Sign.REPLACED): Phase.ABSENT,
    (Phase.DOUBTED, Sign.ASKED): Phase.DOUBTED,
}


class Do(StrEnum):
    WAIT = "wait"
    CREATE = "create"
    PULL = "pull"
    RENEW = "renew"
    REPLACE = "replace"
    """End it and subscribe anew."""
    SYNCHRONISE = "synchronise"


@dataclass(frozen=True, slots=True)
class Habits:
    """What is known of a device: by its profile (`renew_gap_s`: what renewing sooner would break), or learnt.

    `spread`: from 0 to 1, other for each device, so that a district that comes back does not ask in step.
    """

    renews: bool = True
    synchronises: bool = True
    renew_gap_s: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """`taken`: when the lease was taken or renewed; `heard`: when it last told something; `failures`: in a row."""

    phase: Phase = Phase.ABSENT
    taken: float = 0.0
    renew_at: float = 0.0
    ends: float = 0.0
    heard: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    asked: bool = False


def aged(course: Course, now: float) -> Course:
    """The course once a lease that has run out is taken for what it is."""
    return replace(course, phase=Phase.ABSENT) if course.phase is not Phase.ABSENT and now >= course.ends else course


def next_step(course: Course, habits: Habits, now: float, *, pull_s: float = PULL_S) -> tuple[Do, float]:
    """What to do, and for how many seconds where it takes a time (WAIT, PULL)."""
    if now < course.not_before:
        return Do.WAIT, course.not_before - now
    if course.phase is Phase.ABSENT:
        return Do.CREATE, 0.0
    if now >= course.renew_at:
        return (Do.RENEW if habits.renews and now - course.taken >= habits.renew_gap_s else Do.REPLACE), 0.0
    doubtful = course.phase is Phase.DOUBTED or now - course.heard >= QUIET_S
    if doubtful and not course.asked:
        return (Do.SYNCHRONISE if habits.synchronises else Do.REPLACE), 0.0
    return Do.PULL, min(pull_s, course.renew_at - now)


def after(course: Course, sign: Sign, habits: Habits, now: float, *, lease_s: float | None = None) -> Course:
    """The course after a sign. `lease_s`: how long the lease still lasts, when the device said so.

    Raises ValueError, and changes nothing, for a sign that cannot come in this phase.
    """
    phase = TABLE.get((course.phase, sign))
    if phase is None:
        raise ValueError(f"{sign} cannot come while {course.phase}")
    course = replace(course, phase=phase, asked=sign is Sign.ASKED or (course.asked and sign is Sign.RENEWED))
    if sign in (Sign.GRANTED, Sign.RENEWED):
        return _leased(course, now, lease_s, heard=now if sign is Sign.GRANTED else course.heard)
    if sign in (Sign.TOLD, Sign.QUIET) and phase is not Phase.ABSENT:
        course = replace(course, failures=0, heard=now if sign is Sign.TOLD else course.heard)
        return _extended(course, now, lease_s)
    if sign in (Sign.ASKED, Sign.REPLACED):
        return course
    return _failed(course, sign, habits, now)


def is_too_short(asked_s: float, lease_s: float) -> bool:
    """Whether a lease shows that the device read another time than the one that was asked."""
    return lease_s < asked_s / 2


def _leased(course: Course, now: float, lease_s: float | None, *, heard: float) -> Course:
    lasts = min(max(LEASE_S if lease_s is None else lease_s, SHORTEST_S), LONGEST_S)
    return replace(course, taken=now, renew_at=now + lasts * RENEW_AT, ends=now + lasts, heard=heard, not_before=now)


def _extended(course: Course, now: float, lease_s: float | None) -> Course:
    """A pull may move the end; where it does not, its answer says the old end."""
    if lease_s is None or now + lease_s <= course.ends + 1:
        return course
    lasts = min(lease_s, LONGEST_S)
    return replace(course, renew_at=now + lasts * RENEW_AT, ends=now + lasts)


def _failed(course: Course, sign: Sign, habits: Habits, now: float) -> Course:
    if sign is Sign.UNABLE:
        wait = min(UNABLE_S * 2 ** min(course.failures, 10), LONGEST_UNABLE_S)
    elif sign in (Sign.REFUSED, Sign.QUIET) and course.failures == 0:
        wait = 0.0
    else:
        wait = min(BACKOFF_S * 2 ** min(course.failures, 10), LONGEST_BACKOFF_S) * (1 + habits.spread)
    return replace(course, failures=course.failures + 1, not_before=now + wait)
