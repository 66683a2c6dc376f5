"""How results become a device's state: a table, its thresholds, and a damper for devices that flap.

What the checks of a device say is one of four symbols. `reach` alone decides between answered and silent; other checks that warn or fail
are complaints, which stay until the same check is well again.

    GOOD      it answered and nothing is wrong          IMPAIRED  it answered and a check complains
    SILENT    it did not answer                         BLIND     we could not look: we lag, or see nobody at all

A state changes when the symbol has come often enough in a row (`TABLE`). BLIND breaks no row and is never evidence against a device: it
leads to UNKNOWN alone. The first answer of a device that we know nothing of counts at once.

The damper stands behind the table: a device whose state changes more than `flap_changes` times in `flap_window` is shown as DEGRADED,
"flapping", until the table has been still for `flap_hold`. So is one whose answers come and go as often without ever failing often
enough in a row for the table: a loose contact is an illness, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, HealthState, Outcome, Transition

REACH = "reach"
FLAPPING = "flapping"


class Symbol(StrEnum):
    GOOD = "good"
    IMPAIRED = "impaired"
    SILENT = "silent"
    BLIND = "blind"
    ACCUSED = "accused"
    CLEARED = "cleared"
    RUMOUR = "rumour"


TOLD = frozenset({Symbol.ACCUSED, Symbol.CLEARED, Symbol.RUMOUR})
"""What comes of reports; all others come of visits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many visits in a row it takes: to call a device down, to call it well or merely degraded, and to admit that we do not know."""

    failure: int = 3
    recovery: int = 2
    degrade: int = 2
    blind: int = 3
    flap_changes: int = 6
    flap_window: timedelta = timedelta(minutes=10)
    flap_hold: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        if min(self.failure, self.recovery, self.degrade, self.blind, self.flap_changes) < 1:
            raise ValueError("every threshold is at least 1")


@dataclass(frozen=True, slots=True)
class Streaks:
    """How often each symbol came in a row. `answered` counts GOOD and IMPAIRED together."""

    good: int = 0
    impaired: int = 0
    answered: int = 0
    silent: int = 0
    blind: int = 0

    def after(self, symbol: Symbol) -> "Streaks":
        if symbol is Symbol.GOOD:
            return Streaks(good=self.good + 1, answered=self.answered + 1)
        if symbol is Symbol.IMPAIRED:
            return Streaks(impaired=self.impaired + 1, answered=self.answered + 1)
        if symbol is Symbol.SILENT:
            return Streaks(silent=self.silent + 1)
        if symbol in TOLD:
            return self
        return Streaks(self.good, self.impaired, self.answered, self.silent, self.blind + 1)


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What is remembered of one device. `apparent` is the table's state, `state` what the damper shows of it.

    `suspected`: how often in a row a check was told to be ill that is no complaint yet. `changes`: when the table's state changed;
    `wavers`: when answers turned into silence or back.
    """

    device: DeviceId
    state: HealthState = HealthState.UNKNOWN
    apparent: HealthState = HealthState.UNKNOWN
    reason: str = ""
    check: str = ""
    streaks: Streaks = Streaks()
    complaints: Mapping[str, CheckResult] = field(default_factory=dict)
    changes: tuple[datetime, ...] = ()
    wavers: tuple[datetime, ...] = ()
    held_until: datetime | None = None
    suspected: Mapping[str, int] = field(default_factory=dict)


_AT_ONCE = "at_once"
# (state, symbol) → the state that follows, the streak that is counted and the limit that it must reach; absent: the state stays.
TABLE: Mapping[tuple[HealthState, Symbol], tuple[HealthState, str, str]] = {
    (HealthState.UNKNOWN, Symbol.GOOD): (HealthState.UP, "answered", _AT_ONCE),
    (HealthState.UNKNOWN, Symbol.IMPAIRED): (HealthState.DEGRADED, "answered", _AT_ONCE),
    (HealthState.UNKNOWN, Symbol.SILENT): (HealthState.DOWN, "silent", "failure"),
    (HealthState.UP, Symbol.IMPAIRED): (HealthState.DEGRADED, "impaired", "degrade"),
    (HealthState.UP, Symbol.SILENT): (HealthState.DOWN, "silent", "failure"),
    (HealthState.UP, Symbol.BLIND): (HealthState.UNKNOWN, "blind", "blind"),
    (HealthState.UP, Symbol.ACCUSED): (HealthState.DEGRADED, "", _AT_ONCE),
    (HealthState.DEGRADED, Symbol.GOOD): (HealthState.UP, "good", "recovery"),
    (HealthState.DEGRADED, Symbol.SILENT): (HealthState.DOWN, "silent", "failure"),
    (HealthState.DEGRADED, Symbol.BLIND): (HealthState.UNKNOWN, "blind", "blind"),
    (HealthState.DEGRADED, Symbol.CLEARED): (HealthState.UP, "", _AT_ONCE),
    (HealthState.DOWN, Symbol.GOOD): (HealthState.UP, "answered", "recovery"),
    (HealthState.DOWN, Symbol.IMPAIRED): (HealthState.DEGRADED, "answered", "recovery"),
    (HealthState.DOWN, Symbol.BLIND): (HealthState.UNKNOWN, "blind", "blind"),
}


def judge(before: PolicyState, results: Sequence[CheckResult], limits: Limits, now: datetime) -> tuple[PolicyState, Transition | None]:
    """One visit's results, in one step. The transition is what changed of the state as shown; a new reason alone is none."""
    complaints = _complaints(before.complaints, results)
    return _step(replace(before, complaints=complaints), _symbol(results, complaints), results, limits, now)


def hear(before: PolicyState, results: Sequence[CheckResult], limits: Limits, now: datetime) -> tuple[PolicyState, Transition | None]:
    """What was told of the device without a visit to it: no `reach` among `results` (ValueError).

    A check that is told to be ill `degrade` times in a row, or once by a result that says `at_once`, is a complaint: a device that is UP is
    DEGRADED by it at once, every other one keeps its state. The check's next ok ends it: at once if it says so, else the next visits bring
    the device back. What could not be made changes nothing.
    """
    if any(result.check == REACH for result in results):
        raise ValueError("whether a device answers is for visits to say")
    known = [result for result in results if result.outcome is not Outcome.UNKNOWN]
    suspected = _suspected(before, known, limits)
    complaints = _complaints(before.complaints, [result for result in known if result.check not in suspected])
    symbol = _told(before, known, complaints, suspected)
    return _step(replace(before, complaints=complaints, suspected=suspected), symbol, known, limits, now)


def restored(device: DeviceId, state: HealthState, *, reason: str, check: str, complaints: Iterable[CheckResult] = ()) -> PolicyState:
    """What to go on from after a restart: the state and the complaints as they were stored, with nothing counted yet."""
    return PolicyState(device, state, state, reason, check, complaints={result.check: result for result in complaints})


def _step(
    before: PolicyState, symbol: Symbol, results: Sequence[CheckResult], limits: Limits, now: datetime
) -> tuple[PolicyState, Transition | None]:
    """What follows from `symbol`, the complaints of `before` being those of now."""
    streaks = before.streaks.after(symbol)
    apparent = _next(before.apparent, symbol, streaks, limits)
    changes = _changes(before, apparent, limits, now)
    wavers = _recent(before.wavers, limits, now) if _wavers(before.streaks, symbol) else before.wavers
    held_until = _hold(before, changes, wavers, limits, now)
    held = _held(before, symbol, held_until, now) and apparent is not HealthState.UNKNOWN
    state = HealthState.DEGRADED if held else apparent
    reason, check, facts = (FLAPPING, REACH, {}) if held else _cause(before, state, results, before.complaints)
    after = replace(
        before,
        state=state,
        apparent=apparent,
        reason=reason,
        check=check,
        streaks=streaks,
        changes=changes,
        wavers=wavers,
        held_until=held_until,
    )
    if state is before.state:
        return after, None
    return after, Transition(device=before.device, before=before.state, after=state, at=now, reason=reason, check=check, facts=facts)


def _suspected(before: PolicyState, results: Sequence[CheckResult], limits: Limits) -> Mapping[str, int]:
    """The checks that are told to be ill, and not yet often enough; with how often in a row."""
    suspected = dict(before.suspected)
    for result in results:
        times = suspected.pop(result.check, 0) + 1
        ill = result.outcome is not Outcome.OK and result.check not in before.complaints
        if ill and not result.at_once and times < limits.degrade:
            suspected[result.check] = times
    return suspected


def _told(
    before: PolicyState, results: Sequence[CheckResult], complaints: Mapping[str, CheckResult], suspected: Mapping[str, int]
) -> Symbol:
    if any(result.check in complaints and result.check not in suspected for result in results):
        return Symbol.ACCUSED
    if before.complaints and not complaints and not before.streaks.silent and all(result.at_once for result in results):
        return Symbol.CLEARED
    return Symbol.RUMOUR


def _complaints(before: Mapping[str, CheckResult], results: Sequence[CheckResult]) -> Mapping[str, CheckResult]:
    """A check complains from its first warning or failure to its next ok; that it could not be made changes nothing."""
    after: dict[str, CheckResult] | None = None
    for result in results:
        complains = result.outcome is Outcome.WARN or (result.outcome is Outcome.FAIL and result.check != REACH)
        if complains or (result.outcome is Outcome.OK and result.check in before):
            after = dict(before) if after is None else after
            after.pop(result.check, None)
            if complains:
                after[result.check] = result
    return before if after is None else after


def _symbol(results: Sequence[CheckResult], complaints: Mapping[str, CheckResult]) -> Symbol:
    for result in results:
        if result.check == REACH and result.outcome is Outcome.FAIL:
            return Symbol.SILENT
        if result.check == REACH and result.outcome is Outcome.UNKNOWN:
            return Symbol.BLIND
    if all(result.outcome is Outcome.UNKNOWN for result in results):
        return Symbol.BLIND
    return Symbol.IMPAIRED if complaints else Symbol.GOOD


def _next(state: HealthState, symbol: Symbol, streaks: Streaks, limits: Limits) -> HealthState:
    after, streak, limit = TABLE.get((state, symbol), (state, "", _AT_ONCE))
    if limit is not _AT_ONCE and getattr(streaks, streak) < getattr(limits, limit):
        return state
    return after


def _wavers(before: Streaks, symbol: Symbol) -> bool:
    """Whether silence follows an answer, or an answer silence; what we could not look at, or was merely told, stands between nothing."""
    if symbol is Symbol.BLIND or symbol in TOLD:
        return False
    return before.answered > 0 if symbol is Symbol.SILENT else before.silent > 0


def _changes(before: PolicyState, apparent: HealthState, limits: Limits, now: datetime) -> tuple[datetime, ...]:
    """The changes of the table's state that still count. UNKNOWN is our doing, not the device's."""
    if apparent is before.apparent or HealthState.UNKNOWN in (apparent, before.apparent):
        return before.changes
    return _recent(before.changes, limits, now)


def _recent(moments: tuple[datetime, ...], limits: Limits, now: datetime) -> tuple[datetime, ...]:
    """Those of the window and now, no more than it takes to be held."""
    return (*(at for at in moments if now - at < limits.flap_window), now)[-limits.flap_changes - 1 :]


def _hold(
    before: PolicyState, changes: tuple[datetime, ...], wavers: tuple[datetime, ...], limits: Limits, now: datetime
) -> datetime | None:
    """Until when the device is held: prolonged by whatever moves while it is."""
    moved = changes is not before.changes or wavers is not before.wavers
    held = before.held_until is not None and now < before.held_until
    most = max(sum(now - at < limits.flap_window for at in moments) for moments in (changes, wavers))
    if moved and (held or most > limits.flap_changes):
        return now + limits.flap_hold
    return before.held_until


def _held(before: PolicyState, symbol: Symbol, held_until: datetime | None, now: datetime) -> bool:
    """Whether the damper shows the device as flapping. A hold that is over is ended by a visit, which knows how the device is."""
    return held_until is not None and (now < held_until or (symbol in TOLD and before.reason == FLAPPING))


def _cause(
    before: PolicyState, state: HealthState, results: Sequence[CheckResult], complaints: Mapping[str, CheckResult]
) -> tuple[str, str, Mapping[str, object]]:
    """Why the device is in `state`: the reason, the check that gave it and its facts; the old ones while nothing new is known."""
    if state is HealthState.DEGRADED and complaints:
        worst = min(complaints.values(), key=lambda result: (result.outcome is not Outcome.FAIL, result.check))
        return worst.reason, worst.check, worst.facts
    if state is HealthState.UP:
        return "", REACH, {}
    for result in results:
        silent = result.check == REACH and result.outcome is Outcome.FAIL
        if silent if state is HealthState.DOWN else result.outcome is Outcome.UNKNOWN:
            return result.reason, result.check, result.facts
    return before.reason, before.check, {}
