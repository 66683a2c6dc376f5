"""The ledger of availability: days and months reckoned from the log, reckoned anew where something changed, and read for a period."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from functools import reduce
from itertools import pairwise

from sqlalchemy import select

from gateway.clock import Clock
from gateway.domain.availability import (
    CLOCK,
    MICROSECONDS,
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
from gateway.reports.exclusions import Exclusions
from gateway.reports.folding import Folds
from gateway.reports.lives import CHECKS, lives
from gateway.storage.availability import AccountRow, Past, Reckoned, Stale, numbers_of
from gateway.storage.health import transitions
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

BATCH_DAYS, BATCH_MOST = 6_000, 300  # days of devices, and devices, that are reckoned at once: some milliseconds of the loop
HISTORY_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Reading:
    """The accounts of all devices in service for a period that ends, at the latest, now; what was left out; what was recorded.

    `recorded`: seconds that should be there and that are, by camera. `pardoned`: those of the missing that lie in excused time, as far as
    days tell: on each day no more than was excused of it.
    """

    start: datetime
    end: datetime
    accounts: Mapping[DeviceId, Account]
    exclusions: Exclusions
    recorded: Mapping[DeviceId, tuple[int, int]]
    pardoned: Mapping[DeviceId, int]
    finished: bool
    """Whether the period had ended."""


class Ledger:
    """Keeps `availability_days` and `availability_months` true, and reads them. One reckoning at a time."""

    def __init__(self, *, store: Store, city: City, clock: Clock, zone: tzinfo) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._zone = zone
        self._turn = asyncio.Lock()
        self._nothing_before: dict[DeviceId, date] = {}  # devices that were looked for in the log on that day

    @property
    def today(self) -> date:
        """The day of the site's calendar."""
        return self._clock.now().astimezone(self._zone).date()

    def moment_of(self, day: date) -> datetime:
        """When `day` begins here."""
        return moment(midnight(day, self._zone))

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
        if oldest is None or oldest.astimezone(self._zone).date() >= today:
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
            exclusions = await Exclusions.read(tx, self._city, start, end, now=self._clock.now())
        size = max(1, min(BATCH_MOST, BATCH_DAYS // len(calendar.days)))
        for batch in (devices[at : at + size] for at in range(0, len(devices), size)):
            async with self._store.read() as tx:
                past = await tx.availability.past(start, end, checks=CHECKS, devices=batch)
            page = await asyncio.to_thread(_reckoned, past, batch, exclusions, calendar, known)

            async def change(tx: Tx, batch: Sequence[DeviceId] = batch, page: _Page = page) -> None:
                await tx.availability.keep(batch, first, until, days=page.days, months=page.months, reckoned=page.reckoned)

            if page.reckoned:
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
        start, last = self.moment_of(first), self.moment_of(until)
        end = min(now, last)
        async with self._store.read() as tx:
            exclusions = await Exclusions.read(tx, self._city, start, max(start, end), now=now)
            recorded = await tx.availability.recorded(first, min(until, today), camera=device) if first < today else {}
            pardoned = await self._pardoned(tx, exclusions, recorded, first, min(until, today))
            reckoned = await tx.availability.reckoned()
            folds = await self._folded(tx, (wanted, device), first, min(until, today), reckoned)
            if until > today:
                past = await self._past_of_today(tx, wanted, (max(first, today), end))
                await asyncio.to_thread(self._add_today, folds, past, (wanted, reckoned), (max(first, today), end), exclusions)
        found = await asyncio.to_thread(lambda: {one: folds.read(one) for one in wanted})
        return Reading(start, end, found, exclusions, recorded, pardoned, last <= now)

    async def _pardoned(
        self, tx: Tx, exclusions: Exclusions, recorded: Mapping[DeviceId, tuple[int, int]], first: date, until: date
    ) -> Mapping[DeviceId, int]:
        """Of each camera, the missing seconds that its excuses account for."""
        found: dict[DeviceId, int] = {}
        cameras = {device for one in exclusions.excuses for device in one.devices if device in recorded}
        if not cameras or first >= until:
            return found
        begin = max(first, min(one.excuse.start for one in exclusions.excuses).astimezone(self._zone).date())
        for camera, day, missing_s in await tx.availability.missing(cameras, begin, until):
            span = (midnight(day, self._zone), midnight(day + timedelta(days=1), self._zone))
            excused_s = sum(max(0, min(end, span[1]) - max(start, span[0])) for start, end in exclusions.excused(camera)) // MICROSECONDS
            found[camera] = found.get(camera, 0) + min(missing_s, excused_s)
        return found

    async def _folded(
        self, tx: Tx, of: tuple[Sequence[DeviceId], DeviceId | None], first: date, until: date, reckoned: Mapping[DeviceId, Reckoned]
    ) -> Folds:
        """What is reckoned of the days from `first` until before `until`: days up to the first whole month, months, days after the last."""
        folds, device = Folds(of[0]), of[1]
        if first >= until:
            return folds
        stored = tx.availability
        length = _Calendar.of(first, until, self._zone).length
        begin = first if first.day == 1 else min(month_after(first), until)
        end = max(month_of(until), begin)
        for part in ((first, begin), (begin, end), (end, until)):
            if part[0] == part[1]:
                continue
            if part == (begin, end):
                sums, edges = await stored.month_sums(*part, device=device), await stored.month_edges(*part, device=device)
                await asyncio.to_thread(folds.months, sums, edges)
            else:
                sums, edges = await stored.day_sums(*part, device=device), await stored.day_edges(*part, device=device)
                await asyncio.to_thread(folds.days, sums, edges, part, reckoned, length)
        return folds

    async def _past_of_today(self, tx: Tx, wanted: Sequence[DeviceId], span: tuple[date, datetime]) -> Past:
        """What the log says of the day that has not ended."""
        only = wanted if len(wanted) == 1 else None
        start = min(self.moment_of(span[0]), span[1])
        return await tx.availability.past(start, span[1], checks=CHECKS, devices=only)

    def _add_today(
        self,
        folds: Folds,
        past: Past,
        of: tuple[Sequence[DeviceId], Mapping[DeviceId, Reckoned]],
        span: tuple[date, datetime],
        exclusions: Exclusions,
    ) -> None:
        """The day that has not ended, from the log itself; of devices of which the log knows something."""
        start, end = midnight(span[0], self._zone), microseconds(span[1])
        if start >= end:
            return
        for one, life in lives(past, of[0], exclusions).items():
            if life.changes or life.before is not HealthState.UNKNOWN or one in of[1]:
                folds.last(one, numbers_of(account(life, start, end)), span[0])


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

    def length(self, first: date, until: date) -> int:
        """Of the days from `first` until before `until`."""
        begin = self.days[0]
        return self.starts[(until - begin).days] - self.starts[(first - begin).days]

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


def _reckoned(
    past: Past, devices: Sequence[DeviceId], exclusions: Exclusions, calendar: _Calendar, known: Mapping[DeviceId, Reckoned]
) -> _Page:
    """Every day of every life of which there is something to tell, and every whole month."""
    page = _Page([], [], {})
    for device, life in lives(past, devices, exclusions).items():
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
