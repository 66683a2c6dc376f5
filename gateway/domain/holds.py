"""Holds: footage that must not be lost, for whom and why and until when, and what is done about each of its devices.

A hold goes its way by the table `TRANSITIONS`: while it is ACTIVE nothing that it covers is deleted, neither what it secured nor what was
fetched for requests; the store's triggers repeat that. To hold is not to look: what a hold secures goes out through approved requests only.

All periods are on the true clock and half open.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from gateway.domain.coverage import Coverage, Holding, Told
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import LEAST_GAP, OnDeviceClock, Period, RequestId, TimeSource, joined, left_out, total
from gateway.errors import Conflict

HoldId = NewType("HoldId", str)

# -- the hold ---------------------------------------------------------------------------------------------------------


class HoldState(StrEnum):
    ACTIVE = "active"
    RELEASED = "released"
    EXPIRED = "expired"


class HoldAct(StrEnum):
    EXTEND = "extend"
    RELEASE = "release"
    EXPIRE = "expire"


TRANSITIONS: Final[Mapping[tuple[HoldState, HoldAct], HoldState]] = {
    (HoldState.ACTIVE, HoldAct.EXTEND): HoldState.ACTIVE,
    (HoldState.ACTIVE, HoldAct.RELEASE): HoldState.RELEASED,
    (HoldState.ACTIVE, HoldAct.EXPIRE): HoldState.EXPIRED,
}
"""What leads where; every pair that is missing is refused and changes nothing. What has ended stays ended: hold it anew."""


@dataclass(frozen=True, slots=True)
class Hold:
    """`everything`: secure all of it, not only what would be overwritten before the hold ends. `note`: what was said when it ended."""

    id: HoldId
    owner: Person
    reason: str
    cameras: tuple[DeviceId, ...]
    window: Period
    created_at: datetime
    expires_at: datetime
    request: RequestId | None = None
    everything: bool = False
    state: HoldState = HoldState.ACTIVE
    ended_at: datetime | None = None
    ended_by: Person | None = None
    note: str = ""


def acted(hold: Hold, act: HoldAct, *, by: Person, at: datetime, until: datetime | None = None, note: str = "") -> Hold:
    """`hold` after `act`. Conflict (`wrong-state`) when it has ended, or is extended to before its present end."""
    after = TRANSITIONS.get((hold.state, act))
    if after is None:
        raise Conflict(f"a hold that is {hold.state} cannot {act}", code="wrong-state", hint="hold the footage anew")
    if act is HoldAct.EXTEND:
        if until is None or until <= hold.expires_at:
            raise Conflict("a hold is extended to later than it ends now", code="wrong-state", hint="release it to end it earlier")
        return replace(hold, expires_at=until)
    if act is HoldAct.EXPIRE and at < hold.expires_at:
        raise Conflict("the hold has not run out yet", code="wrong-state")
    return replace(hold, state=after, ended_at=at, ended_by=by, note=note)


# -- what is kept of it -----------------------------------------------------------------------------------------------


class KeepState(StrEnum):
    """How far one device's part of a hold is."""

    WAITING = "waiting"  # its turn has not come, or it does not answer: tried again
    SAFE = "safe"  # on the device until after the hold; looked at again
    SECURED = "secured"  # all that is needed of it is in the evidence store
    PARTIAL = "partial"  # secured but for what the device did not give
    NOTHING = "nothing"  # it has nothing of the window
    LOST = "lost"  # what it had was overwritten before it was secured


SETTLED: Final = frozenset({KeepState.SECURED, KeepState.PARTIAL, KeepState.NOTHING, KeepState.LOST})
"""States in which nothing more is done."""


@dataclass(frozen=True, slots=True)
class Keep(OnDeviceClock):
    """What a hold needs of one camera from one device, and what is there of it.

    `needed`: what no device before it has; `obtained`: what of that is in the evidence store. `overwrite_at`: not before then is its first
    second lost, None when nobody can tell. `reserved`: bytes set aside on the disk, those that are obtained included. `locked`: the device
    itself keeps it.
    """

    hold: HoldId
    camera: DeviceId
    device: DeviceId
    recording: str = ""
    serial: str = ""
    offset: timedelta | None = None
    state: KeepState = KeepState.WAITING
    reason: str = ""
    needed: tuple[Period, ...] = ()
    obtained: tuple[Period, ...] = ()
    overwrite_at: datetime | None = None
    reserved: int = 0
    attempts: int = 0
    next_at: datetime | None = None
    locked: bool = False

    @property
    def missing(self) -> tuple[Period, ...]:
        """What is needed and not obtained, a second and longer."""
        return _without(self.needed, self.obtained)


@dataclass(frozen=True, slots=True)
class HeldFile(OnDeviceClock):
    """One finished file in the evidence store, safe on the disk before its row was written. `runs`: the unbroken stretches in it.

    `device` gave it out of `recording`; `offset`: the device's clock less the true one when it was fetched, None when it had never been
    measured; `time_source`: whose word its times are. `sound_left_out`, `sound_refused`, `set_backs`: as `FootageFile` has them.
    """

    hold: HoldId
    camera: DeviceId
    device: DeviceId
    number: int
    name: str
    sha256: str
    size: int
    frames: int
    damaged: int
    period: Period
    runs: tuple[Period, ...]
    created_at: datetime
    removed: bool = False
    offset: timedelta | None = None
    serial: str = ""
    recording: str = ""
    sound_left_out: str = ""
    time_source: TimeSource = TimeSource.UNKNOWN
    sound_refused: str = ""
    set_backs: int = 0


AHEAD: Final = timedelta(days=1)
"""Footage is safe on its device only if it stays there for so much longer than the hold."""
_UNKNOWN_AS: Final = timedelta(hours=12)
"""What nobody can tell the end of is taken to be lost so soon, when it is about whose turn it is."""


def keeps(hold: Hold, coverage: Coverage) -> tuple[Keep, ...]:
    """What has to be kept of one camera, device by device: the recorder first, then of a card what nobody before it has.

    A device that does not answer has to be asked again; who has nothing is not mentioned, unless nobody has anything.
    """
    found: list[Keep] = []
    there: tuple[Period, ...] = ()
    for holding in coverage.holdings:
        told = (coverage.window,) if holding.told is Told.UNLISTED else holding.recorded
        needed = _without(told, there)
        keep = kept_by(Keep(hold.id, coverage.camera, holding.device, needed=needed), holding)
        if needed or holding.told not in (Told.HISTORY, Told.BOUNDS):
            found.append(keep)
        there = joined([*there, *holding.recorded])
    if not found:
        device = coverage.holdings[0].device if coverage.holdings else DeviceId("")
        return (Keep(hold.id, coverage.camera, device, state=KeepState.NOTHING, reason=coverage.reason or "not-recorded"),)
    return tuple(found)


def kept_by(keep: Keep, holding: Holding) -> Keep:
    """`keep` with what its device says now of itself."""
    ends = holding.countdown.at if holding.countdown else None
    return replace(keep, recording=holding.recording, offset=holding.offset, reason=holding.reason, overwrite_at=ends)


def is_safe(keep: Keep, hold: Hold, recorded: Sequence[Period]) -> bool:
    """Whether the device, which has `recorded` now, keeps all of it by itself until after the hold, for sure."""
    if hold.everything or keep.reason or not keep.needed or _without(keep.missing, recorded):
        return False
    return keep.locked or (keep.overwrite_at is not None and keep.overwrite_at > hold.expires_at + AHEAD)


def urgency(keep: Keep, now: datetime) -> datetime:
    """By which time it has to be secured: what is lost first is secured first."""
    return keep.overwrite_at if keep.overwrite_at is not None else now + _UNKNOWN_AS


def settled(keep: Keep, holding: Holding) -> Keep:
    """`keep` when everything that its device still gives was fetched: what became of it. `holding`: what the device says to have now."""
    if not keep.needed:
        return replace(keep, state=KeepState.NOTHING, reason="not-recorded", next_at=None)
    if not keep.missing:
        return replace(keep, state=KeepState.SECURED, reason="", next_at=None)
    reason = _why_missing(keep, holding)
    nothing = KeepState.LOST if reason == "overwritten" else KeepState.NOTHING
    return replace(keep, state=KeepState.PARTIAL if keep.obtained else nothing, reason=reason, next_at=None)


def _why_missing(keep: Keep, holding: Holding) -> str:
    """Of what the device says to have, or, where it does not say, of the whole window."""
    listed = holding.told is not Told.UNLISTED
    if listed and holding.oldest is not None and any(hole.start < holding.oldest for hole in keep.missing):
        return "overwritten"
    if listed:
        return "not-replayed"
    return "gaps-in-recording" if keep.obtained else "not-recorded"


def expected_bytes(periods: Iterable[Period], bytes_per_s: float) -> int:
    """How much room footage of `periods` takes, a fifth added for what a scene may do to its bitrate."""
    return round(total(tuple(periods)).total_seconds() * bytes_per_s * _SPARE)


_SPARE: Final = 1.2


def _without(periods: Sequence[Period], there: Sequence[Period]) -> tuple[Period, ...]:
    return tuple(left_out(there, periods, least=LEAST_GAP))
