"""Findings of searches with what was decided about them, and the refused log-ins of strangers."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Row, Table, Text, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.discovery import Finding, Kind, Sighting
from gateway.storage.schema import Json, UtcTime, metadata

_PAGE: Final = 100  # rows turned into objects before the loop gets its turn
MOST: Final = 10_000
"""Proposals that are kept; beyond that those that were seen longest ago go, decided or not."""

discovery_proposals = Table(
    "discovery_proposals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("finding", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("first_seen", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),
    Column("run", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", UtcTime),
    Column("comment", Text, nullable=False),
)

discovery_tries = Table(
    "discovery_tries",
    metadata,
    Column("address", Text, primary_key=True),
    Column("since", UtcTime, nullable=False),
    Column("refused", BigInteger, nullable=False),
)


class ProposalState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A finding with when it was seen, and what was decided about it by whom, and why."""

    id: str
    finding: Finding
    first_seen: datetime
    last_seen: datetime
    run: str
    state: ProposalState = ProposalState.OPEN
    decided_by: str = ""
    decided_at: datetime | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Tries:
    """Signed requests that were refused at an address since a moment."""

    since: datetime
    refused: int


class DiscoveryRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def proposals(self) -> list[Proposal]:
        """All of them, by id."""
        found: list[Proposal] = []
        async with self._conn.stream(select(discovery_proposals).order_by(discovery_proposals.c.id)) as rows:
            async for page in rows.partitions(_PAGE):
                found += [_proposal(row) for row in page]
                await asyncio.sleep(0)
        return found

    async def find(self, proposal: str) -> Proposal | None:
        row = (await self._conn.execute(select(discovery_proposals).where(discovery_proposals.c.id == proposal))).one_or_none()
        return None if row is None else _proposal(row)

    async def put(self, found: Collection[Proposal]) -> None:
        """Write proposals, or write over those with the same ids; the oldest beyond `MOST` go."""
        if not found:
            return
        statement = self._insert(discovery_proposals)
        changed = {column.name: statement.excluded[column.name] for column in discovery_proposals.columns if not column.primary_key}
        upsert = statement.on_conflict_do_update(index_elements=["id"], set_=changed)
        await self._conn.execute(upsert, [_row(proposal) for proposal in found])
        count = await self._conn.scalar(select(func.count()).select_from(discovery_proposals)) or 0
        if count > MOST:
            oldest = select(discovery_proposals.c.id).order_by(discovery_proposals.c.last_seen).limit(count - MOST)
            await self._conn.execute(delete(discovery_proposals).where(discovery_proposals.c.id.in_(oldest)))

    async def decide(self, proposals: Collection[str], state: ProposalState, *, by: str, at: datetime, comment: str) -> None:
        """Note what was decided about open proposals."""
        statement = update(discovery_proposals).where(
            discovery_proposals.c.id.in_(list(proposals)), discovery_proposals.c.state == ProposalState.OPEN.value
        )
        await self._conn.execute(statement.values(state=state.value, decided_by=by, decided_at=at, comment=comment))

    async def tries(self) -> Mapping[str, Tries]:
        """Refused log-ins by address."""
        return {row.address: Tries(row.since, row.refused) for row in await self._conn.execute(select(discovery_tries))}

    async def note_tries(self, address: str, tries: Tries) -> None:
        statement = self._insert(discovery_tries).values(address=address, since=tries.since, refused=tries.refused)
        changed = {"since": statement.excluded.since, "refused": statement.excluded.refused}
        await self._conn.execute(statement.on_conflict_do_update(index_elements=["address"], set_=changed))

    async def forget_tries(self, before: datetime) -> None:
        """Forget what was refused before a moment."""
        await self._conn.execute(delete(discovery_tries).where(discovery_tries.c.since < before))

    def _insert(self, table: Table) -> Any:
        return (postgresql if self._conn.dialect.name == "postgresql" else sqlite).insert(table)


def _row(proposal: Proposal) -> dict[str, Any]:
    finding = {**asdict(proposal.finding), "changes": dict(proposal.finding.changes)}
    return {
        "id": proposal.id,
        "kind": proposal.finding.kind.value,
        "finding": finding,
        "state": proposal.state.value,
        "first_seen": proposal.first_seen,
        "last_seen": proposal.last_seen,
        "run": proposal.run,
        "decided_by": proposal.decided_by,
        "decided_at": proposal.decided_at,
        "comment": proposal.comment,
    }


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        id=row.id,
        finding=_finding(row.finding),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        run=row.run,
        state=ProposalState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        comment=row.comment,
    )


def _finding(value: dict[str, Any]) -> Finding:
    seen = value["sighting"]
    kind = seen["kind"]
    sighting = Sighting(
        **{**seen, "kind": DeviceKind(kind) if kind else None, "macs": tuple(seen["macs"]), "logins": tuple(seen["logins"])}
    )
    return Finding(
        kind=Kind(value["kind"]),
        key=value["key"],
        sighting=sighting,
        device=DeviceId(value["device"]) if value["device"] else None,
        changes=value["changes"],
        by=tuple(value["by"]),
        others=tuple(value["others"]),
    )
