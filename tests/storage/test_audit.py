import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain.events import SYSTEM, Actor, ActorKind, AuditEntry, chain_hash
from gateway.errors import InvalidInput
from gateway.storage.audit import AuditRepository, Verdict, audit, prepare
from gateway.storage.schema import canonical
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.conftest import running

AT = datetime(2026, 3, 1, tzinfo=UTC)
OFFICER = Actor(ActorKind.USER, "officer-7")


def entry(number: int = 0, **changed: Any) -> AuditEntry:
    fields = {
        "actor": OFFICER,
        "action": "footage.approve",
        "subject": f"request-{number}",
        "at": AT + timedelta(seconds=number, milliseconds=number),
    }
    return AuditEntry(**fields | {"data": {"number": number, "理由": "盗窃案", "list": [1.5, {10: None, 9: True}]}} | changed)


async def record(store: Store, *entries: AuditEntry) -> None:
    for each in entries:

        async def change(tx: Tx, each: AuditEntry = each) -> None:
            tx.record(each)

        await store.writer.write(change, lane=Lane.STOP)


async def verify(store: Store, **options: Any) -> Verdict:
    async with store.read() as tx:
        return await tx.audit.verify(**options)


async def test_a_chain_begins_with_its_name_and_holds_every_entry(store: Store) -> None:
    await record(store, *map(entry, range(5)))
    async with store.read() as tx:
        rows = await tx.audit.page()
    assert [(row.chain, row.seq) for row in rows if row.entry.actor == OFFICER] == [("gateway", seq) for seq in (6, 5, 4, 3, 2)]
    assert [row.entry.subject for row in rows if row.entry.action == "audit.chain-started"] == ["gateway"]
    first = next(row for row in rows if row.seq == 2)
    assert first.entry == entry(0, data={"number": 0, "理由": "盗窃案", "list": [1.5, {"10": None, "9": True}]})
    verdict = await verify(store)
    assert verdict.ok
    assert verdict.heads == {"gateway": (6, rows[0].hash)}


async def test_pages_follow_each_other_without_gap_or_repetition(store: Store) -> None:
    await record(store, *(entry(number, at=AT) for number in range(7)))
    seen, before = [], None
    async with store.read() as tx:
        while page := await tx.audit.page(before=before, limit=3):
            seen += [row.seq for row in page]
            before = (page[-1].entry.at.isoformat(), page[-1].chain, page[-1].seq)
        assert [row.seq for row in await tx.audit.page(subject="request-3")] == [5]
    assert seen == [8, 7, 6, 5, 4, 3, 2, 1]


async def test_a_chain_goes_on_where_it_was_after_a_restart(store_url: str, clock) -> None:
    for number in range(3):
        async with running(store_url, clock) as store:
            await record(store, entry(number))
            verdict = await verify(store)
    assert verdict.ok
    assert verdict.rows == 4


async def test_two_processes_of_one_name_do_not_fork_the_chain(store_url: str, clock) -> None:
    async with running(store_url, clock) as one, running(store_url, clock) as other:
        for number in range(4):
            await record(one, entry(number))
            await record(other, entry(number))
        verdict = await verify(one)
    assert verdict.ok
    assert verdict.rows == 9


@pytest.mark.parametrize("statement", ["UPDATE audit SET action = 'nothing'", "DELETE FROM audit", "UPDATE audit SET seq = seq + 10"])
async def test_the_database_itself_refuses_to_change_the_record(store: Store, engine: AsyncEngine, statement: str) -> None:
    await record(store, entry())
    async with engine.connect() as conn:
        with pytest.raises(DBAPIError, match="never"):
            await conn.execute(text(statement))


async def test_sqlite_refuses_to_replace_a_row_and_postgresql_to_empty_the_table(store: Store, engine: AsyncEngine) -> None:
    await record(store, entry())
    sqlite = engine.dialect.name == "sqlite"
    async with engine.connect() as conn:
        with pytest.raises(DBAPIError, match="never"):
            await conn.execute(text("INSERT OR REPLACE INTO audit SELECT * FROM audit" if sqlite else "TRUNCATE audit"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"actor": Actor(ActorKind.USER, "")},
        {"action": "a" * 101},
        {"subject": "nul \0"},
        {"at": AT.replace(tzinfo=None)},
        {"data": {"x": float("inf")}},
        {"data": {"half": "\ud800"}},
    ],
)
def test_an_entry_that_cannot_be_stored_is_refused_where_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        prepare(entry(**wrong))


# -- tampering --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def history(store_url: str, clock, engine: AsyncEngine):
    """Two chains of some length that know each other by checkpoints, open to a forger: no triggers, no checks, undone afterwards."""
    async with running(store_url, clock) as ours, running(store_url, clock, chain="import") as theirs:
        for number in range(12):
            await record(ours, entry(number))
            await record(theirs, entry(number, actor=SYSTEM, action="inventory.import"))
        await ours.checkpoint()
        await theirs.checkpoint()
        await record(ours, entry(20), entry(21))
    async with engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            await conn.exec_driver_sql("ROLLBACK")
            await conn.exec_driver_sql("PRAGMA foreign_keys = OFF")
            await conn.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            await conn.exec_driver_sql("BEGIN")
            triggers = ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", "DROP TRIGGER audit_no_replace")
        else:
            triggers = ("DROP TRIGGER audit_no_change ON audit", "ALTER TABLE audit DROP CONSTRAINT audit_chain_fkey")
        for trigger in triggers:
            await conn.exec_driver_sql(trigger)
        yield conn


Forgery = Callable[[AsyncConnection, random.Random], Awaitable[None]]


async def _say(conn: AsyncConnection, statement: str, **parameters: Any) -> None:
    assert (await conn.execute(text(statement), parameters)).rowcount > 0


async def _any(conn: AsyncConnection, dice: random.Random) -> Any:
    return dice.choice((await conn.execute(select(audit).order_by(audit.c.chain, audit.c.seq))).all())


async def flip(conn: AsyncConnection, dice: random.Random) -> None:
    row = await _any(conn, dice)
    column = dice.choice(["actor_id", "action", "subject", "at", "data", "hash"])
    value = getattr(row, column)
    place = dice.randrange(len(value))
    other = dice.choice([char for char in "0123456789abcdefghij .:{}" if char != value[place]])
    await _say(
        conn,
        f"UPDATE audit SET {column} = :value WHERE chain = :chain AND seq = :seq",
        value=value[:place] + other + value[place + 1 :],
        chain=row.chain,
        seq=row.seq,
    )


async def flip_kind(conn: AsyncConnection, dice: random.Random) -> None:
    row = await _any(conn, dice)
    kind = dice.choice([kind.value for kind in ActorKind if kind != row.actor_kind])
    await _say(conn, "UPDATE audit SET actor_kind = :kind WHERE chain = :chain AND seq = :seq", kind=kind, chain=row.chain, seq=row.seq)


async def spaces(conn: AsyncConnection, dice: random.Random) -> None:
    """The same JSON in other words."""
    row = await _any(conn, dice)
    await _say(conn, "UPDATE audit SET data = :data WHERE chain = :chain AND seq = :seq", data=f" {row.data}", chain=row.chain, seq=row.seq)


async def drop(conn: AsyncConnection, dice: random.Random) -> None:
    row = await _any(conn, dice)
    await _say(conn, "DELETE FROM audit WHERE chain = :chain AND seq = :seq", chain=row.chain, seq=row.seq)


async def drop_and_close_up(conn: AsyncConnection, dice: random.Random) -> None:
    row = await _any(conn, dice)
    await _say(conn, "DELETE FROM audit WHERE chain = :chain AND seq = :seq", chain=row.chain, seq=row.seq)
    for seq in range(row.seq + 1, 20):
        await conn.execute(
            text("UPDATE audit SET seq = :less WHERE chain = :chain AND seq = :seq"), {"less": seq - 1, "chain": row.chain, "seq": seq}
        )


async def swap(conn: AsyncConnection, dice: random.Random) -> None:
    one = await _any(conn, dice)
    other = one
    while other == one:
        other = await _any(conn, dice)
    where = "WHERE chain = :chain AND seq = :seq"
    await _say(conn, f"UPDATE audit SET chain = 'aside' {where}", chain=one.chain, seq=one.seq)
    await _say(conn, f"UPDATE audit SET chain = :to, seq = :place {where}", to=one.chain, place=one.seq, chain=other.chain, seq=other.seq)
    await _say(conn, f"UPDATE audit SET chain = :to, seq = :place {where}", to=other.chain, place=other.seq, chain="aside", seq=one.seq)


async def cut_the_tail(conn: AsyncConnection, dice: random.Random) -> None:
    await _say(
        conn, "DELETE FROM audit WHERE chain = :chain AND seq > :seq", chain=dice.choice(["gateway", "import"]), seq=dice.randrange(12)
    )


async def cut_the_tail_and_the_head_with_it(conn: AsyncConnection, dice: random.Random) -> None:
    chain, last = dice.choice(["gateway", "import"]), dice.randrange(1, 12)
    await _say(conn, "DELETE FROM audit WHERE chain = :chain AND seq > :seq", chain=chain, seq=last)
    await _say(
        conn,
        "UPDATE audit_chains SET seq = :seq, hash = (SELECT hash FROM audit WHERE chain = :chain AND seq = :seq) WHERE chain = :chain",
        chain=chain,
        seq=last,
    )


async def add(conn: AsyncConnection, dice: random.Random) -> None:
    row = await _any(conn, dice)
    await _say(
        conn,
        "INSERT INTO audit SELECT chain, seq + 100, actor_kind, actor_id, action, subject, at, data, hash FROM audit"
        " WHERE chain = :chain AND seq = :seq",
        chain=row.chain,
        seq=row.seq,
    )


async def rename(conn: AsyncConnection, dice: random.Random) -> None:
    await _say(conn, "UPDATE audit SET chain = 'renamed' WHERE chain = 'gateway'")
    await _say(conn, "UPDATE audit_chains SET chain = 'renamed' WHERE chain = 'gateway'")


async def rewrite(conn: AsyncConnection, dice: random.Random) -> None:
    """The careful forger: changes one row and recomputes every hash after it, and the head."""
    chain = dice.choice(["gateway", "import"])
    rows = [row for row in await AuditRepository(conn).page(limit=1_000) if row.chain == chain][::-1]
    place = dice.randrange(1, 12)
    before = rows[place - 1].hash
    for row in rows[place:]:
        forged = entry(row.seq, subject="somebody else") if row is rows[place] else row.entry
        forged = prepare(forged)
        before = chain_hash(before, forged)
        await _say(
            conn,
            "UPDATE audit SET subject = :subject, hash = :hash WHERE chain = :chain AND seq = :seq",
            subject=forged.subject,
            hash=before,
            chain=chain,
            seq=row.seq,
        )
    await _say(conn, "UPDATE audit_chains SET hash = :hash WHERE chain = :chain", hash=before, chain=chain)


FORGERIES: list[Forgery] = [
    *(flip, flip_kind, spaces, drop, drop_and_close_up, swap, cut_the_tail, cut_the_tail_and_the_head_with_it, add, rename, rewrite)
]


async def test_what_nobody_touched_is_found_whole(history: AsyncConnection) -> None:
    verdict = await AuditRepository(history).verify()
    assert verdict.ok
    assert verdict.rows == 30


async def test_every_forgery_is_found(history: AsyncConnection) -> None:
    dice = random.Random(11)
    unseen = []
    for number in range(20 * len(FORGERIES)):
        forgery = FORGERIES[number % len(FORGERIES)]
        attempt = await history.begin_nested()
        try:
            await forgery(history, dice)
        except IntegrityError:
            pass  # the schema itself refuses it
        else:
            if (await AuditRepository(history).verify()).ok:
                unseen.append((number, forgery.__name__))
        await attempt.rollback()
    assert unseen == []


async def test_a_tail_cut_since_the_last_checkpoint_shows_against_a_head_kept_elsewhere(history: AsyncConnection) -> None:
    kept = (await AuditRepository(history).verify()).heads
    last = kept["gateway"][0]
    await _say(history, "DELETE FROM audit WHERE chain = 'gateway' AND seq = :seq", seq=last)
    await _say(
        history,
        "UPDATE audit_chains SET seq = :seq, hash = (SELECT hash FROM audit WHERE chain = 'gateway' AND seq = :seq)"
        " WHERE chain = 'gateway'",
        seq=last - 1,
    )
    assert (await AuditRepository(history).verify()).ok  # nothing in this store knows of it
    verdict = await AuditRepository(history).verify(expected=kept)
    assert [(broken.chain, broken.seq) for broken in verdict.broken] == [("gateway", last)]


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)


@given(data=st.dictionaries(st.text(max_size=5), st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3)), max_size=4))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_has_the_same_hash_after_it_was_stored(data: dict[str, Any]) -> None:
    try:
        once = prepare(entry(data=data))
    except InvalidInput:
        return
    stored = canonical(dict(once.data))
    again = AuditEntry(once.actor, once.action, once.subject, once.at, json.loads(stored))
    assert chain_hash("0" * 64, again) == chain_hash("0" * 64, once)
    assert canonical(dict(again.data)) == stored
