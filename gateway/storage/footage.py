"""Footage requests in the store: the request, what was exported for it, and the custody log that only ever grows."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Row,
    Select,
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

from gateway.domain.broadcast import Circle
from gateway.domain.devices import CellCode, DeviceId, GroupId, Position
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import (
    EVERYTHING,
    OPTIONAL_FIELDS,
    REGISTER_FIELDS,
    UNDERTAKEN,
    Counted,
    CustodyEntry,
    Direction,
    Dossier,
    Emergency,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Origin,
    Period,
    Reach,
    RequesterKind,
    RequestId,
    Route,
    Search,
    Step,
    Urgency,
)
from gateway.errors import Conflict, NotFound
from gateway.storage.clocks import to_clock, to_clock_json
from gateway.storage.fetched import TOLD_APART, to_file_fields, to_file_row, to_offset, to_seconds
from gateway.storage.schema import Json, UtcTime, metadata
from gateway.storage.seeing import shown
from gateway.storage.spans import to_periods, to_spans

_PLACES: Final = ("cameras", "groups", "cells", "left_out")
_WORDS: Final = (*REGISTER_FIELDS, *OPTIONAL_FIELDS)

footage_requests = Table(
    "footage_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("kind", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in _WORDS),
    Column("urgency", Text, nullable=False),
    Column("emergency", Text),
    Column("place", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("tolerance_s", Double, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitter", Text, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("cleared", Boolean, nullable=False),
    Column("decided_by", Text),
    Column("decider", Text),
    Column("decided_at", UtcTime),
    Column("note", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("ready_at", UtcTime),
    Column("papers_due_at", UtcTime),
    Column("papers_at", UtcTime),
    Column("reminded_at", UtcTime),
)

footage_cameras = Table(
    "footage_cameras",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
)

footage_transitions = Table(
    "footage_transitions",
    metadata,
    Column("before", Text, primary_key=True),
    Column("after", Text, primary_key=True),
)
"""Written by the migrations alone; triggers read it."""

footage_exports = Table(
    "footage_exports",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("cleared", Boolean, nullable=False),
    Column("recorder", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("offset_s", Double),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("coverage", Json, nullable=False),
    Column("obtained", Json, nullable=False),
    Column("gaps", Json, nullable=False),
    Column("card", Json),
    Column("clock", Json),
    Column("told_at", UtcTime),
    Column("awaited", Boolean, nullable=False),
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
    Column("offset_s", Double),
    Column("device", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("sound_left_out", Text, nullable=False),
    Column("time_source", Text, nullable=False),
    Column("sound_refused", Text, nullable=False),
    Column("set_backs", BigInteger, nullable=False),
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
        if rows := _camera_rows(request):
            await self._conn.execute(insert(footage_cameras), rows)

    async def get(self, request: RequestId) -> FootageRequest:
        """NotFound when there is none."""
        found = await self._requests(select(footage_requests).where(footage_requests.c.id == request))
        if not found:
            raise NotFound(f"no footage request {request[:80]!r}", hint="GET /v1/footage-requests lists what there is.")
        return found[0]

    async def replace(self, before: FootageRequest, after: FootageRequest) -> None:
        """Write `after` over `before`; Conflict when the stored state is no longer that of `before`."""
        row = _request_row(after)
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
        statement = select(*(table[name] for name in _COUNTED)).where(*_matching(search))
        asked = select(cameras.request, cameras.start_at, cameras.end_at).join(footage_requests, table.id == cameras.request)
        windows: dict[str, list[float]] = {}
        for row in await self._conn.execute(asked.where(*_matching(search))):
            windows.setdefault(row.request, []).append((row.end_at - row.start_at).total_seconds() / 3600)
        return [_counted(row, windows.get(row.id, [])) for row in await self._conn.execute(statement)]

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
        return [_request(row, windows[row.id]) for row in rows]

    # -- exports and files --------------------------------------------------------------------------------------------

    async def put_export(self, export: Export) -> None:
        """Add or change one. Conflict for a request that is not cleared, and for a camera that is not its."""
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
        """By camera, in order of time."""
        table = footage_files.c
        statement = select(footage_files).where(table.request == request).order_by(table.camera, table.start_at, table.number)
        return tuple([_file(row) for row in await self._conn.execute(statement)])

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
        await self._conn.execute(insert(footage_custody).values(_custody_row(entry) | {"number": number}))
        return _numbered(entry, number)

    async def custody(
        self, request: RequestId, *, after: int = 0, newest: int | None = None, limit: int | None = None
    ) -> tuple[CustodyEntry, ...]:
        """In order: the lines after number `after`, so many of the newest of them, or the first `limit`."""
        table = footage_custody.c
        statement = select(footage_custody).where(table.request == request, table.number > after).limit(newest or limit)
        statement = statement.order_by(table.number.desc() if newest else table.number)
        lines = [_custody(row) for row in await self._conn.execute(statement)]
        return tuple(reversed(lines) if newest else lines)

    async def newest(self, request: RequestId, steps: Collection[str]) -> CustodyEntry | None:
        """The newest line of the custody log that is one of `steps`."""
        table = footage_custody.c
        lines = select(footage_custody).where(table.request == request, table.step.in_(list(steps)))
        row = (await self._conn.execute(lines.order_by(table.number.desc()).limit(1))).first()
        return None if row is None else _custody(row)


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


# -- rows and values --------------------------------------------------------------------------------------------------


def _request_row(request: FootageRequest) -> dict[str, Any]:
    filing, decided = request.filing, request.decided_by
    return {name: getattr(filing, name) for name in _WORDS} | {
        "id": request.id,
        "state": request.state.value,
        "outcome": request.outcome.value if request.outcome else None,
        "kind": filing.kind.value,
        "urgency": filing.urgency.value,
        "emergency": filing.emergency.value if filing.emergency else None,
        "place": _place(filing),
        "start_at": filing.window.start,
        "end_at": filing.window.end,
        "tolerance_s": filing.tolerance.total_seconds(),
        "submitted_by": str(request.submitted_by.actor),
        "submitter": request.submitted_by.name,
        "submitted_at": request.submitted_at,
        "cleared": request.cleared,
        "decided_by": str(decided.actor) if decided else None,
        "decider": decided.name if decided else None,
        "decided_at": request.decided_at,
        "note": request.note,
        "reason": request.reason,
        "changed_at": request.changed_at or request.submitted_at,
        "ready_at": request.ready_at,
        "papers_due_at": request.papers_due_at,
        "papers_at": request.papers_at,
        "reminded_at": request.reminded_at,
    }


def _place(filing: Filing) -> dict[str, Any]:
    place: dict[str, Any] = {name: list(getattr(filing, name)) for name in _PLACES} | {"address": filing.address}
    if (circle := filing.circle) is not None:
        place["circle"] = [*_point(circle.centre), circle.radius_m]
    if (route := filing.route) is not None:
        told = {name: getattr(route, name) for name in ("direction", "slowest_kmh", "fastest_kmh", "corridor_m")}
        place["route"] = told | {"points": [_point(point) for point in route.points]}
    return place


def _point(position: Position) -> list[float]:
    return [position.latitude, position.longitude]


def _circle(found: Sequence[float] | None) -> Circle | None:
    return None if found is None else Circle(Position(found[0], found[1]), found[2])


def _route(found: Mapping[str, Any] | None) -> Route | None:
    if found is None:
        return None
    points = tuple(Position(latitude, longitude) for latitude, longitude in found["points"])
    return Route(points, Direction(found["direction"]), found["slowest_kmh"], found["fastest_kmh"], found["corridor_m"])


def _camera_rows(request: FootageRequest) -> list[dict[str, Any]]:
    windows = {camera: request.window_of(camera) for camera in request.cameras}
    return [
        {"request": request.id, "camera": camera, "number": number, "start_at": window.start, "end_at": window.end}
        for number, (camera, window) in enumerate(windows.items(), start=1)
    ]


def _request(row: Row[Any], windows: Mapping[DeviceId, Period]) -> FootageRequest:
    filing = Filing(
        **{name: row._mapping[name] for name in _WORDS},
        window=Period(row.start_at, row.end_at),
        kind=RequesterKind(row.kind),
        urgency=Urgency(row.urgency),
        emergency=Emergency(row.emergency) if row.emergency else None,
        tolerance=timedelta(seconds=row.tolerance_s),
        cameras=tuple(map(DeviceId, row.place["cameras"])),
        groups=tuple(map(GroupId, row.place["groups"])),
        cells=tuple(map(CellCode, row.place["cells"])),
        left_out=tuple(map(DeviceId, row.place.get("left_out", ()))),
        address=row.place.get("address", ""),
        circle=_circle(row.place.get("circle")),
        route=_route(row.place.get("route")),
    )
    return FootageRequest(
        id=RequestId(row.id),
        filing=filing,
        cameras=tuple(windows),
        submitted_by=Person(Actor.parse(row.submitted_by), row.submitter),
        submitted_at=row.submitted_at,
        state=FootageState(row.state),
        decided_by=Person(Actor.parse(row.decided_by), row.decider) if row.decided_by else None,
        decided_at=row.decided_at,
        note=row.note,
        reason=row.reason,
        changed_at=row.changed_at,
        ready_at=row.ready_at,
        windows={camera: window for camera, window in windows.items() if window != filing.widened},
        outcome=FootageState(row.outcome) if row.outcome else None,
        papers_due_at=row.papers_due_at,
        papers_at=row.papers_at,
        reminded_at=row.reminded_at,
    )


_COUNTED: Final = (
    *("id", "unit", "kind", "case_kind", "submitted_at"),
    *("state", "outcome", "emergency", "papers_at", "decided_by", "ready_at"),
)


def _counted(row: Row[Any], hours: Sequence[float]) -> Counted:
    undertaken = FootageState(row.state) in UNDERTAKEN
    return Counted(
        unit=row.unit,
        kind=RequesterKind(row.kind),
        case_kind=row.case_kind,
        submitted_at=row.submitted_at,
        told=FootageState(row.outcome or row.state),
        emergency=row.emergency is not None,
        owing=row.emergency is not None and undertaken and (row.papers_at is None or row.decided_by is None),
        cameras=len(hours),
        hours=sum(hours),
        ready_at=row.ready_at,
    )


def _export_row(export: Export) -> dict[str, Any]:
    return {
        "request": export.request,
        "camera": export.camera,
        "cleared": True,
        "recorder": export.recorder,
        "recording": export.recording,
        "serial": export.serial,
        "offset_s": to_seconds(export.offset),
        "state": export.state.value,
        "reason": export.reason,
        **{name: to_spans(getattr(export, name)) for name in ("coverage", "obtained", "gaps")},
        "card": None if export.card is None else _card_json(export.card),
        "clock": to_clock_json(export.clock),
        "told_at": export.told_at,
        "awaited": export.awaited,
    }


def _card_json(card: Origin) -> dict[str, Any]:
    same = {name: getattr(card, name) for name in ("device", "recording", "serial")}
    return same | {"offset_s": to_seconds(card.offset), "recorded": to_spans(card.recorded), "clock": to_clock_json(card.clock)}


def _card(found: Mapping[str, Any]) -> Origin:
    offset, recorded = to_offset(found["offset_s"]), to_periods(found["recorded"])
    return Origin(DeviceId(found["device"]), found["recording"], found["serial"], offset, recorded, to_clock(found.get("clock")))


def _export(row: Row[Any]) -> Export:
    return Export(
        request=RequestId(row.request),
        camera=DeviceId(row.camera),
        recorder=DeviceId(row.recorder),
        recording=row.recording,
        serial=row.serial,
        offset=to_offset(row.offset_s),
        state=ExportState(row.state),
        reason=row.reason,
        coverage=to_periods(row.coverage),
        obtained=to_periods(row.obtained),
        gaps=to_periods(row.gaps),
        card=None if row.card is None else _card(row.card),
        clock=to_clock(row.clock),
        told_at=row.told_at,
        awaited=row.awaited,
    )


_FILE_SAME: Final = (
    *("request", "camera", "number", "name", "sha256", "size", "frames", "damaged"),
    *("created_at", "downloads", "removed", "device", "serial", "recording", "sound_left_out", "sound_refused", "set_backs"),
)
assert {*_FILE_SAME, *TOLD_APART} == {field.name for field in fields(FootageFile)}


def _file_row(file: FootageFile) -> dict[str, Any]:
    return to_file_row(file, _FILE_SAME)


def _file(row: Row[Any]) -> FootageFile:
    return FootageFile(**to_file_fields(row, _FILE_SAME))


def _custody_row(entry: CustodyEntry) -> dict[str, Any]:
    actor = entry.by.actor
    who = {"actor_kind": actor.kind.value, "actor_id": actor.id, "person": entry.by.name}
    return who | {"request": entry.request, "step": entry.step.value, "at": entry.at, "detail": dict(entry.detail)}


def _custody(row: Row[Any]) -> CustodyEntry:
    by = Person(Actor(ActorKind(row.actor_kind), row.actor_id), row.person)
    return CustodyEntry(RequestId(row.request), Step(row.step), by, row.at, row.detail, row.number)


def _numbered(entry: CustodyEntry, number: int) -> CustodyEntry:
    return CustodyEntry(entry.request, entry.step, entry.by, entry.at, entry.detail, number)
