"""The ledger of availability against the log that it is reckoned from."""

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.availability import Account, account, microseconds, midnight, moment
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.excuses import Decision, Excuse, ExcuseId, ExcusePlaces, decide
from gateway.domain.maintenance import Places, Window, WindowId
from gateway.reports.exclusions import Exclusions
from gateway.reports.ledger import Ledger
from gateway.reports.lives import CHECKS, lives
from gateway.reports.service_times import ServiceTimes
from gateway.storage.availability import Stale
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from tests.reports.logs import city_of, store_lives, utc

BERLIN = ZoneInfo("Europe/Berlin")
START, NOW = utc(2026, 1, 20, 7), utc(2026, 5, 14, 9)
CITY = city_of(7)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(NOW)


@pytest.fixture
async def ledger(store: Store, clock: SimulatedClock) -> Ledger:
    await store_lives(store, random.Random(5), CITY, START, NOW)
    return ledger_of(store, clock)


def ledger_of(store: Store, clock: SimulatedClock, city: City = CITY) -> Ledger:
    return Ledger(store=store, city=city, clock=clock, zone=BERLIN)


async def from_the_log(store: Store, first: date, until: date, now: datetime = NOW) -> dict[DeviceId, Account]:
    """What the log alone says, in one go."""
    start, end = moment(midnight(first, BERLIN)), min(now, moment(midnight(until, BERLIN)))
    async with store.read() as tx:
        exclusions = await Exclusions.read(tx, CITY, start, end, now=now)
        past = await tx.availability.past(start, end, checks=CHECKS, devices=list(CITY.devices))
    return {device: account(one, microseconds(start), microseconds(end)) for device, one in lives(past, CITY.devices, exclusions).items()}


def told(found: Account) -> Account:
    """All but the time before the device was there, which the ledger does not know, and what is only there to be joined."""
    raw, adjusted = (replace(tally, lead=0, tail=0) for tally in (found.raw, found.adjusted))
    return replace(found, raw=raw, adjusted=adjusted, unknown=0)


PERIODS = [
    (date(2026, 1, 1), date(2026, 5, 15)),
    (date(2026, 3, 1), date(2026, 4, 1)),
    (date(2026, 3, 28), date(2026, 3, 31)),  # the clocks are moved on
    (date(2026, 1, 25), date(2026, 4, 7)),
    (date(2026, 5, 14), date(2026, 5, 15)),  # today alone
    (date(2026, 4, 20), date(2027, 1, 1)),
]


async def test_what_is_read_is_what_the_log_says_of_the_same_period(ledger: Ledger, store: Store) -> None:
    for first, until in PERIODS:
        reading = await ledger.read(first, until)
        wanted = await from_the_log(store, first, until)
        assert {device: told(one) for device, one in reading.accounts.items()} == {device: told(one) for device, one in wanted.items()}


async def test_one_device_is_read_as_it_is_among_all(ledger: Ledger) -> None:
    whole = await ledger.read(*PERIODS[0])
    for device in CITY.devices:
        assert (await ledger.read(*PERIODS[0], device=device)).accounts == {device: whole.accounts[device]}


async def test_days_reckoned_one_by_one_are_those_reckoned_at_once(store: Store, clock: SimulatedClock) -> None:
    """As the months go by, and again from nothing."""
    await store_lives(store, random.Random(6), CITY, START, NOW)
    clock.step(utc(2026, 1, 24) - NOW)
    growing = ledger_of(store, clock)
    while clock.now() < NOW:
        await growing.catch_up()
        clock.step(min(timedelta(hours=31), NOW - clock.now()))
    await growing.catch_up()
    grown = await kept(store)
    await store.writer.write(lambda tx: tx.availability.forget_all(), lane=Lane.HEALTH)
    await ledger_of(store, clock).catch_up()
    assert await kept(store) == grown
    assert len(grown[0]) > 100


async def kept(store: Store) -> tuple[list[object], list[object], object]:
    async with store.read() as tx:
        days, months = tx.availability.rows, tx.availability.month_rows
        period = (date(2026, 1, 1), NOW.date())
        return list(await days(*period)), list(await months(*period)), await tx.availability.reckoned()


async def test_an_approved_excuse_changes_the_adjusted_figures_of_past_days_and_never_the_raw_ones(ledger: Ledger, store: Store) -> None:
    first, until = date(2026, 2, 1), date(2026, 4, 1)
    before = await ledger.read(first, until)
    excuse = excuse_of(utc(2026, 2, 3, 5), utc(2026, 3, 9), districts=frozenset({"历下"}))

    async def change(tx: Tx) -> None:
        await tx.excuses.add(excuse)
        await tx.excuses.replace(excuse, decide(excuse, Decision.APPROVE, person("b"), note="", at=NOW))
        await tx.availability.mark_stale(Stale("excuse", date(2026, 2, 3), date(2026, 3, 9)))

    await store.writer.write(change, lane=Lane.HEALTH)
    after = await ledger.read(first, until)
    wanted = await from_the_log(store, first, until)
    assert {device: told(one) for device, one in after.accounts.items()} == {device: told(one) for device, one in wanted.items()}
    assert [one.raw for one in after.accounts.values()] == [one.raw for one in before.accounts.values()]
    covered = {device.id for device in CITY.devices.values() if device.group != "g-0"}
    assert {device for device in CITY.devices if after.accounts[device].excused} == covered


async def test_maintenance_and_hours_in_which_nobody_looked_count_neither_way(ledger: Ledger, store: Store) -> None:
    window = Window(
        WindowId("M-1"),
        Places(devices=frozenset({"cam-1"})),
        utc(2026, 2, 25),
        "清洁",
        "user:a",
        utc(2026, 3, 1),  # made when it had begun: what lies before is not taken back
        end=utc(2026, 3, 8),
    )

    async def change(tx: Tx) -> None:
        await tx.maintenance.save(window)
        await tx.complaints.watch("gateway", utc(2026, 2, 1), utc(2026, 4, 2, 6))
        await tx.complaints.watch("gateway", utc(2026, 4, 2, 9), NOW - timedelta(seconds=50))

    await store.writer.write(change, lane=Lane.HEALTH)
    reading = await ledger.read(*PERIODS[0])
    wanted = await from_the_log(store, *PERIODS[0])
    assert {device: told(one) for device, one in reading.accounts.items()} == {device: told(one) for device, one in wanted.items()}
    assert reading.accounts[DeviceId("cam-1")].maintenance == 7 * 86_400_000_000
    assert reading.exclusions.blind == [(microseconds(utc(2026, 4, 2, 6)), microseconds(utc(2026, 4, 2, 9)))]


@pytest.mark.parametrize("ago_s", [0, 20, 170])
async def test_a_watch_that_has_just_begun_goes_on_until_now(ledger: Ledger, store: Store, clock: SimulatedClock, ago_s: int) -> None:
    began = NOW - timedelta(seconds=ago_s)
    await store.writer.write(lambda tx: tx.complaints.watch("gateway", began, began), lane=Lane.HEALTH)
    clock.step(timedelta(seconds=5))
    reading = await ledger.read(NOW.date(), NOW.date() + timedelta(days=1))
    assert reading.exclusions.blind == []


async def test_another_time_zone_makes_other_days(ledger: Ledger, store: Store, clock: SimulatedClock) -> None:
    await ledger.catch_up()
    before = await kept(store)
    other = Ledger(store=store, city=CITY, clock=clock, zone=ZoneInfo("Asia/Shanghai"))
    await other.catch_up()
    assert await kept(store) != before


async def test_a_device_out_of_service_is_not_counted(ledger: Ledger, store: Store, clock: SimulatedClock) -> None:
    city = City()
    city.replace(devices=[one for one in CITY.devices.values() if one.id != "cam-3"])
    assert DeviceId("cam-3") not in (await ledger_of(store, clock, city).read(*PERIODS[0])).accounts


async def test_time_out_of_service_is_nobodys(ledger: Ledger, store: Store, clock: SimulatedClock) -> None:
    await ledger.catch_up()
    city, camera = City(), DeviceId("cam-1")
    others = [one for one in CITY.devices.values() if one.id not in ("cam-1", "cam-2")]
    times = ServiceTimes(store, city, clock)
    for devices in ([*others, replace(CITY.devices[camera], enabled=False)], CITY.devices.values()):
        city.replace(devices=devices)
        await times.look()
        await times.look()
        clock.step(timedelta(hours=5))
    clock.step(timedelta(hours=-2))
    async with store.read() as tx:
        told = [await tx.complaints.of(device, limit=1) for device in (camera, DeviceId("cam-2"))]
        assert await tx.complaints.out_of_service() == frozenset()
        assert all(one.check != "in-service" for one in await tx.complaints.still_open())
    assert [(one.reason, one.since, one.until) for (one,) in told] == [
        ("disabled", NOW, NOW + timedelta(hours=5)),
        ("removed", NOW, NOW + timedelta(hours=5)),
    ]
    today = (await ledger.read(NOW.date(), NOW.date())).accounts  # no day at all
    assert today[camera].length == 0
    reading = await ledger.read(NOW.date(), NOW.date() + timedelta(days=1))
    assert reading.accounts[camera].unknown >= 5 * 3_600_000_000
    assert reading.accounts[DeviceId("cam-4")].unknown < reading.accounts[camera].unknown


def person(name: str) -> Person:
    return Person(Actor(ActorKind.API_KEY, name), name)


def excuse_of(start: datetime, end: datetime, **places: frozenset[str]) -> Excuse:
    return Excuse(
        id=ExcuseId("X-1"),
        kind="power-cut",
        places=ExcusePlaces(**places),
        start=start,
        end=end,
        reason="停电",
        evidence="供电局通知 17 号",
        incident="",
        proposed_by=person("a"),
        proposed_at=NOW,
    )
