"""What waits for its decision and would be overwritten before is held by the gateway itself, and let go when nobody needs it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM
from gateway.domain.footage import FootageRequest, Period, RequestId
from gateway.domain.holds import Hold, HoldState, KeepState
from gateway.footage.precautions import UNHELD_EVENT, Precautions
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.footage.desk import NOW, WANG, ZHAO, Desk, Street, desk_of, filing
from tests.footage.held import DAY, MINUTE, Bench, order


@pytest.fixture
def requests(bench: Bench, store: Store, clock: SimulatedClock) -> Desk:
    return desk_of(bench.where, store, clock, bench.folder.with_name("footage"))


@pytest.fixture
def precautions(bench: Bench, store: Store, clock: SimulatedClock) -> Precautions:
    return Precautions(store=store, clock=clock, holds=bench.desk, decide_for=7 * DAY, longest=180 * DAY)


def recorded(where: Street) -> tuple[DeviceId, timedelta]:
    """A camera without a card, and how long its recorder keeps what it records."""
    cards = {camera.id for camera in where.simulated.of_kind("camera") if camera.card}
    found = ((one, channel) for one in where.simulated.of_kind("recorder") for channel in one.channels if channel.camera not in cards)
    recorder, channel = next(found)
    return DeviceId(channel.camera), recorder.retention_days * DAY


async def filed(requests: Desk, camera: DeviceId, ago: timedelta) -> FootageRequest:
    window = Period(NOW - ago, NOW - ago + MINUTE)
    return await requests.service.submit(filing(cameras=(camera,), window=window), by=WANG)


async def holds(bench: Bench, request: FootageRequest) -> list[Hold]:
    async with bench.store.read() as tx:
        return await tx.holds.find(request=request.id)


async def test_what_would_be_overwritten_before_a_decision_is_held_once_and_what_would_not_is_not(
    bench: Bench, requests: Desk, precautions: Precautions
) -> None:
    camera, keeps = recorded(bench.where)
    soon, late = await filed(requests, camera, keeps - DAY), await filed(requests, camera, DAY)
    for _ in range(3):
        await precautions.look()
        await bench.clock.advance(3_700)
    (hold,) = await holds(bench, soon)
    assert (hold.owner.actor, hold.cameras, hold.window, hold.everything) == (SYSTEM, (camera,), soon.window_of(camera), False)
    assert hold.expires_at == NOW + 8 * DAY
    assert await holds(bench, late) == []
    assert (await bench.settled(hold.id)).files


@pytest.mark.parametrize("approved", [False, True])
async def test_it_is_let_go_when_the_request_is_over_and_not_while_it_is_worked_on(
    bench: Bench, requests: Desk, precautions: Precautions, *, approved: bool
) -> None:
    camera, keeps = recorded(bench.where)
    request = await filed(requests, camera, keeps - DAY)
    await precautions.look()
    if approved:
        await requests.service.approve(request.id, by=ZHAO)
        await precautions.look()
        assert [one.state for one in await holds(bench, request)] == [HoldState.ACTIVE]
        await requests.service.cancel(request.id, by=WANG)
    else:
        await requests.service.reject(request.id, by=ZHAO, note="无关")
    await precautions.look()
    assert [one.state for one in await holds(bench, request)] == [HoldState.RELEASED]


async def test_a_persons_hold_stays_whatever_becomes_of_the_request(bench: Bench, requests: Desk, precautions: Precautions) -> None:
    camera, _ = recorded(bench.where)
    request = await filed(requests, camera, DAY)
    placed = await bench.desk.place(order(camera, request=request.id), by=WANG)
    await requests.service.cancel(request.id, by=WANG)
    await precautions.look()
    assert (await bench.desk.get(placed.hold.id)).hold.state is HoldState.ACTIVE


async def test_a_full_disk_is_told_to_the_approvers_once_and_tried_again_within_the_hour(
    bench: Bench, requests: Desk, precautions: Precautions, store: Store
) -> None:
    camera, keeps = recorded(bench.where)
    request = await filed(requests, camera, keeps - DAY)
    bench.free = 2 << 20
    for _ in range(2):
        await precautions.look()
        await bench.clock.advance(3_700)
    told = [event for event in await store.events.read_after(0, limit=100) if event.type == UNHELD_EVENT]
    assert [(event.subject, event.data["code"]) for event in told] == [(request.id, "no-space")]
    bench.free = 1 << 40
    await precautions.look()
    assert len(await holds(bench, request)) == 1


async def test_what_a_person_holds_for_it_as_long_is_not_held_again(bench: Bench, requests: Desk, precautions: Precautions) -> None:
    camera, keeps = recorded(bench.where)
    request = await filed(requests, camera, keeps - DAY)
    wanted = order(camera, ago=keeps - DAY, request=request.id, expires_at=NOW + 30 * DAY)
    placed = await bench.desk.place(wanted, by=WANG)
    await precautions.look()
    assert [one.id for one in await holds(bench, request)] == [placed.hold.id]


async def test_a_long_window_is_held_in_parts(bench: Bench, requests: Desk, precautions: Precautions, store: Store) -> None:
    camera, keeps = recorded(bench.where)
    window = Period(NOW - keeps + DAY, NOW - keeps + 2 * DAY + MINUTE)
    made = FootageRequest(RequestId("F-long"), filing(cameras=(camera,), window=window), (camera,), WANG, NOW)
    await store.writer.write(lambda tx: tx.footage.add(made), lane=Lane.FOOTAGE)
    await precautions.look()
    assert sorted(one.window.length for one in await holds(bench, made)) == [MINUTE, DAY]


async def test_it_stands_back_while_its_request_is_fetched_and_promises_no_room_to_itself(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    made = Bench(where, store, clock, tmp_path / "holds")  # nobody secures
    requests = desk_of(where, store, clock, tmp_path / "footage")
    camera, keeps = recorded(where)
    request = await filed(requests, camera, keeps - DAY)
    await Precautions(store=store, clock=clock, holds=made.desk, decide_for=7 * DAY, longest=180 * DAY).look()

    async def standing() -> tuple[int, bool]:
        async with store.read() as tx:
            return len(await tx.holds.unsettled(clock.now(), limit=9)), await tx.holds.outstanding_bytes() > 0

    assert await standing() == (1, True)
    async with store.read() as tx:
        assert await tx.holds.outstanding_bytes(but_for=request.id) == 0
    await requests.service.approve(request.id, by=ZHAO)
    assert await standing() == (0, False)


async def test_room_for_what_proves_safe_is_given_back(bench: Bench, requests: Desk, store: Store) -> None:
    camera, _ = recorded(bench.where)
    placed = await bench.desk.place(order(camera, ago=DAY, everything=False), by=WANG)
    (keep,) = (await bench.settled(placed.hold.id, KeepState.SAFE)).keeps
    assert keep.reserved == 0
    promised = replace(keep, state=KeepState.WAITING, reserved=72 << 20, next_at=None)  # as of a device that was silent at first
    await store.writer.write(lambda tx: tx.holds.put_keep(promised), lane=Lane.FOOTAGE)
    bench.securing.stir()
    assert (await bench.settled(placed.hold.id, KeepState.SAFE)).keeps[0].reserved == 0


async def test_more_requests_than_a_turn_looks_at_are_held_in_the_next_turns(bench: Bench, requests: Desk, store: Store) -> None:
    camera, keeps = recorded(bench.where)
    precautions = Precautions(store=store, clock=bench.clock, holds=bench.desk, decide_for=7 * DAY, longest=180 * DAY, page=2)
    waiting = [await filed(requests, camera, keeps - DAY - number * MINUTE) for number in range(5)]
    held = []
    for _ in range(4):
        await precautions.look()
        held.append(sum([len(await holds(bench, request)) for request in waiting]))
    assert held == [2, 4, 5, 5]
    await requests.service.cancel(waiting[0].id, by=WANG)
    newest = await filed(requests, camera, keeps - 2 * DAY)
    for _ in range(3):
        await precautions.look()
    assert len(await holds(bench, newest)) == 1
