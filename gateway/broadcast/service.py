"""The broadcast service: takes orders, makes them durable, has them carried out, and can silence everything at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from gateway.broadcast.acceptance import Acceptance, first_deliveries, insert, refuse_again, refuse_other
from gateway.broadcast.approvals import Asked
from gateway.broadcast.farewells import Farewells
from gateway.broadcast.journal import STOP_ALL_EVENT, Journal
from gateway.broadcast.leases import Leases
from gateway.broadcast.loudness import Loudness, StoredNotes
from gateway.broadcast.orders import USUAL_RULES, Order, Rules, broadcast_of
from gateway.broadcast.pacing.live import LiveSource
from gateway.broadcast.pacing.local import LocalPacer
from gateway.broadcast.pacing.stream import Pacer
from gateway.broadcast.performance import Part, perform
from gateway.broadcast.routing import Choice, Explanation, Route, Router
from gateway.broadcast.rulebook import NEVER_QUIET, Rulebook
from gateway.broadcast.setups import Setups
from gateway.broadcast.silencing import Silencing
from gateway.broadcast.stage import USUAL, Manner, Stage
from gateway.broadcast.stops import Stops
from gateway.broadcast.understudies import Understudies
from gateway.broadcast.views import Live, View, newest, view_of
from gateway.broadcast.warmup import find_ways
from gateway.broadcast.zonecast import Multicasting, ZoneCast, zone_of
from gateway.clock import Clock
from gateway.domain.broadcast import (
    Broadcast,
    BroadcastId,
    Delivery,
    DeliveryState,
    Priority,
    Programme,
    Step,
    Talk,
    Targets,
    advance,
    outcome,
)
from gateway.domain.broadcast import View as CameraView
from gateway.domain.broadcast_ledger import EVERYTHING, Recording, RecordingState, Wanted
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, AuditEntry, NewEvent, Person
from gateway.domain.health import Board
from gateway.domain.remarks import Remark
from gateway.drivers.base import AudioSink, ClipPlayer, ClipSink, Volume, VolumeControl
from gateway.errors import Conflict, Fault, GatewayError, InvalidInput, Overloaded
from gateway.media.clips import PreparedClip
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

APPROVED_EVENT = "broadcast.approved"
DECLINED_EVENT = "broadcast.declined"
PACER_DIED_EVENT = "broadcast.pacer-died"
VOLUME_LEFT_EVENT = "broadcast.volume-not-restored"
ACTIVE_LIMITS: Mapping[Priority, int] = {Priority.TALK: 550, Priority.EMERGENCY: 600}
ACTIVE_LIMIT = 500
"""Broadcasts under way before one more is refused with Overloaded; what is more important finds some room beyond."""
_SETTLE_S = 3.0  # how long a shutdown waits for the last outcomes to be written


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stop-all ended. `may_still_sound`: the loudspeakers that play by themselves and have not answered yet that they are silent."""

    broadcasts: int
    speakers: int
    may_still_sound: tuple[DeviceId, ...] = ()


class Sounds(Protocol):
    async def prepared(self, programme: Programme) -> PreparedClip:
        """The programme as loudspeakers take it. Raises InvalidInput, NotFound, StorageFailed, Overloaded: it cannot be said."""
        ...


class BroadcastService:
    """All broadcasts. `run` must be running for orders to be taken; `stop_all` works always.

    `speaker_of` gives the way to a speaker; `verify` raises WrongDevice when another device answers at its address; `hours`: when the city
    may speak; `volume_of`: who sets how loud a speaker is; `multicasting`: how zones hear one stream together, where they do.
    """

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        board: Board,
        clock: Clock,
        sounds: Sounds,
        speaker_of: Callable[[DeviceId], AudioSink],
        verify: Callable[[DeviceId], Awaitable[Remark | None]],
        rules: Rules = USUAL_RULES,
        hours: Callable[[], SpeakingHours] = lambda: NEVER_QUIET,
        volume_of: Callable[[DeviceId], VolumeControl | None] = lambda _speaker: None,
        manner: Manner = USUAL,
        circumstances: Circumstances | None = None,
        pacer: Pacer | None = None,
        multicasting: Multicasting | None = None,
    ) -> None:
        self._store = store
        self._city = city
        self._board = board
        self._clock = clock
        self._sounds = sounds
        self._rules = rules
        self._journal = Journal(store, clock)
        self._multicasting = multicasting
        self._pacer: Pacer = pacer or LocalPacer(clock)
        self._pacer.tell = self._tell_of_pacer
        self._rulebook = Rulebook(city=city, clock=clock, hours=hours, restraint=rules.restraint)
        self._farewells = Farewells(clock)
        leases = Leases(self._farewells)
        self._loudness = Loudness(volume_of, StoredNotes(store, clock), clock, tell=self._tell_of_volume)
        self._silencing = Silencing(self._journal, clock, lambda speaker: _player(speaker_of(speaker)))
        self._stage = Stage(
            clock=clock,
            leases=leases,
            farewells=self._farewells,
            pacer=self._pacer,
            journal=self._journal,
            rules=self._rulebook,
            speaker_of=speaker_of,
            place_of=lambda speaker: city.devices[speaker].place if speaker in city.devices else None,
            verify=verify,
            loudness=self._loudness,
            silencing=self._silencing,
            setups=Setups(manner.setups_at_once),
            manner=manner,
        )
        self._router = Router(city, board, circumstances or Circumstances(), leases.priority)
        self._asked: dict[BroadcastId, Asked] = {}  # those of _active that wait for a second person
        self._active: dict[BroadcastId, list[Part]] = {}  # bounded by ACTIVE_LIMITS
        self._accepting = 0
        self._stops = Stops(clock, longest_s=rules.not_after_max_s)
        self._group: asyncio.TaskGroup | None = None

    @property
    def taking_orders(self) -> bool:
        """Whether `run` has come so far that orders are carried out."""
        return self._group is not None

    # -- orders -------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order, *, live: LiveSource | None = None) -> View:
        """Take an order; when this returns, it is on the disk and under way. An order that is known is answered as it stands.

        `live`: where the sound of a talk comes from; an order to talk cannot be sent again, which is a Conflict (talk-again).
        Where it and the sender's other broadcasts of the last minute reach more speakers than the sender's cap, it waits for `approve`.
        Raises what `Sounds` raises, InvalidInput (unknown-target, no-speaker, expired, not-after-too-far, too-long),
        Forbidden (too-many-speakers, quiet-hours, override-not-allowed), Conflict (id-reused, no-healthy-speaker,
        no-speaker-reaches, duplicate, cooling-down, too-many-broadcasts), Overloaded, StorageFailed.
        """
        epoch = self._stops.epoch
        wanted = broadcast_of(order, self._clock.now())
        known = await self._known(wanted)
        if known is not None:
            return refuse_again(known) if live else known
        self._stops.check(order.issued_at)
        self._rulebook.check_rate(str(order.actor), order.priority)
        self._rulebook.check_override(wanted, may_override=order.may_override)
        cap = self._cap(order.speaker_cap)
        chosen = self._route(wanted, order)
        asks = self._reach(chosen, order.actor, order.priority, alone=order.seconded) > cap
        self._check_time(wanted, asks=asks)
        sound = live or await self._sounds.prepared(order.programme)
        length = timedelta() if isinstance(sound, LiveSource) else timedelta(seconds=sound.duration_s)
        if order.targets.views:  # who speaks to a view is decided at the last moment, when it is known for how long
            chosen = self._route(wanted, order, length)
        self._rulebook.check_duration(length)
        group = self._room(order.priority)
        reach = self._reach(chosen, order.actor, order.priority, alone=order.seconded)
        asks = asks or reach > cap  # another order may have come while the sound was made
        silent = self._rulebook.admit(wanted, chosen.speakers, length)
        chosen = _without(chosen, {speaker: why.reason.value for speaker, why in silent.items()})
        # In a task of its own: a caller that goes away must not leave an order that is durable and never carried out.
        answer: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        asker = Person(order.actor, order.sender) if asks else None
        if not asks and not order.seconded:
            self._rulebook.count_reach(wanted, chosen.speakers)
        taken = Acceptance(
            group=group, wanted=wanted, route=chosen, sound=sound, length=length, epoch=epoch, answer=answer, asker=asker, reach=reach
        )
        group.create_task(self._accept(taken), name=f"accept {order.id}")
        if not asks:  # while it is written down
            group.create_task(self._find_ways(chosen.speakers), name=f"ways {order.id}")
        self._accepting += 1
        return await answer

    def explain(
        self,
        targets: Targets,
        *,
        priority: Priority,
        actor: Actor = SYSTEM,
        speaker_cap: int | None = None,
        within: frozenset[DeviceId] | None = None,
    ) -> Explanation:
        """Which speakers an order of `actor` to these targets would reach now, and why each would or would not speak. Nothing is sent.

        Raises InvalidInput for targets that do not exist.
        """
        wanted, cap = self._as_if(targets, priority), self._cap(speaker_cap)
        told = self._router.explain(
            targets,
            priority=priority,
            cap=max(cap, self._rules.max_speakers_approved),
            within=within,
            hushed=self._hushed(wanted, timedelta()),
        )
        if told.route is None:
            return told
        try:
            silent = self._rulebook.judge(wanted, told.route.speakers, timedelta())
        except GatewayError as refusal:
            return replace(told, route=None, refusal=refusal, choices=tuple(_unchosen(choice, refusal.code) for choice in told.choices))
        chosen = _without(told.route, {speaker: why.reason.value for speaker, why in silent.items()})
        choices = (_unchosen(one, silent[one.speaker].reason.value) if one.speaker in silent else one for one in told.choices)
        reach = self._reach(chosen, actor, priority)
        return replace(told, route=chosen, choices=tuple(choices), needs_approval=reach > cap, reached=reach)

    def beside(self, view: CameraView, *, priority: Priority, within: frozenset[DeviceId] | None = None) -> list[Choice]:
        """The speakers beside what a camera sees, the nearest first, and why each would or would not speak to it now."""
        wanted = self._as_if(Targets(views=(view,)), priority)
        return self._router.beside(view, priority=priority, within=within, hushed=self._hushed(wanted, timedelta()))

    def _as_if(self, targets: Targets, priority: Priority) -> Broadcast:
        """An order that nobody gives, of something that is never the same."""
        now = self._clock.now()
        until = now + timedelta(seconds=self._rules.not_after_max_s)
        return Broadcast(
            id=BroadcastId("explained"),
            programme=Programme(Talk()),
            targets=targets,
            priority=priority,
            not_after=until,
            created_at=now,
            actor=SYSTEM,
        )

    def _route(self, wanted: Broadcast, order: Order, length: timedelta = timedelta()) -> Route:
        cap = max(self._cap(order.speaker_cap), self._rules.max_speakers_approved)
        hushed = self._hushed(wanted, length)
        return self._router.route(wanted.targets, priority=wanted.priority, cap=cap, within=order.within, hushed=hushed)

    def _hushed(self, wanted: Broadcast, length: timedelta) -> Callable[[DeviceId], str]:
        """Which rule forbids a speaker to say it, "" for none."""
        return lambda speaker: self._rulebook.word(wanted, speaker, length)

    def priority_of(self, broadcast: BroadcastId) -> Priority | None:
        """How important a broadcast is that is under way, from memory alone; None of what is over."""
        return next((part.priority for part in self._active.get(broadcast, ())), None)

    async def cancel(self, broadcast: BroadcastId, actor: Actor) -> View:
        """Silence one broadcast now; when this returns, that is on the disk. Raises NotFound, Conflict (has-ended), StorageFailed."""
        parts = self._active.get(broadcast)
        if parts is None:
            view = await self.get(broadcast)
            raise Conflict(f"broadcast {view.broadcast.id} has ended", code="has-ended")
        silenced = self._silence(broadcast, parts, "cancelled")
        self._journal.note(AuditEntry(actor, "broadcast.cancel", broadcast, self._clock.now(), {"speakers": silenced}))
        await self._journal.commit(list)
        return await self.get(broadcast)

    async def approve(self, broadcast: BroadcastId, by: Person) -> View:
        """Let be heard what waits for a second person. Raises NotFound, Forbidden (second-person), Conflict (not-awaiting)."""
        asked = await self._asked_of_another(broadcast, by)
        queued: dict[Part, tuple[Delivery, Delivery]] = {}

        async def change(tx: Tx) -> None:
            queued.update({part: (part.delivery, part.take(Step.APPROVE)) for part in asked.waiting})
            if not queued:
                raise _not_awaiting(broadcast)
            await tx.broadcasts.approve(broadcast, by)
            await tx.broadcasts.save([after for _, after in queued.values()])
            now, data = self._clock.now(), {"by": by.name, "speakers": len(queued)}
            tx.emit(NewEvent(APPROVED_EVENT, broadcast, now, data))
            tx.record(AuditEntry(by.actor, "broadcast.approve", broadcast, now, data))

        await self._store.writer.write(change, lane=Lane.BROADCAST)
        for part, (before, after) in queued.items():
            if part.delivery is before:
                part.delivery = after
        asked.settle()
        return await self.get(broadcast)

    async def decline(self, broadcast: BroadcastId, by: Person) -> View:
        """Refuse what waits for a second person. Raises as `approve` does."""
        asked = await self._asked_of_another(broadcast, by)
        speakers = self._silence(broadcast, asked.waiting, "declined")
        now, data = self._clock.now(), {"by": by.name, "speakers": speakers}
        self._journal.note(AuditEntry(by.actor, "broadcast.decline", broadcast, now, data), NewEvent(DECLINED_EVENT, broadcast, now, data))
        await self._journal.commit(list)
        return await self.get(broadcast)

    async def _asked_of_another(self, broadcast: BroadcastId, by: Person) -> Asked:
        """What waits for a second person, when `by` is one."""
        asked = self._asked.get(broadcast)
        if asked is None:
            await self.get(broadcast)
        if asked is None or not asked.waiting:
            raise _not_awaiting(broadcast)
        asked.check(by)
        return asked

    def stop_all(self, actor: Actor) -> Stopped:
        """Silence everything, at once and in memory; what was ordered before never plays. It is written down as soon as the store can."""
        self._stops.begin()
        self._pacer.stop_all()  # silence first, then the accounts
        stopped = [silenced for one, parts in self._active.items() if (silenced := self._silence(one, parts, "stop-all"))]
        self._silencing.insist()
        result = Stopped(len(stopped), sum(stopped), tuple(self._silencing.sounding))
        now = self._stops.mark()
        data = {"broadcasts": result.broadcasts, "speakers": result.speakers, "may_still_sound": list(result.may_still_sound)}
        self._journal.note(AuditEntry(actor, STOP_ALL_EVENT, "", now, data), NewEvent(STOP_ALL_EVENT, "", now, data))
        return result

    async def stop_written(self) -> None:
        """Return once the last stop-all is on the disk, so that the next life of the gateway obeys it. Raises StorageFailed, Overloaded."""
        await self._journal.commit(list)

    @property
    def stops(self) -> int:
        """How often this life has stopped everything, by whichever door."""
        return self._stops.epoch

    async def stopped(self, *, since: int) -> None:
        """Return as soon as everything has been stopped more often than `since`."""
        await self._stops.later(since)

    async def silent(self, *, within_s: float) -> Sequence[DeviceId]:
        """Wait so long for the loudspeakers that play by themselves to answer that they are silent; those that have not."""
        return await self._silencing.silent(within_s=within_s)

    # -- talks --------------------------------------------------------------------------------------------------------

    def follow(self, broadcast: BroadcastId) -> Callable[[], tuple[Delivery, ...]]:
        """A look at how the deliveries of `broadcast` stand, whenever it is called, also once they have ended; () of what is over now."""
        parts = self._active.get(broadcast, [])
        return lambda: tuple(part.delivery for part in parts)

    def hush(self, broadcast: BroadcastId) -> None:
        """Silence a talk where quiet hours have begun: its length was not known when it was admitted."""
        for part in self._active.get(broadcast, ()):
            part.hush()

    def bow_out(self, broadcast: BroadcastId, reason: str) -> None:
        """The talker has ended: where the talk is not heard yet, it never will be. Where it is, its source ends it."""
        waiting = [part for part in self._active.get(broadcast, ()) if part.delivery.state is not DeliveryState.PLAYING]
        self._silence(broadcast, waiting, reason)

    # -- the record ---------------------------------------------------------------------------------------------------

    def note(self, event: NewEvent) -> None:
        """Have an event written after all that has happened to deliveries so far."""
        self._journal.note(event=event)

    async def get(self, broadcast: BroadcastId) -> View:
        """Raises NotFound."""
        before = self._live()  # what leaves it while we read was in the store before we read
        async with self._store.read() as tx:
            found = await tx.broadcasts.get(broadcast)
            stored = await tx.broadcasts.deliveries(broadcast)
            beside = await _beside(tx, [found])
        return beside(self._heard(view_of(found, stored, newest(before, self._live()))))

    async def page(self, *, wanted: Wanted = EVERYTHING, before: tuple[datetime, BroadcastId] | None = None, limit: int) -> list[View]:
        """Up to `limit` of the wanted broadcasts, the latest first; `before`: go on after the one of this `created_at` and id."""
        live = self._live()
        async with self._store.read() as tx:
            found = await tx.broadcasts.page(wanted=wanted, before=before, limit=limit)
            ids = [broadcast.id for broadcast in found]
            deliveries = await tx.broadcasts.deliveries_of(ids)
            beside = await _beside(tx, found)
        live = newest(live, self._live())
        return [beside(self._heard(view_of(one, deliveries[one.id], live))) for one in found]

    def _heard(self, view: View) -> View:
        return replace(view, may_sound=frozenset(one.speaker for one in view.deliveries if self._silencing.may_sound(one)))

    async def written(self) -> None:
        """Return once everything that happened so far is in the store."""
        await self._journal.drained()

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry orders out until cancelled; what is playing then is silenced, and written down as failed."""
        await self._recover()
        await self._loudness.load()
        async with asyncio.TaskGroup() as machinery:
            writing = machinery.create_task(self._journal.run(), name="broadcast journal")
            pacing = machinery.create_task(self._pacer.run(), name="pacer")
            giving_back = machinery.create_task(self._loudness.run(), name="loudness")
            insisting = machinery.create_task(self._silencing.run(), name="silencing")
            await self._pacer.ready()
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    await asyncio.Event().wait()  # until cancelled: the broadcasts end first, and give their sessions back
            finally:
                self._group = None
                insisting.cancel()
                await self._silencing.finished()
                await self._farewells.finished()
                await self._settle()
                giving_back.cancel()
                pacing.cancel()
                writing.cancel()

    def _tell_of_pacer(self, told: Mapping[str, Any]) -> None:
        """The pacer died; its deliveries end by themselves."""
        self._journal.note(event=NewEvent(PACER_DIED_EVENT, "", self._clock.now(), dict(told)))

    def _tell_of_volume(self, speaker: DeviceId, before: Volume) -> None:
        """A loudspeaker stays quieter than it was: somebody has to look at it."""
        data = {"speaker": speaker, "was": dict(before.percent)}
        self._journal.note(event=NewEvent(VOLUME_LEFT_EVENT, "", self._clock.now(), data))

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._journal.drained()
        except TimeoutError:
            log.warning("broadcast.outcomes_not_written")  # the next start finds these deliveries open, and calls them unknown

    async def _recover(self) -> None:
        """End what a former life of the gateway left open: it is not known to have been heard, and not tried again."""
        async with self._store.read() as tx:
            left = await tx.broadcasts.open()
            owed = await tx.owed_stops.all()
            self._stops.remember(await tx.broadcasts.last_stop())
            self._rulebook.remember(await tx.broadcasts.recent(self._clock.now() - self._rulebook.memory))
        for debt in self._silencing.recall(owed):
            self._loudness.keep_until(debt.stop.speaker, debt.silent)
        now = self._clock.now()
        for broadcast, delivery in left:
            if broadcast.id not in self._active and (broadcast.id, delivery.speaker) not in self._journal.waiting:
                lost = advance(delivery, Step.LOSE, at=now, not_after=broadcast.not_after, reason="gateway-restarted")
                self._journal.put(lost)
                self._rulebook.remember([(broadcast, lost)])
        if left:
            log.warning("broadcast.recovered", deliveries=len(left))

    # -- acceptance ---------------------------------------------------------------------------------------------------

    async def _known(self, wanted: Broadcast) -> View | None:
        """The broadcast of this id, when it was ordered before. Raises Conflict when that was another order."""
        async with self._store.read() as tx:
            known = await tx.broadcasts.find(wanted.id)
        if known is None:
            return None
        refuse_other(known, wanted)
        return await self.get(known.id)

    def _check_time(self, wanted: Broadcast, *, asks: bool) -> None:
        if wanted.not_after <= wanted.created_at:
            raise InvalidInput("the time of this broadcast is over", code="expired", faults=[Fault("/not_after", "has passed")])
        longest_s = self._rules.approval_max_s if asks else self._rules.not_after_max_s
        if wanted.not_after > wanted.created_at + timedelta(seconds=longest_s):
            why = f"must be at most {longest_s:g} s from now"
            raise InvalidInput("this broadcast could begin too late", code="not-after-too-far", faults=[Fault("/not_after", why)])

    def _reach(self, chosen: Route, sender: Actor, priority: Priority, *, alone: bool = False) -> int:
        """How many loudspeakers `chosen` reaches together with the sender's other broadcasts, or `alone`: else many small orders would
        need no second person."""
        others = frozenset() if alone else self._rulebook.reached(str(sender), priority=priority, going_on=self._active)
        return len({*chosen.speakers, *chosen.left_out} | others)

    def _cap(self, own: int | None) -> int:
        return self._rules.max_speakers if own is None else own

    def _room(self, priority: Priority) -> asyncio.TaskGroup:
        if self._group is None:
            raise Overloaded("the broadcast service is starting", hint="try again in a few seconds")
        most = ACTIVE_LIMITS.get(priority, ACTIVE_LIMIT)
        if len(self._active) + self._accepting >= most:
            raise Overloaded(f"{most} broadcasts are under way")
        if self._journal.full:
            raise Overloaded("the store does not keep up with what was broadcast")
        return self._group

    async def _accept(self, taken: Acceptance) -> None:
        """Make the order durable and have it carried out; the answer is the caller's, errors included."""
        try:
            view = await self._write_down(taken)
        except GatewayError as error:
            if not taken.answer.done():
                taken.answer.set_exception(error)
        else:
            if not taken.answer.done():
                taken.answer.set_result(view)
        finally:
            self._accepting -= 1
            if taken.wanted.id not in self._active:  # it did not come to be, or was over before this came
                self._rulebook.withdraw(taken.wanted.id, taken.route.speakers)
            if not taken.answer.done():
                hint = "Ask for the broadcast by its id before you order it again."
                taken.answer.set_exception(Overloaded("the broadcast service is stopping", code="stopping", hint=hint))

    async def _write_down(self, taken: Acceptance) -> View:
        wanted, first = taken.wanted, first_deliveries(taken.wanted, taken.route, asks=taken.asker is not None)
        records = isinstance(taken.sound, LiveSource) and taken.sound.tap is not None
        recording = Recording(wanted.id, RecordingState.UNDER_WAY) if records else None
        known = await self._store.writer.write(
            lambda tx: insert(tx, wanted, first, taken.route.views, reach=taken.reach, recording=recording), lane=Lane.BROADCAST
        )
        if known is not None:
            view = view_of(*known, self._live())
            return refuse_again(view) if isinstance(taken.sound, LiveSource) else view
        parts = [Part(wanted, delivery, taken.length, self._stage) for delivery in first if delivery.open]
        self._join(parts)
        left_out = [delivery for delivery in first if not delivery.open]
        self._active[wanted.id] = parts
        if taken.asker is not None:
            self._asked[wanted.id] = Asked(wanted, taken.asker, parts)
        if taken.epoch != self._stops.epoch:
            self._silence(wanted.id, parts, "stop-all")
        performing = self._perform(wanted, parts, left_out, taken)
        taken.group.create_task(performing, name=f"broadcast {wanted.id}")
        return replace(view_of(wanted, first, self._live()), recording=recording)

    async def _find_ways(self, speakers: Sequence[DeviceId]) -> None:
        ways = [self._stage.speaker_of(speaker) for speaker in speakers if speaker in self._city.devices]
        await find_ways(ways, timeout_s=self._stage.manner.setup_timeout_s)

    def _join(self, parts: Sequence[Part]) -> None:
        """Let the parts of a whole zone share one stream, where all its speakers hear one."""
        if self._multicasting is None:
            return
        speakers = [part.delivery.speaker for part in parts]
        group = zone_of(speakers, self._city.zones.values(), self._multicasting.listens)
        if group is not None:
            cast = ZoneCast(group, speakers, self._multicasting.open, self._clock)
            for part in parts:
                part.speak_with(parts, cast)

    async def _perform(self, broadcast: Broadcast, parts: list[Part], left_out: Sequence[Delivery], taken: Acceptance) -> None:
        try:
            if (asked := self._asked.get(broadcast.id)) is not None:
                await asked.answered(self._clock)
            await perform(broadcast, parts, taken.sound, self._stage, Understudies(taken.route.views))
        finally:
            for part in parts:  # those whose task never began
                part.end(Step.FAIL, "gateway-stopped")
            total = outcome([*left_out, *(part.delivery for part in parts)])
            counts = {state.value: count for state, count in total.counts.items()}
            self._journal.note(event=NewEvent("broadcast.ended", broadcast.id, self._clock.now(), counts))
            self._asked.pop(broadcast.id, None)
            del self._active[broadcast.id]

    def _silence(self, broadcast: BroadcastId, parts: Sequence[Part], reason: str) -> int:
        """Silence `parts`; how many were still open."""
        still = [part for part in parts if part.delivery.open]
        for part in still:
            part.stop(Step.CANCEL, reason)
        if (asked := self._asked.get(broadcast)) is not None:
            asked.settle()
        return len(still)

    def _live(self) -> Live:
        """The deliveries of which memory knows more than the store."""
        found: dict[BroadcastId, dict[DeviceId, Delivery]] = {}
        parts = (part.delivery for parts in self._active.values() for part in parts)
        for delivery in (*self._journal.waiting.values(), *parts):
            found.setdefault(delivery.broadcast, {})[delivery.speaker] = delivery
        return found


def _player(speaker: AudioSink) -> ClipPlayer | None:
    return speaker.player if isinstance(speaker, ClipSink) else None


async def _beside(tx: Tx, of: Sequence[Broadcast]) -> Callable[[View], View]:
    """What adds to the views of these broadcasts what the ledger has beside them."""
    ids = [one.id for one in of]
    outcomes, (pictures, missing) = await tx.ledger.outcomes(ids), await tx.ledger.pictures(ids)
    recordings = await tx.recordings.about([one.id for one in of if isinstance(one.programme.content, Talk)])

    def added(view: View) -> View:
        id_ = view.broadcast.id
        seen = replace(view, pictures=tuple(pictures[id_]), missing=tuple(missing[id_]))
        return replace(seen, outcomes=tuple(outcomes[id_]), recording=recordings.get(id_))

    return added


def _without(chosen: Route, silent: Mapping[DeviceId, str]) -> Route:
    """The route without those that may not speak now."""
    speakers = tuple(speaker for speaker in chosen.speakers if speaker not in silent)
    return replace(chosen, speakers=speakers, left_out={**chosen.left_out, **silent})


def _unchosen(choice: Choice, reason: str) -> Choice:
    return choice if choice.reason else replace(choice, reason=reason)


def _not_awaiting(broadcast: BroadcastId) -> Conflict:
    return Conflict(f"broadcast {broadcast} does not wait for approval", code="not-awaiting", hint="Look at it: somebody has decided.")
