"""The ledger of availability against the log that it is reckoned from."""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.availability import Account, account, microseconds, midnight, moment
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.excuses import Decision, Excuse, ExcuseId, ExcusePlaces, decide
from gateway.domain.footage import Person
from gateway.reports.exclusions import Exclusions, Maintenance
from gateway.reports.folding import Fold
from gateway.reports.ledger import Ledger
from gateway.reports.lives import CHECKS, lives
from gateway.storage.availability import Stale, numbers_of
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from tests.domain.test_availability import history
from tests.reports.logs import city_of, store_lives, utc

BERLIN = ZoneInfo("Europe/Berlin")
START, NOW = utc(2026, 1, 20, 7), utc(2026, 5, 14, 9)
CITY = city_of(7)


class Windows:
    """The keeper of maintenance windows."""

    def __init__(self) -> None:
        self.known: list[Maintenance] = []

    async def __call__(self, start: datetime, end: datetime) -> Sequence[Maintenance]:
        return [
            Maintenance(
                one.id,
                one.reason,
                one.created_by,
                one.devices,
                [(max(a, start), min(b, end)) for a, b in one.spans if a < end and b > start],
            )
            for one in self.known
        ]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(NOW)


@pytest.fixture
def windows() -> Windows:
    return Windows()


@pytest.fixture
async def ledger(store: Store, clock: SimulatedClock, windows: Windows) -> Ledger:
    await store_lives(store, random.Random(5), CITY, START, NOW)
    return ledger_of(store, clock, windows)


def ledger_of(store: Store, clock: SimulatedClock, windows: Windows, city: City = CITY) -> Ledger:
    return Ledger(store=store, city=city, clock=clock, zone=BERLIN, maintenance_of=windows)


async def from_the_log(store: Store, windows: Windows, first: date, until: date, now: datetime = NOW) -> dict[DeviceId, Account]:
    """What the log alone says, in one go."""
    start, end = moment(midnight(first, BERLIN)), min(now, moment(midnight(until, BERLIN)))
    async with store.read() as tx:
        exclusions = await Exclusions.read(tx, CITY, windows, start, end, now=now)
        past = await tx.availability.past(start, end, checks=CHECKS, devices=list(CITY.devices))
    return {device: account(one, microseconds(start), microseconds(end)) for device, one in lives(past, CITY.devices, exclusions).items()}


def told(found: Account) -> Account:
    """All but the time before the device was there, which the ledger does not know."""
    return Account(found.raw, found.adjusted, 0, found.maintenance, *numbers_of(found)[16:])


PERIODS = [
    (date(2026, 1, 1), date(2026, 5, 15)),
    (date(2026, 3, 1), date(2026, 4, 1)),
    (date(2026, 3, 28), date(2026, 3, 31)),  # the clocks are moved on
    (date(2026, 1, 25), date(2026, 4, 7)),
    (date(2026, 5, 14), date(2026, 5, 15)),  # today alone
    (date(2026, 4, 20), date(2027, 1, 1)),
]


async def test_what_is_read_is_what_the_log_says_of_the_same_period(ledger: Ledger, store: Store, windows: Windows) -> None:
    for first, until in PERIODS:
        reading = await ledger.read(first, until)
        wanted = await from_the_log(store, windows, first, until)
        assert {device: told(one) for device, one in reading.accounts.items()} == {device: told(one) for device, one in wanted.items()}


async def test_one_device_is_read_as_it_is_among_all(ledger: Ledger) -> None:
    whole = await ledger.read(*PERIODS[0])
    for device in CITY.devices:
        assert (await ledger.read(*PERIODS[0], device=device)).accounts == {device: whole.accounts[device]}


async def test_days_reckoned_one_by_one_are_those_reckoned_at_once(store: Store, clock: SimulatedClock, windows: Windows) -> None:
    """As the months go by, and again from nothing."""
    await store_lives(store, random.Random(6), CITY, START, NOW)
    clock.step(utc(2026, 1, 24) - NOW)
    growing = ledger_of(store, clock, windows)
    while clock.now() < NOW:
        await growing.catch_up()
        clock.step(min(timedelta(hours=31), NOW - clock.now()))
    await growing.catch_up()
    grown = await kept(store)
    await store.writer.write(lambda tx: tx.availability.forget_all(), lane=Lane.HEALTH)
    await ledger_of(store, clock, windows).catch_up()
    assert await kept(store) == grown
    assert len(grown[0]) > 100


async def kept(store: Store) -> tuple[list[object], list[object], object]:
    async with store.read() as tx:
        days = [row async for page in tx.availability.days(date(2026, 1, 1), NOW.date()) for row in page]
        months = [row async for page in tx.availability.months(date(2026, 1, 1), NOW.date()) for row in page]
        return sorted(days), sorted(months), await tx.availability.reckoned()


async def test_an_approved_excuse_changes_the_adjusted_figures_of_past_days_and_never_the_raw_ones(
    ledger: Ledger, store: Store, windows: Windows
) -> None:
    first, until = date(2026, 2, 1), date(2026, 4, 1)
    before = await ledger.read(first, until)
    excuse = excuse_of(utc(2026, 2, 3, 5), utc(2026, 3, 9), districts=frozenset({"历下"}))

    async def change(tx: Tx) -> None:
        await tx.excuses.add(excuse)
        await tx.excuses.replace(excuse, decide(excuse, Decision.APPROVE, person("b"), note="", at=NOW))
        await tx.availability.mark_stale(Stale("excuse", date(2026, 2, 3), date(2026, 3, 9)))

    await store.writer.write(change, lane=Lane.HEALTH)
    after = await ledger.read(first, until)
    wanted = await from_the_log(store, windows, first, until)
    assert {device: told(one) for device, one in after.accounts.items()} == {device: told(one) for device, one in wanted.items()}
    assert [one.raw for one in after.accounts.values()] == [one.raw for one in before.accounts.values()]
    covered = {device.id for device in CITY.devices.values() if device.group != "g-0"}
    assert {device for device in CITY.devices if after.accounts[device].excused} == covered


async def test_maintenance_and_hours_in_which_nobody_looked_count_neither_way(ledger: Ledger, store: Store, windows: Windows) -> None:
    windows.known = [Maintenance("M-1", "Reinigung", "user:a", frozenset({DeviceId("cam-1")}), [(utc(2026, 3, 1), utc(2026, 3, 8))])]

    async def change(tx: Tx) -> None:
        await tx.complaints.watch("gateway", utc(2026, 2, 1), utc(2026, 4, 2, 6))
        await tx.complaints.watch("gateway", utc(2026, 4, 2, 9), NOW - timedelta(seconds=50))

    await store.writer.write(change, lane=Lane.HEALTH)
    reading = await ledger.read(*PERIODS[0])
    wanted = await from_the_log(store, windows, *PERIODS[0])
    assert {device: told(one) for device, one in reading.accounts.items()} == {device: told(one) for device, one in wanted.items()}
    assert reading.accounts[DeviceId("cam-1")].maintenance == 7 * 86_400_000_000
    assert reading.exclusions.blind == [(microseconds(utc(2026, 4, 2, 6)), microseconds(utc(2026, 4, 2, 9)))]


async def test_another_time_zone_makes_other_days(ledger: Ledger, store: Store, clock: SimulatedClock, windows: Windows) -> None:
    await ledger.catch_up()
    before = await kept(store)
    other = Ledger(store=store, city=CITY, clock=clock, zone=ZoneInfo("Asia/Shanghai"), maintenance_of=windows)
    await other.catch_up()
    assert await kept(store) != before


async def test_a_device_out_of_service_is_not_counted(ledger: Ledger, store: Store, clock: SimulatedClock, windows: Windows) -> None:
    city = City()
    city.replace(devices=[one for one in CITY.devices.values() if one.id != "cam-3"])
    assert DeviceId("cam-3") not in (await ledger_of(store, clock, windows, city).read(*PERIODS[0])).accounts


def test_rows_of_numbers_are_joined_as_accounts_are() -> None:
    dice = random.Random(9)
    for _ in range(2_000):
        one = history(dice)
        fold, wanted = Fold(), Account()
        for start in range(0, 40, 8):
            piece = account(one, start, start + 8)
            fold.row(numbers_of(piece))
            wanted = wanted.then(piece)
        assert fold.read() == wanted


def person(name: str) -> Person:
    return Person(Actor(ActorKind.API_KEY, name), name)


def excuse_of(start: datetime, end: datetime, **places: frozenset[str]) -> Excuse:
    return Excuse(
        id=ExcuseId("X-1"),
        kind="power-cut",
        places=ExcusePlaces(**places),  # type: ignore[arg-type]
        start=start,
        end=end,
        reason="停电",
        evidence="供电局通知 17 号",
        incident="",
        proposed_by=person("a"),
        proposed_at=NOW,
    )
