"""Imports through the store: all or nothing, seen by whoever holds the city, repeatable, and exported without secrets."""

import asyncio
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Channel, Credentials, DeviceId, DeviceKind
from gateway.domain.events import Actor, ActorKind
from gateway.errors import Conflict, InvalidInput
from gateway.inventory.diff import Verb
from gateway.inventory.service import InventoryService
from gateway.storage.store import Store
from simulators.city import plan
from simulators.inventory import write
from tests.conftest import running
from tests.inventory.files import CITY, grid, square

ANNA = Actor(ActorKind.USER, "anna")
SECRETS = (b"se cret", b"other", b"public-no")


@pytest.fixture
def city() -> City:
    return City()


@pytest.fixture
def service(store: Store, city: City, clock: SimulatedClock) -> InventoryService:
    return InventoryService(store, city, clock)


async def lines(service: InventoryService, text: str | bytes, name: str = "city.yaml", **options: bool) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return list((await service.import_file(data, name, actor=ANNA, **options)).diff.lines())


async def test_an_import_is_stored_and_seen_at_once(service: InventoryService, store: Store, city: City) -> None:
    result = await service.import_file(CITY.encode(), "/tmp/x/city.yaml", actor=ANNA)
    assert result.applied
    assert result.diff.counts() == {"added": 6, "changed": 0, "removed": 0}
    assert city.recorder_of(DeviceId("CAM-1")) == (city.devices[DeviceId("NVR-1")], Channel(1, DeviceId("CAM-1"), "rec-01"))
    events = await store.events.read_after(0, limit=10)
    assert [(event.type, event.subject, event.data["added"], event.data["by"]) for event in events] == [
        ("inventory.imported", "city.yaml", 6, "user:anna")
    ]
    async with store.read() as tx:
        assert (await tx.inventory.load_credentials())[DeviceId("CAM-1")] == Credentials("admin", "se cret ")


async def test_another_start_finds_what_was_imported(sqlite_url: str, clock: SimulatedClock) -> None:
    first, second = City(), City()
    async with running(sqlite_url, clock) as store:
        await InventoryService(store, first, clock).import_file(CITY.encode(), "city.yaml", actor=ANNA)
    async with running(sqlite_url, clock) as store:
        await InventoryService(store, second, clock).load()
    assert dict(second.devices) == dict(first.devices)
    assert (dict(second.groups), dict(second.zones)) == (dict(first.groups), dict(first.zones))


async def test_a_dry_run_says_what_would_change_and_changes_nothing(service: InventoryService, store: Store, city: City) -> None:
    found = await lines(service, CITY, dry_run=True)
    assert found[-1] == "6 added, 0 changed, 0 removed"
    assert not city.devices
    assert store.events.latest == 0


async def test_the_same_file_again_is_no_difference_and_no_event(service: InventoryService, store: Store) -> None:
    await service.import_file(CITY.encode(), "city.yaml", actor=ANNA)
    again = await service.import_file(CITY.encode(), "city.yaml", actor=ANNA)
    assert (list(again.diff.lines()), again.applied) == (["no difference"], False)
    assert store.events.latest == 1


async def test_a_change_reads_field_by_field_and_hides_secrets(service: InventoryService) -> None:
    await lines(service, CITY)
    changed = CITY.replace('"se cret "', "new-pass").replace("10.0.0.3", "10.0.0.4").replace("name: 全部", "name: 所有")
    assert await lines(service, changed) == [
        "~ camera CAM-1 枪机  password: changed",
        "~ recorder NVR-1 录像机  address: 10.0.0.3 → 10.0.0.4",
        "~ zone Z-1 所有  name: 全部 → 所有",
        "0 added, 3 changed, 0 removed",
    ]


async def test_a_file_with_one_bad_row_changes_nothing(service: InventoryService, store: Store, city: City) -> None:
    bad = CITY.replace("address: 10.0.0.3", "address: ten")
    with pytest.raises(InvalidInput) as caught:
        await service.import_file(bad.encode(), "city.yaml", actor=ANNA)
    assert [fault.where for fault in caught.value.faults] == ["line 10"]
    assert not city.devices
    async with store.read() as tx:
        assert (await tx.inventory.load()).devices == ()


async def test_pruning_removes_from_the_store_too(service: InventoryService, store: Store, city: City) -> None:
    await lines(service, CITY)
    result = await service.import_file(b"devices:\n  - {id: SW-1}\n", "city.yaml", actor=ANNA, prune=True)
    removed = {change.id for change in result.diff.changes if change.verb is Verb.REMOVED}
    assert removed == {"CAM-1", "NVR-1", "SPK-1"}
    assert list(city.devices) == ["SW-1"]
    async with store.read() as tx:
        assert [device.id for device in (await tx.inventory.load()).devices] == ["SW-1"]
        assert list(await tx.inventory.load_credentials()) == ["SW-1"]


async def test_devices_find_their_cells_through_the_store(service: InventoryService, city: City) -> None:
    await lines(service, CITY)
    await lines(service, grid(square("C-1", 36.45, 115.98), square("S", 36, 115, 1.0, level="street")), "cells.geojson")
    assert city.devices[DeviceId("CAM-1")].cell == "C-1"
    assert list(city.streets) == ["S"]


@pytest.mark.parametrize("suffix", ["yaml", "csv", "xlsx"])
async def test_an_export_holds_no_secret_and_imports_back_without_a_difference(service: InventoryService, suffix: str) -> None:
    await lines(service, CITY.replace("name: 枪机", "name: '=1+1'"))
    await lines(service, grid(square("C-1", 36.45, 115.98)), "cells.geojson")
    exported = await service.export_file(suffix)
    assert not any(secret in exported for secret in SECRETS)
    assert await lines(service, exported, f"export.{suffix}", prune=True) == ["no difference"]


async def test_exported_polygons_import_back_without_a_difference(service: InventoryService) -> None:
    await lines(
        service, grid(square("C-1", 36.45, 115.98, district="东昌府区"), square("S", 36, 115, 1.0, level="street")), "cells.geojson"
    )
    assert await lines(service, await service.export_file("geojson"), "cells.geojson", prune=True) == ["no difference"]


async def test_an_export_into_an_empty_gateway_is_the_same_city_without_its_secrets(
    service: InventoryService, city: City, tmp_path: object, sqlite_url: str, clock: SimulatedClock
) -> None:
    await lines(service, CITY)
    exported = await service.export_file("yaml")
    text = exported.decode().replace("snmp_version: v2c", "")  # a community is a secret, and v2c needs one
    async with running(sqlite_url + "2", clock) as other_store:
        other = City()
        await InventoryService(other_store, other, clock).import_file(text.encode(), "city.yaml", actor=ANNA)
    assert dict(other.devices) == dict(city.devices)


async def test_a_second_import_meanwhile_is_refused(service: InventoryService) -> None:
    first = asyncio.ensure_future(service.import_file(CITY.encode(), "city.yaml", actor=ANNA))
    await asyncio.sleep(0)
    with pytest.raises(Conflict, match="another import is running"):
        await service.import_file(CITY.encode(), "city.yaml", actor=ANNA)
    assert (await first).applied


async def test_whoever_follows_the_changes_finds_each_in_the_city(service: InventoryService, city: City) -> None:
    changes = service.changes(after=0)
    shown: list[int] = []

    async def follow() -> None:
        async for _ in changes:
            shown.append(len(city.devices))
            return

    follower = asyncio.ensure_future(follow())
    await service.import_file(CITY.encode(), "city.yaml", actor=ANNA)
    await follower
    assert shown == [len(city.devices)] == [4]


async def test_the_audit_says_who_imported_what(service: InventoryService, store: Store) -> None:
    await lines(service, CITY)
    async with store.read() as tx:
        rows = await tx.audit.page(limit=10)
    assert "+ camera CAM-1 枪机" in str(rows[0])
    assert not any(secret.decode() in str(rows) for secret in SECRETS)


async def test_the_demos_city_comes_in_through_this_door(service: InventoryService, city: City, tmp_path: Path) -> None:
    planned = plan(seed=7, groups=20, speakers=5)
    write(planned, tmp_path)
    for name in ("cells.geojson", "inventory.yaml"):
        await lines(service, (tmp_path / name).read_bytes(), name)
    assert set(city.devices) == {device.id for device in planned.devices}
    assert len(city.cells) == 12_800
    assert all(city.in_cell(device.cell) for device in city.of_kind(DeviceKind.CAMERA) if device.cell)
    assert all(device.cell for device in city.of_kind(DeviceKind.CAMERA))
    assert all(city.recorder_of(camera.id) for camera in city.of_kind(DeviceKind.CAMERA))
