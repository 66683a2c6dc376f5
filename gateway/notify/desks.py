"""What is told event by event, without bundles: work orders, requests for footage, broadcasts, schedules."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from functools import partial
from typing import Any, Final

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event
from gateway.notify import broadcast_desks, footage_desks, handing_over, schedule_desks
from gateway.notify.alerts_file import Alerts
from gateway.notify.letters import Letter
from gateway.notify.wording import Notice
from gateway.storage.store import Tx

WARNED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class _Noun:
    """How events of one noun are told: the letters that they make, how one reads, which events `count` (by default all).

    `key`: where the content of its letters stands in a stored message.
    """

    key: str
    letters: Callable[[Tx, Sequence[Event], Alerts], Awaitable[Sequence[Letter]]]
    notice: Callable[[Mapping[str, Any], str, str, tzinfo], Notice]
    counts: Callable[[Event, Alerts], bool] = lambda _event, _alerts: True


class Desks:
    """All that are told event by event. `download_for`: how long footage waits to be fetched."""

    def __init__(self, city: City, clock: Clock, *, download_for: timedelta) -> None:
        self._city = city
        self._clock = clock
        self._download_for = download_for
        self._warned: set[str] = set()
        self._nouns: Mapping[str, _Noun] = {
            handing_over.WORK_ORDER: _Noun(handing_over.KEY, self._of_orders, handing_over.notice),
            footage_desks.FOOTAGE: _Noun(footage_desks.KEY, self._of_footage, footage_desks.notice),
            broadcast_desks.BROADCAST: _Noun(broadcast_desks.KEY, self._of_broadcasts, broadcast_desks.notice, _tells_of_broadcast),
            schedule_desks.SCHEDULE: _Noun(schedule_desks.KEY, self._of_schedules, schedule_desks.notice, _tells_of_schedule),
        }
        """By the beginning of the events' types."""

    def count(self, event: Event, alerts: Alerts) -> bool:
        """Whether an event may be told."""
        return any(event.type.startswith(prefix) and noun.counts(event, alerts) for prefix, noun in self._nouns.items())

    async def letters(self, tx: Tx, events: Sequence[Event], alerts: Alerts) -> Sequence[Letter]:
        """What `events` tell by themselves."""
        found: list[Letter] = []
        for prefix, noun in self._nouns.items():
            found += await noun.letters(tx, [event for event in events if event.type.startswith(prefix)], alerts)
        return found

    async def expiring(self, tx: Tx, alerts: Alerts) -> Sequence[Letter]:
        """Of footage that is ready and not yet handed over, and whose time for downloads ends soon; each once, by the message's id."""
        now = self._clock.now()
        begun = now - self._download_for
        before = begun + footage_desks.warned_before(self._download_for)
        found = await tx.footage.ready_before(footage_desks.UNCLAIMED, before, after=begun, limit=WARNED_AT_ONCE)
        due = {f"F-{one.id}-{one.ready_at:%Y%m%d%H%M%S}": one for one in found if one.ready_at}
        fresh = {message: one for message, one in due.items() if message not in self._warned}
        self._warned = set(due)
        write = partial(footage_desks.letter, desks=alerts.footage, name_of=self._camera_name, download_for=self._download_for)
        return [letter for message, one in fresh.items() if (letter := write(message, "expiring", one, now))]

    def notice(self, content: Mapping[str, Any], message: str, language: str, zone: tzinfo) -> Notice | None:
        """The stored message `message` as it is sent; None where it is about no noun of ours."""
        for noun in self._nouns.values():
            if noun.key in content:
                return noun.notice(content[noun.key], message, language, zone)
        return None

    async def _of_orders(self, _tx: Tx, events: Sequence[Event], alerts: Alerts) -> Sequence[Letter]:
        return handing_over.letters(events, alerts.handovers)

    async def _of_footage(self, tx: Tx, events: Sequence[Event], alerts: Alerts) -> Sequence[Letter]:
        return await footage_desks.letters(tx, events, alerts.footage, name_of=self._camera_name, download_for=self._download_for)

    async def _of_broadcasts(self, tx: Tx, events: Sequence[Event], alerts: Alerts) -> Sequence[Letter]:
        return await broadcast_desks.letters(tx, events, alerts.broadcasts, now=self._clock.now(), place_of=self._speaker_place)

    async def _of_schedules(self, tx: Tx, events: Sequence[Event], alerts: Alerts) -> Sequence[Letter]:
        return await schedule_desks.letters(tx, events, alerts.broadcasts, now=self._clock.now(), place_of=self._speaker_place)

    def _camera_name(self, camera: str) -> str:
        found = self._city.devices.get(DeviceId(camera))
        return camera if found is None or not found.name else f"{found.name} ({camera})"

    def _speaker_place(self, speaker: str) -> str:
        """District, street and name of a loudspeaker, or a camera, with its id."""
        found = self._city.devices.get(DeviceId(speaker))
        if found is None:
            return speaker
        group = self._city.groups.get(found.group) if found.group else None
        words = [self._city.district_of(found), group.street if group else "", found.name, f"({speaker})"]
        return " ".join(filter(None, words))


def _tells_of_broadcast(event: Event, alerts: Alerts) -> bool:
    """Most events of broadcasts are of no step that is told."""
    step = broadcast_desks.step_of(event.type, event.data)
    return bool(step) and bool(broadcast_desks.channels_of(alerts.broadcasts, step))


def _tells_of_schedule(event: Event, alerts: Alerts) -> bool:
    return schedule_desks.waits(event) and bool(broadcast_desks.channels_of(alerts.broadcasts, broadcast_desks.WAITS))
