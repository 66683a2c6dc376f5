"""Follows what is to be told of, decides what is told to whom, and keeps a courier at work for each channel."""

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from gateway.clock import Clock, SystemClock
from gateway.domain.alert_log import Answer, Fate, answers
from gateway.domain.alert_routes import Route
from gateway.domain.alerting import Bundle, Happening, Message, Outcome, heed, ripe, wake
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, GroupId
from gateway.domain.duty import Shift, on_duty
from gateway.domain.events import Actor, AuditEntry, Event, NewEvent
from gateway.domain.trouble import Trouble, trouble_of
from gateway.errors import Conflict, Fault, InvalidInput, NotFound, Overloaded, StorageFailed
from gateway.notify import broadcast_desks
from gateway.notify.alerts_file import Alerts, load_alerts
from gateway.notify.broadcast_desks import BROADCAST
from gateway.notify.channels import Channel, make_channel
from gateway.notify.channels.base import ChannelFailed, Publish
from gateway.notify.channels.outbound import never
from gateway.notify.courier import Courier, Pacer
from gateway.notify.desks import Desks
from gateway.notify.letters import Letter
from gateway.notify.wording import Notice, Scribe
from gateway.storage.alert_json import message_json, message_of, shift_json, shift_of
from gateway.storage.alerts import Addressed, ChannelFigures, Waiting
from gateway.storage.events import CursorAhead, CursorTooOld
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

READER: Final = "alerts"
BATCH: Final = 200  # events that are decided on together; each may be a message, and a change of the store has its time
GATHERED: Final = 1_000  # as many with those that share a message: what one stop-all leaves is told in one piece
TICK_S: Final = 0.5
SAVE_S: Final = 20.0  # how late the cursor may be in the store while nothing of ours happens
GATHER_S: Final = 2.0  # how long an event of a broadcast waits for company: one stop-all may leave hundreds of loudspeakers unheard of
TRY_AGAIN_S: Final = 2.0
TIDY_S: Final = 3600.0
WARN_EVERY_S: Final = 300.0
KEEP: Final = timedelta(days=180)
QUEUE_MAX: Final = 500  # messages that wait for one channel; the oldest of more are given up
RELOAD_EVENT = "alerts.reloaded"
TEST_EVENT = "alerts.tested"
INCIDENT: Final = "incident."
UNFIT: Final = (Conflict, InvalidInput, NotFound, KeyError, TypeError, ValueError)
"""What an event raises that cannot be read or stored."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel as it stands. `where`: its destination without any secret."""

    name: str
    kind: str
    where: str
    routes: tuple[str, ...]
    figures: ChannelFigures


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a test message."""

    id: str
    sent: bool
    reason: str
    detail: str
    took_ms: float


class _Rehearsed(Exception):
    """No error: it has the writer keep nothing of what went well."""


class Notifier:
    """The whole door. Without an alerts file there are no routes, and the log says so of every incident."""

    def __init__(
        self,
        path: Path | None,
        *,
        store: Store,
        city: City,
        clock: Clock,
        publish: Publish | None = None,
        muted_by: Callable[[DeviceId], str] = lambda _device: "",
        download_for: timedelta = timedelta(hours=72),
        rng: random.Random | None = None,
        new_id: Callable[[], str] = lambda: f"A-{secrets.token_hex(5)}",
    ) -> None:
        self._path = path
        self._store = store
        self._city = city
        self._clock = clock
        self._publish = publish or never
        self._muted_by = muted_by
        self._rng = rng or random.Random()  # noqa: S311 -- spreads attempts, guards nothing
        self._new_id = new_id
        self._bundles: dict[str, Bundle] = {}
        self._cursor = self._saved = 0
        self._reloaded = asyncio.Event()
        self._deciding = asyncio.Lock()
        self.counts: Counter[tuple[str, Fate]] = Counter()
        """What became of attempts since the start, by channel; QUEUED: one that has to be made again."""
        self._desks = Desks(city, clock, download_for=download_for)
        self._alerts, self._couriers = self._read()

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._load()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carry(), name="alert-couriers")
            group.create_task(self._tick(), name="alert-tick")
            await self._follow()

    # -- for the API --------------------------------------------------------------------------------------------------

    async def reload(self, actor: Actor) -> int:
        """Read the alerts file anew, all of it or nothing; how many routes there are now. InvalidInput, Conflict."""
        if self._path is None:
            raise Conflict("no alerts_file is configured", code="no-alerts-file", hint="set alerts_file and restart")
        alerts, couriers = await asyncio.to_thread(self._read)
        now = self._clock.now()
        data = {"channels": sorted(alerts.channels), "routes": [route.name for route in alerts.routes.routes]}

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent(RELOAD_EVENT, "alerts", now, data))
            tx.record(AuditEntry(actor, RELOAD_EVENT, "alerts", now, data))

        async with self._deciding:
            await self._store.writer.write(change, lane=Lane.FOOTAGE)
            self._alerts, self._couriers = alerts, couriers
        self._reloaded.set()
        return len(alerts.routes.routes)

    async def test(self, name: str, actor: Actor) -> Tested:
        """Send a real message by the channel `name`, past its queue; what came of it. NotFound, Overloaded."""
        courier = self._couriers.get(name)
        if courier is None:
            raise NotFound(f"no channel {name[:80]}", code="no-channel", hint="GET /v1/alert-channels lists them")
        if courier.pacer.wait_s > 0:
            raise Overloaded("the channel has sent all that it may send in this minute", hint=f"in {courier.pacer.wait_s:.0f} s")
        id_, started = f"T-{self._new_id().removeprefix('A-')}", self._clock.monotonic()
        reason = detail = ""
        try:
            courier.pacer.count()
            detail = await courier.channel.send(self._scribe(name).test(id_, name, self._clock.now()))
        except ChannelFailed as error:
            reason, detail = error.code, str(error)
        tested = Tested(id_, not reason, reason, detail, round(1000 * (self._clock.monotonic() - started), 1))
        await self._record_test(name, tested, actor)
        return tested

    async def channels(self) -> Sequence[ChannelState]:
        """Every channel with its destination, its routes, and how it fares."""
        async with self._store.read() as tx:
            figures = await tx.alerts.figures(self._couriers)
        return [
            ChannelState(
                name,
                courier.channel.kind,
                courier.channel.where,
                tuple(route.name for route in self._alerts.routes.routes if name in route.channels),
                figures.get(name, ChannelFigures()),
            )
            for name, courier in sorted(self._couriers.items())
        ]

    async def why(self, incident: str, *, channel: str = "", person: str = "") -> Sequence[Answer]:
        """Why an incident was told, or was not, to a channel or a person (or at all)."""
        async with self._store.read() as tx:
            entries = await tx.alerts.log(incident=incident, limit=1_000)
        by_channel = {name: [route.name for route in self._alerts.routes.routes if name in route.channels] for name in self._couriers}
        return answers(entries, channel=channel, person=person, by_channel=by_channel, zone=self._alerts.zone)

    # -- following ----------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        while True:
            try:
                async with self._store.read() as tx:
                    found = await tx.readers.cursor(READER)
                    self._bundles = await tx.alerts.bundles()
                self._cursor = self._store.events.latest if found is None else found
                await self._save_cursor()
            except (StorageFailed, Overloaded) as error:
                log.warning("alerts.not_loaded", error=str(error))
                await self._clock.sleep(TRY_AGAIN_S)
            else:
                return

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_on()
            except CursorTooOld as gap:
                log.warning("alerts.gap", oldest=gap.oldest)
                self._cursor = gap.oldest
            except CursorAhead:
                self._cursor = self._store.events.latest
            except (StorageFailed, Overloaded) as error:
                log.warning("alerts.not_decided", error=str(error))
                await self._clock.sleep(TRY_AGAIN_S)

    async def _follow_on(self) -> None:
        """Decide on the events as they come; those that wait already, together, and those that come within a moment of a broadcast's."""
        waiting: list[Event] = []
        alone, gathered = 0, False
        async for event in self._store.events.follow(after=self._cursor):
            if self._counts(event):
                waiting.append(event)
                alone += not broadcast_desks.shares(event)
            if not gathered and event.cursor >= self._store.events.latest and any(one.type.startswith(BROADCAST) for one in waiting):
                gathered = True
                await self._clock.sleep(GATHER_S)
            last = event.cursor >= self._store.events.latest
            if waiting and (last or alone >= BATCH or len(waiting) >= GATHERED):
                await self._heed(waiting, event.cursor)
                waiting, alone, gathered = [], 0, False
            elif not waiting:
                self._cursor = event.cursor

    def _counts(self, event: Event) -> bool:
        """Whether anything is decided on an event."""
        return event.type.startswith(INCIDENT) or self._desks.count(event, self._alerts)

    async def _heed(self, events: Sequence[Event], cursor: int) -> None:
        """Decide on `events`; one that cannot be stored or read is passed over alone, and the others are told as if it were not there."""
        try:
            await self._decide(events, cursor)
        except UNFIT:
            fit = await self._fit(events)
            if len(fit) < len(events):
                await self._heed(fit, cursor)
            else:
                await self._heed_singly(events, cursor)

    async def _heed_singly(self, events: Sequence[Event], cursor: int) -> None:
        for event in events:
            try:
                await self._decide([event], event.cursor)
            except UNFIT as error:
                _passed_over(event, error)
        self._cursor = cursor
        await self._save_cursor()

    async def _fit(self, events: Sequence[Event]) -> Sequence[Event]:
        """Those of `events` that can be decided on, found by halves of which nothing is kept."""
        try:
            await self._rehearse(events)
        except UNFIT as error:
            if len(events) > 1:
                half = len(events) // 2
                return [*await self._fit(events[:half]), *await self._fit(events[half:])]
            _passed_over(events[0], error)
            return []
        return events

    async def _rehearse(self, events: Sequence[Event]) -> None:
        """Decide on `events` and keep nothing of it."""

        async def change(tx: Tx) -> None:
            await self._put_down(tx, outcome, None, events)
            raise _Rehearsed

        async with self._deciding:
            outcome, _ = self._follows(events)
            with contextlib.suppress(_Rehearsed):
                await self._store.writer.write(change, lane=Lane.HEALTH)

    async def _decide(self, events: Sequence[Event], cursor: int) -> None:
        async with self._deciding:
            outcome, bundles = self._follows(events)
            await self._commit(outcome, bundles, cursor, events)

    def _follows(self, events: Sequence[Event]) -> tuple[Outcome, dict[str, Bundle]]:
        """What follows from `events` of incidents, and the bundles as they are then."""
        outcome, bundles = Outcome(), dict(self._bundles)
        for event in events:
            seen = self._happening(event) if event.type.startswith(INCIDENT) else None
            if seen is not None:
                one = heed(bundles, seen, self._alerts.routes, now=self._clock.now(), new_id=self._new_id)
                bundles = one.over(bundles)
                _add(outcome, one)
        return outcome, bundles

    def _happening(self, event: Event) -> Happening | None:
        try:
            trouble = trouble_of(event.data["incident"])
        except (ValueError, KeyError) as error:
            log.warning("alerts.unreadable_event", cursor=event.cursor, error=str(error))
            return None
        return Happening(event.type, trouble, event.at, self._mute(trouble))

    def _mute(self, trouble: Trouble) -> str:
        """The maintenance window that covers everything of an incident that is known by name."""
        windows = [self._muted_by(DeviceId(one.id)) for one in trouble.victims]
        return windows[0] if windows and all(windows) else ""

    async def _tick(self) -> None:
        tidied = self._clock.monotonic()
        saved, warned = tidied, tidied - WARN_EVERY_S
        while True:
            await self._clock.sleep(TICK_S)
            try:
                await self._ripen()
                if self._clock.monotonic() - warned >= WARN_EVERY_S:
                    warned = self._clock.monotonic()
                    await self._warn()
                if self._cursor != self._saved and self._clock.monotonic() - saved >= SAVE_S:
                    saved = self._clock.monotonic()
                    await self._save_cursor()
                if self._clock.monotonic() - tidied >= TIDY_S:
                    tidied = self._clock.monotonic()
                    await self._store.writer.write(lambda tx: tx.alerts.forget(before=self._clock.now() - KEEP), lane=Lane.HEALTH)
            except (StorageFailed, Overloaded) as error:
                log.warning("alerts.not_decided", error=str(error))
                await self._clock.sleep(TRY_AGAIN_S)

    async def _ripen(self) -> None:
        now = self._clock.now()
        if not any(self._is_due(bundle, now) for bundle in self._bundles.values()):
            return
        async with self._deciding:
            outcome = ripe(self._bundles, self._alerts.routes, now=now)
            await self._commit(outcome, outcome.over(self._bundles), None)

    def _is_due(self, bundle: Bundle, now: datetime) -> bool:
        route = self._alerts.routes.named(bundle.route)
        moment = None if route is None else wake(bundle, route, self._alerts.routes)
        return route is None or (moment is not None and moment <= now)

    async def _save_cursor(self) -> None:
        cursor = self._cursor
        await self._store.writer.write(lambda tx: tx.readers.advance(READER, cursor), lane=Lane.HEALTH)
        self._saved = cursor

    async def _commit(self, outcome: Outcome, bundles: dict[str, Bundle], cursor: int | None, events: Sequence[Event] = ()) -> None:
        """Write all that was decided at once; only then is it so."""
        stirred = await self._store.writer.write(lambda tx: self._put_down(tx, outcome, cursor, events), lane=Lane.HEALTH)
        self._bundles = bundles
        if cursor is not None:
            self._cursor = self._saved = cursor
        self._stir(stirred)

    async def _put_down(self, tx: Tx, outcome: Outcome, cursor: int | None, events: Sequence[Event]) -> set[str]:
        """Write what was decided and what `events` tell by themselves; the channels that have something to carry then."""
        now = self._clock.now()
        routes = {route.name: route for route in self._alerts.routes.routes}
        stirred = {name for message in outcome.messages for name in routes[message.route].channels}
        await tx.alerts.keep(outcome.changed.values(), outcome.gone)
        await tx.alerts.note(outcome.notes)
        shifts = await tx.alerts.shifts(after=now, before=now + timedelta(seconds=1)) if outcome.messages else []
        for message in outcome.messages:
            await self._enqueue(tx, message, routes[message.route], on_duty(shifts, now, level=message.level))
        stirred |= await self._post(tx, await self._desks.letters(tx, events, self._alerts))
        if cursor is not None:
            await tx.readers.advance(READER, cursor)
        return stirred

    def _stir(self, channels: Iterable[str]) -> None:
        for channel in channels:
            if courier := self._couriers.get(channel):
                courier.stir()

    async def _enqueue(self, tx: Tx, message: Message, route: Route, people: Sequence[Shift]) -> None:
        content = {"message": message_json(message), "people": [shift_json(one) for one in people], "on_duty": route.on_duty}
        names = tuple(one.person for one in people) if route.on_duty else ()
        to = [Addressed(route.name, channel, message.kind, message.severity.value, names, message.incidents) for channel in route.channels]
        await tx.alerts.enqueue(message.id, content, to, at=message.at)
        for channel in route.channels:
            detail = f"more than {QUEUE_MAX} messages wait for this channel"
            await tx.alerts.give_up(channel, now=message.at, reason="queue-full", detail=detail, keep=QUEUE_MAX)

    async def _post(self, tx: Tx, letters: Iterable[Letter]) -> set[str]:
        """Queue letters for their channels, each once; the channels."""
        stirred: set[str] = set()
        for letter in letters:
            to = [Addressed(letter.route, name, letter.kind, letter.severity.value, (), letter.about) for name in letter.channels]
            await tx.alerts.enqueue(letter.id, {letter.key: letter.content}, to, at=letter.at)
            stirred.update(letter.channels)
        return stirred

    async def _warn(self) -> None:
        """Tell whose footage is ready and not yet handed over that its time for downloads ends soon."""
        if not self._alerts.footage:
            return
        async with self._store.read() as tx:
            letters = await self._desks.expiring(tx, self._alerts)
        if letters:
            self._stir(await self._store.writer.write(lambda tx: self._post(tx, letters), lane=Lane.HEALTH))

    # -- carrying -----------------------------------------------------------------------------------------------------

    async def _carry(self) -> None:
        """One courier a channel; others after a reload."""
        while True:
            self._reloaded.clear()
            couriers = dict(self._couriers)
            await self._give_up_strays(couriers)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(courier.run(), name=f"alert-courier-{name}") for name, courier in couriers.items()]
                await self._reloaded.wait()
                for task in tasks:
                    task.cancel()

    async def _give_up_strays(self, couriers: Mapping[str, Courier]) -> None:
        with contextlib.suppress(StorageFailed, Overloaded):  # they wait until the next start or reload
            async with self._store.read() as tx:
                strays = set(await tx.alerts.channels_waited_for()) - couriers.keys()
            for name in sorted(strays):
                await self._give_up(name)

    async def _give_up(self, channel: str) -> None:
        async def change(tx: Tx) -> None:
            await tx.alerts.give_up(channel, now=self._clock.now(), reason="no-channel", detail="the channel is no more in the alerts file")

        await self._store.writer.write(change, lane=Lane.HEALTH)

    def _read(self) -> tuple[Alerts, dict[str, Courier]]:
        """What the alerts file says now, with its secrets. InvalidInput."""
        alerts = Alerts() if self._path is None else load_alerts(self._path)
        couriers = {
            name: self._courier(make_channel(name, settings, clock=self._clock, publish=self._publish), settings.per_minute)
            for name, settings in alerts.channels.items()
        }
        return alerts, couriers

    def _courier(self, channel: Channel, per_minute: int) -> Courier:
        compose = partial(self._compose, channel.name)
        pacer = Pacer(self._clock, per_minute)
        return Courier(channel, pacer, store=self._store, clock=self._clock, compose=compose, rng=self._rng, counts=self.counts)

    def _compose(self, channel: str, waiting: Waiting) -> Notice:
        content = waiting.content
        if told := self._desks.notice(content, waiting.message, self._language(channel), self._alerts.zone):
            return told
        people = [shift_of(one) for one in content["people"]]
        return self._scribe(channel).notice(message_of(content["message"]), people, asked_on_duty=content["on_duty"])

    def _scribe(self, channel: str) -> Scribe:
        return Scribe(self._language(channel), self._alerts.zone, self._group_name, self._behind)

    def _language(self, channel: str) -> str:
        settings = self._alerts.channels.get(channel)
        return (settings and settings.language) or self._alerts.language

    def _group_name(self, group: str) -> str:
        found = self._city.groups.get(GroupId(group))
        return group if found is None else " ".join(filter(None, (found.street, found.name)))

    def _behind(self, device: str) -> Mapping[str, int]:
        """How many devices of each kind hang on a device, directly or not."""
        seen, waiting = {DeviceId(device)}, [DeviceId(device)]
        while waiting:
            fresh = [one.id for one in self._city.behind(waiting.pop()) if one.enabled and one.id not in seen]
            seen.update(fresh)
            waiting += fresh
        return Counter(self._city.devices[one].kind.value for one in seen - {DeviceId(device)})

    async def _record_test(self, name: str, tested: Tested, actor: Actor) -> None:
        now = self._clock.now()
        data = {"id": tested.id, "sent": tested.sent, "reason": tested.reason}

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent(TEST_EVENT, name, now, data))
            tx.record(AuditEntry(actor, TEST_EVENT, name, now, data))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)


def _passed_over(event: Event, error: Exception) -> None:
    log.error("alerts.event_passed_over", cursor=event.cursor, type=event.type, error=str(error), exc_info=error)


def _add(all_: Outcome, one: Outcome) -> None:
    """Put what follows from one event to what followed from those before."""
    all_.changed = {name: bundle for name, bundle in {**all_.changed, **one.changed}.items() if name not in one.gone}
    all_.gone |= one.gone
    all_.messages += one.messages
    all_.notes += one.notes


def check(path: Path) -> None:
    """Read an alerts file with its secrets and change nothing. InvalidInput with all that is wrong."""
    faults = []
    for name, settings in load_alerts(path).channels.items():
        try:
            make_channel(name, settings, clock=SystemClock(), publish=never)
        except InvalidInput as error:
            faults.append(Fault(f"channels.{name}", f"{error}{error.hint and '; '}{error.hint}"))
    if faults:
        raise InvalidInput(f"{path}: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}", faults=faults, code="bad-alerts")
