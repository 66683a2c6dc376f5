"""What is told of incidents, when, and what is held back and why: few messages, each complete, none twice.

A route's incidents are told in *bundles*. A bundle waits `group_wait` for company, then becomes one message; what comes within
`group_interval` of it joins it and is told as one update when the interval has passed, at once when it is worse than what was told:
more severe, or as severe and one incident that alone takes `FAR_MORE` times as many devices as all that was told.
Later ones begin a bundle of their own. When all that a bundle told is over, and stays so for `group_wait`, that is told once, and the
bundle is gone. While something of it is open, neither acknowledged nor snoozed, it is told again every `remind`.

| what comes | what follows |
| --- | --- |
| an incident that quiet hours hold back | waits in the night's bundle, told as one summary when they end, also of what is over by then |
| an incident that was over before it was told | nothing; when it came late (we were away), it is counted in a summary |
| a snoozed one | nothing until the snooze ends, but for its end |
| an escalated one | is told to the next level of the duty roster: at once, or when quiet hours end |
| one more member | nothing; a higher severity is told as an update |

Everything that is held back leaves a `Note`. The same event twice changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain.alert_routes import NO_ROUTE, Route, Routes, verdicts
from gateway.domain.severity import Severity, worst
from gateway.domain.trouble import Trouble

LATE = timedelta(minutes=5)
"""An event that reaches us so long after it happened finds us back from a stop."""
LINES_MAX = 300
"""Incidents that one bundle follows: its row stays small enough to be written at once. More begin another bundle."""
BUNDLES_MAX = 100
"""Bundles of one route; beyond them what comes joins the newest."""
FAR_MORE = 3
"""Each message that does not wait for this takes at least as many times the devices of all before: few fit into any city."""
SHOWN = 30
"""Incidents that one message carries whole; those beyond are counted."""

QUIET, SNOOZED, ACKNOWLEDGED, GROUPED = "quiet-hours", "snoozed", "acknowledged", "grouped"
OVER, MUTED, NOT_WORSE, ROUTE_GONE, BUNDLE_FULL = "over-before-told", "muted", "nothing-worse", "route-gone", "bundle-full"


class Kind(StrEnum):
    """What a message is for."""

    PROBLEM = "problem"
    UPDATE = "update"
    REMINDER = "reminder"
    ESCALATION = "escalation"
    SUMMARY = "summary"
    RECOVERY = "recovery"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Line:
    """One incident in a bundle.

    `told`: the severity with which it was last told, None when it was not; `kept`: told even when over; `level`: to whom it was escalated.
    """

    trouble: Trouble
    told: Severity | None = None
    kept: bool = False
    level: int = 0

    def news(self, now: datetime) -> bool:
        """Whether there is something to tell of it."""
        trouble = self.trouble
        if trouble.over:
            return self.kept and self.told is None
        return not trouble.snoozed(now) and (self.told is None or trouble.severity.rank < self.told.rank)

    def owed(self, now: datetime) -> bool:
        """Whether it was told, and escalated since to somebody who was not told yet."""
        trouble = self.trouble
        answered = trouble.over or trouble.acknowledged or trouble.snoozed(now)
        return self.told is not None and not answered and trouble.escalation_level > self.level

    def escalated(self) -> "Line":
        """The line when that was told."""
        return replace(self, told=self.trouble.severity, level=self.trouble.escalation_level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What one route tells together. `due`: when its next message of news goes out; `over_due`: when its recovery does."""

    id: str
    route: str
    began: datetime
    lines: Mapping[str, Line] = field(default_factory=dict)
    due: datetime | None = None
    over_due: datetime | None = None
    last_sent: datetime | None = None
    sent: int = 0
    night: bool = False
    more: int = 0

    @property
    def told(self) -> Iterator[Line]:
        return (line for line in self.lines.values() if line.told is not None)

    @property
    def open(self) -> Iterator[Line]:
        return (line for line in self.lines.values() if not line.trouble.over)

    @property
    def over(self) -> bool:
        return all(line.trouble.over for line in self.lines.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a bundle, for each of its route's channels. `id` is the same however often it is sent.

    `troubles` are what it is about, the worst first; `over`: those of a summary that are over already; `incidents`: the ids of all;
    `others`: how many more of the bundle are open and were told before; `more`: how many are only counted; `level`: the level of the
    duty roster that it is for.
    """

    id: str
    bundle: str
    route: str
    kind: Kind
    at: datetime
    severity: Severity
    troubles: tuple[Trouble, ...]
    over: tuple[Trouble, ...] = ()
    incidents: tuple[str, ...] = ()
    others: int = 0
    more: int = 0
    level: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Why an incident was not told by a route, or not now."""

    incident: str
    route: str
    reason: str
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """What an event told: the incident as it is after it. `muted_by`: the maintenance window that covers all of it."""

    type: str
    trouble: Trouble
    at: datetime
    muted_by: str = ""


@dataclass(slots=True)
class Outcome:
    """What follows: bundles that changed, those that are gone, what is to be told, and what is not."""

    changed: dict[str, Bundle] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def keep(self, bundle: Bundle) -> None:
        self.changed[bundle.id] = bundle

    def drop(self, bundle: Bundle) -> None:
        self.changed.pop(bundle.id, None)
        self.gone.add(bundle.id)

    def over(self, bundles: Mapping[str, Bundle]) -> dict[str, Bundle]:
        """`bundles` as they are after this."""
        return {name: one for name, one in {**bundles, **self.changed}.items() if name not in self.gone}


ESCALATED = "incident.escalated"
_OFFERED = frozenset({"incident.opened", "incident.grown", "incident.reopened", ESCALATED})
"""After these, routes that do not have an incident yet are asked."""


def heed(bundles: Mapping[str, Bundle], seen: Happening, routes: Routes, *, now: datetime, new_id: Callable[[], str]) -> Outcome:
    """What follows from one event at `now`."""
    return _Heeding(bundles, seen, routes, now, new_id).outcome_of_it()


def ripe(bundles: Mapping[str, Bundle], routes: Routes, *, now: datetime) -> Outcome:
    """What is due at `now`."""
    outcome = Outcome()
    for bundle in bundles.values():
        route = routes.named(bundle.route)
        if route is None:
            outcome.drop(bundle)
            outcome.notes += [Note(line, bundle.route, ROUTE_GONE, now) for line in bundle.lines]
        elif (moment := wake(bundle, route, routes)) is not None and moment <= now:
            _Ripening(outcome, bundle, route, routes, now).tell()
    return outcome


def wake(bundle: Bundle, route: Route, routes: Routes) -> datetime | None:
    """When there is next something to do for `bundle`."""
    return min((one for one in (bundle.due, bundle.over_due, _reminder(bundle, route, routes)) if one), default=None)


# -- an event ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Heeding:
    """One event, and what follows from it."""

    bundles: Mapping[str, Bundle]
    seen: Happening
    routes: Routes
    now: datetime
    new_id: Callable[[], str]
    outcome: Outcome = field(default_factory=Outcome)

    def outcome_of_it(self) -> Outcome:
        trouble = self.seen.trouble
        holders = {bundle.route: bundle for bundle in self.bundles.values() if trouble.id in bundle.lines}
        for bundle in holders.values():
            if (route := self.routes.named(bundle.route)) is not None:
                self._renew(bundle, route)
        if not trouble.over and self.seen.type in _OFFERED:
            self._offer(frozenset(holders))
        return self.outcome

    def _renew(self, bundle: Bundle, route: Route) -> None:
        """The bundle with the incident as it is now, and when there is something to tell of it."""
        trouble = self.seen.trouble
        before = bundle.lines[trouble.id]
        line = replace(before, trouble=trouble, level=min(before.level, trouble.escalation_level))  # it counts anew after each answer
        if line == before:
            return
        bundle = replace(bundle, lines={**bundle.lines, trouble.id: line})
        if trouble.over and line.told is None and not line.kept:
            bundle = self._forget(bundle)
        elif not (trouble.over or trouble.acknowledged) and trouble.escalation_level > line.level:
            bundle = self._escalate(bundle, line, route)
        else:
            self.outcome.notes += _why_silent(line, route.name, self.now)
        if bundle.lines:
            self.outcome.keep(_timed(bundle, route, self.now, self.routes))
        else:
            self.outcome.drop(bundle)

    def _forget(self, bundle: Bundle) -> Bundle:
        """It was over before anybody was told."""
        trouble = self.seen.trouble
        self._note(OVER, bundle.route, f"it was over before {bundle.id} was told")
        return replace(bundle, lines={name: line for name, line in bundle.lines.items() if name != trouble.id})

    def _escalate(self, bundle: Bundle, line: Line, route: Route) -> Bundle:
        """Tell the next person at once, unless it is snoozed, or quiet hours hold it back until they end."""
        trouble = line.trouble
        if trouble.snoozed(self.now):
            self.outcome.notes += _why_silent(line, route.name, self.now)
            return bundle
        if until := route.held_until(trouble.severity, self.now, self.routes.zone):
            self._note(QUIET, route.name, f"until {until.isoformat()}")
            return bundle
        told, message = _escalation(bundle, [line], self.now)
        self.outcome.messages.append(message)
        return told

    def _offer(self, holders: frozenset[str]) -> None:
        """Let every route judge an incident that it does not have yet."""
        said = verdicts(self.seen.trouble, self.routes, now=self.now, taken_by=holders)
        for verdict in said:
            if verdict.route.name in holders:
                continue
            if not verdict.takes:
                self._note(verdict.reason, verdict.route.name, verdict.detail)
            elif self.seen.muted_by:
                self._note(MUTED, verdict.route.name, f"by the maintenance window {self.seen.muted_by}")
            else:
                self._join(verdict.route)
        if not any(verdict.takes for verdict in said):
            self._note(NO_ROUTE, "", "; ".join(f"{verdict.route.name}: {verdict.detail}" for verdict in said) or "there are no routes")

    def _join(self, route: Route) -> None:
        trouble, now = self.seen.trouble, self.now
        held = route.held_until(trouble.severity, now, self.routes.zone)
        bundle = _company([one for one in self.bundles.values() if one.route == route.name], route, now, night=held is not None)
        if bundle is not None:
            self._note(GROUPED, route.name, f"with others in {bundle.id}")
        else:
            bundle = Bundle(id=self.new_id(), route=route.name, began=now, due=held, night=held is not None)
        if len(bundle.lines) >= LINES_MAX:
            self.outcome.keep(replace(bundle, more=bundle.more + 1))
            self._note(BUNDLE_FULL, route.name, f"counted in {bundle.id}")
            return
        if held is not None:
            self._note(QUIET, route.name, f"until {held.isoformat()}")
        line = Line(trouble, kept=held is not None or now - self.seen.at > LATE, level=trouble.escalation_level)
        self.outcome.notes += _why_silent(line, route.name, now)
        self.outcome.keep(_timed(replace(bundle, lines={**bundle.lines, trouble.id: line}), route, now, self.routes))

    def _note(self, reason: str, route: str, detail: str) -> None:
        self.outcome.notes.append(Note(self.seen.trouble.id, route, reason, self.now, detail[:500]))


def _why_silent(line: Line, route: str, now: datetime) -> Iterator[Note]:
    trouble = line.trouble
    if trouble.over:
        return
    if trouble.snoozed(now):
        assert trouble.snoozed_until is not None
        yield Note(trouble.id, route, SNOOZED, now, f"until {trouble.snoozed_until.isoformat()}")
    elif trouble.acknowledged:
        yield Note(trouble.id, route, ACKNOWLEDGED, now, f"no reminders: acknowledged by {trouble.known_by or 'somebody'}")
    elif line.told is not None and not line.news(now):
        yield Note(trouble.id, route, NOT_WORSE, now, "told already; more members are no news, a higher severity is")


def _timed(bundle: Bundle, route: Route, now: datetime, routes: Routes) -> Bundle:
    """`bundle` with its next moments set."""
    if bundle.over:
        told = any(bundle.told)
        over_due = (bundle.over_due or _passing(bundle, route, now + route.group_wait, routes)) if told else None
        news = any(line.news(now) for line in bundle.lines.values())
        return replace(bundle, over_due=over_due if told or news else now, due=bundle.due if news else None)
    bundle = replace(bundle, over_due=None)
    owed = _owed(bundle, route, now, routes)
    fresh = [line for line in bundle.lines.values() if line.news(now)]
    if not fresh:
        naps = [line.trouble.snoozed_until for line in bundle.open if line.told is None and line.trouble.snoozed_until]
        return replace(bundle, due=min([*naps, *owed], default=None))
    if bundle.night and bundle.sent == 0 and not _passes(fresh, route, now, routes):
        return bundle
    soon = now + route.group_wait
    if bundle.last_sent is not None and not _worse(fresh, bundle):
        soon = max(soon, bundle.last_sent + route.group_interval)
    return replace(bundle, due=min(bundle.due or soon, soon, *owed), night=False)


def _owed(bundle: Bundle, route: Route, now: datetime, routes: Routes) -> list[datetime]:
    """When each escalation that waits may be told."""
    return [route.held_until(line.trouble.severity, now, routes.zone) or now for line in bundle.lines.values() if line.owed(now)]


def _escalation(bundle: Bundle, lines: Iterable[Line], now: datetime) -> tuple[Bundle, Message]:
    """The next level of the roster told of `lines`."""
    told = {line.trouble.id: line.escalated() for line in lines}
    after = replace(bundle, lines={**bundle.lines, **told}, sent=bundle.sent + 1, last_sent=now, due=None)
    level = max(line.level for line in told.values())
    return after, _message(after, Kind.ESCALATION, [line.trouble for line in told.values()], now, level=level)


def _passes(fresh: Iterable[Line], route: Route, now: datetime, routes: Routes) -> bool:
    """Whether quiet hours let something of `fresh` pass."""
    return route.held_until(worst(*(line.trouble.severity for line in fresh)), now, routes.zone) is None


def _worse(fresh: Iterable[Line], bundle: Bundle) -> bool:
    """Whether something of `fresh` is more severe than all that `bundle` told, or as severe and by far larger."""
    ranks = [line.told.rank for line in bundle.lines.values() if line.told is not None]
    if not ranks:
        return True
    rank, far_more = min(ranks), FAR_MORE * max(1, sum(line.trouble.devices for line in bundle.told))
    found = [(line.trouble.severity.rank, line.trouble.devices) for line in fresh]
    return any(severity < rank or (severity == rank and devices >= far_more) for severity, devices in found)


def _passing(bundle: Bundle, route: Route, moment: datetime, routes: Routes) -> datetime:
    """`moment`, or the end of the quiet hours that hold back what `bundle` has told."""
    told = [line.told for line in bundle.lines.values() if line.told is not None]
    held = told and route.held_until(worst(*told), moment, routes.zone)
    return held or moment


def _company(of_route: list[Bundle], route: Route, now: datetime, *, night: bool) -> Bundle | None:
    """The bundle that something new joins: one that waits still, or one that was told a moment ago."""
    for bundle in of_route:
        waits = bundle.due is not None and bundle.night is night and not any(line.owed(now) for line in bundle.lines.values())
        recent = not night and not bundle.over and bundle.last_sent is not None and now < bundle.last_sent + route.group_interval
        if (waits or recent) and len(bundle.lines) < LINES_MAX:
            return bundle
    return max(of_route, key=lambda bundle: bundle.began) if len(of_route) >= BUNDLES_MAX else None


# -- what is due -------------------------------------------------------------------------------------------------------


def _reminder(bundle: Bundle, route: Route, routes: Routes) -> datetime | None:
    if not route.remind or bundle.last_sent is None or bundle.over:
        return None
    moment = bundle.last_sent + route.remind
    waiting = [line for line in bundle.open if line.told is not None and not line.trouble.acknowledged]
    naps = [line.trouble.snoozed_until for line in waiting if line.trouble.snoozed_until is not None]
    if not waiting:
        return None
    if len(naps) == len(waiting):
        moment = max(moment, min(naps))
    return route.held_until(worst(*(line.trouble.severity for line in waiting)), moment, routes.zone) or moment


@dataclass(slots=True)
class _Ripening:
    """One bundle whose time has come."""

    outcome: Outcome
    bundle: Bundle
    route: Route
    routes: Routes
    now: datetime

    def tell(self) -> None:
        bundle, now = self.bundle, self.now
        if owed := self._owed():
            self._escalate(owed)
        elif bundle.due is not None and bundle.due <= now:
            self._news()
        elif bundle.over and bundle.over_due is not None and bundle.over_due <= now:
            self._recovery()
        else:
            self._remind()

    def _owed(self) -> list[Line]:
        """Escalations of one level, the lowest, that quiet hours held back and hold back no more."""
        owed = [line for line in self.bundle.lines.values() if line.owed(self.now)]
        free = [line for line in owed if self.route.held_until(line.trouble.severity, self.now, self.routes.zone) is None]
        lowest = min((line.trouble.escalation_level for line in free), default=0)
        return [line for line in free if line.trouble.escalation_level == lowest]

    def _escalate(self, lines: list[Line]) -> None:
        after, message = _escalation(self.bundle, lines, self.now)
        self.outcome.messages.append(message)
        self.outcome.keep(_timed(after, self.route, self.now, self.routes))

    def _news(self) -> None:
        bundle, now = self.bundle, self.now
        fresh = [line for line in bundle.lines.values() if line.news(now)]
        standing = [line for line in fresh if not line.trouble.over]
        held = standing and self.route.held_until(worst(*(line.trouble.severity for line in standing)), now, self.routes.zone)
        if not fresh:
            self.outcome.keep(_timed(replace(bundle, due=None), self.route, now, self.routes))
        elif held:
            self._hold_back(fresh, held)
        else:
            self._say(fresh, standing)

    def _hold_back(self, fresh: list[Line], until: datetime) -> None:
        """Quiet hours have begun since these came."""
        kept = {line.trouble.id: replace(line, kept=True) for line in fresh}
        due = min([until, *_owed(self.bundle, self.route, self.now, self.routes)])
        self.outcome.keep(replace(self.bundle, due=due, night=True, lines={**self.bundle.lines, **kept}))
        self.outcome.notes += [Note(line, self.route.name, QUIET, self.now, f"until {until.isoformat()}") for line in kept]

    def _say(self, fresh: list[Line], standing: list[Line]) -> None:
        bundle, now = self.bundle, self.now
        past = [line.trouble for line in fresh if line.trouble.over]
        others = sum(1 for line in bundle.open if line.told is not None) - sum(1 for line in standing if line.told is not None)
        first = Kind.SUMMARY if bundle.night or past else Kind.PROBLEM
        kind = first if bundle.sent == 0 else Kind.UPDATE
        told = {line.trouble.id: replace(line.escalated(), kept=False) for line in fresh}
        after = replace(bundle, lines={**bundle.lines, **told}, sent=bundle.sent + 1, last_sent=now, due=None, night=False)
        self.outcome.messages.append(_message(after, kind, [line.trouble for line in standing], now, over=past, others=others))
        if after.over:  # the summary has said so
            self.outcome.drop(after)
        else:
            self.outcome.keep(_timed(after, self.route, now, self.routes))

    def _recovery(self) -> None:
        told = [line.trouble for line in self.bundle.told]
        if told and self.route.recovery:
            after = replace(self.bundle, sent=self.bundle.sent + 1)
            self.outcome.messages.append(_message(after, Kind.RECOVERY, told, self.now))
        self.outcome.drop(self.bundle)

    def _remind(self) -> None:
        waiting = [
            line.trouble
            for line in self.bundle.open
            if line.told is not None and not line.trouble.acknowledged and not line.trouble.snoozed(self.now)
        ]
        if waiting and self.route.held_until(worst(*(one.severity for one in waiting)), self.now, self.routes.zone):
            waiting = []  # of hours without an end, only the next week is known
        after = replace(self.bundle, sent=self.bundle.sent + bool(waiting), last_sent=self.now)
        if waiting:
            self.outcome.messages.append(_message(after, Kind.REMINDER, waiting, self.now))
        self.outcome.keep(after)


def _message(
    bundle: Bundle,
    kind: Kind,
    troubles: Iterable[Trouble],
    now: datetime,
    *,
    over: Iterable[Trouble] = (),
    others: int = 0,
    level: int = 0,
) -> Message:
    about = tuple(sorted(troubles, key=lambda one: (one.severity.rank, one.opened_at, one.id)))
    past = tuple(sorted(over, key=lambda one: (one.opened_at, one.id)))
    return Message(
        id=f"{bundle.id}.{bundle.sent}",
        bundle=bundle.id,
        route=bundle.route,
        kind=kind,
        at=now,
        severity=worst(*(one.severity for one in (about or past))),
        troubles=about[:SHOWN],
        over=past[:SHOWN],
        incidents=tuple(one.id for one in (*about, *past)),
        others=others,
        more=bundle.more + max(0, len(about) - SHOWN) + max(0, len(past) - SHOWN),
        level=level or max((one.escalation_level for one in about), default=0),
        since=bundle.began,
    )
