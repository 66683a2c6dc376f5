"""Incidents: what is wrong as one thing, and what people do about it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from gateway.api.models import Ident, Input, Instant, OptionalLine, Output, Page, PageQuery, Text
from gateway.api.paging import moment_cursor, number_cursor, text_cursor, to_cursor
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach, must_reach_everything
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.incidents import Act, CauseKind, Incident, IncidentId, IncidentState, Role, Scope
from gateway.domain.severity import Severity
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from gateway.incidents.service import Deed
from gateway.incidents.telling import MOST, told_member
from gateway.storage.incidents import Wanted

routes = Routes("incidents", "What is wrong as one thing, and what people do about it.")

_REFUSALS = (NotFound, Conflict, Forbidden)


class CauseOut(Output):
    """What it is thought to come from: one device, or what struck a scope; the latter is a suspicion."""

    kind: CauseKind
    device: str | None
    scope: Scope | None
    key: str = Field(description="The id, code or name of the scope; of one device, its id.")
    name: str


class TitleOut(Output):
    """One line in each language."""

    zh: str
    en: str


class BlindOut(Output):
    """The cameras whose footage nobody keeps while a recorder is down. They are not down themselves."""

    count: int
    ids: list[str]


class MemberOut(Output):
    """A device in an incident, as it was when it joined."""

    id: str
    name: str
    kind: DeviceKind | None
    role: Role = Field(description="`root`: ill by itself; `explained`: out of reach because of a root.")
    state: HealthState
    reason: str
    since: Instant
    until: Instant | None = Field(description="When it was back, or left.")


class IncidentOut(Output):
    """One problem, whatever number of devices it takes with it."""

    id: str
    state: IncidentState
    severity: Severity
    trouble: HealthState = Field(description="What its members are: down, degraded; `unknown` when the gateway itself is blind.")
    cause: CauseOut
    reason: str
    title: TitleOut
    opened_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str
    acknowledger: str = Field(description='The name of the person behind `acknowledged_by` when they did so; "" where nobody was named.')
    assignee: str
    snoozed_until: Instant | None
    resolved_at: Instant | None
    resolved_by: str = Field(description="Empty when the gateway saw all members back.")
    escalation_level: int
    reopened: int = Field(description="How often.")
    devices: int = Field(description="Members that are ill now; of a resolved one, all that it had.")
    devices_most: int = Field(description="How many were ill at once at its worst.")
    kinds: dict[DeviceKind, int]
    groups: list[str] = Field(description=f"At most {MOST}, those with most members first; so are the next three.")
    cells: list[str]
    districts: list[str]
    vendors: list[str]
    blind_cameras: BlindOut
    members: list[MemberOut] = Field(description=f"The first {MOST}, roots first; all stand at `/v1/incidents/{{id}}/members`.")


class IncidentPage(Page[IncidentOut]):
    """One page of incidents, the latest first."""


class MemberPage(Page[MemberOut]):
    """One page of an incident's members, by id."""


class EntryOut(Output):
    """One line of an incident's history."""

    number: int
    at: Instant
    what: str
    actor: str = Field(description="Empty for the gateway itself.")
    name: str = Field(description='The name of the person behind `actor` then; "" where nobody was named.')
    comment: str
    detail: dict[str, Any]


class HistoryPage(Page[EntryOut]):
    """One page of an incident's history, in order."""


class IncidentQuery(PageQuery):
    """Which incidents: those that fit every filter; `live` takes open and acknowledged ones."""

    state: list[IncidentState] = Field(default=[], max_length=3)
    live: bool | None = None
    severity: list[Severity] = Field(default=[], max_length=4)
    device: Ident | None = Field(default=None, description="With this device as a member, now or before.")
    assignee: OptionalLine | None = None
    scope: Scope | None = None
    key: OptionalLine | None = Field(default=None, description="The key of the cause's scope.")
    since: Instant | None = Field(default=None, description="Not resolved before this time.")
    until: Instant | None = Field(default=None, description="Opened before this time.")


class CommentIn(Input):
    """What there is to say about it."""

    comment: Text = ""


class RemarkIn(Input):
    """A comment that is not empty."""

    comment: Text = Field(min_length=1)


class AssignIn(CommentIn):
    """Who takes care of it; empty for nobody."""

    assignee: OptionalLine


class SnoozeIn(CommentIn):
    """Until when nobody is reminded of it; null ends that."""

    until: Instant | None


class BulkIn(CommentIn):
    """The same deed for several incidents. `assignee` goes with assign, `until` with snooze."""

    ids: list[Ident] = Field(min_length=1, max_length=200)
    act: Act
    assignee: OptionalLine = ""
    until: Instant | None = None


class BulkItemOut(Output):
    """What came of it for one incident; `problem` is a code, empty when it was done."""

    id: str
    done: bool
    problem: str
    detail: str


class BulkOut(Output):
    """What came of it for each."""

    items: list[BulkItemOut]


@routes.op("GET", "/v1/incidents", needs=Permission.HEALTH_READ)
async def list_incidents(call: Call, query: IncidentQuery) -> IncidentPage:
    """Incidents, the latest first."""
    place = moment_cursor(query)
    before = (place[0], IncidentId(place[1])) if place else None
    wanted = _wanted(query)
    async with call.services.store.read() as tx:
        found = list(await tx.incidents.page(wanted, before=before, limit=query.limit + 1)) if wanted.states else []
    following = None
    if len(found) > query.limit:
        found.pop()
        following = to_cursor([found[-1].opened_at.isoformat(), found[-1].id], query)
    return IncidentPage(items=[_shown(call, one) for one in found], next=following)


@routes.op("GET", "/v1/incidents/{incident_id}", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def read_incident(call: Call) -> IncidentOut:
    """One incident."""
    return _shown(call, await call.services.incidents.get(_id(call)))


@routes.op("GET", "/v1/incidents/{incident_id}/members", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def list_incident_members(call: Call, query: PageQuery) -> MemberPage:
    """All devices of an incident, by id, those that are back included."""
    incident = await call.services.incidents.get(_id(call))
    place = text_cursor(query)
    rest = sorted((one for one in incident.members.values() if one.device > place), key=lambda one: one.device)
    found = rest[: query.limit]
    following = to_cursor(found[-1].device, query) if len(rest) > query.limit else None
    city = call.services.city
    return MemberPage(items=[MemberOut.model_validate(told_member(one, city)) for one in found], next=following)


@routes.op("GET", "/v1/incidents/{incident_id}/history", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def list_incident_history(call: Call, query: PageQuery) -> HistoryPage:
    """What happened to an incident and what was done to it, in order."""
    incident = await call.services.incidents.get(_id(call))
    place = number_cursor(query) or 0
    async with call.services.store.read() as tx:
        found = await tx.incidents.history(incident.id, after=place, limit=query.limit + 1)
    following = to_cursor(found[query.limit - 1].number, query) if len(found) > query.limit else None
    return HistoryPage(items=[EntryOut.model_validate(one) for one in found[: query.limit]], next=following)


@routes.op("POST", "/v1/incidents/{incident_id}/acknowledge", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def acknowledge_incident(call: Call, body: CommentIn) -> IncidentOut:
    """Take note of it: nobody further is told."""
    return await _act(call, Deed(Act.ACKNOWLEDGE, body.comment))


@routes.op("POST", "/v1/incidents/{incident_id}/unacknowledge", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def unacknowledge_incident(call: Call, body: CommentIn) -> IncidentOut:
    """Take that back: the escalation begins anew."""
    return await _act(call, Deed(Act.UNACKNOWLEDGE, body.comment))


@routes.op("POST", "/v1/incidents/{incident_id}/comment", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def comment_incident(call: Call, body: RemarkIn) -> IncidentOut:
    """Say something about it."""
    return await _act(call, Deed(Act.COMMENT, body.comment))


@routes.op("POST", "/v1/incidents/{incident_id}/assign", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def assign_incident(call: Call, body: AssignIn) -> IncidentOut:
    """Say who takes care of it."""
    return await _act(call, Deed(Act.ASSIGN, body.comment, assignee=body.assignee))


@routes.op("POST", "/v1/incidents/{incident_id}/snooze", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def snooze_incident(call: Call, body: SnoozeIn) -> IncidentOut:
    """Let nobody be reminded of it until a time."""
    return await _act(call, Deed(Act.SNOOZE, body.comment, until=_ahead(call, body.until)))


@routes.op("POST", "/v1/incidents/{incident_id}/resolve", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def resolve_incident(call: Call, body: CommentIn) -> IncidentOut:
    """Close it, whatever the gateway sees. Members that are still ill stay with it, silently, until they are back."""
    return await _act(call, Deed(Act.RESOLVE, body.comment))


@routes.op("POST", "/v1/incidents/{incident_id}/reopen", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def reopen_incident(call: Call, body: CommentIn) -> IncidentOut:
    """Open it again."""
    return await _act(call, Deed(Act.REOPEN, body.comment))


@routes.op("POST", "/v1/incidents/bulk", needs=Permission.HEALTH_MANAGE, repeatable=True)
async def act_on_incidents(call: Call, body: BulkIn) -> BulkOut:
    """Do the same to several incidents; each is done or refused by itself."""
    if body.act not in _BY_PEOPLE:
        raise InvalidInput("Nobody does that by hand.", faults=[Fault("/act", f"must be one of {', '.join(sorted(_BY_PEOPLE))}")])
    deed = Deed(body.act, body.comment, body.assignee, _ahead(call, body.until))
    return BulkOut(items=[await _one_of_many(call, IncidentId(one), deed) for one in dict.fromkeys(body.ids)])


_BY_PEOPLE = frozenset({Act.ACKNOWLEDGE, Act.UNACKNOWLEDGE, Act.COMMENT, Act.ASSIGN, Act.SNOOZE, Act.RESOLVE, Act.REOPEN})


async def _one_of_many(call: Call, incident_id: IncidentId, deed: Deed) -> BulkItemOut:
    try:
        await _act(call, deed, incident_id)
    except (NotFound, Conflict, Forbidden) as error:
        return BulkItemOut(id=incident_id, done=False, problem=error.code, detail=str(error))
    return BulkItemOut(id=incident_id, done=True, problem="", detail="")


async def _act(call: Call, deed: Deed, incident_id: IncidentId | None = None) -> IncidentOut:
    service = call.services.incidents
    incident = await service.get(incident_id or _id(call))
    if reached := _reached(incident):
        must_reach(call.caller.key, reached, call.services.city)
    else:  # the gateway's own: it is nobody's place
        must_reach_everything(call.caller.key)
    return _shown(call, await service.act(incident.id, deed, by=call.caller.person))


def _reached(incident: Incident) -> Sequence[DeviceId]:
    return [member.device for member in incident.ill] or list(incident.members)


def _ahead(call: Call, until: datetime | None) -> datetime | None:
    if until is not None and until <= call.services.clock.now():
        raise InvalidInput("The body is not right.", faults=[Fault("/until", "must be in the future", "in-the-past")])
    return until


def _wanted(query: IncidentQuery) -> Wanted:
    states = [
        state for state in (query.state or IncidentState) if query.live is None or (state is not IncidentState.RESOLVED) is query.live
    ]
    return Wanted(
        states=states,
        severities=query.severity,
        device=DeviceId(query.device) if query.device is not None else None,
        assignee=query.assignee,
        scope=query.scope,
        key=query.key,
        since=query.since,
        until=query.until,
    )


def _shown(call: Call, incident: Incident) -> IncidentOut:
    return IncidentOut.model_validate(call.services.incidents.told(incident))


def _id(call: Call) -> IncidentId:
    return IncidentId(call.path("incident_id"))
