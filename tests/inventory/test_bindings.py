"""The desk of bindings: proposals follow the city, decisions stay, and an import never gets in between."""

import asyncio

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.bindings import Binding, BindingKey, BindingState
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, ActorKind
from gateway.errors import InvalidInput
from gateway.inventory.bindings import BindingDesk
from gateway.inventory.raw import Noun, RawFile, RawRow
from gateway.inventory.service import InventoryService
from gateway.storage.store import Store
from tests.waiting import stopped, until

LI = Actor(ActorKind.USER, "li")
STREET = """version: 1
groups:
  - {id: G-1, name: 路口, latitude: 36.45, longitude: 115.98}
devices:
  - {id: CAM-1, kind: camera, name: a, address: 10.0.0.1, group: G-1}
  - {id: CAM-2, kind: camera, name: b, address: 10.0.0.2, latitude: 36.46, longitude: 115.98}
  - {id: SPK-1, kind: speaker, name: c, address: 10.0.0.3, latitude: 36.4505, longitude: 115.98}
  - {id: SPK-2, kind: speaker, name: d, address: 10.0.0.4, group: G-1}
  - {id: SPK-3, kind: speaker, name: own, address: 10.0.0.1, group: G-1, audio_output_of: CAM-1}
  - {id: SPK-4, kind: speaker, name: nowhere, address: 10.0.0.5}
"""


def key(speaker: str, camera: str = "CAM-1", preset: str = "") -> BindingKey:
    return BindingKey(DeviceId(camera), preset, DeviceId(speaker))


@pytest.fixture
def city() -> City:
    return City()


@pytest.fixture
def inventory(store: Store, city: City, clock: SimulatedClock) -> InventoryService:
    return InventoryService(store, city, clock)


@pytest.fixture
async def desk(store: Store, city: City, clock: SimulatedClock, inventory: InventoryService) -> BindingDesk:
    await inventory.import_file(STREET.encode(), "city.yaml", actor=LI)
    return BindingDesk(store=store, city=city, clock=clock, inventory=inventory)


async def kept(store: Store) -> dict[BindingKey, Binding]:
    async with store.read() as tx:
        return {binding.key: binding for binding in await tx.bindings.bindings()}


async def events(store: Store) -> list[tuple[str, str]]:
    return [(event.type, event.subject) for event in await store.events.read_after(0, limit=100) if event.type != "inventory.imported"]


async def test_what_is_near_is_proposed_once_and_a_cameras_own_loudspeaker_needs_none(desk: BindingDesk, city: City, store: Store) -> None:
    shown = await desk.propose(actor=LI, dry_run=True)
    assert (dict(city.bindings), await events(store)) == ({}, [])
    assert await desk.propose(actor=LI) == shown
    assert set(city.bindings) == {key("SPK-1"), key("SPK-2")}
    assert await kept(store) == dict(city.bindings)
    assert not await desk.propose(actor=LI)
    assert await events(store) == [("bindings.proposed", "")]
    async with store.read() as tx:
        recorded = [(row.entry.action, str(row.entry.actor)) for row in await tx.audit.page()]
    assert ("binding.propose", "user:li") in recorded


async def test_a_decision_is_kept_with_whoever_made_it_and_when(desk: BindingDesk, city: City, store: Store, clock: SimulatedClock) -> None:
    await desk.propose(actor=SYSTEM)
    done = await desk.decide([key("SPK-1")], BindingState.CONFIRMED, actor=LI, note="听得见", reach_m=80)
    wanted = Binding(
        *(DeviceId("CAM-1"), DeviceId("SPK-1"), "", 80.0, BindingState.CONFIRMED, "user:li"), decided_at=clock.now(), note="听得见"
    )
    assert list(done) == [wanted]
    assert city.bindings[wanted.key] == (await kept(store))[wanted.key] == wanted
    await desk.decide([wanted.key], BindingState.REJECTED, actor=Actor(ActorKind.USER, "bo"))
    after = city.bindings[wanted.key]
    assert (after.state, after.decided_by, after.reach_m, after.note) == (BindingState.REJECTED, "user:bo", 80.0, "听得见")
    assert (await events(store))[1:] == [("binding.changed", "CAM-1")] * 2


async def test_many_are_decided_at_once_or_none_of_them(desk: BindingDesk, city: City, store: Store) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.decide([key("SPK-1"), key("SPK-9"), key("SPK-1", "SPK-2")], BindingState.CONFIRMED, actor=LI)
    assert [fault.why for fault in refused.value.faults] == ["no speaker 'SPK-9'", "no camera 'SPK-2'"]
    assert (dict(city.bindings), await events(store)) == ({}, [])
    await desk.decide([key("SPK-1"), key("SPK-4"), key("SPK-2", preset="p1")], BindingState.CONFIRMED, actor=LI)
    assert {binding.state for binding in city.bindings.values()} == {BindingState.CONFIRMED}
    assert len(city.bindings) == 3


async def test_a_reach_is_changed_without_a_decision(desk: BindingDesk, city: City) -> None:
    await desk.propose(actor=SYSTEM)
    await desk.set_reach([key("SPK-1")], 60, actor=LI)
    assert city.bindings[key("SPK-1")] == Binding(DeviceId("CAM-1"), DeviceId("SPK-1"), reach_m=60)


async def test_moving_things_renews_proposals_and_never_a_decision(desk: BindingDesk, city: City, inventory: InventoryService) -> None:
    await desk.propose(actor=SYSTEM)
    await desk.decide([key("SPK-2")], BindingState.CONFIRMED, actor=LI)
    confirmed = city.bindings[key("SPK-2")]
    moved = b"id,latitude,longitude\nSPK-1,36.4602,115.98\nSPK-2,36.4601,115.98\n"
    await inventory.import_file(moved, "devices.csv", actor=LI)
    await desk.propose(actor=SYSTEM)
    assert set(city.bindings) == {key("SPK-2"), key("SPK-1", "CAM-2"), key("SPK-2", "CAM-2")}
    assert city.bindings[key("SPK-2")] == confirmed


async def test_directions_of_presets_are_proposed_for_themselves(desk: BindingDesk, city: City, inventory: InventoryService) -> None:
    await inventory.import_file(b"camera,preset,bearing,distance_m\nCAM-1,north,0,60\nCAM-1,south,180,90\n", "sights.csv", actor=LI)
    await desk.propose(actor=SYSTEM)
    assert {(found.preset, found.speaker) for found in city.bindings} == {
        *(("", "SPK-1"), ("", "SPK-2"), ("north", "SPK-1"), ("north", "SPK-2"), ("south", "SPK-2"))
    }


async def test_it_proposes_by_itself_after_each_import(desk: BindingDesk, city: City, inventory: InventoryService) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(desk.run())
        await until(lambda: len(city.bindings) == 2)
        await inventory.import_file(b"id,latitude,longitude\nSPK-4,36.46,115.9801\n", "devices.csv", actor=LI)
        await until(lambda: key("SPK-4", "CAM-2") in city.bindings)
        await stopped(running)


async def test_a_decision_and_an_import_at_the_same_time_lose_nothing(desk: BindingDesk, city: City, inventory: InventoryService) -> None:
    await desk.propose(actor=SYSTEM)
    row = RawRow(Noun.DEVICES, "row 1", {"id": "SPK-1", "name": "new name"})
    await asyncio.gather(
        inventory.import_rows(RawFile(nouns=frozenset({Noun.DEVICES}), rows=[row]), "a new name", actor=LI),
        desk.decide([key("SPK-1")], BindingState.CONFIRMED, actor=LI),
        desk.propose(actor=SYSTEM),
        desk.decide([key("SPK-2")], BindingState.REJECTED, actor=LI),
    )
    assert city.devices[DeviceId("SPK-1")].name == "new name"
    assert [city.bindings[key(name)].state for name in ("SPK-1", "SPK-2")] == [BindingState.CONFIRMED, BindingState.REJECTED]
