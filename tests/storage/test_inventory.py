from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain.bindings import Binding, BindingState, Sight
from gateway.domain.devices import (
    CameraGroup,
    CellCode,
    Channel,
    Credentials,
    Device,
    DeviceId,
    DeviceKind,
    GridCell,
    GroupId,
    MulticastGroup,
    Ports,
    Position,
    SnmpCredentials,
    SnmpVersion,
    Zone,
    ZoneId,
)
from gateway.errors import Conflict, StorageFailed
from gateway.storage.inventory import Inventory, InventoryChange, Removal, credentials
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

SQUARE = ((Position(36.8, 118.0), Position(36.8, 118.1), Position(36.9, 118.1), Position(36.8, 118.0)),)
CELL = GridCell(CellCode("370303001001"), "网格一", SQUARE, "张店区", "体育场街道")
GROUP = CameraGroup(GroupId("g-1"), "人民路口", Position(36.81, 118.05), CELL.code, "体育场街道", "张店区")
SWITCH = Device(DeviceId("sw-1"), DeviceKind.SWITCH, "switch", "127.0.1.1", group=GROUP.id)
CAMERA = Device(
    id=DeviceId("cam-1"),
    kind=DeviceKind.CAMERA,
    name="球机 1",
    address="127.0.1.2",
    ports=Ports(8080, 8554, 1161, 5080),
    group=GROUP.id,
    cell=CELL.code,
    position=Position(36.810_000_1, 118.05),
    owner="公安局",
    management_unit="张店分局",
    maintainer="maintainer",
    vendor="vendor",
    model="model",
    serial="serial",
    firmware="1.2",
    profile="generic",
    gb28181_id="37030300001320000001",
    uplink=SWITCH.id,
    uplink_port=7,
    enabled=False,
)
SPEAKER = Device(DeviceId("spk-1"), DeviceKind.SPEAKER, "horn", "127.0.1.3", uplink=SWITCH.id, audio_output_of=CAMERA.id, horns=2)
RECORDER = Device(
    DeviceId("nvr-1"), DeviceKind.RECORDER, "nvr", "127.0.1.4", channels=(Channel(1, CAMERA.id, "rec-1"), Channel(2, CAMERA.id))
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONE = Zone(ZoneId("z-1"), "square", frozenset({SPEAKER.id}), MulticastGroup("239.1.2.3", 5004))
WHOLE = Inventory(
    devices=(CAMERA, RECORDER, SPEAKER, SWITCH),
    groups=(GROUP,),
    cells=(CELL,),
    streets=(GridCell(CellCode("370303001"), "体育场街道", SQUARE, "张店区"),),
    districts=(GridCell(CellCode("370303"), "张店区", SQUARE),),
    zones=(ZONE,),
    sights=(Sight(CAMERA.id, "", 270.5, 40), Sight(CAMERA.id, "p1", 0, 0)),
    bindings=(
        Binding(CAMERA.id, SPEAKER.id, note="proposed"),
        Binding(CAMERA.id, SPEAKER.id, "p1", 80).decided(BindingState.REJECTED, by="user:li", at=NOON),
    ),
)
SECRETS = {
    CAMERA.id: Credentials("admin", "hunter2-camera"),
    SWITCH.id: Credentials(snmp=SnmpCredentials(SnmpVersion.V3, "", "ops", "SHA256", "hunter2-auth", "AES128", "hunter2-priv")),
}


async def change(store: Store, wanted: InventoryChange) -> None:
    async def apply(tx: Tx) -> None:
        await tx.inventory.apply(wanted)

    await store.writer.write(apply, lane=Lane.FOOTAGE)


async def put(store: Store, inventory: Inventory, secrets: dict[DeviceId, Any] | None = None) -> None:
    async def all_of_it(tx: Tx) -> None:
        await tx.inventory.replace(inventory, secrets or {})

    await store.writer.write(all_of_it, lane=Lane.FOOTAGE)


async def load(store: Store) -> Inventory:
    async with store.read() as tx:
        return await tx.inventory.load()


async def secrets(store: Store) -> dict[DeviceId, Credentials]:
    async with store.read() as tx:
        return await tx.inventory.load_credentials()


async def test_everything_comes_back_as_it_was_put(store: Store) -> None:
    await put(store, WHOLE, SECRETS)
    assert await load(store) == WHOLE
    assert await secrets(store) == SECRETS


async def test_an_empty_store_has_an_empty_inventory(store: Store) -> None:
    assert await load(store) == Inventory()
    assert await secrets(store) == {}


async def test_putting_the_same_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        await put(store, WHOLE, SECRETS)
    assert await load(store) == WHOLE


async def test_a_replacement_leaves_nothing_of_what_it_does_not_name(store: Store) -> None:
    await put(store, WHOLE, SECRETS)
    less = Inventory(devices=(replace(CAMERA, group=None, cell=None, uplink=None),))
    await put(store, less)
    assert await load(store) == less
    assert await secrets(store) == {CAMERA.id: SECRETS[CAMERA.id]}
    await put(store, Inventory())
    assert await load(store) == Inventory()
    assert await secrets(store) == {}


async def test_a_change_touches_only_what_it_names(store: Store) -> None:
    await put(store, WHOLE, SECRETS)
    moved = replace(RECORDER, channels=(Channel(3, CAMERA.id),), address="127.0.1.9")
    await change(
        store,
        InventoryChange(
            put=Inventory(devices=(moved,), zones=(replace(ZONE, speakers=frozenset()),)),
            remove=Removal(streets=["370303001"], devices=[SPEAKER.id]),
            credentials={CAMERA.id: None, SWITCH.id: Credentials("root", "other")},
        ),
    )
    zones = (replace(ZONE, speakers=frozenset()),)
    assert await load(store) == replace(WHOLE, devices=(CAMERA, moved, SWITCH), streets=(), zones=zones, bindings=())
    assert await secrets(store) == {SWITCH.id: Credentials("root", "other")}


async def test_devices_that_hang_on_each_other_go_together(store: Store) -> None:
    await put(store, WHOLE)
    upper = Device(DeviceId("sw-2"), DeviceKind.SWITCH, "upper", "127.0.1.8", uplink=SWITCH.id)
    await change(store, InventoryChange(put=Inventory(devices=(upper, replace(SWITCH, uplink=upper.id)))))
    await change(store, InventoryChange(put=Inventory(devices=(replace(CAMERA, uplink=None), replace(SPEAKER, uplink=None)))))
    await change(store, InventoryChange(remove=Removal(devices=[SWITCH.id, upper.id])))
    assert [device.id for device in (await load(store)).devices] == ["cam-1", "nvr-1", "spk-1"]


@pytest.mark.parametrize(
    "wrong",
    [
        InventoryChange(put=Inventory(devices=(replace(CAMERA, uplink=DeviceId("none")),))),
        InventoryChange(put=Inventory(devices=(replace(CAMERA, group=GroupId("none")),))),
        InventoryChange(put=Inventory(devices=(replace(CAMERA, uplink=CAMERA.id),))),
        InventoryChange(put=Inventory(devices=(replace(CAMERA, gb28181_id="123"),))),
        InventoryChange(put=Inventory(devices=(replace(CAMERA, position=Position(91.0, 0.0)),))),
        InventoryChange(put=Inventory(devices=(replace(CAMERA, ports=Ports(onvif=0)),))),
        InventoryChange(put=Inventory(devices=(replace(CAMERA, audio_output_of=SPEAKER.id),))),
        InventoryChange(put=Inventory(devices=(replace(RECORDER, channels=(Channel(1, DeviceId("none")),)),))),
        InventoryChange(put=Inventory(zones=(replace(ZONE, speakers=frozenset({DeviceId("none")})),))),
        InventoryChange(remove=Removal(devices=[SWITCH.id]), put=Inventory(devices=(replace(SPEAKER, name="x", uplink=DeviceId("gone")),))),
        InventoryChange(remove=Removal(groups=[GROUP.id])),
        InventoryChange(remove=Removal(cells=[CELL.code])),
        InventoryChange(credentials={DeviceId("none"): Credentials("a", "b")}),
    ],
)
async def test_a_change_that_does_not_hold_together_changes_nothing(store: Store, wrong: InventoryChange) -> None:
    await put(store, WHOLE, SECRETS)
    with pytest.raises(Conflict):
        await change(store, wrong)
    assert await load(store) == WHOLE
    assert await secrets(store) == SECRETS


# -- secrets ----------------------------------------------------------------------------------------------------------


async def test_no_secret_is_in_the_store_in_clear(store: Store, engine: AsyncEngine) -> None:
    await put(store, WHOLE, SECRETS)
    async with engine.connect() as conn:
        found = (await conn.execute(select(credentials))).all()
    assert len(found) == 2
    assert not any(word in row.sealed for row in found for word in (b"hunter2", b"admin", b"ops"))


async def test_a_secret_moved_to_another_device_does_not_open(store: Store, engine: AsyncEngine) -> None:
    await put(store, WHOLE, SECRETS)
    async with engine.begin() as conn:
        await conn.execute(
            text("UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE device = 'sw-1') WHERE device = 'cam-1'")
        )
    with pytest.raises(StorageFailed, match="does not open"):
        await secrets(store)


async def test_one_secret_sealed_twice_looks_different(store: Store, engine: AsyncEngine) -> None:
    seen = set()
    for _ in range(2):
        await put(store, WHOLE, SECRETS)
        async with engine.connect() as conn:
            seen |= {row.sealed for row in await conn.execute(select(credentials))}
    assert len(seen) == 4


async def test_a_binding_needs_its_devices_and_a_decision_its_signature(store: Store) -> None:
    await put(store, WHOLE)
    stranger = Binding(CAMERA.id, DeviceId("nobody"))
    unsigned = Binding(CAMERA.id, SPEAKER.id, state=BindingState.CONFIRMED)
    signed = Binding(CAMERA.id, SPEAKER.id, decided_by="user:li", decided_at=NOON)
    for wrong in (stranger, unsigned, signed, Binding(CAMERA.id, SPEAKER.id, reach_m=0)):
        with pytest.raises(Conflict):
            await change(store, InventoryChange(put=Inventory(bindings=(wrong,))))
    assert (await load(store)).bindings == WHOLE.bindings


async def test_bindings_and_sights_are_removed_by_their_keys(store: Store) -> None:
    await put(store, WHOLE)
    await change(store, InventoryChange(remove=Removal(bindings=[WHOLE.bindings[0].key], sights=[WHOLE.sights[1].key])))
    left = await load(store)
    assert (left.bindings, left.sights) == (WHOLE.bindings[1:], WHOLE.sights[:1])
