"""Bindings and sights in files: out and in without a difference, refused where they are wrong, signed by whoever brings them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import SimulatedClock
from gateway.domain.bindings import Binding, BindingKey, BindingState
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
from tests.inventory.test_round_trip import ANNA, NASTY, SUFFIXES

BO = Actor(ActorKind.API_KEY, "bo")
AT = datetime(2026, 3, 1, 8, 30, 0, 5, tzinfo=UTC)
DEVICES = """version: 1
devices:
  - {id: CAM-1, kind: camera, name: a, address: 10.0.0.1}
  - {id: CAM-2, kind: camera, name: b, address: 10.0.0.2}
  - {id: SPK-1, kind: speaker, name: c, address: 10.0.0.3}
  - {id: SPK-2, kind: speaker, name: d, address: 10.0.0.4}
"""
CITY = (
    DEVICES
    + "bindings:\n  - {camera: CAM-1, speaker: SPK-1, state: confirmed, decided_by: 老王, decided_at: '2026-03-01T16:30:00+08:00'}\n"
)
STREET = validate(read(DEVICES.encode(), "city.yaml"), Holdings())

words = st.sampled_from(["", "1", "preset 1", *(word for word in NASTY if len(word) <= 60)])
metres = st.floats(1, 2000) | st.sampled_from([1, 100, 33.333333333, 0.1 + 0.2 + 1])


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, str]:
    row = {"camera": draw(st.sampled_from(["CAM-1", "CAM-2"])), "speaker": draw(st.sampled_from(["SPK-1", "SPK-2"])), "preset": draw(words)}
    row |= draw(st.sampled_from([{}, {"state": "proposed"}, {"state": "rejected"}, {"state": "confirmed"}]))
    if row.get("state") in ("confirmed", "rejected"):
        row |= {"decided_by": draw(words.filter(str.strip)), "decided_at": draw(st.datetimes(timezones=st.just(UTC))).isoformat()}
    return row | {"reach_m": f"{draw(metres):f}", "note": draw(words)}


@st.composite
def sights(draw: st.DrawFn) -> dict[str, str]:
    bearing, far = draw(st.floats(0, 360)), draw(st.floats(0, 2000))
    return {"camera": draw(st.sampled_from(["CAM-1", "CAM-2"])), "preset": draw(words), "bearing": f"{bearing:f}", "distance_m": f"{far:f}"}


def of_rows(bound: Sequence[dict[str, str]], seen: Sequence[dict[str, str]]) -> RawFile:
    rows = [RawRow(Noun.BINDINGS, f"binding {n}", row) for n, row in enumerate(bound)]
    rows += [RawRow(Noun.SIGHTS, f"sight {n}", row) for n, row in enumerate(seen)]
    return RawFile(nouns=frozenset({Noun.BINDINGS, Noun.SIGHTS}), rows=rows)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(bindings(), min_size=1, max_size=5), st.lists(sights(), max_size=3), st.sampled_from(SUFFIXES))
def test_whatever_was_taken_goes_out_and_comes_in_without_a_difference(
    bound: list[dict[str, str]], seen: list[dict[str, str]], suffix: str
) -> None:
    try:
        stored = validate(of_rows(bound, seen), STREET)
    except InvalidInput:
        return  # one that stands twice
    file = export(stored.inventory, {}, suffix)
    again = validate(read(file, f"export.{suffix}"), stored, prune=True)
    assert list(diff(stored, again).lines()) == ["no difference"]
    assert again == stored
    assert validate(read(file, f"export.{suffix}"), Holdings()) == stored, "an empty gateway becomes the same city"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("{camera: CAM-9, speaker: SPK-1}", "camera: no camera 'CAM-9'"),
        ("{camera: SPK-2, speaker: SPK-1}", "camera: no camera 'SPK-2'"),
        ("{camera: CAM-1, speaker: CAM-2}", "speaker: no loudspeaker 'CAM-2'"),
        ("{camera: CAM-1}", "speaker is missing"),
        ("{camera: CAM-1, speaker: SPK-1, state: perhaps}", "state: 'perhaps' is not one of proposed, confirmed, rejected"),
        ("{camera: CAM-1, speaker: SPK-1, reach_m: 0}", "reach_m: '0' is no number from 1 to 2000"),
        ("{camera: CAM-1, speaker: SPK-1, reach_m: nan}", "reach_m: 'nan' is no number from 1 to 2000"),
        (
            "{camera: CAM-1, speaker: SPK-1, decided_at: '2026-03-01T08:00:00'}",
            "decided_at: '2026-03-01T08:00:00' is no time with an offset",
        ),
        ("{camera: CAM-1, speaker: SPK-1}\n  - {camera: CAM-1, speaker: SPK-1}", "stands already at line 9"),
    ],
)
def test_a_wrong_binding_is_named_with_its_line(row: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        validate(read(f"{DEVICES}# more\nbindings:\n  - {row}\n".encode(), "city.yaml"), Holdings())
    assert [fault.where.startswith("line ") for fault in refused.value.faults] == [True]
    assert why in refused.value.faults[0].why


@pytest.mark.parametrize(
    "row", ["{camera: CAM-1, bearing: 361}", "{camera: CAM-1, bearing: -1}", "{camera: CAM-1}", "{camera: X, bearing: 1}"]
)
def test_a_wrong_sight_is_refused(row: str) -> None:
    with pytest.raises(InvalidInput):
        validate(read(f"{DEVICES}sights:\n  - {row}\n".encode(), "city.yaml"), Holdings())


@pytest.fixture
async def service(store: Store, clock: SimulatedClock) -> InventoryService:
    made = InventoryService(store, City(), clock)
    await made.import_file(CITY.encode(), "city.yaml", actor=ANNA)
    return made


async def stored(store: Store) -> dict[BindingKey, Binding]:
    async with store.read() as tx:
        return {binding.key: binding for binding in await tx.bindings.bindings()}


KEY = BindingKey(DeviceId("CAM-1"), "", DeviceId("SPK-1"))


async def test_a_decision_that_a_file_brings_whole_is_left_as_it_is(service: InventoryService, store: Store) -> None:
    assert (await stored(store))[KEY] == Binding(
        KEY.camera, KEY.speaker, state=BindingState.CONFIRMED, decided_by="老王", decided_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    )
    text = (await service.export_file("csv")).decode()
    assert "SPK-1,100,confirmed,老王,2026-03-01T08:30:00+00:00," in text


async def test_a_new_decision_in_a_file_is_put_down_to_whoever_imports_it(
    service: InventoryService, store: Store, clock: SimulatedClock
) -> None:
    await service.import_file(b"camera,speaker,state\nCAM-2,SPK-1,confirmed\nCAM-1,SPK-1,rejected\n", "bindings.csv", actor=BO)
    found = await stored(store)
    decided = {key.camera: (binding.state, binding.decided_by, binding.decided_at) for key, binding in found.items()}
    assert decided == {
        "CAM-1": (BindingState.REJECTED, "api-key:bo", clock.now()),
        "CAM-2": (BindingState.CONFIRMED, "api-key:bo", clock.now()),
    }


async def test_a_decision_that_is_taken_back_has_nobodys_name(service: InventoryService, store: Store) -> None:
    result = await service.import_file(b"camera,speaker,state\nCAM-1,SPK-1,proposed\n", "bindings.csv", actor=BO)
    assert (await stored(store))[KEY] == Binding(KEY.camera, KEY.speaker)
    assert "~ binding CAM-1 → SPK-1" in next(iter(result.diff.lines()))


async def test_a_device_that_goes_takes_its_bindings_with_it(service: InventoryService, store: Store) -> None:
    await service.import_file(b"camera,bearing\nCAM-1,90\nCAM-2,45\n", "sights.csv", actor=ANNA)
    left = b"id,kind,name,address\nCAM-2,camera,b,10.0.0.2\nSPK-1,speaker,c,10.0.0.3\n"
    result = await service.import_file(left, "devices.csv", actor=ANNA, prune=True)
    assert "- binding CAM-1 → SPK-1" in [line.rstrip() for line in result.diff.lines()]
    async with store.read() as tx:
        assert (await tx.bindings.bindings(), [sight.camera for sight in await tx.bindings.sights()]) == ([], ["CAM-2"])


async def test_pruning_by_a_list_of_bindings_removes_those_that_it_does_not_name(service: InventoryService, store: Store) -> None:
    await service.import_file(b"camera,speaker,preset\nCAM-1,SPK-1,p\n", "bindings.csv", actor=ANNA, prune=True)
    assert [key.preset for key in await stored(store)] == ["p"]
