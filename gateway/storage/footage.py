"""Footage requests in the store: the request, what was exported for it, and the custody log that only ever grows."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Row,
    Table,
    Text,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.footage import (
    CustodyEntry,
    Dossier,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    Person,
    RequestId,
    Step,
    Urgency,
)
from gateway.errors import Conflict, NotFound
from gateway.storage.schema import Json, UtcTime, metadata

_WORDS: Final = (
    *("requester", "unit", "badge", "second_officer", "case_number", "case_kind", "legal_basis", "authorising_document"),
    *("approval_letter", "purpose", "destination"),
)

footage_requests = Table(
    "footage_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in _WORDS),
    Column("urgency", Text, nullable=False),
    Column("place", Json, nullable=False),
    Column("cameras", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitter", Text, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("decided_by", Text),
    Column("decider", Text),
    Column("decided_at", UtcTime),
    Column("note", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("ready_at", UtcTime),
)

footage_exports = Table(
    "footage_exports",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("approved", Boolean, nullable=False),
    Column("recorder", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("offset_s", Double),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("coverage", Json, nullable=False),
    Column("obtained", Json, nullable=False),
    Column("gaps", Json, nullable=False),
)

footage_files = Table(
    "footage_files",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("damaged", BigInteger, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("runs", Json, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("downloads", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
)

footage_custody = Table(
    "footage_custody",
    metadata,
    Column("request", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("step", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("detail", Json, nullable=False),
)


class FootageRepository:
    """Requests, exports, files and custody over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- requests -----------------------------------------------------------------------------------------------------

    async def add(self, request: FootageRequest) -> None:
        """File a new request. Conflict when the id is taken or a rule of the schema is broken."""
        await self._conn.execute(insert(footage_requests).values(_request_row(request)))

    async def get(self, request: RequestId) -> FootageRequest:
        """NotFound when there is none."""
        found = await self._conn.execute(select(footage_requests).where(footage_requests.c.id == request))
        row = found.one_or_none()
        if row is None:
            raise NotFound(f"no footage request {request!r}")
        return _request(row)

    async def replace(self, before: FootageRequest, after: FootageRequest) -> None:
        """Write `after` over `before`; Conflict when the stored state is no longer that of `before`."""
        row = _request_row(after)
        statement = update(footage_requests).where(footage_requests.c.id == before.id, footage_requests.c.state == before.state.value)
        done = await self._conn.execute(statement.values({name: value for name, value in row.items() if name != "id"}))
        if done.rowcount != 1:
            raise Conflict("somebody else has changed the request meanwhile", code="changed-meanwhile", hint="look at it again")

    async def find(
        self,
        *,
        states: Iterable[FootageState] = (),
        case_number: str = "",
        before: tuple[datetime, RequestId] | None = None,
        limit: int = 100,
    ) -> list[FootageRequest]:
        """Requests, the newest first, from after the place `before` (submitted_at, id) on."""
        table = footage_requests.c
        statement = select(footage_requests).order_by(table.submitted_at.desc(), table.id.desc()).limit(limit)
        if wanted := [state.value for state in states]:
            statement = statement.where(table.state.in_(wanted))
        if case_number:
            statement = statement.where(table.case_number == case_number)
        if before is not None:
            at, last = before
            statement = statement.where(or_(table.submitted_at < at, and_(table.submitted_at == at, table.id < last)))
        return [_request(row) for row in await self._conn.execute(statement)]

    async def oldest(self, states: Iterable[FootageState], *, limit: int) -> list[FootageRequest]:
        """The requests in `states` that were filed first, in that order."""
        table = footage_requests.c
        statement = select(footage_requests).where(table.state.in_([state.value for state in states]))
        return [_request(row) for row in await self._conn.execute(statement.order_by(table.submitted_at, table.id).limit(limit))]

    async def ready_before(self, states: Iterable[FootageState], moment: datetime, *, limit: int) -> list[FootageRequest]:
        """The requests in `states` whose files were ready before `moment`, the oldest first."""
        table = footage_requests.c
        statement = select(footage_requests).where(table.state.in_([state.value for state in states]), table.ready_at < moment)
        return [_request(row) for row in await self._conn.execute(statement.order_by(table.ready_at, table.id).limit(limit))]

    async def dossier(self, request: RequestId) -> Dossier:
        """The request with everything that came of it. NotFound."""
        return Dossier(await self.get(request), await self.exports(request), await self.files(request), await self.custody(request))

    # -- exports and files --------------------------------------------------------------------------------------------

    async def put_export(self, export: Export) -> None:
        """Add or change one. Conflict for a request that was never approved."""
        row = _export_row(export)
        keys = (footage_exports.c.request == export.request, footage_exports.c.camera == export.camera)
        done = await self._conn.execute(update(footage_exports).where(*keys).values(row))
        if done.rowcount == 0:
            await self._conn.execute(insert(footage_exports).values(row))

    async def exports(self, request: RequestId) -> tuple[Export, ...]:
        """By camera."""
        statement = select(footage_exports).where(footage_exports.c.request == request).order_by(footage_exports.c.camera)
        return tuple([_export(row) for row in await self._conn.execute(statement)])

    async def add_file(self, file: FootageFile) -> None:
        await self._conn.execute(insert(footage_files).values(_file_row(file)))

    async def files(self, request: RequestId) -> tuple[FootageFile, ...]:
        """By camera and number."""
        table = footage_files.c
        statement = select(footage_files).where(table.request == request).order_by(table.camera, table.number)
        return tuple([_file(row) for row in await self._conn.execute(statement)])

    async def count_download(self, file: FootageFile, *, most: int) -> int:
        """One more download; how many there are now. Conflict (`downloads-used-up`) beyond `most`."""
        table = footage_files.c
        key = and_(table.request == file.request, table.name == file.name)
        statement = update(footage_files).where(key, table.downloads < most, ~table.removed).values(downloads=table.downloads + 1)
        if (await self._conn.execute(statement)).rowcount != 1:
            raise Conflict(f"the file was downloaded {most} times already", code="downloads-used-up", hint="file another request")
        return int(await self._conn.scalar(select(table.downloads).where(key)) or 0)

    async def mark_removed(self, request: RequestId) -> None:
        """The files of `request` are no longer on the disk."""
        await self._conn.execute(update(footage_files).where(footage_files.c.request == request).values(removed=True))

    # -- custody ------------------------------------------------------------------------------------------------------

    async def log(self, entry: CustodyEntry) -> CustodyEntry:
        """Append to the custody log; the entry with its number."""
        table = footage_custody.c
        last = await self._conn.scalar(select(func.max(table.number)).where(table.request == entry.request))
        number = int(last or 0) + 1
        await self._conn.execute(insert(footage_custody).values(_custody_row(entry) | {"number": number}))
        return _numbered(entry, number)

    async def custody(self, request: RequestId) -> tuple[CustodyEntry, ...]:
        """In order."""
        statement = select(footage_custody).where(footage_custody.c.request == request).order_by(footage_custody.c.number)
        return tuple([_custody(row) for row in await self._conn.execute(statement)])


# -- rows and values --------------------------------------------------------------------------------------------------


def _request_row(request: FootageRequest) -> dict[str, Any]:
    filing, decided = request.filing, request.decided_by
    place = {"cameras": list(filing.cameras), "groups": list(filing.groups), "cells": list(filing.cells)}
    return {name: getattr(filing, name) for name in _WORDS} | {
        "id": request.id,
        "state": request.state.value,
        "urgency": filing.urgency.value,
        "place": place,
        "cameras": list(request.cameras),
        "start_at": filing.window.start,
        "end_at": filing.window.end,
        "submitted_by": str(request.submitted_by.actor),
        "submitter": request.submitted_by.name,
        "submitted_at": request.submitted_at,
        "approved": request.approved,
        "decided_by": str(decided.actor) if decided else None,
        "decider": decided.name if decided else None,
        "decided_at": request.decided_at,
        "note": request.note,
        "reason": request.reason,
        "changed_at": request.changed_at or request.submitted_at,
        "ready_at": request.ready_at,
    }


def _request(row: Row[Any]) -> FootageRequest:
    filing = Filing(
        **{name: row._mapping[name] for name in _WORDS},
        window=Period(row.start_at, row.end_at),
        urgency=Urgency(row.urgency),
        cameras=tuple(map(DeviceId, row.place["cameras"])),
        groups=tuple(map(GroupId, row.place["groups"])),
        cells=tuple(map(CellCode, row.place["cells"])),
    )
    return FootageRequest(
        id=RequestId(row.id),
        filing=filing,
        cameras=tuple(map(DeviceId, row.cameras)),
        submitted_by=Person(_actor(row.submitted_by), row.submitter),
        submitted_at=row.submitted_at,
        state=FootageState(row.state),
        decided_by=Person(_actor(row.decided_by), row.decider) if row.decided_by else None,
        decided_at=row.decided_at,
        note=row.note,
        reason=row.reason,
        changed_at=row.changed_at,
        ready_at=row.ready_at,
    )


def _export_row(export: Export) -> dict[str, Any]:
    return {
        "request": export.request,
        "camera": export.camera,
        "approved": True,
        "recorder": export.recorder,
        "recording": export.recording,
        "serial": export.serial,
        "offset_s": None if export.offset is None else export.offset.total_seconds(),
        "state": export.state.value,
        "reason": export.reason,
        **{name: _spans(getattr(export, name)) for name in ("coverage", "obtained", "gaps")},
    }


def _export(row: Row[Any]) -> Export:
    return Export(
        request=RequestId(row.request),
        camera=DeviceId(row.camera),
        recorder=DeviceId(row.recorder),
        recording=row.recording,
        serial=row.serial,
        offset=None if row.offset_s is None else timedelta(seconds=row.offset_s),
        state=ExportState(row.state),
        reason=row.reason,
        coverage=_periods(row.coverage),
        obtained=_periods(row.obtained),
        gaps=_periods(row.gaps),
    )


_FILE_SAME: Final = ("request", "camera", "number", "name", "sha256", "size", "frames", "damaged", "created_at", "downloads", "removed")
assert {*_FILE_SAME, "period", "runs"} == {field.name for field in fields(FootageFile)}


def _file_row(file: FootageFile) -> dict[str, Any]:
    same = {name: getattr(file, name) for name in _FILE_SAME}
    return same | {"start_at": file.period.start, "end_at": file.period.end, "runs": _spans(file.runs)}


def _file(row: Row[Any]) -> FootageFile:
    same = {name: row._mapping[name] for name in _FILE_SAME}
    return FootageFile(**same, period=Period(row.start_at, row.end_at), runs=_periods(row.runs))


def _custody_row(entry: CustodyEntry) -> dict[str, Any]:
    actor = entry.by.actor
    who = {"actor_kind": actor.kind.value, "actor_id": actor.id, "person": entry.by.name}
    return who | {"request": entry.request, "step": entry.step.value, "at": entry.at, "detail": dict(entry.detail)}


def _custody(row: Row[Any]) -> CustodyEntry:
    by = Person(Actor(ActorKind(row.actor_kind), row.actor_id), row.person)
    return CustodyEntry(RequestId(row.request), Step(row.step), by, row.at, row.detail, row.number)


def _numbered(entry: CustodyEntry, number: int) -> CustodyEntry:
    return CustodyEntry(entry.request, entry.step, entry.by, entry.at, entry.detail, number)


def _actor(text: str) -> Actor:
    kind, _, name = text.partition(":")
    return Actor(ActorKind(kind), name)


def _spans(periods: Sequence[Period]) -> list[list[str]]:
    return [[period.start.isoformat(), period.end.isoformat()] for period in periods]


def _periods(spans: Iterable[Sequence[str]]) -> tuple[Period, ...]:
    return tuple(Period(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in spans)
