"""Holding footage against real recorders: secured by urgency, refused honestly, ended on record."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.holds import HoldState, Keep, KeepState
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.footage.holds import HoldRules
from gateway.storage.store import Store
from tests.footage.desk import NOW, WANG, ZHAO, Street, desk_of, filing
from tests.footage.held import DAY, MINUTE, Bench, camera_of, order


async def test_what_is_held_is_secured_whole_and_its_digest_is_that_of_the_file(bench: Bench) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where), length=3 * MINUTE), by=WANG)
    assert [keep.state for keep in placed.keeps] == [KeepState.WAITING]
    folder = await bench.settled(placed.hold.id)
    (keep,) = folder.keeps
    assert (keep.state, keep.reason, keep.missing) == (KeepState.SECURED, "", ())
    assert len(folder.files) == 3
    for file in folder.files:
        assert hashlib.sha256(bench.path(file).read_bytes()).hexdigest() == file.sha256


async def test_a_hold_gives_way_at_a_files_end_and_fetches_the_rest_in_another_turn(bench: Bench) -> None:
    bench.wanted[:] = [True]
    placed = await bench.desk.place(order(camera_of(bench.where), length=3 * MINUTE), by=WANG)
    folder = await bench.settled(placed.hold.id)
    assert (len(bench.jobs), len(folder.files), bench.wanted) == (2, 3, [])


async def test_what_stays_on_its_device_until_after_the_hold_is_watched_and_not_copied(bench: Bench, clock: SimulatedClock) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where), everything=False), by=WANG)
    folder = await bench.settled(placed.hold.id)
    assert [(keep.state, keep.reserved) for keep in folder.keeps] == [(KeepState.SAFE, 0)]
    assert bench.jobs == []
    await bench.desk.extend(placed.hold.id, until=NOW + 90 * DAY, by=WANG)
    folder = await bench.settled(placed.hold.id, KeepState.SECURED)
    assert folder.files


async def test_what_is_lost_first_is_fetched_first(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    made = Bench(where, store, clock, tmp_path / "holds")
    cards = {camera.id for camera in where.simulated.of_kind("camera") if camera.card}
    found = [
        (recorder, channel)
        for recorder in where.simulated.of_kind("recorder")
        for channel in recorder.channels
        if channel.camera not in cards
    ]
    (first, channel) = found[0]
    (second, another) = next(one for one in found if one[0].id != first.id)
    late = await made.desk.place(order(DeviceId(channel.camera), ago=timedelta(hours=2)), by=WANG)
    soon = await made.desk.place(order(DeviceId(another.camera), ago=timedelta(days=second.retention_days - 1)), by=WANG)
    async with store.read() as tx:
        waiting = await tx.holds.unsettled(clock.now(), limit=10)
    assert len(waiting) == 2
    ordered = await made.securing._waiting()
    assert [hold.id for hold, _ in ordered] == [soon.hold.id, late.hold.id]


async def test_what_is_not_right_is_refused_with_what_is_wrong(bench: Bench) -> None:
    camera = camera_of(bench.where)
    for wrong in (
        order(camera, reason=" "),
        order(camera, expires_at=NOW),
        order(camera, expires_at=NOW + 1_000 * DAY),
        order(camera, ago=3 * DAY, length=2 * DAY),
        order(DeviceId("nowhere")),
    ):
        with pytest.raises(InvalidInput):
            await bench.desk.place(wrong, by=WANG)
    with pytest.raises(NotFound):
        await bench.desk.place(order(camera, request="F-nothing"), by=WANG)


async def test_where_nothing_is_secured_before_an_approval_a_hold_needs_one(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    made = Bench(where, store, clock, tmp_path / "holds", rules=HoldRules(unapproved=False))
    camera = camera_of(where)
    requests = desk_of(where, store, clock, tmp_path / "footage")
    request = await requests.service.submit(filing(cameras=(camera,)), by=WANG)
    for wanted in (order(camera), order(camera, request=request.id)):
        with pytest.raises(Forbidden) as caught:
            await made.desk.place(wanted, by=WANG)
        assert caught.value.code == "hold-needs-approval"
    await requests.service.approve(request.id, by=ZHAO)
    await made.desk.place(order(camera, request=request.id), by=WANG)


async def test_every_act_is_an_event_and_an_audit_row(bench: Bench, store: Store) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where)), by=WANG)
    await bench.desk.extend(placed.hold.id, until=NOW + 9 * DAY, by=WANG)
    await bench.desk.release(placed.hold.id, by=ZHAO, note="结案")
    with pytest.raises(Conflict):
        await bench.desk.release(placed.hold.id, by=ZHAO, note="again")
    events = [event for event in await store.events.read_after(0, limit=100) if event.type == "footage.hold"]
    assert [event.data["act"] for event in events] == ["place", "extend", "release"]
    assert not any(word in str(events) for word in ("警情", WANG.name))
    hold = (await bench.desk.get(placed.hold.id)).hold
    assert (hold.state, hold.ended_by, hold.note) == (HoldState.RELEASED, ZHAO, "结案")
    assert isinstance(placed.keeps[0], Keep)
