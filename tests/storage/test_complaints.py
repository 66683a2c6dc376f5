"""What the checks had to say over time, on both stores."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gateway.domain.devices import DeviceId
from gateway.storage.complaints import Complaint
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAMERA, SPEAKER = DeviceId("camera-1"), DeviceId("speaker-1")
LATER = timedelta(minutes=5)


async def change(store: Store, what: Callable[[Tx], Awaitable[None]]) -> None:
    await store.writer.write(what, lane=Lane.HEALTH)


async def test_a_complaint_lasts_from_its_rise_until_it_is_cleared(store: Store) -> None:
    await change(store, lambda tx: tx.complaints.rise(CAMERA, "clock", "clock-skew", NOON))
    async with store.read() as tx:
        assert await tx.complaints.still_open() == [Complaint(CAMERA, "clock", "clock-skew", NOON)]
    await change(store, lambda tx: tx.complaints.clear(CAMERA, "clock", NOON + LATER))
    async with store.read() as tx:
        assert await tx.complaints.still_open() == []
        assert await tx.complaints.of(CAMERA) == [Complaint(CAMERA, "clock", "clock-skew", NOON, NOON + LATER)]


async def test_a_new_reason_is_a_new_complaint_and_ends_the_old_one(store: Store) -> None:
    await change(store, lambda tx: tx.complaints.rise(CAMERA, "picture", "black", NOON))
    await change(store, lambda tx: tx.complaints.rise(CAMERA, "picture", "frozen", NOON + LATER))
    async with store.read() as tx:
        found = await tx.complaints.of(CAMERA)
    assert [(each.reason, each.until) for each in found] == [("frozen", None), ("black", NOON + LATER)]


async def test_a_clock_that_was_set_back_ends_a_complaint_where_it_began(store: Store) -> None:
    await change(store, lambda tx: tx.complaints.rise(CAMERA, "clock", "clock-skew", NOON))
    await change(store, lambda tx: tx.complaints.clear(CAMERA, "clock", NOON - LATER))
    async with store.read() as tx:
        assert [each.until for each in await tx.complaints.of(CAMERA)] == [NOON]


async def test_devices_that_are_gone_complain_no_more(store: Store) -> None:
    await change(store, lambda tx: tx.complaints.rise(CAMERA, "clock", "clock-skew", NOON))
    await change(store, lambda tx: tx.complaints.rise(SPEAKER, "clock", "clock-skew", NOON))
    await change(store, lambda tx: tx.complaints.end_all([CAMERA], NOON + LATER))
    async with store.read() as tx:
        assert [each.device for each in await tx.complaints.still_open()] == [SPEAKER]


async def test_a_check_is_made_since_its_first_result(store: Store) -> None:
    await change(store, lambda tx: tx.complaints.begin(CAMERA, ["clock", "identity"], NOON))
    await change(store, lambda tx: tx.complaints.begin(CAMERA, ["clock", "picture"], NOON + LATER))
    async with store.read() as tx:
        assert await tx.complaints.checked() == {CAMERA: frozenset({"clock", "identity", "picture"})}


async def test_a_watch_reaches_as_far_as_its_last_word(store: Store) -> None:
    await change(store, lambda tx: tx.complaints.watch("gateway", NOON, NOON))
    await change(store, lambda tx: tx.complaints.watch("gateway", NOON, NOON + LATER))
    await change(store, lambda tx: tx.complaints.watch("gateway", NOON, NOON + LATER / 2))  # a clock that was set back
    await change(store, lambda tx: tx.complaints.watch("gateway", NOON + 3 * LATER, NOON + 4 * LATER))
    async with store.read() as tx:
        assert await tx.complaints.first_watch() == NOON
        assert await tx.complaints.watched(NOON, NOON + 3 * LATER) == [(NOON, NOON + LATER)]
        assert await tx.complaints.watched(NOON + LATER, NOON + 5 * LATER) == [(NOON + 3 * LATER, NOON + 4 * LATER)]
