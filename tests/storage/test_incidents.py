"""Incidents in both stores: what was put in comes out, one device is ill in one incident, the history is never changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.incidents import Act, Cause, CauseKind, Entry, Incident, IncidentId, IncidentState, Member, Role, Scope, acted
from gateway.domain.severity import Severity
from gateway.errors import Conflict, NotFound
from gateway.storage.incidents import Wanted
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DOWN = HealthState.DOWN


def member(name: str, role: Role = Role.ROOT) -> Member:
    return Member(DeviceId(name), DOWN, "timeout", NOON, role, NOON, DeviceKind.CAMERA)


def incident(number: int, *members: Member, cause: Cause | None = None, at: datetime = NOON) -> Incident:
    return Incident(
        id=IncidentId(f"I-{number}"),
        state=IncidentState.OPEN,
        severity=Severity.MAJOR,
        trouble=DOWN,
        cause=cause or Cause(CauseKind.DEVICE, members[0].device, name="枪机"),
        reason="timeout",
        opened_at=at,
        waiting_since=at,
        changed_at=at,
        members={one.device: one for one in members},
        devices=len(members),
    )


async def save(store: Store, *incidents: Incident) -> None:
    async def change(tx: Tx) -> None:
        for one in incidents:
            await tx.incidents.save(one, one.members.values())

    await store.writer.write(change, lane=Lane.HEALTH)


async def test_an_incident_comes_out_as_it_was_put_in_and_changes(store: Store) -> None:
    street = Cause(CauseKind.COMMON, None, Scope.STREET, "柳园街道", "柳园街道")
    first = incident(1, *(member(f"c-{n:04}", Role.EXPLAINED) for n in range(1_200)), cause=street)
    await save(store, first)
    async with store.read() as tx:
        assert await tx.incidents.get(first.id) == first
    back = replace(member("c-0001", Role.EXPLAINED), until=NOON + timedelta(minutes=1))
    later = acted(first, Act.ACKNOWLEDGE, by="user:li", at=NOON + timedelta(minutes=2))
    later = replace(later, members={**first.members, back.device: back})
    await store.writer.write(lambda tx: tx.incidents.save(later, [back]), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.incidents.get(first.id) == later
        with pytest.raises(NotFound):
            await tx.incidents.get(IncidentId("I-none"))


async def test_a_reason_beyond_its_column_does_not_keep_an_incident_from_being_stored(store: Store) -> None:
    await save(store, replace(incident(1, replace(member("c-1"), reason="r" * 99)), reason="r" * 99))
    async with store.read() as tx:
        assert (await tx.incidents.get(IncidentId("I-1"))).reason == "r" * 64


async def test_a_device_is_ill_in_one_incident_only(store: Store) -> None:
    await save(store, incident(1, member("c-1")))
    with pytest.raises(Conflict):
        await save(store, incident(2, member("c-1")))
    await store.writer.write(
        lambda tx: tx.incidents.save(incident(1, member("c-1")), [replace(member("c-1"), until=NOON)]),
        lane=Lane.HEALTH,
    )
    await save(store, incident(2, member("c-1")))


async def test_the_reckoning_gets_what_is_live_what_was_resolved_lately_and_whose_members_are_still_ill(store: Store) -> None:
    gone = replace(member("c-2"), until=NOON)
    old = acted(incident(2, gone), Act.RECOVER, by="", at=NOON)
    by_hand = acted(incident(3, member("c-3")), Act.RESOLVE, by="user:li", at=NOON)
    late = acted(incident(4, replace(member("c-4"), until=NOON)), Act.RECOVER, by="", at=NOON + timedelta(hours=2))
    await save(store, incident(1, member("c-1")), old, by_hand, late)
    async with store.read() as tx:
        kept = await tx.incidents.kept(resolved_after=NOON + timedelta(hours=1))
    assert {one.id for one in kept} == {"I-1", "I-3", "I-4"}


async def test_incidents_are_listed_latest_first_by_pages_and_filters(store: Store) -> None:
    made = [incident(n, member(f"c-{n}"), at=NOON + timedelta(minutes=n)) for n in range(1, 6)]
    made[4] = acted(made[4], Act.RESOLVE, by="user:li", at=NOON + timedelta(minutes=9))
    await save(store, *made)
    async with store.read() as tx:
        first = await tx.incidents.page(Wanted(), limit=2)
        rest = await tx.incidents.page(Wanted(), before=(first[-1].opened_at, first[-1].id), limit=9)
        assert [one.id for one in (*first, *rest)] == ["I-5", "I-4", "I-3", "I-2", "I-1"]
        assert [one.id for one in await tx.incidents.page(Wanted(states=[IncidentState.RESOLVED]), limit=9)] == ["I-5"]
        assert [one.id for one in await tx.incidents.page(Wanted(device=DeviceId("c-2")), limit=9)] == ["I-2"]
        between = Wanted(since=NOON + timedelta(minutes=10), until=NOON + timedelta(minutes=3))
        assert [one.id for one in await tx.incidents.page(between, limit=9)] == ["I-2", "I-1"]
        assert not await tx.incidents.page(Wanted(severities=[Severity.WARNING]), limit=9)


async def test_the_history_is_numbered_and_never_changed(store: Store, engine: AsyncEngine) -> None:
    await save(store, incident(1, member("c-1")))
    for what in ("opened", "comment"):
        entry = Entry(0, NOON, what, "user:li", "保险丝", {"devices": ["c-1"]})
        await store.writer.write(lambda tx, entry=entry: tx.incidents.note(IncidentId("I-1"), entry), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert [(one.number, one.what) for one in await tx.incidents.history(IncidentId("I-1"))] == [(1, "opened"), (2, "comment")]
        assert [one.number for one in await tx.incidents.history(IncidentId("I-1"), after=1)] == [2]
    for statement in ("UPDATE incident_history SET comment = ''", "DELETE FROM incident_history"):
        with pytest.raises(DBAPIError, match="never changed"):
            async with engine.begin() as conn:
                await conn.execute(text(statement))


@pytest.mark.parametrize(
    "broken",
    [
        {"cause": Cause(CauseKind.COMMON)},
        {"cause": Cause(CauseKind.DEVICE)},
        {"state": IncidentState.RESOLVED},
        {"state": IncidentState.ACKNOWLEDGED},
        {"resolved_by": "user:li"},
        {"devices": -1},
    ],
)
async def test_the_store_refuses_what_must_never_be(store: Store, broken: dict[str, object]) -> None:
    with pytest.raises(Conflict):
        await save(store, replace(incident(1, member("c-1")), **broken))
