"""Whether a voice may be heard at a loudspeaker at a time: quiet hours, pauses, repetition, volume, and who may ask for more.

The rules:
 1. *Quiet hours.* A loudspeaker is quiet while one of its zones is: the strictest counts. A zone has hours of its own or the city's; a
    loudspeaker in no zone has the city's. A dated exception makes a zone, or the whole city, *quiet* or *open* for some hours of some
    days: what is said to be quiet is quiet, what is said to be open is not quiet by the usual hours of that zone.
 2. A broadcast counts from its first to its last moment: one that would run into the quiet hours is as one within them.
 3. An emergency is heard at any hour. Everything else needs an *override*: a reason that is put on record, given by somebody who may, for
    a priority for which the configuration allows it.
 4. *Cool-down.* Between the last sound at a loudspeaker and the next broadcast lies a pause by the priority of the next; an emergency
    neither waits nor makes others wait.
 5. *Repetition.* What is on its way to a loudspeaker, or was heard there a moment ago, is not said there again, whoever asks, unless
    asked for `again`. What failed, was silenced or gave way may be said again.
 6. *Volume.* Where several limits hold, in several zones or one after the other, the lowest counts for the whole broadcast.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, Priority
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.events import Actor, Person
from gateway.domain.hours import Hours
from gateway.errors import Forbidden

NIGHT = Hours(time(22), time(6))
EVERYWHERE: ZoneId = ZoneId("")
"""Stands for the city where a zone is named: a loudspeaker in no zone is in this one."""
_AHEAD = timedelta(days=8)  # how far is looked for the end of quiet hours
_KEPT = 32  # broadcasts remembered of one loudspeaker; the oldest goes first


class Effect(StrEnum):
    """What a dated exception does."""

    QUIET = "quiet"
    OPEN = "open"


class Refusal(StrEnum):
    """Why a loudspeaker may not speak now: the `reason` of a delivery, the code of a problem."""

    QUIET_HOURS = "quiet-hours"
    COOLING_DOWN = "cooling-down"
    DUPLICATE = "duplicate"


# -- quiet hours ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DatedHours:
    """Other hours than usual on the days from `first` to `last`, such as those of an exam: every day from `start` until before `end`.

    The day is the one on which the hours begin; an `end` that is not after `start` is on the next day. `zones`: where; none: everywhere.
    """

    id: str
    name: str
    first: date
    last: date
    start: time
    end: time
    effect: Effect
    zones: frozenset[ZoneId] = frozenset()

    def concerns(self, zone: ZoneId) -> bool:
        return not self.zones or zone in self.zones


@dataclass(frozen=True, slots=True)
class QuietDays:
    """Such an exception as somebody has made it, and why."""

    hours: DatedHours
    reason: str
    actor: Actor
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Loudness:
    """No louder than `percent` of a device's full volume within `hours`."""

    hours: Hours
    percent: int


@dataclass(frozen=True, slots=True)
class ZoneRules:
    """What a zone has of its own."""

    quiet: tuple[Hours, ...] | None = None
    """None: the city's."""
    volume: tuple[Loudness, ...] | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """A quiet time: when, in which zone (`EVERYWHERE`: by the city's hours), and by which exception ("": by the usual hours)."""

    begin: datetime
    end: datetime
    zone: ZoneId
    name: str = ""


@dataclass(frozen=True, slots=True)
class SpeakingHours:
    """The calendar of a city's voices, in the city's time zone. Where the clocks skip a local time or show it twice, the reading counts
    by which it is quiet for longer."""

    timezone: tzinfo
    quiet: tuple[Hours, ...] = (NIGHT,)
    volume: tuple[Loudness, ...] = ()
    zones: Mapping[ZoneId, ZoneRules] = field(default_factory=dict)
    exceptions: tuple[DatedHours, ...] = ()

    def quiet_within(self, zones: Iterable[ZoneId], begin: datetime, end: datetime) -> Quiet | None:
        """The first quiet time within `begin` to `end` for a loudspeaker in `zones`; it lasts as long as those that follow it at once."""
        places = _places(zones)
        met = [quiet for quiet in self._quiet_of(places, begin, end) if _meet((quiet.begin, quiet.end), begin, end)]
        first = min(met, key=lambda quiet: (quiet.begin, -quiet.end.timestamp(), quiet.zone), default=None)
        if first is None:
            return None
        ends = first.end
        for quiet in sorted(self._quiet_of(places, first.begin, first.begin + _AHEAD), key=lambda quiet: quiet.begin):
            if quiet.begin <= ends:
                ends = max(ends, quiet.end)
        return Quiet(first.begin, ends, first.zone, first.name)

    def loudest(self, zones: Iterable[ZoneId], begin: datetime, end: datetime) -> int | None:
        """The volume, in percent of a device's own, that a broadcast from `begin` to `end` may have; None: no limit."""
        limits = (limit for zone in _places(zones) for limit in self._volume_of(zone))
        held = (limit.percent for limit in limits if any(_meet(span, begin, end) for span in self._spans(limit.hours, begin, end)))
        return min(held, default=None)

    def _volume_of(self, zone: ZoneId) -> tuple[Loudness, ...]:
        own = self.zones.get(zone)
        return self.volume if own is None or own.volume is None else own.volume

    def _quiet_of(self, places: Iterable[ZoneId], begin: datetime, end: datetime) -> Iterator[Quiet]:
        for zone in places:
            usual = [span for hours in self._hours_of(zone) for span in self._spans(hours, begin, end)]
            for span in _without(usual, list(self._dated(zone, Effect.OPEN, begin, end))):
                yield Quiet(*span, zone if self._has_own(zone) else EVERYWHERE)
            for exception in self._exceptions_of(zone, Effect.QUIET):
                for span in self._days(exception, begin, end):
                    yield Quiet(*span, zone if exception.zones else EVERYWHERE, exception.name)

    def _has_own(self, zone: ZoneId) -> bool:
        own = self.zones.get(zone)
        return own is not None and own.quiet is not None

    def _hours_of(self, zone: ZoneId) -> tuple[Hours, ...]:
        own = self.zones.get(zone)
        return self.quiet if own is None or own.quiet is None else own.quiet

    def _exceptions_of(self, zone: ZoneId, effect: Effect) -> Iterator[DatedHours]:
        return (one for one in self.exceptions if one.effect is effect and one.concerns(zone))

    def _dated(self, zone: ZoneId, effect: Effect, begin: datetime, end: datetime) -> Iterator["_Span"]:
        for exception in self._exceptions_of(zone, effect):
            yield from self._days(exception, begin, end)

    def _days(self, exception: DatedHours, begin: datetime, end: datetime) -> Iterator["_Span"]:
        for day in self._calendar(begin, end):
            if exception.first <= day <= exception.last:
                yield self._on(day, exception.start, exception.end, wide=exception.effect is Effect.QUIET)

    def _spans(self, hours: Hours, begin: datetime, end: datetime) -> Iterator["_Span"]:
        """The times of `hours` that touch `begin` to `end`, as long as they are."""
        for day in self._calendar(begin, end):
            if day.weekday() in hours.days:
                yield self._on(day, hours.start, hours.end, wide=True)

    def _calendar(self, begin: datetime, end: datetime) -> Iterator[date]:
        """The days on which hours can begin that touch `begin` to `end`, and those on which what they hide can begin."""
        first, last = begin.astimezone(self.timezone).date() - timedelta(days=2), end.astimezone(self.timezone).date()
        return (first + timedelta(days=number) for number in range((last - first).days + 1))

    def _on(self, day: date, start: time, end: time, *, wide: bool) -> "_Span":
        begins = _moments(day, start, self.timezone)
        ends = _moments(day if end > start else day + timedelta(days=1), end, self.timezone)
        return (min(begins), max(ends)) if wide else (max(begins), min(ends))


_Span = tuple[datetime, datetime]


def _moments(day: date, at: time, zone: tzinfo) -> _Span:
    """Both readings of a local time: they differ where the clocks are put forward or back."""
    local = datetime.combine(day, at, zone)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _places(zones: Iterable[ZoneId]) -> tuple[ZoneId, ...]:
    return tuple(sorted(set(zones))) or (EVERYWHERE,)


def _meet(span: _Span, begin: datetime, end: datetime) -> bool:
    """Whether `begin` to before `end`, or the one moment that they are, lies partly in `span`."""
    return (span[0] < end or span[0] <= begin) and span[1] > begin


def _without(spans: Iterable[_Span], holes: Iterable[_Span]) -> list[_Span]:
    """What is left of `spans` where no hole is."""
    left = list(spans)
    for begin, end in holes:
        left = [piece for first, last in left for piece in ((first, min(last, begin)), (max(first, end), last)) if piece[0] < piece[1]]
    return left


# -- pauses, repetition -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pauses:
    """`cool_down`: before a broadcast of each priority, after the last sound; `repeat`: how long the same is not said again."""

    cool_down: Mapping[Priority, timedelta] = field(default_factory=dict)
    repeat: timedelta = timedelta()

    @property
    def longest(self) -> timedelta:
        """For how long the past counts."""
        return max((self.repeat, *self.cool_down.values()))


@dataclass(slots=True)
class _Spoken:
    broadcast: BroadcastId
    content: str
    priority: Priority
    silent_since: float | None = None
    """When the last sound was (seconds of a clock that only goes forward); None: nothing was heard, or it is not over."""
    over: bool = False
    heard: bool = False
    """Whether it came to its end, as far as is known: then the same is a repetition."""


class Past:
    """What each loudspeaker has said lately, or is about to say. Times are seconds of one clock that only goes forward."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._said: dict[DeviceId, list[_Spoken]] = {}

    def expect(self, broadcast: BroadcastId, speaker: DeviceId, *, content: str, priority: Priority) -> None:
        """`broadcast` is on its way to `speaker`. `content`: the same for what sounds the same, "" for what is never the same."""
        said = self._said.setdefault(speaker, [])
        if any(one.broadcast == broadcast for one in said):
            return
        said.append(_Spoken(broadcast, content, priority))
        del said[:-_KEPT]

    def drop(self, broadcast: BroadcastId, speaker: DeviceId) -> None:
        """`broadcast` is not on its way after all; what is over stays."""
        said = self._said.get(speaker, [])
        said[:] = [one for one in said if one.over or one.broadcast != broadcast]

    def ended(self, delivery: Delivery, *, silent_since: float) -> None:
        """What came of it; `silent_since`: when its last packet was sent, if any was. What was never expected is not taken up."""
        for spoken in self._said.get(delivery.speaker, ()):
            if spoken.broadcast == delivery.broadcast:
                spoken.over = True
                spoken.heard = delivery.state in {DeliveryState.DONE, DeliveryState.UNKNOWN}
                spoken.silent_since = silent_since if delivery.figures.packets or spoken.heard else None

    def forget(self, now: float) -> None:
        """Drop what no longer matters."""
        kept_s = self._pauses.longest.total_seconds()
        for speaker, said in list(self._said.items()):
            said[:] = [one for one in said if not one.over or (one.silent_since is not None and now - one.silent_since < kept_s)]
            if not said:
                del self._said[speaker]

    def same(self, content: str, speaker: DeviceId, now: float, *, but: BroadcastId | None = None) -> BroadcastId | None:
        """The broadcast other than `but` that says `content` at `speaker` just now, or said it a moment ago."""
        repeat_s = self._pauses.repeat.total_seconds()
        if not content or not repeat_s:
            return None
        for spoken in reversed(self._said.get(speaker, [])):
            since = spoken.silent_since
            if spoken.broadcast == but:
                continue
            if spoken.content == content and (not spoken.over or (spoken.heard and since is not None and now - since < repeat_s)):
                return spoken.broadcast
        return None

    def cools_for(self, priority: Priority, speaker: DeviceId, now: float) -> float:
        """How many seconds `speaker` still keeps silent before a broadcast of `priority`; 0: none."""
        pause_s = self._pauses.cool_down.get(priority, timedelta()).total_seconds()
        if priority is Priority.EMERGENCY or not pause_s:
            return 0.0
        ends = (one.silent_since for one in self._said.get(speaker, ()) if one.priority is not Priority.EMERGENCY)
        last = max((at for at in ends if at is not None), default=None)
        return 0.0 if last is None else max(0.0, last + pause_s - now)


# -- two people ---------------------------------------------------------------------------------------------------------


def check_second_person(asker: Person, by: Person) -> None:
    """Raises Forbidden (`second-person`) when `by` is the one who asked, by the key or by the name."""
    same_name = bool(_folded(by.name)) and _folded(by.name) == _folded(asker.name)
    if by.actor == asker.actor or same_name:
        hint = "another person with the right to approve (broadcast:approve) has to do it"
        raise Forbidden("a broadcast is approved by somebody else than the one who ordered it", code="second-person", hint=hint)


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


# -- how often, and how much ------------------------------------------------------------------------------------------


class Rate:
    """How many broadcasts each sender has ordered within the last minute.

    A talk is reckoned with talks and emergencies alone, an emergency with emergencies: no notice that went before makes them wait.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._ordered: dict[str, list[tuple[float, Priority]]] = {}

    def wait_s(self, sender: str, priority: Priority, now: float) -> float:
        """After how many seconds `sender` may order one of `priority` again; 0: now."""
        recent = [at for at, other in self._recent(sender, now) if priority < Priority.TALK or other >= priority]
        return 0.0 if len(recent) < self._per_minute else recent[-self._per_minute] + 60 - now

    def count(self, sender: str, priority: Priority, now: float) -> None:
        """`sender` orders one of `priority` now."""
        for other in [other for other in self._ordered if not self._recent(other, now)]:
            del self._ordered[other]
        self._ordered[sender] = [*self._recent(sender, now), (now, priority)]

    def _recent(self, sender: str, now: float) -> list[tuple[float, Priority]]:
        return [order for order in self._ordered.get(sender, ()) if now - order[0] < 60]


class Reached:
    """Which loudspeakers each sender has reached alone: by broadcasts ordered within the last minute, and by those that still go on.

    An emergency is reckoned with the sender's other emergencies alone: no notice that went before it makes it wait for a second person.
    """

    def __init__(self) -> None:
        self._orders: dict[BroadcastId, tuple[str, bool, float, set[DeviceId]]] = {}  # bounded by the rate, and by how many go on at once

    def add(self, sender: str, broadcast: BroadcastId, priority: Priority, speakers: Iterable[DeviceId], *, at: float) -> None:
        """`broadcast` of `sender`, ordered `at`, goes to `speakers`, and no second person is asked."""
        self._orders.setdefault(broadcast, (sender, priority is Priority.EMERGENCY, at, set()))[3].update(speakers)

    def drop(self, broadcast: BroadcastId) -> None:
        """`broadcast` did not come to be."""
        self._orders.pop(broadcast, None)

    def of(self, sender: str, now: float, *, priority: Priority, going_on: Container[BroadcastId]) -> frozenset[DeviceId]:
        """The loudspeakers of those of `sender`'s broadcasts that one of `priority` is reckoned with, all together."""
        self._orders = {one: order for one, order in self._orders.items() if now - order[2] < 60 or one in going_on}
        urgent = priority is Priority.EMERGENCY
        return frozenset().union(*(speakers for whose, was, _, speakers in self._orders.values() if whose == sender and was >= urgent))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a loudspeaker will not speak. `until`: when that is over, where it is known; `before`: the broadcast that said the same."""

    reason: Refusal
    until: datetime | None = None
    before: BroadcastId | None = None
    zone: ZoneId = EVERYWHERE
    name: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be judged of an order. `duration`: of the whole programme; `latest`: nothing of it begins later."""

    broadcast: BroadcastId
    priority: Priority
    content: str
    duration: timedelta
    latest: datetime
    overridden: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Now:
    """The same moment by the wall clock and by the clock that only goes forward, in seconds."""

    at: datetime
    steady: float


def left_out(
    wish: Wish,
    speakers: Iterable[DeviceId],
    *,
    hours: SpeakingHours,
    past: Past,
    zones_of: Callable[[DeviceId], frozenset[ZoneId]],
    now: Now,
) -> Mapping[DeviceId, LeftOut]:
    """The loudspeakers among `speakers` that may not say this, each with the first rule that forbids it."""
    quiet: dict[frozenset[ZoneId], Quiet | None] = {}  # hundreds of loudspeakers lie in few sets of zones
    found: dict[DeviceId, LeftOut] = {}
    for speaker in speakers:
        zones = zones_of(speaker)
        if zones not in quiet:
            quiet[zones] = quiet_for(wish, zones, hours, now.at)
        why = _why_silent(wish, speaker, quiet[zones], past, now)
        if why is not None:
            found[speaker] = why
    return found


def quiet_for(wish: Wish, zones: frozenset[ZoneId], hours: SpeakingHours, begin: datetime) -> Quiet | None:
    """The quiet time that keeps `wish` from being said from `begin` on in these zones; None when it may."""
    if wish.priority is Priority.EMERGENCY or wish.overridden:
        return None
    return hours.quiet_within(zones, begin, begin + wish.duration)


def _why_silent(wish: Wish, speaker: DeviceId, quiet: Quiet | None, past: Past, now: Now) -> LeftOut | None:
    if quiet is not None:
        return LeftOut(Refusal.QUIET_HOURS, until=quiet.end, zone=quiet.zone, name=quiet.name)
    before = None if wish.again else past.same(wish.content, speaker, now.steady, but=wish.broadcast)
    if before is not None:
        return LeftOut(Refusal.DUPLICATE, before=before)
    free_at = now.at + timedelta(seconds=past.cools_for(wish.priority, speaker, now.steady))
    return LeftOut(Refusal.COOLING_DOWN, until=free_at) if free_at > wish.latest else None
