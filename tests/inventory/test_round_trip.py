"""Import → export → import without a difference, whatever stands in the cells; and with one bad row nothing is changed."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import InvalidInput
from gateway.inventory.diff import diff
from gateway.inventory.exporting import export
from gateway.inventory.importing import read
from gateway.inventory.raw import Noun, RawFile, RawRow
from gateway.inventory.service import InventoryService
from gateway.inventory.validation import Holdings, validate
from gateway.storage.store import Store
from tests.inventory.files import grid, square

ANNA = Actor(ActorKind.USER, "anna")
SUFFIXES = ("yaml", "csv", "xlsx")
NASTY = (
    *("000771", "0", "-0", "1e5", "1E400", "+86 635 8888888", "+5", "-5", "=1+1", "=cmd|' /C calc'!A0", "@SUM(A1)"),
    *("'=1+1", "''=x", "'", "'5", "+", "-", "=", "@", '"', '""', 'say "hi"', "a,b;c|d", "# no comment"),
    *("#coordinates: GCJ-02", "noun", "柳园路与东昌路口3号球机", "，、；", "null", "~", "true", "no", "是", "NaN", "inf", "_x0041_"),
    *("_x000D_", "x_x005F_x", "&amp; <b>", "{a: b}", "[1]", "!tag", "&a", "*a", "%d", "\\", "2024-01-01", "1/2", "12:30"),
    *("0x10", "1_000", "\ufeffbom", "a\xa0b", "\u3000宽", "é", "😀", "\u200b", "%0a", "`", "|", ">", "- x", "? x", ": x"),
    *("�", "\ue000", "\U0010fffd", "' x", '\'=1"', '="1"', "a'b", "01", "two  spaces", "N/A", "#REF!", "1.0", "1.50"),
    *("＝1+1", "＋1", "'－1", "＠SUM(A1)"),
)  # fmt: skip
WORDS = ("name", "owner", "management_unit", "maintainer", "vendor", "model", "serial", "firmware", "profile", "endpoint")
SECRET = "never-in-an-export"

nasty = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40))
plain = st.one_of(st.just(""), nasty)
ids = st.integers(0, 10**6).map(lambda number: f"{number:07}")


@st.composite
def device_rows(draw: st.DrawFn) -> list[dict[str, str]]:
    """Some devices whose words are anything; places, links and log-ins come and go."""
    found = []
    for number, key in enumerate(draw(st.lists(ids, min_size=1, max_size=6, unique=True))):
        row = {"id": key, "kind": draw(st.sampled_from(("camera", "speaker", "recorder"))), "address": f"10.9.0.{number + 1}"}
        row |= {word: draw(plain) for word in WORDS[1:]} | {"name": draw(nasty)}
        row |= draw(st.sampled_from(({}, {"latitude": "36.45", "longitude": "115.98"}, {"latitude": "-7e-7", "longitude": "1e-9"})))
        row |= draw(st.sampled_from(({}, {"uplink": "SW", "uplink_port": "0"}, {"uplink": "SW", "uplink_port": "24"})))
        row |= draw(st.sampled_from(({}, {"cell": "C-1"})))
        row |= draw(st.sampled_from(({}, {"username": draw(plain), "password": SECRET}, {"snmp_version": "v1", "snmp_community": SECRET})))
        row |= {"enabled": draw(st.sampled_from(("true", "false", ""))), "mac": draw(st.sampled_from(("", "3c-ef-8c-00-00-01")))}
        found.append(row)
    return found


def of_rows(rows: Sequence[dict[str, str]]) -> RawFile:
    top = {"id": "SW", "kind": "switch", "name": "0001", "address": "10.8.0.1"}
    return RawFile(nouns=frozenset({Noun.DEVICES}), rows=[RawRow(Noun.DEVICES, f"row {n}", row) for n, row in enumerate([top, *rows])])


GRID = validate(read(grid(square("C-1", 36.4, 115.9, 0.01)).encode(), "cells.geojson"), Holdings())


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(device_rows(), st.sampled_from(SUFFIXES))
def test_whatever_was_taken_goes_out_and_comes_in_without_a_difference(rows: list[dict[str, str]], suffix: str) -> None:
    try:
        stored = validate(of_rows(rows), GRID)
    except InvalidInput:
        return  # what is not taken need not come back
    file = export(stored.inventory, stored.credentials, suffix)
    assert SECRET.encode() not in file
    again = validate(read(file, f"export.{suffix}"), stored, prune=True)
    assert list(diff(stored, again).lines()) == ["no difference"]
    assert again == stored
    logins = {device: replace(login, password="", snmp=None) for device, login in stored.credentials.items() if login.username}
    without_snmp = export(stored.inventory, logins, suffix)
    assert validate(read(without_snmp, f"export.{suffix}"), GRID).inventory == stored.inventory, "an empty gateway becomes the same city"


def city_of_5000() -> RawFile:
    """A city of 5,000 devices with every nasty value in every column of words, groups, channels, zones, log-ins."""
    chance = random.Random(5)
    rows = [
        RawRow(Noun.GROUPS, f"group {n}", {"id": f"{n:04}", "name": NASTY[n % len(NASTY)], "street": "古楼街道", "district": "东昌府区"})
        for n in range(1000)
    ]
    devices = []
    for n in range(5000):
        kind = ("switch", "camera", "camera", "speaker", "recorder")[n % 5]
        row = {"id": f"{n:05}", "kind": kind, "address": f"10.{n // 65025}.{n // 255 % 255}.{n % 255}", "group": f"{n // 5:04}"}
        row |= {word: chance.choice(NASTY) for word in WORDS}
        row |= {"latitude": str(36 + n / 1e5), "longitude": str(115 + n / 3e5)} if n % 3 else {}
        row |= {"uplink": f"{n - n % 5:05}", "uplink_port": str(n % 5)} if n % 5 else {}
        row |= (
            {"username": chance.choice(NASTY), "password": f"{SECRET}{n}"} if n % 7 else {"snmp_community": SECRET, "snmp_version": "v2c"}
        )
        devices.append(RawRow(Noun.DEVICES, f"device {n}", row))
    channels = [
        RawRow(
            Noun.CHANNELS, f"channel {n}", {"recorder": f"{n:05}", "number": "1", "camera": f"{n - 3:05}", "recording_token": NASTY[n % 60]}
        )
        for n in range(4, 5000, 5)
    ]
    zones = [RawRow(Noun.ZONES, "zone 1", {"id": "01", "name": "=全部", "speakers": [f"{n:05}" for n in range(3, 5000, 5)]})]
    return RawFile(nouns=frozenset(Noun) - {Noun.AREAS}, rows=[*rows, *devices, *channels, *zones])


@pytest.fixture
async def service(store: Store, clock: SimulatedClock) -> InventoryService:
    made = InventoryService(store, City(), clock)
    await made.import_rows(city_of_5000(), "city of 5,000", actor=ANNA)
    return made


async def test_import_export_import_without_a_difference_on_5000_devices_and_with_one_bad_row_nothing_is_changed(
    service: InventoryService, store: Store
) -> None:
    before = store.events.latest
    async with store.read() as tx:
        inventory, logins = await tx.inventory.load(), await tx.inventory.load_credentials()
    assert (len(inventory.devices), len(logins)) == (5000, 5000)
    for suffix in SUFFIXES:
        file = await service.export_file(suffix)
        assert SECRET.encode() not in file
        again = await service.import_file(file, f"export.{suffix}", actor=ANNA, prune=True)
        assert (list(again.diff.lines()), again.applied) == (["no difference"], False), suffix
    text = (await service.export_file("yaml")).decode()
    assert text.count("address: 10.0.7.7,") == 1
    changed = text.replace("kind: camera", "maintainer: 别人, kind: camera").replace("address: 10.0.7.7,", "address: 10.0.7.7.7,")
    with pytest.raises(InvalidInput):
        await service.import_file(changed.encode(), "one bad row.yaml", actor=ANNA)
    async with store.read() as tx:
        assert (await tx.inventory.load(), await tx.inventory.load_credentials()) == (inventory, logins), "the secrets are kept, too"
    assert store.events.latest == before


async def test_a_cell_that_only_the_file_told_survives_other_imports(store: Store, clock: SimulatedClock) -> None:
    city = City()
    service = InventoryService(store, city, clock)
    await service.import_file(grid(square("C-1", 36.45, 115.98)).encode(), "cells.geojson", actor=ANNA)
    beside = b"id,kind,name,address,latitude,longitude,cell\nCAM,camera,a,10.0.0.1,30.0,110.0,C-1\n"
    await service.import_file(beside, "devices.csv", actor=ANNA)
    other = await service.import_file(b"id,name\nCAM,b\n", "devices.csv", actor=ANNA)
    assert list(other.diff.lines()) == ["~ camera CAM b  name: a → b", "0 added, 1 changed, 0 removed"]
    assert city.devices[DeviceId("CAM")].cell == "C-1"
    assert not (await service.import_file(await service.export_file("csv"), "all.csv", actor=ANNA)).diff
    moved = await service.import_file(b"id,latitude,longitude\nCAM,31.0,110.0\n", "devices.csv", actor=ANNA)
    assert "cell: C-1 → (empty)" in next(iter(moved.diff.lines()))
    inside = await service.import_file(b"id,latitude,longitude\nCAM,36.4501,115.9801\n", "devices.csv", actor=ANNA)
    assert "cell: (empty) → C-1" in next(iter(inside.diff.lines()))
    shifted = await service.import_file(grid(square("C-1", 20.0, 100.0)).encode(), "cells.geojson", actor=ANNA)
    assert "~ camera CAM b  cell: C-1 → (empty)" in list(shifted.diff.lines()), "the grid moved away from under it"
