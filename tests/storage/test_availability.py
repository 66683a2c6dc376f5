"""Accounts and recordings on both stores."""

from datetime import UTC, date, datetime, timedelta

from gateway.domain.availability import Life, account
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Transition
from gateway.storage import availability
from gateway.storage.availability import AccountRow, Reckoned, Stale, account_of, numbers_of
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

CAMERA, OTHER, NVR = DeviceId("cam-1"), DeviceId("cam-2"), DeviceId("nvr-1")
FIRST = date(2026, 3, 1)
UNKNOWN, UP, DEGRADED, DOWN = HealthState
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_accounts_are_kept_summed_and_replaced(store: Store) -> None:
    one = account(Life(UP, [(10, DOWN), (20, DEGRADED), (30, UP)], excused=[(15, 18)]), 0, 100)
    assert account_of(numbers_of(one)) == one
    days = [(FIRST + timedelta(days=number)).isoformat() for number in range(5)]
    rows: list[AccountRow] = [(day, device, numbers_of(one)) for day in days for device in (CAMERA, OTHER)]

    async def keep(tx: Tx) -> None:
        reckoned = {CAMERA: Reckoned(FIRST, date(2026, 3, 6), None, date(2026, 3, 2))}
        await tx.availability.keep([CAMERA, OTHER], FIRST, date(2026, 3, 6), days=rows, months=rows[:1], reckoned=reckoned)

    async def replace(tx: Tx) -> None:
        await tx.availability.keep([OTHER], FIRST, date(2026, 3, 3), days=[], months=[], reckoned={})

    await store.writer.write(keep, lane=Lane.HEALTH)
    await store.writer.write(replace, lane=Lane.HEALTH)
    async with store.read() as tx:
        found = await tx.availability.rows(FIRST, date(2026, 3, 6))
        assert [(day, device) for day, device, _ in found] == [row[:2] for row in rows if row[1] == CAMERA or row[0] >= days[2]]
        assert {account_of(numbers) for _, _, numbers in found} == {one}
        assert [row[:2] for row in await tx.availability.month_rows(FIRST, date(2026, 4, 1))] == [(days[0], CAMERA)]
        (sums,) = await tx.availability.day_sums(FIRST, date(2026, 3, 3), device=CAMERA)
        assert (sums.device, sums.length_us, sums.since_clock_us, sums.since_picture_us) == (CAMERA, 200, 0, 100)
        assert account_of(sums.numbers).raw.up == 2 * one.raw.up
        assert account_of(sums.numbers).raw.longest == one.raw.longest
        assert await tx.availability.day_edges(FIRST, date(2026, 3, 6)) == []
        assert await tx.availability.reckoned() == {CAMERA: Reckoned(FIRST, date(2026, 3, 6), None, date(2026, 3, 2))}


async def test_the_past_is_found_by_time_and_by_device_alike(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(availability, "PAGE", 2)

    async def change(tx: Tx) -> None:
        for number in range(6):
            at, before, after = NOON + timedelta(hours=number // 2), (UP, DOWN)[number % 2], (DOWN, UP)[number % 2]
            await tx.health.record(Transition(CAMERA, before, after, at, "", "reach"))
            await tx.health.record(Transition(OTHER, before, after, at, "", "reach"))

    await store.writer.write(change, lane=Lane.HEALTH)
    async with store.read() as tx:
        start, end = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
        whole = await tx.availability.past(start, end, checks=["clock"])
        named = await tx.availability.past(start, end, checks=["clock"], devices=[CAMERA, OTHER])
    assert whole == named
    assert [change[:2] for change in whole.changes] == [(device, number) for device in (CAMERA, OTHER) for number in (3, 4, 5, 6)]
    assert whole.before == {CAMERA: UP, OTHER: UP}


async def test_what_must_be_reckoned_anew_waits_until_it_is_settled(store: Store) -> None:
    stale = [Stale("a", FIRST, FIRST), Stale("b", FIRST, date(2026, 3, 9), (CAMERA,))]
    for one in stale:
        await store.writer.write(lambda tx, one=one: tx.availability.mark_stale(one), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.availability.stale() == stale
    await store.writer.write(lambda tx: tx.availability.settle("a"), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.availability.stale() == stale[1:]


async def test_recorded_seconds_are_summed_over_days_and_whole_months(store: Store) -> None:
    day = 86_400

    async def change(tx: Tx) -> None:
        for number in range(70):
            at = date(2026, 2, 20) + timedelta(days=number)
            await tx.availability.put_recorded(CAMERA, at, recorder=NVR, expected_s=day, recorded_s=0)
            await tx.availability.put_recorded(CAMERA, at, recorder=NVR, expected_s=day, recorded_s=day - number)  # said again
        await tx.availability.put_recorded(OTHER, date(2026, 3, 3), recorder=NVR, expected_s=10, recorded_s=99)

    await store.writer.write(change, lane=Lane.HEALTH)
    async with store.read() as tx:
        found = await tx.availability.recorded(date(2026, 2, 25), date(2026, 4, 11))
        assert found == {CAMERA: (45 * day, 45 * day - sum(range(5, 50))), OTHER: (10, 10)}
        assert await tx.availability.recorded(date(2026, 3, 3), date(2026, 3, 4), camera=OTHER) == {OTHER: (10, 10)}
    await store.writer.write(lambda tx: tx.availability.forget(before=date(2026, 4, 1)), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert (await tx.availability.recorded(date(2026, 1, 1), date(2027, 1, 1)))[CAMERA][0] == 30 * day
