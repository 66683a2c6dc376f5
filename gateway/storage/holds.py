"""Holds in the store: who holds what until when, what is kept of it from which device, and the files of the evidence store."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Exists,
    Row,
    Table,
    Text,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, Person
from gateway.domain.footage import WORKING, FootageState, Period, Reach, RequestId
from gateway.domain.holds import SETTLED, HeldFile, Hold, HoldId, HoldState, Keep, KeepState
from gateway.errors import Conflict, NotFound
from gateway.storage.fetched import TOLD_APART, file_columns, to_file_fields, to_file_row, to_offset, to_seconds
from gateway.storage.footage_tables import footage_files, footage_requests
from gateway.storage.schema import Json, UtcTime, metadata
from gateway.storage.seeing import shown
from gateway.storage.spans import to_periods, to_spans

holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owned_by", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cameras", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("request", Text),
    Column("everything", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", UtcTime),
    Column("ended_by", Text),
    Column("ender", Text),
    Column("note", Text, nullable=False),
)

hold_keeps = Table(
    "hold_keeps",
    metadata,
    Column("hold", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("recording", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("offset_s", Double),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("needed", Json, nullable=False),
    Column("obtained", Json, nullable=False),
    Column("overwrite_at", UtcTime),
    Column("reserved", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("next_at", UtcTime),
    Column("locked", Boolean, nullable=False),
)

hold_files = Table(
    "hold_files",
    metadata,
    Column("hold", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    *file_columns(),
)


_BOTH: Final = select(holds, *(column.label(f"keep_{column.name}") for column in hold_keeps.columns)).join(
    hold_keeps, hold_keeps.c.hold == holds.c.id
)


def hold_seen_by(reach: Reach) -> ColumnElement[bool]:
    """The condition upon the table of holds under which one is shown to somebody who does not see all."""
    table, keeps = holds.c, hold_keeps.alias().c  # a hold has a keep of each of its cameras at the least
    return shown(reach, owner=table.owned_by, row=table.id, of=keeps.hold, camera=keeps.camera)


class HoldRepository:
    """Holds, keeps and held files over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- holds --------------------------------------------------------------------------------------------------------

    async def add(self, hold: Hold, keeps: Iterable[Keep]) -> None:
        """A new hold with what is to be kept, a keep a camera at the least: by them it holds."""
        await self._conn.execute(insert(holds).values(_hold_row(hold)))
        for keep in keeps:
            await self._conn.execute(insert(hold_keeps).values(_keep_row(keep)))

    async def get(self, hold: HoldId) -> Hold:
        """NotFound when there is none."""
        row = (await self._conn.execute(select(holds).where(holds.c.id == hold))).one_or_none()
        if row is None:
            raise NotFound(f"there is no hold {hold[:100]!r}")
        return _hold(row)

    async def replace(self, before: Hold, after: Hold) -> None:
        """Write `after` over `before`; Conflict when the stored one is another by now."""
        statement = update(holds).where(
            holds.c.id == before.id, holds.c.state == before.state.value, holds.c.expires_at == before.expires_at
        )
        row = {name: value for name, value in _hold_row(after).items() if name != "id"}
        if (await self._conn.execute(statement.values(row))).rowcount != 1:
            raise Conflict("somebody else has changed the hold meanwhile", code="changed-meanwhile", hint="look at it again")

    async def find(
        self,
        *,
        state: HoldState | None = None,
        request: RequestId | None = None,
        reach: Reach | None = None,
        before: tuple[datetime, HoldId] | None = None,
        limit: int = 100,
    ) -> list[Hold]:
        """Holds, the newest first, from after the place `before` (created_at, id) on. `reach`: whose eyes look, None when they see all."""
        table = holds.c
        statement = select(holds).order_by(table.created_at.desc(), table.id.desc()).limit(limit)
        if state is not None:
            statement = statement.where(table.state == state.value)
        if request is not None:
            statement = statement.where(table.request == request)
        if reach is not None:
            statement = statement.where(hold_seen_by(reach))
        if before is not None:
            at, last = before
            statement = statement.where(or_(table.created_at < at, and_(table.created_at == at, table.id < last)))
        return [_hold(row) for row in await self._conn.execute(statement)]

    async def outlived(self, owner: Actor, states: Iterable[FootageState], *, limit: int) -> list[Hold]:
        """Active holds of `owner` whose requests are in one of `states`."""
        table = holds.c
        whose = (table.state == HoldState.ACTIVE.value, table.owned_by == str(owner))
        done = footage_requests.c.state.in_([state.value for state in states])
        statement = select(holds).join(footage_requests, footage_requests.c.id == table.request).where(*whose, done)
        return [_hold(row) for row in await self._conn.execute(statement.order_by(table.expires_at).limit(limit))]

    async def due(self, now: datetime, *, limit: int) -> list[Hold]:
        """Active holds that have run out, the longest first."""
        table = holds.c
        statement = select(holds).where(table.state == HoldState.ACTIVE.value, table.expires_at <= now)
        return [_hold(row) for row in await self._conn.execute(statement.order_by(table.expires_at).limit(limit))]

    # -- keeps --------------------------------------------------------------------------------------------------------

    async def put_keep(self, keep: Keep) -> None:
        """Add or change one."""
        row = _keep_row(keep)
        keys = (hold_keeps.c.hold == keep.hold, hold_keeps.c.camera == keep.camera, hold_keeps.c.device == keep.device)
        done = await self._conn.execute(update(hold_keeps).where(*keys).values(row))
        if done.rowcount == 0:
            await self._conn.execute(insert(hold_keeps).values(row))

    async def look_again(self, hold: HoldId) -> None:
        """What is safe for the time being is to be looked at now."""
        table = hold_keeps.c
        await self._conn.execute(update(hold_keeps).where(table.hold == hold, table.state == KeepState.SAFE.value).values(next_at=None))

    async def keeps(self, hold: HoldId) -> tuple[Keep, ...]:
        """Of one hold, by camera and device."""
        statement = select(hold_keeps).where(hold_keeps.c.hold == hold).order_by(hold_keeps.c.camera, hold_keeps.c.device)
        return tuple(_keep(row) for row in await self._conn.execute(statement))

    async def unsettled(self, now: datetime, *, limit: int) -> list[tuple[Hold, Keep]]:
        """What is still to be done for active holds at `now`, but for those that stand back."""
        table = hold_keeps.c
        statement = (
            _BOTH.where(holds.c.state == HoldState.ACTIVE.value, table.state.not_in([state.value for state in SETTLED]))
            .where(or_(table.next_at.is_(None), table.next_at <= now), ~_stands_back())
            .order_by(table.overwrite_at, table.hold, table.camera, table.device)
            .limit(limit)
        )
        return [(_hold(row), _keep(row, "keep_")) for row in await self._conn.execute(statement)]

    async def still_locked(self, *, limit: int) -> list[tuple[Hold, Keep]]:
        """What devices lock themselves for holds that have ended, and for no active one that covers some of it."""
        statement = _BOTH.where(holds.c.state != HoldState.ACTIVE.value, hold_keeps.c.locked.is_(True), ~_relied_on()).limit(limit)
        return [(_hold(row), _keep(row, "keep_")) for row in await self._conn.execute(statement)]

    async def relied_on(self, keep: Keep) -> bool:
        """Whether an active hold covers some of what `keep`, of a hold that has ended, locks on its device."""
        table = hold_keeps.c
        keys = (table.hold == keep.hold, table.camera == keep.camera, table.device == keep.device)
        statement = select(table.hold).join(holds, holds.c.id == table.hold).where(*keys, _relied_on())
        return (await self._conn.scalar(statement)) is not None

    async def outstanding_bytes(self, *, but_for: RequestId | None = None) -> int:
        """Bytes that active holds have set aside and not used yet, but for those that stand back, or would for the request `but_for`."""
        stored = (
            select(func.coalesce(func.sum(hold_files.c.size), 0))
            .where(hold_files.c.hold == hold_keeps.c.hold, hold_files.c.camera == hold_keeps.c.camera)
            .where(hold_files.c.device == hold_keeps.c.device)
            .scalar_subquery()
        )
        statement = (
            select(hold_keeps.c.reserved, stored)
            .join(holds, holds.c.id == hold_keeps.c.hold)
            .where(holds.c.state == HoldState.ACTIVE.value, hold_keeps.c.state.not_in([state.value for state in SETTLED]))
            .where(~_stands_back(but_for))
        )
        return sum(max(0, int(reserved) - int(used)) for reserved, used in await self._conn.execute(statement))

    async def bytes_per_s(self, cameras: Iterable[DeviceId]) -> dict[DeviceId, float]:
        """How many bytes a second of footage took, of those cameras of which some was fetched before."""
        found: dict[DeviceId, float] = {}
        for camera in cameras:
            statement = select(footage_files.c.size, footage_files.c.start_at, footage_files.c.end_at)
            rows = await self._conn.execute(
                statement.where(footage_files.c.camera == camera).order_by(footage_files.c.created_at.desc()).limit(_SAMPLE)
            )
            sizes = [(row.size, (row.end_at - row.start_at).total_seconds()) for row in rows]
            seconds = sum(length for _, length in sizes)
            if seconds > 0:
                found[camera] = sum(size for size, _ in sizes) / seconds
        return found

    # -- files --------------------------------------------------------------------------------------------------------

    async def add_file(self, file: HeldFile) -> None:
        await self._conn.execute(insert(hold_files).values(_file_row(file)))

    async def files(self, hold: HoldId) -> tuple[HeldFile, ...]:
        """Of one hold, by camera, device and number."""
        table = hold_files.c
        statement = select(hold_files).where(table.hold == hold).order_by(table.camera, table.device, table.number)
        return tuple(_file(row) for row in await self._conn.execute(statement))

    async def files_of(self, camera: DeviceId, window: Period) -> tuple[HeldFile, ...]:
        """What the evidence store has of a camera's window, whoever holds it, in order of time."""
        table = hold_files.c
        statement = select(hold_files).where(
            table.camera == camera, table.removed.is_(False), table.start_at < window.end, table.end_at > window.start
        )
        return tuple(_file(row) for row in await self._conn.execute(statement.order_by(table.start_at, table.hold, table.number)))

    async def removable(self, *, limit: int) -> list[HeldFile]:
        """Files whose own hold has ended and that no other active hold covers."""
        own = select(holds.c.id).where(holds.c.id == hold_files.c.hold, holds.c.state == HoldState.ACTIVE.value)
        table = hold_files.c
        statement = select(hold_files).where(table.removed.is_(False), ~exists(own), ~covered(hold_files)).limit(limit)
        return [_file(row) for row in await self._conn.execute(statement)]

    async def mark_removed(self, file: HeldFile) -> None:
        """Conflict while an active hold covers it: the schema refuses."""
        table = hold_files.c
        keys = (table.hold == file.hold, table.camera == file.camera, table.device == file.device, table.number == file.number)
        await self._conn.execute(update(hold_files).where(*keys).values(removed=True))

    # -- requests -----------------------------------------------------------------------------------------------------

    async def held_in(self, request: RequestId) -> frozenset[str]:
        """The names of a request's files that active holds cover: they may not be removed."""
        table = footage_files.c
        statement = select(table.name).where(table.request == request, table.removed.is_(False), covered(footage_files))
        return frozenset(await self._conn.scalars(statement))


_SAMPLE: Final = 20


def covered(files: Table) -> Exists:
    """That an active hold covers a row of `files`."""
    return exists(
        select(hold_keeps.c.hold)
        .join(holds, holds.c.id == hold_keeps.c.hold)
        .where(hold_keeps.c.camera == files.c.camera, holds.c.state == HoldState.ACTIVE.value)
        .where(holds.c.start_at < files.c.end_at, holds.c.end_at > files.c.start_at)
    )


def _stands_back(request: RequestId | None = None) -> ColumnElement[bool]:
    """A hold of the gateway's own whose request is being worked on, or is `request`: that itself fetches what the hold would."""
    working = footage_requests.c.state.in_([state.value for state in WORKING])
    worked_on = exists().where(footage_requests.c.id == holds.c.request, working)
    return and_(holds.c.owned_by == str(SYSTEM), holds.c.request.is_not(None), or_(worked_on, holds.c.request == (request or "")))


def _relied_on() -> Any:
    """That an active hold covers some of what a row of `hold_keeps`, with its row of `holds`, means on its device."""
    others, theirs = hold_keeps.alias(), holds.alias()
    return exists(
        select(others.c.hold)
        .join(theirs, theirs.c.id == others.c.hold)
        .where(others.c.device == hold_keeps.c.device, theirs.c.state == HoldState.ACTIVE.value)
        .where(or_(others.c.camera == hold_keeps.c.camera, others.c.recording == hold_keeps.c.recording))
        .where(theirs.c.start_at < holds.c.end_at, theirs.c.end_at > holds.c.start_at)
        .correlate(hold_keeps, holds)
    )


# -- rows -------------------------------------------------------------------------------------------------------------


def _hold_row(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "owned_by": str(hold.owner.actor),
        "owner": hold.owner.name,
        "reason": hold.reason,
        "cameras": list(hold.cameras),
        "start_at": hold.window.start,
        "end_at": hold.window.end,
        "created_at": hold.created_at,
        "expires_at": hold.expires_at,
        "request": hold.request,
        "everything": hold.everything,
        "state": hold.state.value,
        "ended_at": hold.ended_at,
        "ended_by": str(hold.ended_by.actor) if hold.ended_by else None,
        "ender": hold.ended_by.name if hold.ended_by else None,
        "note": hold.note,
    }


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        id=HoldId(row.id),
        owner=Person(Actor.parse(row.owned_by), row.owner),
        reason=row.reason,
        cameras=tuple(map(DeviceId, row.cameras)),
        window=Period(row.start_at, row.end_at),
        created_at=row.created_at,
        expires_at=row.expires_at,
        request=RequestId(row.request) if row.request else None,
        everything=row.everything,
        state=HoldState(row.state),
        ended_at=row.ended_at,
        ended_by=Person(Actor.parse(row.ended_by), row.ender) if row.ended_by else None,
        note=row.note,
    )


_KEEP_SAME: Final = (
    "hold",
    "camera",
    "device",
    "recording",
    "serial",
    "reason",
    "overwrite_at",
    "reserved",
    "attempts",
    "next_at",
    "locked",
)
assert {*_KEEP_SAME, "offset", "state", "needed", "obtained"} == {field.name for field in fields(Keep)}


def _keep_row(keep: Keep) -> dict[str, Any]:
    same = {name: getattr(keep, name) for name in _KEEP_SAME}
    return same | {
        "offset_s": to_seconds(keep.offset),
        "state": keep.state.value,
        "needed": to_spans(keep.needed),
        "obtained": to_spans(keep.obtained),
    }


def _keep(row: Row[Any], prefix: str = "") -> Keep:
    told = {name: row._mapping[prefix + name] for name in (*_KEEP_SAME, "offset_s", "state", "needed", "obtained")}
    return Keep(
        **{name: told[name] for name in _KEEP_SAME},
        offset=to_offset(told["offset_s"]),
        state=KeepState(told["state"]),
        needed=to_periods(told["needed"]),
        obtained=to_periods(told["obtained"]),
    )


_FILE_SAME: Final = (
    *("hold", "camera", "device", "number", "name", "sha256", "size", "frames", "damaged"),
    *("created_at", "removed", "serial", "recording", "sound_left_out", "sound_refused", "set_backs"),
)
assert {*_FILE_SAME, *TOLD_APART} == {field.name for field in fields(HeldFile)}


def _file_row(file: HeldFile) -> dict[str, Any]:
    return to_file_row(file, _FILE_SAME)


def _file(row: Row[Any]) -> HeldFile:
    return HeldFile(**to_file_fields(row, _FILE_SAME))
