"""The duty roster: who is told when, level by level; kept shift by shift, or brought in and out as one CSV file."""

import csv
import io
import json
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field, StringConstraints, ValidationError, model_validator

from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Page, instant_text
from gateway.api.replies import attachment
from gateway.api.routing import Call, Media, Routes
from gateway.api.scopes import must_reach_everything
from gateway.domain.access import Permission
from gateway.domain.duty import LEVEL_MAX, Shift, ShiftId, on_duty
from gateway.domain.events import AuditEntry, NewEvent
from gateway.domain.spreadsheets import guarded, unguarded
from gateway.errors import Fault, InvalidInput, NotFound
from gateway.storage.store import Tx
from gateway.storage.writer import Lane

routes = Routes("duty roster", "Who is on duty when, and how each is reached.")

CHANGED_EVENT = "duty.changed"
CSV = "text/csv"
_COLUMNS = ("id", "person", "start", "end", "level", "contacts", "note")
_ROWS_MAX = 10_000

Contacts = dict[
    Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")],
    Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f<>,;]+$")],
]


class ShiftIn(Input):
    """A shift: `person` is on duty from `start` until before `end`."""

    person: Line
    start: Instant
    end: Instant
    level: int = Field(default=0, ge=0, le=LEVEL_MAX, description="0 is told first; n when an incident was escalated n times.")
    contacts: Contacts = Field(
        default_factory=dict,
        max_length=20,
        description="The address by channel, its name or its kind: email, dingtalk (a telephone number), wecom, feishu; phone is shown.",
    )
    note: OptionalLine = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class ShiftOut(Output):
    """A shift of the roster."""

    id: str
    person: str
    start: Instant
    end: Instant
    level: int
    contacts: dict[str, str] = Field(description="Empty for whoever may not change the roster (`health:manage`).")
    note: str


class ShiftPage(Page[ShiftOut]):
    """Shifts in the order of time."""


class RosterQuery(Input):
    """Of which time."""

    start: Instant | None = Field(default=None, description="Shifts that end after this; now, when left out.")
    end: Instant | None = Field(default=None, description="Shifts that begin before this.")
    limit: int = Field(default=1000, ge=1, le=_ROWS_MAX)


class OnDutyQuery(Input):
    """When, and at which level."""

    at: Instant | None = None
    level: int = Field(default=0, ge=0, le=LEVEL_MAX)


class ImportOut(Output):
    """How many shifts an import put in."""

    shifts: int


@routes.op("GET", "/v1/duty-roster", needs=Permission.HEALTH_READ)
async def list_shifts(call: Call, query: RosterQuery) -> ShiftPage:
    """The roster from now on, or of a time."""
    async with call.services.store.read() as tx:
        found = await tx.alerts.shifts(after=query.start or call.services.clock.now(), before=query.end, limit=query.limit)
    return ShiftPage(items=[_shown(call, one) for one in found])


@routes.op("GET", "/v1/duty-roster/now", needs=Permission.HEALTH_READ)
async def read_on_duty(call: Call, query: OnDutyQuery) -> ShiftPage:
    """Who would be told at a level, now or at a time."""
    at = query.at or call.services.clock.now()
    async with call.services.store.read() as tx:
        found = on_duty(await tx.alerts.shifts(after=at), at, level=query.level)
    return ShiftPage(items=[_shown(call, one) for one in found])


@routes.op("POST", "/v1/duty-roster", needs=Permission.HEALTH_MANAGE, status=201, repeatable=True)
async def add_shift(call: Call, body: ShiftIn) -> ShiftOut:
    """Put a shift on the roster."""
    must_reach_everything(call.caller.key)
    return ShiftOut.model_validate(await _put(call, [_shift(_new_id(), body)], "added"))


@routes.op("PUT", "/v1/duty-roster/{shift}", needs=Permission.HEALTH_MANAGE, problems=(NotFound,))
async def change_shift(call: Call, body: ShiftIn) -> ShiftOut:
    """Change a shift."""
    must_reach_everything(call.caller.key)
    id_ = ShiftId(call.path("shift"))
    async with call.services.store.read() as tx:
        known = await tx.alerts.shift(id_)
    return ShiftOut.model_validate(await _put(call, [_shift(known.id, body)], "changed"))


@routes.op("DELETE", "/v1/duty-roster/{shift}", needs=Permission.HEALTH_MANAGE, problems=(NotFound,))
async def drop_shift(call: Call) -> ShiftOut:
    """Take a shift off the roster."""
    must_reach_everything(call.caller.key)

    async def change(tx: Tx) -> Shift:
        gone = await tx.alerts.drop_shift(ShiftId(call.path("shift")))
        _note(tx, call, gone.id, {"what": "removed", "person": gone.person})
        return gone

    return ShiftOut.model_validate(await call.services.store.writer.write(change, lane=Lane.FOOTAGE))


@routes.op("GET", "/v1/duty-roster/export", needs=Permission.HEALTH_MANAGE, answers=Media((CSV,)))
async def export_roster(call: Call, query: RosterQuery) -> web.Response:
    """The roster as CSV, contacts included: what an import takes again."""
    async with call.services.store.read() as tx:
        found = await tx.alerts.shifts(after=query.start or call.services.clock.now(), before=query.end, limit=query.limit)
    return attachment(_csv(found), name="duty-roster.csv", content_type=CSV)


@routes.op(
    "POST", "/v1/duty-roster/import", needs=Permission.HEALTH_MANAGE, takes=Media((CSV,), limit="body_bytes"), problems=(InvalidInput,)
)
async def import_roster(call: Call, content: bytes) -> ImportOut:
    """Take shifts from CSV, all or none: a row whose `id` is known changes that shift, one without an `id` is a new one."""
    must_reach_everything(call.caller.key)
    shifts = _read(content)
    await _put(call, shifts, "imported")
    return ImportOut(shifts=len(shifts))


async def _put(call: Call, shifts: list[Shift], what: str) -> Shift | None:
    async def change(tx: Tx) -> None:
        for shift in shifts:
            await tx.alerts.put_shift(shift)
        subject = shifts[0].id if len(shifts) == 1 else ""
        _note(tx, call, subject, {"what": what, "shifts": len(shifts), "person": shifts[0].person if len(shifts) == 1 else ""})

    await call.services.store.writer.write(change, lane=Lane.FOOTAGE)
    return shifts[0] if shifts else None


def _shown(call: Call, shift: Shift) -> ShiftOut:
    """The shift; people's numbers and mailboxes only to those who keep the roster."""
    told = ShiftOut.model_validate(shift)
    return told if call.caller.may(Permission.HEALTH_MANAGE) else told.model_copy(update={"contacts": {}})


def _note(tx: Tx, call: Call, subject: str, data: dict[str, object]) -> None:
    now = call.services.clock.now()
    tx.emit(NewEvent(CHANGED_EVENT, subject, now, data))
    tx.record(AuditEntry(call.caller.actor, CHANGED_EVENT, subject, now, data))


def _shift(id_: ShiftId, body: ShiftIn) -> Shift:
    return Shift(id=id_, person=body.person, start=body.start, end=body.end, level=body.level, contacts=body.contacts, note=body.note)


def _new_id() -> ShiftId:
    return ShiftId(f"S-{secrets.token_hex(6)}")


def _csv(shifts: list[Shift]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for one in shifts:
        contacts = " ".join(f"{channel}={address}" for channel, address in sorted(one.contacts.items()))
        row = (one.id, one.person, _text(one.start), _text(one.end), one.level, contacts, one.note)
        writer.writerow([guarded(str(cell)) for cell in row])
    return ("\ufeff" + out.getvalue()).encode()  # the mark lets spreadsheets see that it is UTF-8


def _text(moment: datetime) -> str:
    return instant_text(moment)


def _read(content: bytes) -> list[Shift]:
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        if missing := sorted({"person", "start", "end"} - set(rows.fieldnames or ())):
            raise InvalidInput("The file lacks columns.", faults=[Fault("line 1", f"no column {name}") for name in missing])
        if unknown := sorted(set(rows.fieldnames or ()) - set(_COLUMNS)):
            raise InvalidInput("The file has unknown columns.", faults=[Fault("line 1", f"no such column: {name}") for name in unknown])
        return list(_rows(rows))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput("The file is no CSV in UTF-8.", faults=[Fault("file", str(error))]) from None


def _rows(rows: "csv.DictReader[str]") -> Iterator[Shift]:
    faults: list[Fault] = []
    found: list[Shift] = []
    seen: set[str] = set()
    for row in rows:
        where = f"line {rows.line_num}"
        try:
            shift = _shift_of({name: unguarded(cell or "") for name, cell in row.items() if name is not None})
        except ValidationError as error:
            faults += [Fault(where, f"{'.'.join(map(str, one['loc']))}: {one['msg']}") for one in error.errors(include_url=False)]
            continue
        except ValueError as error:
            faults.append(Fault(where, str(error)))
            continue
        if None in row:
            faults.append(Fault(where, "more cells than columns"))
        if shift.id in seen:
            faults.append(Fault(where, f"the id {shift.id} stands twice"))
        seen.add(shift.id)
        found.append(shift)
    if len(found) > _ROWS_MAX:
        faults.append(Fault("file", f"more than {_ROWS_MAX} shifts"))
    if faults:
        raise InvalidInput("The file has faults; nothing was changed.", faults=faults[:100])
    yield from found


def _shift_of(row: dict[str, str]) -> Shift:
    contacts: dict[str, str] = {}
    for pair in row.get("contacts", "").split():
        channel, sign, address = pair.partition("=")
        if not sign:
            raise ValueError(f"contacts: {pair!r} is not CHANNEL=ADDRESS")
        contacts[channel] = address
    id_ = row.get("id", "").strip()
    if id_ and not (id_.startswith("S-") and id_[2:].isalnum() and len(id_) <= 40):
        raise ValueError("id: must be one that an export gave, or empty")
    text = {name: row.get(name, "") for name in ("person", "start", "end", "note")}
    body = ShiftIn.model_validate_json(json.dumps({**text, "level": int(row.get("level") or 0), "contacts": contacts}))
    return _shift(ShiftId(id_) if id_ else _new_id(), body)
