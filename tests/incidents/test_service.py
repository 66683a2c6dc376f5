"""The incident service over a real store: opened, told, resolved; acted on by people; escalated; nothing lost or doubled by a restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId
from gateway.domain.events import Actor, ActorKind, Event, Person
from gateway.domain.health import Board, HealthState, Standing
from gateway.domain.incidents import Act, IncidentId, IncidentState
from gateway.domain.maintenance import Places, WindowId
from gateway.domain.severity import Severity
from gateway.errors import Conflict, NotFound, Overloaded
from gateway.incidents.maintenance import MaintenanceDesk, Wish
from gateway.incidents.service import Deed, IncidentService, Rules
from gateway.storage.store import Store

UP, DOWN = HealthState.UP, HealthState.DOWN
LI = Person(Actor(ActorKind.USER, "li"), "李工")
RULES = Rules(escalate_after={Severity.CRITICAL: (timedelta(minutes=5), timedelta(minutes=15))})
_numbers = count(1)


@dataclass
class Desk:
    """A city whose devices fall by hand, and the service that watches its board."""

    store: Store
    clock: SimulatedClock
    city: City
    board: Board
    service: IncidentService
    maintenance: MaintenanceDesk
    circumstances: Circumstances
    visited: list[str] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    def set(self, *ids: str, state: HealthState = DOWN, reason: str = "timeout") -> None:
        for one in map(DeviceId, ids):
            now = self.clock.now()
            seen = now if state is UP else self.board[one].last_seen
            self.board.put(Standing(one, state, now, "" if state is UP else reason, "reach", seen))

    async def events(self, prefix: str = "incident.") -> list[Event]:
        return [event for event in await self.store.events.read_after(0, limit=1_000) if event.type.startswith(prefix)]

    async def types(self, prefix: str = "incident.") -> list[str]:
        return [event.type for event in await self.events(prefix)]


def _two_poles() -> City:
    """A switch, two behind it, and two cameras behind each of these."""
    city = City()
    agg = Device(DeviceId("agg"), DeviceKind.SWITCH, "汇聚", "10.9.0.1", vendor="H3C")
    poles = [
        Device(DeviceId(f"sw-{n}"), DeviceKind.SWITCH, f"杆{n}交换机", f"10.0.{n}.1", group=GroupId(f"g-{n}"), uplink=agg.id)
        for n in (1, 2)
    ]
    cameras = [
        Device(
            DeviceId(f"cam-{n}-{m}"), DeviceKind.CAMERA, f"枪机{n}{m}", f"10.0.{n}.{m + 1}", group=GroupId(f"g-{n}"), uplink=poles[n - 1].id
        )
        for n in (1, 2)
        for m in (1, 2)
    ]
    city.replace(devices=[agg, *poles, *cameras], groups=[CameraGroup(GroupId(f"g-{n}"), f"杆{n}", district="历下") for n in (1, 2)])
    return city


@asynccontextmanager
async def desk(store: Store, clock: SimulatedClock, *, board: Board | None = None) -> AsyncIterator[Desk]:
    city, circumstances = _two_poles(), Circumstances()
    fresh = board is None
    board = board or Board()
    maintenance = MaintenanceDesk(store=store, city=city, clock=clock, new_id=lambda: WindowId(f"M-{next(_numbers)}"))
    visited: list[str] = []
    dead: set[str] = set()

    async def visit(device: DeviceId) -> None:
        visited.append(device)
        if device not in dead:
            known = board[device]
            board.put(Standing(device, known.state, known.since, known.reason, known.check, clock.now()))

    service = IncidentService(
        store=store,
        city=city,
        board=board,
        circumstances=circumstances,
        maintenance=maintenance,
        clock=clock,
        suspects=frozenset,
        visit=visit,
        new_id=lambda: IncidentId(f"I-{next(_numbers)}"),
        rules=RULES,
    )
    made = Desk(store, clock, city, board, service, maintenance, circumstances, visited, dead)
    if fresh:
        made.set(*city.devices, state=UP)
    await service.load()
    running = asyncio.create_task(service.run())
    try:
        await clock.advance(1)
        yield made
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def settle(made: Desk, seconds: float = 10) -> None:
    """Let so much time pass a second at a time, and what is written in between come to its end."""
    for _ in range(int(seconds)):
        await made.clock.advance(1)
        await made.service.idle()


async def test_one_device_behind_what_died_is_told_in_the_singular(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        made.set("sw-1", "cam-1-1")
        await settle(made)
        (opened,) = await made.events()
        assert opened.data["incident"]["title"]["en"].endswith(", 1 more device behind it")


async def test_a_switch_that_dies_is_one_incident_that_names_what_is_behind_it_and_resolves_itself(
    store: Store, clock: SimulatedClock
) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        made.set("sw-1", "cam-1-1", "cam-1-2")
        await settle(made)
        (opened,) = await made.events()
        told = opened.data["incident"]
        assert opened.type == "incident.opened"
        assert (told["cause"]["kind"], told["cause"]["device"], told["state"]) == ("device", "sw-1", "open")
        assert told["title"]["zh"] == "交换机 杆1交换机 离线（超时无应答），影响另外 2 台设备"
        assert [one["id"] for one in told["members"]] == ["sw-1", "cam-1-1", "cam-1-2"]
        assert (told["devices"], told["kinds"], told["groups"], told["districts"]) == (3, {"camera": 2, "switch": 1}, ["g-1"], ["历下"])
        assert "agg" in made.visited
        assert made.circumstances[DeviceId("cam-1-1")].suppressed_by == "sw-1"
        assert made.circumstances[DeviceId("cam-1-1")].incident == told["id"]
        made.set("sw-1", "cam-1-1", "cam-1-2", state=UP)
        await settle(made)
        assert await made.types() == ["incident.opened", "incident.resolved"]
        assert not made.service.live
        async with store.read() as tx:
            history = await tx.incidents.history(told["id"])
        assert [entry.what for entry in history] == ["opened", "resolved"]


async def test_after_a_kill_no_incident_is_lost_or_doubled(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        made.set("sw-1", "cam-1-1")
        await settle(made)
        board = made.board
    async with desk(store, clock, board=board) as again:
        await settle(again)
        assert await again.types() == ["incident.opened"]
        again.set("cam-1-2")
        await settle(again)
        assert await again.types() == ["incident.opened", "incident.grown"]
        board = again.board
        again.set("sw-1", "cam-1-1", "cam-1-2", state=UP)
    async with desk(store, clock, board=board) as later:
        await settle(later)
        assert await later.types() == ["incident.opened", "incident.grown", "incident.resolved"]


async def test_people_acknowledge_comment_assign_snooze_and_resolve_on_record(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        made.set("agg")
        await settle(made)
        (incident,) = made.service.live
        for deed in (
            Deed(Act.ACKNOWLEDGE, "on my way"),
            Deed(Act.COMMENT, "fuse"),
            Deed(Act.ASSIGN, assignee="wang"),
            Deed(Act.SNOOZE, until=clock.now() + timedelta(hours=1)),
            Deed(Act.RESOLVE, "replaced"),
        ):
            await made.service.act(incident.id, deed, by=LI)
        with pytest.raises(Conflict):
            await made.service.act(incident.id, Deed(Act.ACKNOWLEDGE), by=LI)
        with pytest.raises(NotFound):
            await made.service.act(IncidentId("I-none"), Deed(Act.ACKNOWLEDGE), by=LI)
        await settle(made, 20)
        kinds = ["opened", "acknowledged", "commented", "assigned", "snoozed", "resolved"]
        assert await made.types() == [f"incident.{kind}" for kind in kinds]
        found = await made.service.get(incident.id)
        assert (found.state, found.resolved_by, found.assignee) == (IncidentState.RESOLVED, "user:li", "wang")
        assert (found.acknowledged_by, found.acknowledger) == ("user:li", "李工")
        event = (await made.events())[1]
        assert (event.data["comment"], event.data["actor"]) == ("on my way", "user:li")
        async with store.read() as tx:
            history = await tx.incidents.history(incident.id)
        assert [(one.what, one.actor, one.name) for one in history][1:3] == [
            ("acknowledge", "user:li", "李工"),
            ("comment", "user:li", "李工"),
        ]


async def test_what_nobody_acknowledges_is_escalated_step_by_step(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        made.set("agg")
        await settle(made)
        await settle(made, 301)
        assert await made.types() == ["incident.opened", "incident.escalated"]
        await made.service.act(made.service.live[0].id, Deed(Act.ACKNOWLEDGE), by=LI)
        await settle(made, 700)
        assert (await made.types())[2:] == ["incident.acknowledged"]
        await made.service.act(made.service.live[0].id, Deed(Act.UNACKNOWLEDGE), by=LI)
        await settle(made, 905)
        assert (await made.types())[3:] == ["incident.unacknowledged", "incident.escalated", "incident.escalated"]
        assert (await made.events())[-1].data["incident"]["escalation_level"] == 2


async def test_maintenance_mutes_and_what_is_still_down_when_it_ends_opens_its_incident(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        wish = Wish(Places(devices=frozenset({"sw-1"})), "new switch", end=clock.now() + timedelta(minutes=5))
        window = await made.maintenance.create(wish, by=LI)
        assert await made.types("maintenance.") == ["maintenance.changed", "maintenance.started"]
        made.set("sw-1", "cam-1-1")
        await settle(made, 200)
        assert made.circumstances[DeviceId("sw-1")].muted == window.id
        assert made.circumstances[DeviceId("cam-1-1")].suppressed_by == "sw-1"
        assert not await made.types()
        await settle(made, 110)
        assert (await made.types("maintenance."))[2:] == ["maintenance.ended"]
        assert await made.types() == ["incident.opened"]
        assert made.circumstances[DeviceId("sw-1")].muted is None


async def test_a_window_that_is_deleted_while_it_begins_stays_deleted(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made, 10)
        start = clock.now() + timedelta(minutes=1)
        window = await made.maintenance.create(
            Wish(Places(devices=frozenset({"sw-1"})), start=start, end=start + timedelta(hours=1)), by=LI
        )
        clock.step(timedelta(seconds=61))
        await asyncio.gather(made.maintenance.tick(), made.maintenance.cancel(window.id, by=LI.actor))
        kept = await made.maintenance.get(window.id)
        assert (kept.cancelled_at is not None, kept.in_force) == (True, False)
        assert not made.maintenance.muted()


async def test_windows_that_come_no_more_make_room_for_others(store: Store, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.incidents.maintenance.MOST", 1)
    async with desk(store, clock) as made:
        twice = Wish(Places(everything=True), rule="FREQ=DAILY;COUNT=2", duration=timedelta(hours=1))
        kept = await made.maintenance.create(twice, by=LI)
        clock.step(timedelta(hours=2))
        await made.maintenance.tick()
        with pytest.raises(Overloaded):
            await made.maintenance.create(twice, by=LI)
        clock.step(timedelta(days=1))
        await made.maintenance.tick()
        await made.maintenance.create(twice, by=LI)
        assert (await made.maintenance.get(kept.id)).cancelled_at is None


async def test_a_device_moves_from_a_younger_incident_to_an_older_one_in_one_step(store: Store, clock: SimulatedClock) -> None:
    async with desk(store, clock) as made:
        await settle(made)
        made.set("sw-1")
        await settle(made)
        made.set("agg", "cam-1-1")
        await settle(made)
        older, younger = sorted(made.service.live, key=lambda one: one.opened_at)
        assert [set(one.members) for one in (older, younger)] == [{"sw-1"}, {"agg", "cam-1-1"}]
        made.set("agg", state=UP)
        await settle(made)
        (left,) = made.service.live
        assert left.id == older.id
        assert {member.device for member in left.ill} == {"sw-1", "cam-1-1"}
        async with store.read() as tx:
            assert await tx.incidents.get(older.id) == left
