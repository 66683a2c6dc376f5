"""What the checks had to say over time, as it is stored: complaints, since when each check is made, and when we were looking."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Case, Column, Table, Text, case, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.storage.schema import UtcTime, metadata

complaints = Table(
    "complaints",
    metadata,
    Column("device", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("since", UtcTime, primary_key=True),
    Column("until", UtcTime),
    Column("reason", Text, nullable=False),
)
checked_since = Table(
    "checked_since",
    metadata,
    Column("device", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("since", UtcTime, nullable=False),
)
watches = Table(
    "watches",
    metadata,
    Column("instance", Text, primary_key=True),
    Column("since", UtcTime, primary_key=True),
    Column("until", UtcTime, nullable=False),
)
_CODE_LIMIT = 64
OUT_OF_SERVICE: Final = "in-service"
"""Stands where a check's name does, for the time in which a device was switched off in the inventory or taken out of it."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """A check of a device complained from `since` until before `until`; None while it still does."""

    device: DeviceId
    check: str
    reason: str
    since: datetime
    until: datetime | None = None


class ComplaintRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self._dialect = postgresql if conn.dialect.name == "postgresql" else sqlite

    async def begin(self, device: DeviceId, checks: Iterable[str], at: datetime) -> None:
        """`checks` of `device` are made from now on; those that already were stay as they are."""
        for check in checks:
            row = self._dialect.insert(checked_since).values(device=device, check_name=check[:_CODE_LIMIT], since=at)
            await self._conn.execute(row.on_conflict_do_nothing())

    async def rise(self, device: DeviceId, check: str, reason: str, at: datetime) -> None:
        """`check` complains from now on; a complaint of the same check that is still open ends here."""
        await self.clear(device, check, at)
        row = self._dialect.insert(complaints).values(device=device, check_name=check[:_CODE_LIMIT], since=at, reason=reason[:_CODE_LIMIT])
        await self._conn.execute(row.on_conflict_do_nothing())

    async def clear(self, device: DeviceId, check: str, at: datetime) -> None:
        """`check` complains no more. A clock that was set back ends it where it began."""
        open_ = (complaints.c.device == device) & (complaints.c.check_name == check[:_CODE_LIMIT]) & complaints.c.until.is_(None)
        await self._conn.execute(update(complaints).where(open_).values(until=_not_before(complaints.c.since, at)))

    async def end_all(self, devices: Iterable[DeviceId], at: datetime) -> None:
        """Devices that are no more complain no more."""
        for device in devices:
            open_ = (complaints.c.device == device) & complaints.c.until.is_(None)
            await self._conn.execute(update(complaints).where(open_).values(until=_not_before(complaints.c.since, at)))

    async def still_open(self) -> Sequence[Complaint]:
        """What complains now."""
        open_ = (complaints.c.until.is_(None)) & (complaints.c.check_name != OUT_OF_SERVICE)
        rows = await self._conn.execute(select(complaints).where(open_))
        return [Complaint(DeviceId(row.device), row.check_name, row.reason, row.since) for row in rows]

    async def out_of_service(self) -> frozenset[DeviceId]:
        """The devices of which it is written that they are out of service."""
        open_ = (complaints.c.until.is_(None)) & (complaints.c.check_name == OUT_OF_SERVICE)
        return frozenset(DeviceId(row.device) for row in await self._conn.execute(select(complaints.c.device).where(open_)))

    async def checked(self) -> Mapping[DeviceId, frozenset[str]]:
        """The checks of each device that were ever made."""
        rows = await self._conn.execute(select(checked_since.c.device, checked_since.c.check_name))
        found: dict[DeviceId, set[str]] = {}
        for row in rows:
            found.setdefault(DeviceId(row.device), set()).add(row.check_name)
        return {device: frozenset(checks) for device, checks in found.items()}

    async def checked_of(self, device: DeviceId) -> Mapping[str, datetime]:
        """The checks of one device, and since when each is made."""
        query = select(checked_since.c.check_name, checked_since.c.since).where(checked_since.c.device == device)
        return {row.check_name: row.since for row in await self._conn.execute(query.order_by(checked_since.c.check_name))}

    async def of(self, device: DeviceId, *, limit: int = 100) -> Sequence[Complaint]:
        """The complaints of one device, newest first."""
        query = select(complaints).where(complaints.c.device == device).order_by(complaints.c.since.desc(), complaints.c.check_name)
        rows = await self._conn.execute(query.limit(limit))
        return [Complaint(device, row.check_name, row.reason, row.since, row.until) for row in rows]

    # -- our own watch

    async def watch(self, instance: str, since: datetime, until: datetime) -> None:
        """`instance` has looked since `since`, and still did at `until`."""
        row = self._dialect.insert(watches).values(instance=instance, since=since, until=max(since, until))
        set_ = {"until": _not_before(watches.c.until, until)}
        await self._conn.execute(row.on_conflict_do_update(index_elements=["instance", "since"], set_=set_))

    async def watched(self, start: datetime, end: datetime) -> Sequence[tuple[datetime, datetime]]:
        """When any instance looked, as far as it touches `start` to `end`; by their beginning."""
        touching = (watches.c.until > start) & (watches.c.since < end)
        rows = await self._conn.execute(select(watches.c.since, watches.c.until).where(touching).order_by(watches.c.since))
        return [(row.since, row.until) for row in rows]

    async def first_watch(self) -> datetime | None:
        """Since when it is written down whether we looked."""
        found: datetime | None = await self._conn.scalar(select(watches.c.since).order_by(watches.c.since).limit(1))
        return found


def _not_before(column: Column[datetime], at: datetime) -> Case[datetime]:
    return case((column > literal(at, UtcTime()), column), else_=literal(at, UtcTime()))
