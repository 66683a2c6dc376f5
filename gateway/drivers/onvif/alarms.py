"""What events mean where devices mislead: states told again, states turned round, and alarms that nobody ends. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain.quirks import Quirks
from gateway.drivers.base import Change, DeviceEvent

STATES_LIMIT = 256
"""States that are remembered of one device; the oldest are forgotten first."""

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class _State:
    event: DeviceEvent
    since: float


class Alarms:
    """The states of one device, as it told them. `now` is monotonic seconds everywhere."""

    def __init__(self) -> None:
        self._states: dict[Key, _State] = {}

    def take(self, event: DeviceEvent, quirks: Quirks, now: float) -> DeviceEvent | None:
        """The event as it is meant; None for a state that is told again and was known.

        `begins` is set where something begins: never by Initialized, which tells how things are (WS property model of Core, 9.3.2).
        """
        if event.on is None:
            return replace(event, begins=is_news(event))
        if "inverted-state" in quirks:
            event = replace(event, on=not event.on)
        key = event.topic, tuple(sorted(event.source.items()))
        known = self._states.get(key)
        if known is not None and known.event.on == event.on and not is_news(event):
            return None
        begins = bool(event.on) and is_news(event) and (known is None or not known.event.on)
        self._remember(key, event, now if known is None or known.event.on != event.on else known.since)
        return replace(event, begins=begins)

    def due(self, quirks: Quirks, now: float, moment: datetime) -> Iterator[DeviceEvent]:
        """The ends of alarms that the device's model never ends by itself, once their time is over."""
        for key, state in list(self._states.items()):
            if state.event.on and now >= state.since + _lasts(quirks):
                ended = replace(state.event, on=False, change=Change.CHANGED, begins=False, assumed=True, device_time=None, received=moment)
                self._remember(key, ended, now)
                yield ended

    def next_due(self, quirks: Quirks) -> float:
        """When `due` has something next; infinity when never."""
        return min((state.since for state in self._states.values() if state.event.on), default=float("inf")) + _lasts(quirks)

    def _remember(self, key: Key, event: DeviceEvent, since: float) -> None:
        self._states.pop(key, None)
        while len(self._states) >= STATES_LIMIT:
            del self._states[next(iter(self._states))]
        self._states[key] = _State(event, since)


def is_news(event: DeviceEvent) -> bool:
    """Whether an event tells that something happened, and not how things are."""
    return event.change is not Change.INITIALIZED


def _lasts(quirks: Quirks) -> float:
    """Seconds after which an alarm is taken to be over, though nobody said so."""
    return quirks.number("never-clears", "after_s", float("inf"))
