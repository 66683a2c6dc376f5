"""Availability as it is stored: accounts by days and months, how far they were reckoned, what must be reckoned anew, what was recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import add
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Table, Text, and_, case, delete, func, insert, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.availability import Account, Tally, month_after, month_of
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState
from gateway.storage.complaints import checked_since, complaints
from gateway.storage.health import device_health, transitions
from gateway.storage.schema import Json, metadata

_TALLY: Final = ("up", "degraded", "down", "outages", "lead", "tail", "longest")
_REST: Final = ("unknown", "maintenance", "excused", "clock_checked", "clock_bad", "picture_checked", "picture_bad")
COLUMNS: Final = (*(f"{kind}_{part}" for kind in ("raw", "adjusted") for part in _TALLY), *_REST)


def _account_columns() -> Iterable[Column[Any]]:
    return (Column(name, BigInteger, nullable=False) for name in COLUMNS)


availability_days = Table(
    "availability_days", metadata, Column("day", Text, primary_key=True), Column("device", Text, primary_key=True), *_account_columns()
)
availability_months = Table(
    "availability_months", metadata, Column("month", Text, primary_key=True), Column("device", Text, primary_key=True), *_account_columns()
)
availability_reckoned = Table(
    "availability_reckoned",
    metadata,
    Column("device", Text, primary_key=True),
    Column("first_day", Text, nullable=False),
    Column("until_day", Text, nullable=False),
    Column("clock_day", Text),
    Column("picture_day", Text),
)
availability_stale = Table(
    "availability_stale",
    metadata,
    Column("cause", Text, primary_key=True),
    Column("first_day", Text, nullable=False),
    Column("last_day", Text, nullable=False),
    Column("devices", Json),
)
availability_calendar = Table("availability_calendar", metadata, Column("zone", Text, primary_key=True))
recording_days = Table(
    "recording_days",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("recorder", Text, nullable=False),
    Column("expected_s", BigInteger, nullable=False),
    Column("recorded_s", BigInteger, nullable=False),
)
recording_months = Table(
    "recording_months",
    metadata,
    Column("month", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("expected_s", BigInteger, nullable=False),
    Column("recorded_s", BigInteger, nullable=False),
)
_LENGTH: Final = ("raw_up", "raw_degraded", "raw_down", "unknown", "maintenance")
PAGE: Final = 2_000  # rows that are taken at once: a few milliseconds

AccountRow = tuple[str, str, Sequence[int]]
"""The first day, the device and the numbers of an account, in the order of `COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Reckoned:
    """The days of a device from `first` until before `until` are reckoned; a day without a row was up, and from `clock` (`picture`) on with
    that check made all day."""

    first: date
    until: date
    clock: date | None = None
    picture: date | None = None


@dataclass(frozen=True, slots=True)
class Stale:
    """Days from `first` to `last` that must be reckoned anew, for `devices` (None: all), because of `cause`."""

    cause: str
    first: date
    last: date
    devices: tuple[DeviceId, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Rows of a device, summed up: `numbers` as in `COLUMNS`; the longest outage is that of one row, `lead` and `tail` mean nothing.

    `length_us`: the time that the rows span; `since_clock_us`, `since_picture_us`: that of the days on which the check was made all day.
    """

    device: DeviceId
    numbers: tuple[int, ...]
    length_us: int = 0
    since_clock_us: int = 0
    since_picture_us: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """A row where an outage touches the edge, or nothing counts. Raw and adjusted: working time, down time, lead, tail."""

    device: DeviceId
    day: date
    raw: Sequence[int]
    adjusted: Sequence[int]


@dataclass(frozen=True, slots=True)
class Past:
    """What the log says of some devices in a window: their states before it, their changes in it, complaints, and checks that are made."""

    before: Mapping[DeviceId, HealthState]
    changes: Sequence[tuple[DeviceId, int, datetime, HealthState]]
    complaints: Sequence[tuple[DeviceId, str, datetime, datetime | None]]
    checked: Sequence[tuple[DeviceId, str, datetime]]


class AvailabilityRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self._dialect = postgresql if conn.dialect.name == "postgresql" else sqlite

    # -- what it is reckoned from

    async def past(self, start: datetime, end: datetime, *, checks: Iterable[str], devices: Sequence[DeviceId] | None = None) -> Past:
        """What the log says of `devices` (None: all that there are) from `start` until before `end`; changes by the order of writing."""
        names = list(checks)
        touching = and_(complaints.c.since < end, or_(complaints.c.until.is_(None), complaints.c.until > start))
        said = select(complaints.c.device, complaints.c.check_name, complaints.c.since, complaints.c.until)
        made = select(checked_since.c.device, checked_since.c.check_name, checked_since.c.since)
        said = said.where(touching, complaints.c.check_name.in_(names))
        made = made.where(checked_since.c.check_name.in_(names), checked_since.c.since < end)
        if devices is not None:
            said, made = said.where(complaints.c.device.in_(devices)), made.where(checked_since.c.device.in_(devices))
        return Past(
            await self._before(start, devices),
            await (self._changes_of(devices, start, end) if devices is not None else self._changes(start, end)),
            [(DeviceId(row[0]), row[1], row[2], row[3]) for row in await self._conn.execute(said)],
            [(DeviceId(row[0]), row[1], row[2]) for row in await self._conn.execute(made)],
        )

    async def _before(self, start: datetime, devices: Sequence[DeviceId] | None) -> Mapping[DeviceId, HealthState]:
        last = select(transitions.c.after_state).where(transitions.c.device == device_health.c.device, transitions.c.at < start)
        query = select(device_health.c.device, last.order_by(transitions.c.number.desc()).limit(1).scalar_subquery())
        if devices is not None:
            query = query.where(device_health.c.device.in_(devices))
        return {DeviceId(row[0]): HealthState(row[1]) for row in await self._conn.execute(query) if row[1]}

    async def _changes_of(
        self, devices: Sequence[DeviceId], start: datetime, end: datetime
    ) -> list[tuple[DeviceId, int, datetime, HealthState]]:
        table = transitions.c
        query = select(table.device, table.number, table.at, table.after_state)
        query = query.where(table.device.in_(devices), table.at >= start, table.at < end).order_by(table.device, table.number)
        return [(DeviceId(row[0]), row[1], row[2], HealthState(row[3])) for row in await self._conn.execute(query)]

    async def _changes(self, start: datetime, end: datetime) -> list[tuple[DeviceId, int, datetime, HealthState]]:
        """Of all devices, a page at a time along the index by time."""
        table, found = transitions.c, list[tuple[DeviceId, int, datetime, HealthState]]()
        query = select(table.device, table.number, table.at, table.after_state).where(table.at < end)
        query = query.order_by(table.at, table.device, table.number).limit(PAGE)
        page = [*await self._conn.execute(query.where(table.at >= start))]
        while page:
            found += [(DeviceId(row[0]), row[1], row[2], HealthState(row[3])) for row in page]
            device, number, at, _ = page[-1]
            if len(page) < PAGE:
                break
            beyond = and_(table.at >= at, or_(table.at > at, tuple_(table.device, table.number) > (device, number)))
            page = [*await self._conn.execute(query.where(beyond))]
        return sorted(found, key=lambda change: change[:2])

    # -- what was reckoned

    async def reckoned(self) -> Mapping[DeviceId, Reckoned]:
        rows = await self._conn.execute(select(availability_reckoned))
        return {
            DeviceId(device): Reckoned(date.fromisoformat(first), date.fromisoformat(until), _day(clock), _day(picture))
            for device, first, until, clock, picture in rows
        }

    async def keep(
        self,
        devices: Sequence[DeviceId],
        first: date,
        until: date,
        *,
        days: Sequence[AccountRow],
        months: Sequence[AccountRow],
        reckoned: Mapping[DeviceId, Reckoned],
    ) -> None:
        """The accounts of `devices` from `first` until before `until`: `days` and whole `months` take the place of what was there."""
        table = availability_days
        within = and_(table.c.day >= first.isoformat(), table.c.day < until.isoformat(), table.c.device.in_(devices))
        await self._conn.execute(delete(table).where(within))
        await self._insert(table, "day", days)
        named = availability_months
        whole = and_(named.c.month.in_(sorted({month for month, _, _ in months})), named.c.device.in_(devices))
        await self._conn.execute(delete(named).where(whole))
        await self._insert(named, "month", months)
        for device, one in reckoned.items():
            row = {
                name: day and day.isoformat() for name, day in zip(_RECKONED, (one.first, one.until, one.clock, one.picture), strict=True)
            }
            upsert = self._dialect.insert(availability_reckoned).values(device=device, **row)
            await self._conn.execute(upsert.on_conflict_do_update(index_elements=["device"], set_=row))

    async def _insert(self, table: Table, name: str, rows: Sequence[AccountRow]) -> None:
        if rows:
            await self._conn.execute(
                insert(table), [{name: day, "device": device, **dict(zip(COLUMNS, numbers, strict=True))} for day, device, numbers in rows]
            )

    async def day_sums(self, first: date, until: date, *, device: DeviceId | None = None) -> Sequence[Sums]:
        """The days from `first` until before `until` that have rows, summed up for each device."""
        table, known = availability_days, availability_reckoned.c
        length = reduce(add, (table.c[name] for name in _LENGTH))
        asked = [_summed(table.c[name]) for name in COLUMNS]
        since = [func.sum(case((table.c.day >= column, length), else_=0)) for column in (known.clock_day, known.picture_day)]
        query = select(table.c.device, *asked, func.sum(length), *since).join(availability_reckoned, known.device == table.c.device)
        query = self._within(query.group_by(table.c.device), table, table.c.day, (first, until), device)
        found = await self._conn.execute(query)
        return [Sums(DeviceId(row[0]), tuple(map(int, row[1:-3])), *map(int, row[-3:])) for row in found]

    async def month_sums(self, first: date, until: date, *, device: DeviceId | None = None) -> Sequence[Sums]:
        """The months that begin from `first` on and before `until`, summed up for each device; without their lengths."""
        table = availability_months
        query = select(table.c.device, *(_summed(table.c[name]) for name in COLUMNS)).group_by(table.c.device)
        found = await self._conn.execute(self._within(query, table, table.c.month, (first, until), device))
        return [Sums(DeviceId(row[0]), tuple(map(int, row[1:]))) for row in found]

    async def day_edges(self, first: date, until: date, *, device: DeviceId | None = None) -> Sequence[Edge]:
        """The days on which an outage may go over midnight, by device and day."""
        return await self._edges(availability_days, availability_days.c.day, (first, until), device)

    async def month_edges(self, first: date, until: date, *, device: DeviceId | None = None) -> Sequence[Edge]:
        """The months over whose end an outage may go, by device and month."""
        return await self._edges(availability_months, availability_months.c.month, (first, until), device)

    async def _edges(self, table: Table, day: Column[Any], part: tuple[date, date], device: DeviceId | None) -> Sequence[Edge]:
        parts = [
            (table.c[f"{kind}_up"] + table.c[f"{kind}_degraded"], *(table.c[f"{kind}_{name}"] for name in ("down", "lead", "tail")))
            for kind in ("raw", "adjusted")
        ]
        query = select(day, table.c.device, *parts[0], *parts[1])
        touching = [table.c[f"{kind}_{name}"] > 0 for kind in ("raw", "adjusted") for name in ("lead", "tail")]
        silent = [table.c[f"{kind}_up"] + table.c[f"{kind}_degraded"] + table.c[f"{kind}_down"] == 0 for kind in ("raw", "adjusted")]
        query = self._within(query.where(or_(*touching, *silent)).order_by(table.c.device, day), table, day, part, device)
        return [Edge(DeviceId(row[1]), date.fromisoformat(row[0]), row[2:6], row[6:]) for row in await self._conn.execute(query)]

    def _within(self, query: Any, table: Table, day: Column[Any], part: tuple[date, date], device: DeviceId | None) -> Any:
        query = query.where(day >= part[0].isoformat(), day < part[1].isoformat())
        return query if device is None else query.where(table.c.device == device)

    async def rows(self, first: date, until: date) -> Sequence[AccountRow]:
        """The rows of the days from `first` until before `until`, by day and device, as they are."""
        table = availability_days
        query = select(table).where(table.c.day >= first.isoformat(), table.c.day < until.isoformat()).order_by(table.c.day, table.c.device)
        return [(row[0], row[1], row[2:]) for row in await self._conn.execute(query)]

    async def month_rows(self, first: date, until: date, *, device: DeviceId | None = None) -> Sequence[AccountRow]:
        """The rows of the months that begin from `first` on and before `until`, by month and device, as they are."""
        table = availability_months
        query = select(table).where(table.c.month >= first.isoformat(), table.c.month < until.isoformat())
        if device is not None:
            query = query.where(table.c.device == device)
        return [(row[0], row[1], row[2:]) for row in await self._conn.execute(query.order_by(table.c.month, table.c.device))]

    async def forget(self, *, before: date) -> None:
        """Drop what is older than anybody may ask for."""
        await self._conn.execute(delete(availability_days).where(availability_days.c.day < before.isoformat()))
        await self._conn.execute(delete(availability_months).where(availability_months.c.month < before.isoformat()))
        await self._conn.execute(delete(recording_days).where(recording_days.c.day < before.isoformat()))
        await self._conn.execute(delete(recording_months).where(recording_months.c.month < before.isoformat()))

    async def forget_all(self) -> None:
        """Drop every account: the calendar by which they were made is another."""
        for table in (availability_days, availability_months, availability_reckoned, availability_stale):
            await self._conn.execute(delete(table))

    async def zone(self) -> str | None:
        """The time zone by whose days it was reckoned; None when nothing was."""
        found: str | None = await self._conn.scalar(select(availability_calendar.c.zone))
        return found

    async def set_zone(self, zone: str) -> None:
        await self._conn.execute(delete(availability_calendar))
        await self._conn.execute(insert(availability_calendar).values(zone=zone))

    # -- what must be reckoned anew

    async def mark_stale(self, stale: Stale) -> None:
        row: dict[str, object] = {"first_day": stale.first.isoformat(), "last_day": stale.last.isoformat()}
        row |= {"devices": None if stale.devices is None else list(stale.devices)}
        upsert = self._dialect.insert(availability_stale).values(cause=stale.cause, **row)
        await self._conn.execute(upsert.on_conflict_do_update(index_elements=["cause"], set_=row))

    async def stale(self) -> Sequence[Stale]:
        rows = await self._conn.execute(select(availability_stale).order_by(availability_stale.c.cause))
        return [
            Stale(
                row.cause,
                date.fromisoformat(row.first_day),
                date.fromisoformat(row.last_day),
                None if row.devices is None else tuple(map(DeviceId, row.devices)),
            )
            for row in rows
        ]

    async def settle(self, cause: str) -> None:
        """What was stale because of `cause` is reckoned anew."""
        await self._conn.execute(delete(availability_stale).where(availability_stale.c.cause == cause))

    # -- what was recorded

    async def put_recorded(self, camera: DeviceId, day: date, *, recorder: DeviceId, expected_s: int, recorded_s: int) -> None:
        """What `recorder` has of a `camera`'s day of the site's calendar; said again, it takes the place of what was said before."""
        row = {"recorder": recorder, "expected_s": expected_s, "recorded_s": min(recorded_s, expected_s)}
        upsert = self._dialect.insert(recording_days).values(camera=camera, day=day.isoformat(), **row)
        await self._conn.execute(upsert.on_conflict_do_update(index_elements=["camera", "day"], set_=row))
        table, month = recording_days.c, month_of(day)
        within = and_(table.camera == camera, table.day >= month.isoformat(), table.day < month_after(day).isoformat())
        sums = (await self._conn.execute(select(func.sum(table.expected_s), func.sum(table.recorded_s)).where(within))).one()
        total = {"expected_s": int(sums[0]), "recorded_s": int(sums[1])}
        whole = self._dialect.insert(recording_months).values(camera=camera, month=month.isoformat(), **total)
        await self._conn.execute(whole.on_conflict_do_update(index_elements=["month", "camera"], set_=total))

    async def recorded(self, first: date, until: date, *, camera: DeviceId | None = None) -> Mapping[DeviceId, tuple[int, int]]:
        """Expected and recorded seconds of each camera from `first` until before `until`: months from their sums, the rest by days."""
        found: dict[DeviceId, tuple[int, int]] = {}
        begin = first if first.day == 1 else month_after(first)
        end = month_of(until)
        if begin < end:
            await self._add_recorded(recording_months, recording_months.c.month, (begin, end), camera, found)
            parts = [(first, begin), (end, until)]
        else:
            parts = [(first, until)]
        for part in parts:
            if part[0] < part[1]:
                await self._add_recorded(recording_days, recording_days.c.day, part, camera, found)
        return found

    async def missing(self, cameras: Iterable[DeviceId], first: date, until: date) -> Sequence[tuple[DeviceId, date, int]]:
        """The days from `first` until before `until` on which something is missing of one of `cameras`, and how many seconds."""
        table, wanted = recording_days.c, set(cameras)
        query = select(table.camera, table.day, table.expected_s - table.recorded_s)
        query = query.where(table.day >= first.isoformat(), table.day < until.isoformat(), table.recorded_s < table.expected_s)
        rows = await self._conn.execute(query)
        return [(DeviceId(row[0]), date.fromisoformat(row[1]), row[2]) for row in rows if row[0] in wanted]

    async def _add_recorded(
        self, table: Table, day: Column[Any], part: tuple[date, date], camera: DeviceId | None, found: dict[DeviceId, tuple[int, int]]
    ) -> None:
        query = select(table.c.camera, func.sum(table.c.expected_s), func.sum(table.c.recorded_s)).group_by(table.c.camera)
        query = query.where(day >= part[0].isoformat(), day < part[1].isoformat())
        if camera is not None:
            query = query.where(table.c.camera == camera)
        for row in await self._conn.execute(query):
            before = found.get(DeviceId(row[0]), (0, 0))
            found[DeviceId(row[0])] = (before[0] + int(row[1]), before[1] + int(row[2]))


def _summed(column: Column[Any]) -> Any:
    return (func.max if column.name.endswith("longest") else func.sum)(column)


_RECKONED: Final = ("first_day", "until_day", "clock_day", "picture_day")


def numbers_of(account: Account) -> tuple[int, ...]:
    """The numbers of an account in the order of `COLUMNS`."""
    tallies = (getattr(tally, part) for tally in (account.raw, account.adjusted) for part in _TALLY)
    return (*tallies, *(getattr(account, part) for part in _REST))


def account_of(numbers: Sequence[int]) -> Account:
    """The account that `numbers_of` gave."""
    return Account(Tally(*numbers[:7]), Tally(*numbers[7:14]), *numbers[14:])


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
