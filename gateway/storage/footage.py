"""Footage requests in the store: the request, what was exported for it, and the custody log that only ever grows."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, and_, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.domain.footage import (
    EVERYTHING,
    UNDERTAKEN,
    Counted,
    CustodyEntry,
    Dossier,
    Export,
    ExportState,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    Reach,
    RequestId,
    Search,
)
from gateway.errors import Conflict, NotFound
from gateway.storage.footage_rows import (
    COUNTED,
    camera_rows,
    custody_row,
    export_row,
    file_row,
    request_row,
    to_counted,
    to_custody_entry,
    to_export,
    to_file,
    to_request,
)
from gateway.storage.footage_tables import footage_cameras, footage_custody, footage_exports, footage_files, footage_requests
from gateway.storage.seeing import shown


class FootageRepository:
    """Requests, exports, files and custody over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- requests -----------------------------------------------------------------------------------------------------

    async def add(self, request: FootageRequest) -> None:
        """File a new request. Conflict when the id is taken or a rule of the schema is broken."""
        await self._conn.execute(insert(footage_requests).values(request_row(request)))
        if rows := camera_rows(request):
            await self._conn.execute(insert(footage_cameras), rows)

    async def get(self, request: RequestId) -> FootageRequest:
        """NotFound when there is none."""
        found = await self._requests(select(footage_requests).where(footage_requests.c.id == request))
        if not found:
            raise NotFound(f"no footage request {request[:80]!r}", hint="GET /v1/footage-requests lists what there is.")
        return found[0]

    async def replace(self, before: FootageRequest, after: FootageRequest) -> None:
        """Write `after` over `before`; Conflict when the stored state is no longer that of `before`."""
        row = request_row(after)
        statement = update(footage_requests).where(footage_requests.c.id == before.id, footage_requests.c.state == before.state.value)
        done = await self._conn.execute(statement.values({name: value for name, value in row.items() if name != "id"}))
        if done.rowcount != 1:
            raise Conflict("somebody else has changed the request meanwhile", code="changed-meanwhile", hint="look at it again")

    async def find(
        self, search: Search = EVERYTHING, *, before: tuple[datetime, RequestId] | None = None, limit: int = 100
    ) -> list[FootageRequest]:
        """Requests, the newest first, from after the place `before` (submitted_at, id) on."""
        table = footage_requests.c
        statement = select(footage_requests).order_by(table.submitted_at.desc(), table.id.desc()).limit(limit)
        if before is not None:
            at, last = before
            statement = statement.where(or_(table.submitted_at < at, and_(table.submitted_at == at, table.id < last)))
        return await self._requests(statement.where(*_matching(search)))

    async def counted(self, search: Search = EVERYTHING) -> list[Counted]:
        """What is counted of each request."""
        table, cameras = footage_requests.c, footage_cameras.c
        statement = select(*(table[name] for name in COUNTED)).where(*_matching(search))
        asked = select(cameras.request, cameras.start_at, cameras.end_at).join(footage_requests, table.id == cameras.request)
        windows: dict[str, list[float]] = {}
        for row in await self._conn.execute(asked.where(*_matching(search))):
            windows.setdefault(row.request, []).append((row.end_at - row.start_at).total_seconds() / 3600)
        return [to_counted(row, windows.get(row.id, [])) for row in await self._conn.execute(statement)]

    async def oldest(
        self, states: Iterable[FootageState], *, after: tuple[datetime, RequestId] | None = None, limit: int
    ) -> list[FootageRequest]:
        """The requests in `states` that were filed first, in that order; `after`: (submitted_at, id) of the last one of the page before."""
        table = footage_requests.c
        statement = select(footage_requests).where(table.state.in_([state.value for state in states]))
        if after is not None:
            at, name = after
            statement = statement.where(or_(table.submitted_at > at, and_(table.submitted_at == at, table.id > name)))
        return await self._requests(statement.order_by(table.submitted_at, table.id).limit(limit))

    async def unfinished(self, states: Iterable[FootageState], *, limit: int) -> list[FootageRequest]:
        """The requests in `states`: emergencies before the others, and those that were filed first before later ones."""
        table = footage_requests.c
        statement = select(footage_requests).where(table.state.in_([state.value for state in states]))
        return await self._requests(statement.order_by(table.emergency.is_(None), table.submitted_at, table.id).limit(limit))

    async def lacking_by(
        self, code: str, *, but_for: Collection[RequestId], unless: Collection[str], since: datetime, limit: int
    ) -> list[RequestId]:
        """The FAILED and PARTIAL requests that lack something for a reason `code: …`, their own or a camera's, those that were filed first
        before later ones. Not those of `but_for`, nor such as have a line of the custody log later than `since` that is one of `unless`."""
        table, camera, begins = footage_requests.c, footage_exports.c, f"{code}: "
        lacking = (FootageState.FAILED.value, FootageState.PARTIAL.value)
        said = camera.reason.startswith(begins, autoescape=True) | camera.reason.contains(f"; {begins}", autoescape=True)
        of_camera = exists().where(camera.request == table.id, camera.state != ExportState.DONE.value, said)
        own = table.reason.startswith(begins, autoescape=True)
        log = footage_custody.c
        in_hand = exists().where(log.request == table.id, log.step.in_(list(unless)), log.at > since)
        statement = select(table.id).where(table.state.in_(lacking), or_(own, of_camera), ~in_hand, table.id.not_in(list(but_for)))
        found = await self._conn.scalars(statement.order_by(table.submitted_at, table.id).limit(limit))
        return [RequestId(name) for name in found]

    async def ready_before(
        self, states: Iterable[FootageState], moment: datetime, *, limit: int, after: datetime | None = None
    ) -> list[FootageRequest]:
        """The requests in `states` whose files were ready before `moment`, and not before `after`, the oldest first."""
        table = footage_requests.c
        statement = select(footage_requests).where(table.state.in_([state.value for state in states]), table.ready_at < moment)
        if after is not None:
            statement = statement.where(table.ready_at >= after)
        return await self._requests(statement.order_by(table.ready_at, table.id).limit(limit))

    async def overdue(self, moment: datetime, *, limit: int) -> list[FootageRequest]:
        """Emergencies whose papers were due before `moment`, still owing, of which nobody was told yet; the longest overdue first."""
        table = footage_requests.c
        due = (table.papers_due_at < moment, *_matching(Search(owing=True)), table.reminded_at.is_(None))
        statement = select(footage_requests).where(*due)
        return await self._requests(statement.order_by(table.papers_due_at, table.id).limit(limit))

    async def ended(self, request: RequestId, states: Collection[FootageState]) -> bool:
        """Whether there is such a request and it is in one of `states`."""
        state = await self._conn.scalar(select(footage_requests.c.state).where(footage_requests.c.id == request))
        return state in {one.value for one in states}

    async def dossier(self, request: RequestId, *, newest: int | None = None) -> Dossier:
        """The request with everything that came of it; of its custody log so many of the newest lines, or all. NotFound."""
        found, custody = await self.get(request), await self.custody(request, newest=newest)
        return Dossier(found, await self.exports(request), await self.files(request), custody)

    async def _requests(self, statement: Select[Any]) -> list[FootageRequest]:
        """What `statement` selects of the table of requests, each with its cameras."""
        rows = (await self._conn.execute(statement)).all()
        windows: dict[str, dict[DeviceId, Period]] = {row.id: {} for row in rows}
        table = footage_cameras.c
        cameras = select(footage_cameras).where(table.request.in_(list(windows))).order_by(table.request, table.number)
        for row in await self._conn.execute(cameras):
            windows[row.request][DeviceId(row.camera)] = Period(row.start_at, row.end_at)
        return [to_request(row, windows[row.id]) for row in rows]

    # -- exports and files --------------------------------------------------------------------------------------------

    async def put_export(self, export: Export) -> None:
        """Add or change one. Conflict for a request that is not cleared, and for a camera that is not its."""
        row = export_row(export)
        keys = (footage_exports.c.request == export.request, footage_exports.c.camera == export.camera)
        done = await self._conn.execute(update(footage_exports).where(*keys).values(row))
        if done.rowcount == 0:
            await self._conn.execute(insert(footage_exports).values(row))

    async def exports(self, request: RequestId) -> tuple[Export, ...]:
        """By camera."""
        statement = select(footage_exports).where(footage_exports.c.request == request).order_by(footage_exports.c.camera)
        return tuple([to_export(row) for row in await self._conn.execute(statement)])

    async def add_file(self, file: FootageFile) -> None:
        await self._conn.execute(insert(footage_files).values(file_row(file)))

    async def files(self, request: RequestId) -> tuple[FootageFile, ...]:
        """By camera, in order of time."""
        table = footage_files.c
        statement = select(footage_files).where(table.request == request).order_by(table.camera, table.start_at, table.number)
        return tuple([to_file(row) for row in await self._conn.execute(statement)])

    async def others_files(self, request: RequestId, camera: DeviceId, window: Period) -> tuple[FootageFile, ...]:
        """What requests other than `request`, whose fetching of it is over, have on the disk of a camera's window; in order of time."""
        table, asked, export = footage_files.c, footage_cameras.c, footage_exports.c
        joined = footage_files.join(footage_cameras, and_(asked.request == table.request, asked.camera == table.camera))
        joined = joined.join(footage_exports, and_(export.request == table.request, export.camera == table.camera))
        over = export.state.not_in([ExportState.PENDING.value, ExportState.EXPORTING.value])
        there = (table.removed.is_(False), table.start_at < window.end, table.end_at > window.start, table.request != request)
        statement = select(footage_files).select_from(joined).where(asked.camera == camera, asked.start_at < window.end, over, *there)
        return tuple([to_file(row) for row in await self._conn.execute(statement.order_by(table.start_at, table.request, table.number))])

    async def count_download(self, file: FootageFile, *, most: int) -> int:
        """One more download; how many there are now. Conflict (`downloads-used-up`) beyond `most`."""
        table = footage_files.c
        key = and_(table.request == file.request, table.name == file.name)
        statement = update(footage_files).where(key, table.downloads < most, ~table.removed).values(downloads=table.downloads + 1)
        if (await self._conn.execute(statement)).rowcount != 1:
            raise Conflict(f"the file was downloaded {most} times already", code="downloads-used-up", hint="file another request")
        return int(await self._conn.scalar(select(table.downloads).where(key)) or 0)

    async def mark_removed(self, request: RequestId, *, but: Collection[str] = ()) -> None:
        """The files of `request`, `but` those names, may be taken off the disk. Conflict when a hold covers one: the schema refuses."""
        table = footage_files.c
        statement = update(footage_files).where(table.request == request, table.name.not_in(list(but)))
        await self._conn.execute(statement.values(removed=True))

    # -- custody ------------------------------------------------------------------------------------------------------

    async def log(self, entry: CustodyEntry) -> CustodyEntry:
        """Append to the custody log; the entry with its number."""
        table = footage_custody.c
        last = await self._conn.scalar(select(func.max(table.number)).where(table.request == entry.request))
        number = int(last or 0) + 1
        await self._conn.execute(insert(footage_custody).values(custody_row(entry) | {"number": number}))
        return replace(entry, number=number)

    async def custody(
        self, request: RequestId, *, after: int = 0, newest: int | None = None, limit: int | None = None
    ) -> tuple[CustodyEntry, ...]:
        """In order: the lines after number `after`, so many of the newest of them, or the first `limit`."""
        table = footage_custody.c
        statement = select(footage_custody).where(table.request == request, table.number > after).limit(newest or limit)
        statement = statement.order_by(table.number.desc() if newest else table.number)
        lines = [to_custody_entry(row) for row in await self._conn.execute(statement)]
        return tuple(reversed(lines) if newest else lines)

    async def newest(self, request: RequestId, steps: Collection[str]) -> CustodyEntry | None:
        """The newest line of the custody log that is one of `steps`."""
        table = footage_custody.c
        lines = select(footage_custody).where(table.request == request, table.step.in_(list(steps)))
        row = (await self._conn.execute(lines.order_by(table.number.desc()).limit(1))).first()
        return None if row is None else to_custody_entry(row)


# -- searching --------------------------------------------------------------------------------------------------------

_IN_TEXT: Final = ("requester", "unit", "case_number", "authorising_document", "approval_letter", "purpose", "destination")
_ADDRESS: Final = '{{"address":"%{0}%","cameras":%'
"""The place is canonical JSON, whose first key this is."""
_PEOPLE: Final = ("requester", "second_officer", "submitter", "decider")


def _matching(search: Search) -> list[ColumnElement[bool]]:
    """The conditions of `search` upon the table of requests."""
    table = footage_requests.c
    found: list[ColumnElement[bool]] = []
    if search.states:
        found.append(table.state.in_([state.value for state in search.states]))
    if search.case_number:
        found.append(table.case_number == search.case_number)
    if search.text:
        told = _ADDRESS.format(re.sub("[%_/]", r"/\g<0>", json.dumps(search.text)[1:-1]))
        in_place = table.place.cast(Text).ilike(told, escape="/")
        found.append(or_(*(table[name].icontains(search.text, autoescape=True) for name in _IN_TEXT), in_place))
    if search.unit:
        found.append(table.unit.icontains(search.unit, autoescape=True))
    if search.person:
        found.append(or_(*(table[name].icontains(search.person, autoescape=True) for name in _PEOPLE)))
    if search.kind is not None:
        found.append(table.kind == search.kind.value)
    if search.owing:
        found.append(_owing())
    if search.submitted is not None:
        found += [table.submitted_at >= search.submitted.start, table.submitted_at < search.submitted.end]
    if search.camera is not None or search.within is not None:
        found.append(table.id.in_(_reaching(search)))
    return found if search.reach is None else [*found, request_seen_by(search.reach)]


def request_seen_by(reach: Reach) -> ColumnElement[bool]:
    """The condition upon the table of requests under which one is shown to somebody who does not see all."""
    table, cameras = footage_requests.c, footage_cameras.alias().c
    return shown(reach, owner=table.submitted_by, row=table.id, of=cameras.request, camera=cameras.camera)


def _owing() -> ColumnElement[bool]:
    table = footage_requests.c
    lacking = or_(table.papers_at.is_(None), table.decided_by.is_(None))
    return and_(table.papers_due_at.is_not(None), table.state.in_([state.value for state in UNDERTAKEN]), lacking)


def _reaching(search: Search) -> Select[tuple[str]]:
    """The requests that want something of a camera."""
    table = footage_cameras.c
    wanted = select(table.request)
    if search.camera is not None:
        wanted = wanted.where(table.camera == search.camera)
    if search.within is not None:
        wanted = wanted.where(table.start_at < search.within.end, table.end_at > search.within.start)
    return wanted
