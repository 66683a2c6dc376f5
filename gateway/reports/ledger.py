"""The ledger of availability: days and months reckoned from the log, reckoned anew where something changed, and read for a period."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from functools import reduce
from itertools import pairwise

from sqlalchemy import select

from gateway.clock import Clock
from gateway.domain.availability import (
    CLOCK,
    PICTURE,
    Account,
    Life,
    account,
    accounts,
    days,
    microseconds,
    midnight,
    moment,
    month_after,
    month_of,
    plain,
)
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState
from gateway.reports.exclusions import Exclusions, MaintenanceOf
from gateway.reports.folding import Fold
from gateway.reports.lives import CHECKS, lives
from gateway.storage.availability import AccountRow, Reckoned, Stale, numbers_of
from gateway.storage.health import transitions
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

BATCH = 50  # devices that are reckoned at once: some ten thousand changes in the worst case
HISTORY_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Reading:
    """The accounts of all devices in service for a period that ends, at the latest, now; what was left out; what was recorded (seconds
    that should be there and that are, by camera)."""

    start: datetime
    end: datetime
    accounts: Mapping[DeviceId, Account]
    exclusions: Exclusions
    recorded: Mapping[DeviceId, tuple[int, int]]


class Ledger:
    """Keeps `availability_days` and `availability_months` true, and reads them. One reckoning at a time."""

    def __init__(self, *, store: Store, city: City, clock: Clock, zone: tzinfo, maintenance_of: MaintenanceOf) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._zone = zone
        self._maintenance_of = maintenance_of
        self._turn = asyncio.Lock()
        self._nothing_before: dict[DeviceId, date] = {}  # devices that were looked for in the log on that day

    @property
    def today(self) -> date:
        """The day of the site's calendar."""
        return self._clock.now().astimezone(self._zone).date()

    @property
    def horizon(self) -> date:
        """The first day that can be asked for."""
        day = month_of(self.today)
        return date(day.year - HISTORY_MONTHS // 12, day.month, 1)

    # -- reckoning

    async def catch_up(self) -> int:
        """Reckon every day that has ended and was not reckoned, and what is stale; how many devices were looked at."""
        async with self._turn:
            await self._same_zone()
            return await self._new_days() + await self._stale_days()

    async def _same_zone(self) -> None:
        """Days of another time zone are other days: drop them all."""
        name = str(self._zone)
        async with self._store.read() as tx:
            found = await tx.availability.zone()
        if found == name:
            return

        async def change(tx: Tx) -> None:
            await tx.availability.forget_all()
            await tx.availability.set_zone(name)

        await self._store.writer.write(change, lane=Lane.HEALTH)

    async def _new_days(self) -> int:
        today, looked = self.today, 0
        async with self._store.read() as tx:
            known = await tx.availability.reckoned()
            oldest = await tx.conn.scalar(select(transitions.c.at).order_by(transitions.c.at).limit(1))
        if oldest is None:
            return 0
        begin = max(month_of(oldest.astimezone(self._zone).date()), self.horizon)
        for first, devices in sorted(self._behind(known, begin, today).items()):
            looked += await self._reckon(devices, first, today, known)
            self._nothing_before |= {device: today for device in devices if device not in known}
        return looked

    def _behind(self, known: Mapping[DeviceId, Reckoned], begin: date, today: date) -> Mapping[date, list[DeviceId]]:
        """The devices that must be reckoned, by the day from which on: whole months where one has ended meanwhile."""
        found: dict[date, list[DeviceId]] = {}
        for device in self._city.devices:
            one = known.get(device)
            first = (today if self._nothing_before.get(device) == today else begin) if one is None else one.until
            if first < today:
                whole = first if month_of(first) == month_of(today) else max(month_of(first), begin)
                found.setdefault(whole, []).append(device)
        return found

    async def _stale_days(self) -> int:
        async with self._store.read() as tx:
            stale = await tx.availability.stale()
            known = await tx.availability.reckoned()
        looked = 0
        for one in stale:
            looked += await self._reckon_stale(one, known)
        return looked

    async def _reckon_stale(self, stale: Stale, known: Mapping[DeviceId, Reckoned]) -> int:
        first, until = month_of(max(stale.first, self.horizon)), min(month_after(stale.last), self.today)
        wanted = known.keys() if stale.devices is None else known.keys() & set(stale.devices)
        devices = sorted(device for device in wanted & self._city.devices.keys() if known[device].first < until)
        looked = await self._reckon(devices, first, until, known) if first < until else 0
        await self._store.writer.write(lambda tx: tx.availability.settle(stale.cause), lane=Lane.HEALTH)
        return looked

    async def _reckon(self, devices: Sequence[DeviceId], first: date, until: date, known: Mapping[DeviceId, Reckoned]) -> int:
        """The days of `devices` from `first` until before `until`, and the months that lie whole among them."""
        calendar = _Calendar.of(first, until, self._zone)
        start, end = moment(calendar.starts[0]), moment(calendar.starts[-1])
        async with self._store.read() as tx:
            exclusions = await Exclusions.read(tx, self._city, self._maintenance_of, start, end, now=self._clock.now())
        for batch in (devices[at : at + BATCH] for at in range(0, len(devices), BATCH)):
            async with self._store.read() as tx:
                past = await tx.availability.past(start, end, checks=CHECKS, devices=batch)
            page = await asyncio.to_thread(_reckoned, lives(past, batch, exclusions), calendar, known)

            async def change(tx: Tx, batch: Sequence[DeviceId] = batch, page: _Page = page) -> None:
                await tx.availability.keep(batch, first, until, days=page.days, months=page.months, reckoned=page.reckoned)

            await self._store.writer.write(change, lane=Lane.HEALTH)
        return len(devices)

    async def tidy(self) -> None:
        """Drop what nobody may ask for any more."""
        await self._store.writer.write(lambda tx: tx.availability.forget(before=self.horizon), lane=Lane.HEALTH)

    # -- reading

    async def read(self, first: date, until: date, *, device: DeviceId | None = None) -> Reading:
        """The days from `first` until before `until`, of all devices in service (or of one), as far as they lie before now."""
        await self.catch_up()
        now, today = self._clock.now(), self.today
        wanted = [one.id for one in self._city.devices.values() if (one.enabled and device is None) or one.id == device]
        start, end = moment(midnight(first, self._zone)), min(now, moment(midnight(until, self._zone)))
        async with self._store.read() as tx:
            exclusions = await Exclusions.read(tx, self._city, self._maintenance_of, start, max(start, end), now=now)
            recorded = await tx.availability.recorded(first, min(until, today), camera=device) if first < today else {}
            folds = await self._folded(tx, wanted, first, min(until, today), device)
            if until > today:
                only = None if device is None else [device]
                await self._add_today(tx, folds, (max(first, today), end), exclusions, only)
        found = await asyncio.to_thread(lambda: {one: folds[one].read() for one in wanted})
        return Reading(start, end, found, exclusions, recorded)

    async def _folded(self, tx: Tx, wanted: Sequence[DeviceId], first: date, until: date, device: DeviceId | None) -> dict[DeviceId, Fold]:
        """What is reckoned of the days from `first` until before `until`."""
        if first >= until:
            return {one: Fold() for one in wanted}
        book = _Book(await tx.availability.reckoned(), wanted, first, until, self._zone)
        begin = first if first.day == 1 else min(month_after(first), until)
        end = max(month_of(until), begin)
        async for page in tx.availability.days(first, begin, device=device):
            book.days(page)
        async for page in tx.availability.months(begin, end, device=device):
            book.months(page)
        async for page in tx.availability.days(end, until, device=device):
            book.days(page)
        return book.close()

    async def _add_today(
        self, tx: Tx, folds: Mapping[DeviceId, Fold], span: tuple[date, datetime], exclusions: Exclusions, only: Sequence[DeviceId] | None
    ) -> None:
        """The day that has not ended, from the log itself."""
        start, end = midnight(span[0], self._zone), microseconds(span[1])
        if start >= end:
            return
        past = await tx.availability.past(moment(start), span[1], checks=CHECKS, devices=only)

        def reckon() -> None:
            for one, life in lives(past, folds, exclusions).items():
                if life.changes or life.before is not HealthState.UNKNOWN:
                    folds[one].row(numbers_of(account(life, start, end)))

        await asyncio.to_thread(reckon)


# -- one batch, without the store


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Some days that follow each other: `starts` has one more, the end of the last."""

    days: Sequence[date]
    starts: Sequence[int]
    zone: tzinfo

    @classmethod
    def of(cls, first: date, until: date, zone: tzinfo) -> "_Calendar":
        return cls(days(first, until), [midnight(day, zone) for day in (*days(first, until), until)], zone)

    def from_(self, first: date) -> "_Calendar":
        skipped = (first - self.days[0]).days
        return _Calendar(self.days[skipped:], self.starts[skipped:], self.zone)

    def local(self, at: int) -> date:
        return moment(at).astimezone(self.zone).date()

    def first_whole(self, since: int | None) -> date | None:
        """The first day that begins at or after `since`."""
        if since is None:
            return None
        day = self.local(since)
        return day if midnight(day, self.zone) == since else day + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Page:
    days: list[AccountRow]
    months: list[AccountRow]
    reckoned: dict[DeviceId, Reckoned]


def _reckoned(lived: Mapping[DeviceId, Life], calendar: _Calendar, known: Mapping[DeviceId, Reckoned]) -> _Page:
    """Every day of every life of which there is something to tell, and every whole month."""
    page = _Page([], [], {})
    for device, life in lived.items():
        first = _first_day(life, calendar, known.get(device))
        if first is not None:
            _add(page, device, life, calendar.from_(first))
            _widen(page, device, known.get(device))
    return page


def _add(page: _Page, device: DeviceId, life: Life, calendar: _Calendar) -> None:
    clock_on, picture_on = (calendar.first_whole(life.checked.get(check)) for check in (CLOCK, PICTURE))
    months: dict[date, list[Account]] = {}
    found = accounts(life, calendar.starts)
    for day, (start, end), one in zip(calendar.days, pairwise(calendar.starts), found, strict=True):
        months.setdefault(month_of(day), []).append(one)
        clock, picture = (since is not None and day >= since for since in (clock_on, picture_on))
        if one != plain(end - start, clock=clock, picture=picture):
            page.days.append((day.isoformat(), device, numbers_of(one)))
    until = calendar.days[-1] + timedelta(days=1)
    page.months.extend(
        (month.isoformat(), device, numbers_of(reduce(Account.then, parts)))
        for month, parts in months.items()
        if month_after(month) <= until
    )
    page.reckoned[device] = Reckoned(calendar.days[0], until, clock_on, picture_on)


def _widen(page: _Page, device: DeviceId, known: Reckoned | None) -> None:
    """What was reckoned before stays so."""
    new = page.reckoned[device]
    if known is not None:
        page.reckoned[device] = replace(new, first=min(new.first, known.first), until=max(new.until, known.until))


def _first_day(life: Life, calendar: _Calendar, known: Reckoned | None) -> date | None:
    """The first of `calendar` of which the log knows something."""
    if known is not None:
        return max(known.first, calendar.days[0])
    if life.before is not HealthState.UNKNOWN:
        return calendar.days[0]
    return max(calendar.days[0], calendar.local(life.changes[0][0])) if life.changes else None


class _Book:
    """Folds of all devices at once, fed with rows by day; days without a row are filled as plain."""

    def __init__(self, reckoned: Mapping[DeviceId, Reckoned], wanted: Iterable[DeviceId], first: date, until: date, zone: tzinfo) -> None:
        self._until = until
        self._first = first
        self._starts = [midnight(day, zone) for day in (*days(first, until), until)]
        self._reckoned = reckoned
        self._folds = {device: Fold() for device in wanted}
        self._at = {device: max(reckoned[device].first, first) for device in self._folds if device in reckoned}

    def days(self, rows: Sequence[AccountRow]) -> None:
        self._take(rows, lambda day: day + timedelta(days=1))

    def months(self, rows: Sequence[AccountRow]) -> None:
        self._take(rows, month_after)

    def close(self) -> dict[DeviceId, Fold]:
        for device in self._at:
            self._fill(device, self._until)
        return self._folds

    def _take(self, rows: Sequence[AccountRow], after: Callable[[date], date]) -> None:
        text, day, following = "", self._first, self._first
        for named, device_id, numbers in rows:
            if named != text:
                text, day = named, date.fromisoformat(named)
                following = after(day)
            device = DeviceId(device_id)
            if device in self._at:
                if self._at[device] < day:
                    self._fill(device, day)
                self._folds[device].row(numbers)
                self._at[device] = following

    def _fill(self, device: DeviceId, until: date) -> None:
        known = self._reckoned[device]
        first, last = self._at[device], min(until, known.until)
        if first < last:
            self._folds[device].plain(
                self._length(first, last), clock=self._checked(first, last, known.clock), picture=self._checked(first, last, known.picture)
            )
        self._at[device] = max(first, last)

    def _checked(self, first: date, last: date, since: date | None) -> int:
        return 0 if since is None or since >= last else self._length(max(first, since), last)

    def _length(self, first: date, last: date) -> int:
        return self._starts[(last - self._first).days] - self._starts[(first - self._first).days]
