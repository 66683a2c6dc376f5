"""What devices told us that is wrong, and when it is over: raise and clear pairs, and what to do about a clear that got lost.

A trap is a hint. It raises a complaint about a device, never silence or an answer, and it has the device visited; the visits have the last
word. What a device says of itself counts at once. That a link is down, which its switch says, is a suspicion until it is told again, a
minute later: by then the device's own silence has spoken, or its answer has refuted it.

An alarm is cleared by its pair, by a new start of whoever told it, by an answer where it says that there can be none (a link that is
down), and at the latest when it expires.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, Outcome

CHECK: Final = "traps"
PER_DEVICE: Final = 16
ALARMS: Final = 10_000
"""Open alarms about one device, and in all; one more is told as an event only."""
REFUTED_AFTER: Final = timedelta(seconds=5)
"""A device that has answered so long after its link went down has one."""
AGAIN_AFTER: Final = timedelta(minutes=1)
"""A link that is still said to be down after so long, unrefuted, is a complaint."""


@dataclass(frozen=True, slots=True)
class TrapRule:
    """What one kind of notification means. `key`, `text`: the objects that tell which of several it is, and what people may read.

    `raises`: what the device is for it, None for mere news; `clears`: whose alarms of the same key are over; `of_port`: the key is a port,
    and who hangs there is meant; `restarts`: the device has started anew. `lasts`: how long an alarm that nobody clears is believed.
    """

    trap: str
    event: str
    raises: Outcome | None = None
    clears: str = ""
    key: str = ""
    text: str = ""
    of_port: bool = False
    restarts: bool = False
    lasts: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that is wrong with `device`, as `source` told it by `trap`. `of_link`: an answer of the device refutes it."""

    device: DeviceId
    source: DeviceId
    trap: str
    key: str
    event: str
    outcome: Outcome
    since: datetime
    expires: datetime
    text: str = ""
    of_link: bool = False

    @property
    def place(self) -> "Place":
        return self.source, self.trap, self.key


Place = tuple[DeviceId, str, str]


class Effect(StrEnum):
    """What a notification did."""

    RAISED = "raised"
    CLEARED = "cleared"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Alarms that open and alarms that are over, and about whom that is. Nothing is changed yet."""

    raised: tuple[Alarm, ...] = ()
    over: tuple[Alarm, ...] = ()

    @property
    def devices(self) -> frozenset[DeviceId]:
        return frozenset(alarm.device for alarm in (*self.raised, *self.over))

    @property
    def effect(self) -> Effect:
        return Effect.RAISED if self.raised else Effect.CLEARED if self.over else Effect.NONE


NOTHING: Final = Change()


@dataclass(slots=True)
class Alarms:
    """All that are open."""

    _by_place: dict[Place, Alarm] = field(default_factory=dict)
    _by_device: dict[DeviceId, dict[Place, Alarm]] = field(default_factory=dict)
    _by_source: dict[DeviceId, dict[Place, Alarm]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Alarm]:
        return iter(list(self._by_place.values()))

    def __len__(self) -> int:
        return len(self._by_place)

    def of(self, device: DeviceId) -> Sequence[Alarm]:
        """Those about one device, the oldest first."""
        return tuple(self._by_device.get(device, {}).values())

    def at(self, place: Place) -> Alarm | None:
        return self._by_place.get(place)

    def change(self, rule: TrapRule, source: DeviceId, concerned: DeviceId | None, *, key: str, text: str, now: datetime) -> Change:
        """What a notification of `source` does; `concerned`: whom it is about, None for nobody that we know."""
        if rule.restarts:
            return Change(over=tuple(self._by_source.get(source, {}).values()))
        if rule.clears:
            found = self._by_place.get((source, rule.clears, key))
            return Change(over=(found,)) if found else NOTHING
        if rule.raises is None or concerned is None or (source, rule.trap, key) in self._by_place:
            return NOTHING
        if len(self._by_place) >= ALARMS or len(self.of(concerned)) >= PER_DEVICE:
            return NOTHING
        alarm = Alarm(
            device=concerned,
            source=source,
            trap=rule.trap,
            key=key,
            event=rule.event,
            outcome=rule.raises,
            since=now,
            expires=now + rule.lasts,
            text=text,
            of_link=rule.of_port,
        )
        return Change(raised=(alarm,))

    def lasting(self, now: datetime, within: timedelta) -> frozenset[DeviceId]:
        """Devices with a link that has been down for `AGAIN_AFTER`, for at most `within` longer: that is to be told again."""
        return frozenset(
            alarm.device for alarm in self._by_place.values() if alarm.of_link and timedelta() <= now - alarm.since - AGAIN_AFTER < within
        )

    def stale(self, last_seen: Mapping[DeviceId, datetime | None], now: datetime) -> Change:
        """Those that have expired, that an answer has refuted, or whose device is no more (not in `last_seen`)."""
        return Change(over=tuple(alarm for alarm in self._by_place.values() if _is_stale(alarm, last_seen, now)))

    def apply(self, change: Change) -> None:
        for alarm in change.over:
            self._by_place.pop(alarm.place, None)
            for index, name in ((self._by_device, alarm.device), (self._by_source, alarm.source)):
                kept = index.get(name, {})
                kept.pop(alarm.place, None)
                if not kept:
                    index.pop(name, None)
        for alarm in change.raised:
            self._by_place[alarm.place] = alarm
            for index, name in ((self._by_device, alarm.device), (self._by_source, alarm.source)):
                index.setdefault(name, {})[alarm.place] = alarm


def result_of(device: DeviceId, alarms: Iterable[Alarm], now: datetime) -> CheckResult:
    """What the open alarms about a device come to: the worst of them, and all in the facts; ok for none."""
    found = sorted(alarms, key=lambda alarm: (alarm.outcome is not Outcome.FAIL, alarm.since))
    if not found:
        return CheckResult(device, CHECK, Outcome.OK, now, facts={"alarms": []}, at_once=True)
    told = [
        {"event": alarm.event, "key": alarm.key, "text": alarm.text, "source": alarm.source, "since": alarm.since.isoformat()}
        for alarm in found
    ]
    at_once = not all(alarm.of_link for alarm in found)
    return CheckResult(device, CHECK, found[0].outcome, now, f"trap-{found[0].event}", {"alarms": told}, at_once=at_once)


def merged(changes: Iterable[Change]) -> Change:
    """Several changes as one."""
    found = list(changes)
    return replace(
        NOTHING,
        raised=tuple(alarm for change in found for alarm in change.raised),
        over=tuple(alarm for change in found for alarm in change.over),
    )


def _is_stale(alarm: Alarm, last_seen: Mapping[DeviceId, datetime | None], now: datetime) -> bool:
    if alarm.device not in last_seen or now >= alarm.expires:
        return True
    seen = last_seen[alarm.device]
    return alarm.of_link and seen is not None and seen - alarm.since >= REFUTED_AFTER
