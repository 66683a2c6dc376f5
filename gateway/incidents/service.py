"""The incident service: looks at the city once a second, keeps one incident for each problem, and lets people act on them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.domain.causes import Limits, Neighbourhoods, Patience
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, AuditEntry, NewEvent, Person
from gateway.domain.health import Board, HealthState
from gateway.domain.incident_book import Changed, News
from gateway.domain.incidents import Act, Entry, Incident, IncidentId, IncidentState, acted
from gateway.domain.reckoning import Reckoning, Scene, reckon
from gateway.domain.severity import Severities, Severity
from gateway.errors import GatewayError, NotFound, Overloaded, StorageFailed
from gateway.incidents.maintenance import MaintenanceDesk
from gateway.incidents.telling import ids, told
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

OPENED_EVENT = "incident.opened"
GROWN_EVENT = "incident.grown"
ACKNOWLEDGED_EVENT = "incident.acknowledged"
UNACKNOWLEDGED_EVENT = "incident.unacknowledged"
COMMENTED_EVENT = "incident.commented"
ASSIGNED_EVENT = "incident.assigned"
SNOOZED_EVENT = "incident.snoozed"
ESCALATED_EVENT = "incident.escalated"
RESOLVED_EVENT = "incident.resolved"
REOPENED_EVENT = "incident.reopened"

LOOK_S = 1.0
IDLE_S = 5.0  # how often is looked when nothing has told us to
AT_A_TIME = 32  # uplinks visited at once on behalf of the reckoning
MANY = 200  # ill devices, from which on a reckoning goes to a thread
STATE_EVENT, IMPORT_EVENT = "device.state", "inventory.imported"

_ACT_EVENTS: Mapping[Act, str] = {
    Act.ACKNOWLEDGE: ACKNOWLEDGED_EVENT,
    Act.UNACKNOWLEDGE: UNACKNOWLEDGED_EVENT,
    Act.COMMENT: COMMENTED_EVENT,
    Act.ASSIGN: ASSIGNED_EVENT,
    Act.SNOOZE: SNOOZED_EVENT,
    Act.RESOLVE: RESOLVED_EVENT,
    Act.REOPEN: REOPENED_EVENT,
    Act.ESCALATE: ESCALATED_EVENT,
}
_NEWS_EVENTS: Mapping[News, str] = {
    News.OPENED: OPENED_EVENT,
    News.GROWN: GROWN_EVENT,
    News.REOPENED: REOPENED_EVENT,
    News.RESOLVED: RESOLVED_EVENT,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """`escalate_after`: by severity, after how long without an acknowledgement each level is reached. `ask_again`: pause between two
    visits of one uplink on our behalf."""

    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    severities: Severities = field(default_factory=Severities)
    escalate_after: Mapping[Severity, Sequence[timedelta]] = field(default_factory=dict)
    ask_again: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person does to an incident. `assignee` goes with ASSIGN, `until` with SNOOZE."""

    act: Act
    comment: str = ""
    assignee: str = ""
    until: datetime | None = None


class IncidentService:
    """Keeps the incidents true to the board. `load` before `run`. What could not be stored is reckoned again at the next look."""

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        board: Board,
        circumstances: Circumstances,
        maintenance: MaintenanceDesk,
        clock: Clock,
        suspects: Callable[[], Iterable[DeviceId]],
        visit: Callable[[DeviceId], Awaitable[object]],
        new_id: Callable[[], IncidentId],
        rules: Rules = Rules(),
    ) -> None:
        self._store = store
        self._city = city
        self._board = board
        self._circumstances = circumstances
        self._maintenance = maintenance
        self._clock = clock
        self._suspects = suspects
        self._visit = visit
        self._new_id = new_id
        self._rules = rules
        self._kept: dict[IncidentId, Incident] = {}
        self._turn = asyncio.Lock()  # one look or act at a time
        self._near: tuple[object, Neighbourhoods] = (None, Neighbourhoods(City()))
        self._stirred = True
        self._looked_at = 0.0
        self._asked: dict[DeviceId, float] = {}
        self._asking: set[DeviceId] = set()
        self.waiting: frozenset[DeviceId] = frozenset()

    async def load(self) -> None:
        """Take up what the store has: what is live, what was resolved lately, what still has members who are ill. Raises StorageFailed."""
        await self._maintenance.load()
        after = self._clock.now() - self._rules.patience.window
        async with self._store.read() as tx:
            self._kept = {incident.id: incident for incident in await tx.incidents.kept(resolved_after=after)}
        self._stirred = True

    async def run(self) -> None:
        """Look, and let uplinks be visited, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="incidents: events")
            while True:
                await self._clock.sleep(LOOK_S)
                await self._turn_once(group)

    @property
    def live(self) -> Sequence[Incident]:
        """All that are not resolved, the latest first."""
        return sorted((one for one in self._kept.values() if one.live), key=lambda one: (one.opened_at, one.id), reverse=True)

    async def get(self, incident_id: IncidentId) -> Incident:
        """NotFound."""
        known = self._kept.get(incident_id)
        if known is not None:
            return known
        async with self._store.read() as tx:
            return await tx.incidents.get(incident_id)

    async def act(self, incident_id: IncidentId, deed: Deed, *, by: Person) -> Incident:
        """Do something to an incident. NotFound; Conflict (`wrong-incident-state`); the incident as it then is."""
        async with self._turn:
            before, now = await self.get(incident_id), self._clock.now()
            after = acted(before, deed.act, by=str(by.actor), name=by.name, at=now, assignee=deed.assignee, until=deed.until)

            async def change(tx: Tx) -> None:
                await tx.incidents.save(after)
                await self._note_deed(tx, after, deed, by, now)
                detail = {"comment": deed.comment, **_detail(deed)}
                tx.record(AuditEntry(by.actor, f"incident.{deed.act}", incident_id, now, detail))

            await self._store.writer.write(change, lane=Lane.HEALTH)
            self._kept[incident_id] = after
            self._stirred = True
            return after

    async def idle(self) -> None:
        """Return when no look or act is under way."""
        async with self._turn:
            pass

    def told(self, incident: Incident) -> dict[str, Any]:
        """The incident as everybody is told of it."""
        return told(incident, self._city)

    # -- a look

    async def _follow(self) -> None:
        """Know when there is something to see. What is missed here is seen at the next look that nobody asked for."""
        while True:
            try:
                async for event in self._store.events.follow():
                    if event.type in (STATE_EVENT, IMPORT_EVENT):
                        self._stirred = True
            except GatewayError as error:
                log.warning("incidents.events_lost", reason=error.code)
                await self._clock.sleep(LOOK_S)

    async def _turn_once(self, group: asyncio.TaskGroup) -> None:
        try:
            async with self._turn:
                turned = await self._maintenance.tick()
                idle = self._clock.monotonic() - self._looked_at >= IDLE_S
                if turned or self._stirred or self.waiting or idle:
                    await self._look(group)
                await self._escalate()
        except (StorageFailed, Overloaded) as error:
            log.warning("incidents.not_stored", reason=error.code)
            self._stirred = True

    async def _look(self, group: asyncio.TaskGroup) -> None:
        self._stirred = False
        self._looked_at = self._clock.monotonic()
        scene, now = await self._scene(), self._clock.now()
        ill = sum(standing.state is not HealthState.UP for standing in scene.board)
        if ill > MANY:
            reckoning = await asyncio.to_thread(reckon, scene, list(self._kept.values()), now, new_id=self._new_id)
        else:
            reckoning = reckon(scene, self._kept.values(), now, new_id=self._new_id)
        await self._take(reckoning, now)
        self._ask(reckoning.visit - scene.suspects, group)

    async def _scene(self) -> Scene:
        if self._near[0] is not self._city.devices:
            devices = self._city.devices
            self._near = (devices, await asyncio.to_thread(Neighbourhoods, self._city))
        return Scene(
            city=self._city,
            board=self._board.copy(),
            near=self._near[1],
            muted=self._maintenance.muted(),
            suspects=frozenset(self._suspects()),
            patience=self._rules.patience,
            limits=self._rules.limits,
            severities=self._rules.severities,
        )

    async def _take(self, reckoning: Reckoning, now: datetime) -> None:
        """Commit what has changed; only then show it."""
        if reckoning.changed:

            async def change(tx: Tx) -> None:
                for changed in reckoning.changed:  # first who leaves: nobody is ill in two incidents, not even for a moment
                    await tx.incidents.save_members(changed.incident.id, [one for one in changed.members if one.until is not None])
                for changed in reckoning.changed:
                    await self._write(tx, changed, now)

            await self._store.writer.write(change, lane=Lane.HEALTH)
        for changed in reckoning.changed:
            self._kept[changed.incident.id] = changed.incident
        self._forget(now)
        self.waiting = reckoning.waiting
        self._circumstances.replace(reckoning.circumstances)

    async def _write(self, tx: Tx, changed: Changed, now: datetime) -> None:
        incident = changed.incident
        await tx.incidents.save(incident, changed.members)
        for news in changed.news:
            joined = [member.device for member in changed.members if member.until is None]
            left = [member.device for member in changed.members if member.until is not None]
            who = left if news in (News.LEFT, News.RESOLVED) else joined
            detail = {"devices": ids(who), "count": len(who)}
            await tx.incidents.note(incident.id, Entry(0, now, news.value, "", "", detail))
            if news in _NEWS_EVENTS:
                tx.emit(self._event(_NEWS_EVENTS[news], incident, now, actor=SYSTEM))

    def _forget(self, now: datetime) -> None:
        """Keep in memory what the next reckoning needs."""
        horizon = now - self._rules.patience.window
        for incident in list(self._kept.values()):
            old = incident.resolved_at is not None and incident.resolved_at < horizon
            if old and not any(True for _ in incident.ill):
                del self._kept[incident.id]

    # -- uplinks to be looked at

    def _ask(self, uplinks: Iterable[DeviceId], group: asyncio.TaskGroup) -> None:
        """Have `uplinks` visited: each once in a while, some at a time; who finds no place asks again at the next look."""
        now, pause = self._clock.monotonic(), self._rules.ask_again.total_seconds()
        self._asked = {uplink: at for uplink, at in self._asked.items() if now - at < pause}
        for uplink in sorted(uplinks):
            if len(self._asking) >= AT_A_TIME:
                return
            if uplink not in self._asking and uplink not in self._asked:
                self._asking.add(uplink)
                self._asked[uplink] = now
                group.create_task(self._go_and_see(uplink), name=f"visit {uplink} for its dead")

    async def _go_and_see(self, uplink: DeviceId) -> None:
        try:
            await self._visit(uplink)
        except NotFound:
            pass  # the inventory has changed meanwhile
        finally:
            self._asking.discard(uplink)
            self._stirred = True

    # -- escalation

    async def _escalate(self) -> None:
        now = self._clock.now()
        for incident in [one for one in self._kept.values() if self._is_due(one, now)]:
            after = acted(incident, Act.ESCALATE, by="", at=now)

            async def change(tx: Tx, after: Incident = after) -> None:
                await tx.incidents.save(after)
                await self._note_deed(tx, after, Deed(Act.ESCALATE), Person(SYSTEM, ""), now)

            await self._store.writer.write(change, lane=Lane.HEALTH)
            self._kept[after.id] = after

    def _is_due(self, incident: Incident, now: datetime) -> bool:
        """Whether nobody has acknowledged it for long enough (from the end of a snooze on) to tell more people; not while all is muted."""
        steps = self._rules.escalate_after.get(incident.severity, ())
        if incident.state is not IncidentState.OPEN or incident.escalation_level >= len(steps):
            return False
        if now - incident.waiting_since < steps[incident.escalation_level]:
            return False
        ill = list(incident.ill)
        return not ill or any(self._circumstances[member.device].muted is None for member in ill)

    # -- telling

    async def _note_deed(self, tx: Tx, incident: Incident, deed: Deed, by: Person, now: datetime) -> None:
        actor = "" if by.actor == SYSTEM else str(by.actor)
        detail = {"level": incident.escalation_level} if deed.act is Act.ESCALATE else _detail(deed)
        await tx.incidents.note(
            incident.id, Entry(number=0, at=now, what=deed.act.value, actor=actor, comment=deed.comment, detail=detail, name=by.name)
        )
        tx.emit(self._event(_ACT_EVENTS[deed.act], incident, now, actor=by.actor, comment=deed.comment))

    def _event(self, kind: str, incident: Incident, now: datetime, *, actor: Actor, comment: str = "") -> NewEvent:
        return NewEvent(kind, incident.id, now, {"incident": self.told(incident), "actor": str(actor), "comment": comment})


def _detail(deed: Deed) -> dict[str, Any]:
    if deed.act is Act.ASSIGN:
        return {"assignee": deed.assignee}
    if deed.act is Act.SNOOZE:
        return {"until": deed.until.isoformat() if deed.until else None}
    return {}
