"""Incidents, their members and their history, as they are stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Row, Select, Table, Text, literal, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.incidents import Cause, CauseKind, Entry, Incident, IncidentId, IncidentState, Member, Role, Scope
from gateway.domain.severity import Severity
from gateway.errors import NotFound
from gateway.storage import entries
from gateway.storage.schema import UtcTime, metadata

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("trouble", Text, nullable=False),
    Column("cause_kind", Text, nullable=False),
    Column("cause_device", Text),
    Column("cause_scope", Text),
    Column("cause_key", Text, nullable=False),
    Column("cause_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("waiting_since", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("devices", BigInteger, nullable=False),
    Column("acknowledged_at", UtcTime),
    Column("acknowledged_by", Text, nullable=False),
    Column("acknowledger", Text, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("snoozed_until", UtcTime),
    Column("resolved_at", UtcTime),
    Column("resolved_by", Text, nullable=False),
    Column("escalation_level", BigInteger, nullable=False),
    Column("reopened", BigInteger, nullable=False),
)
incident_members = Table(
    "incident_members",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("kind", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("role", Text, nullable=False),
    Column("joined_at", UtcTime, nullable=False),
    Column("until", UtcTime),
)
incident_history = entries.history_table("incident_history", of="incident")
_NAME_LIMIT = 200
_CODE_LIMIT = 64
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents: those that fit everything that is given. `since`, `until`: open at any moment between them."""

    states: Sequence[IncidentState] = ()
    severities: Sequence[Severity] = ()
    device: DeviceId | None = None
    assignee: str | None = None
    scope: Scope | None = None
    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class IncidentRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def save(self, incident: Incident, members: Iterable[Member] = ()) -> None:
        """Write `incident` as it now is, and those `members` of it that are new or have changed."""
        await self._upsert(incidents, ["id"], [_columns(incident)])
        await self.save_members(incident.id, members)

    async def save_members(self, incident: IncidentId, members: Iterable[Member]) -> None:
        """Write members of an incident that is stored; Conflict for one who is ill in another."""
        rows = [{"incident": incident, **_member_columns(member)} for member in members]
        for start in range(0, len(rows), _AT_ONCE):
            await self._upsert(incident_members, ["incident", "device"], rows[start : start + _AT_ONCE])

    async def note(self, incident: IncidentId, entry: Entry) -> None:
        """Append to the history; the entry's own number does not count."""
        await entries.append(self._conn, incident_history.c.incident, incident, entry)

    async def get(self, incident: IncidentId) -> Incident:
        """With all its members. Raises NotFound."""
        found = await self._whole(select(incidents).where(incidents.c.id == incident))
        if not found:
            raise NotFound(f"no incident {incident[:80]}", code="no-incident", hint="GET /v1/incidents lists what there is.")
        return found[0]

    async def kept(self, *, resolved_after: datetime) -> Sequence[Incident]:
        """All that the reckoning needs: the live ones, those resolved lately, and those that still have members who are ill."""
        ill = select(incident_members.c.incident).where(incident_members.c.until.is_(None))
        statement = select(incidents).where(
            or_(incidents.c.state != "resolved", incidents.c.resolved_at > resolved_after, incidents.c.id.in_(ill))
        )
        return await self._whole(statement)

    async def page(self, wanted: Wanted, *, before: tuple[datetime, IncidentId] | None = None, limit: int) -> Sequence[Incident]:
        """Up to `limit` incidents with their members, the latest first; `before`: those after this time and id in that order."""
        order = (incidents.c.opened_at, incidents.c.id)
        statement = _filtered(select(incidents), wanted).order_by(*(column.desc() for column in order)).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(literal(before[0], UtcTime), literal(before[1], Text)))
        return await self._whole(statement)

    async def history(self, incident: IncidentId, *, after: int = 0, limit: int = 1_000) -> Sequence[Entry]:
        """What happened to it, in order, from behind number `after` on."""
        return await entries.read(self._conn, incident_history.c.incident, incident, after=after, limit=limit)

    async def _whole(self, statement: Select[Any]) -> Sequence[Incident]:
        rows = (await self._conn.execute(statement)).all()
        members = await self._members([row.id for row in rows])
        return [_incident(row, members.get(row.id, {})) for row in rows]

    async def _members(self, of: Sequence[str]) -> Mapping[str, dict[DeviceId, Member]]:
        found: dict[str, dict[DeviceId, Member]] = {}
        for start in range(0, len(of), _AT_ONCE):
            some = of[start : start + _AT_ONCE]
            order = (incident_members.c.joined_at, incident_members.c.device)
            statement = select(incident_members).where(incident_members.c.incident.in_(some)).order_by(*order)
            for row in await self._conn.execute(statement):
                found.setdefault(row.incident, {})[DeviceId(row.device)] = _member(row)
        return found

    async def _upsert(self, table: Table, key: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
        await self._conn.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed), list(rows))


def _filtered(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.states:
        statement = statement.where(incidents.c.state.in_(wanted.states))
    if wanted.severities:
        statement = statement.where(incidents.c.severity.in_(wanted.severities))
    if wanted.device is not None:
        theirs = select(incident_members.c.incident).where(incident_members.c.device == wanted.device)
        statement = statement.where(incidents.c.id.in_(theirs))
    for column, value in (("assignee", wanted.assignee), ("cause_scope", wanted.scope), ("cause_key", wanted.key)):
        if value is not None:
            statement = statement.where(incidents.c[column] == value)
    if wanted.since is not None:
        statement = statement.where(or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at >= wanted.since))
    if wanted.until is not None:
        statement = statement.where(incidents.c.opened_at < wanted.until)
    return statement


def _columns(incident: Incident) -> dict[str, Any]:
    cause = incident.cause
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "trouble": incident.trouble.value,
        "cause_kind": cause.kind.value,
        "cause_device": cause.device,
        "cause_scope": cause.scope and cause.scope.value,
        "cause_key": cause.key[:_NAME_LIMIT],
        "cause_name": cause.name[:_NAME_LIMIT],
        "reason": incident.reason[:_CODE_LIMIT],
        "opened_at": incident.opened_at,
        "waiting_since": incident.waiting_since,
        "changed_at": incident.changed_at,
        "devices": incident.devices,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": incident.acknowledged_by,
        "acknowledger": incident.acknowledger[:_NAME_LIMIT],
        "assignee": incident.assignee,
        "snoozed_until": incident.snoozed_until,
        "resolved_at": incident.resolved_at,
        "resolved_by": incident.resolved_by,
        "escalation_level": incident.escalation_level,
        "reopened": incident.reopened,
    }


def _member_columns(member: Member) -> dict[str, Any]:
    return {
        "device": member.device,
        "kind": member.kind and member.kind.value,
        "state": member.state.value,
        "reason": member.reason[:_CODE_LIMIT],
        "since": member.since,
        "role": member.role.value,
        "joined_at": member.joined_at,
        "until": member.until,
    }


def _incident(row: Row[Any], members: Mapping[DeviceId, Member]) -> Incident:
    cause = Cause(
        CauseKind(row.cause_kind),
        DeviceId(row.cause_device) if row.cause_device is not None else None,
        Scope(row.cause_scope) if row.cause_scope is not None else None,
        row.cause_key,
        row.cause_name,
    )
    return Incident(
        id=IncidentId(row.id),
        state=IncidentState(row.state),
        severity=Severity(row.severity),
        trouble=HealthState(row.trouble),
        cause=cause,
        reason=row.reason,
        opened_at=row.opened_at,
        waiting_since=row.waiting_since,
        changed_at=row.changed_at,
        members=members,
        devices=row.devices,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        acknowledger=row.acknowledger,
        assignee=row.assignee,
        snoozed_until=row.snoozed_until,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        escalation_level=row.escalation_level,
        reopened=row.reopened,
    )


def _member(row: Row[Any]) -> Member:
    kind = DeviceKind(row.kind) if row.kind is not None else None
    return Member(
        device=DeviceId(row.device),
        state=HealthState(row.state),
        reason=row.reason,
        since=row.since,
        role=Role(row.role),
        joined_at=row.joined_at,
        kind=kind,
        until=row.until,
    )
