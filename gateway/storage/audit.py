"""The record of who did what: one chain of hashes a writer, chains joined by checkpoints, and the proof that nobody touched them."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import GENESIS, SYSTEM, Actor, ActorKind, AuditEntry, chain_hash
from gateway.domain.footage import Reach
from gateway.errors import InvalidInput
from gateway.storage.events import storable
from gateway.storage.footage import request_seen_by
from gateway.storage.footage_tables import footage_requests
from gateway.storage.holds import hold_seen_by, holds
from gateway.storage.schema import canonical, metadata, utc

STARTED = "audit.chain-started"  # the first row of a chain: its subject is the chain's name, so that chains cannot change names
CHECKPOINT = "audit.checkpoint"  # its data: the heads of all other chains at that moment, `{chain: [seq, hash]}`
PAGE = 200  # rows hashed before the loop gets its turn

audit_chains = Table("audit_chains", metadata, Column("chain", Text, primary_key=True), Column("seq", BigInteger, nullable=False),
                     Column("hash", Text, nullable=False))  # fmt: skip

audit = Table(
    "audit",
    metadata,
    Column("chain", Text, ForeignKey("audit_chains.chain"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

_OF = audit_chains.c.chain == bindparam("of")
_HEAD = select(audit_chains.c.seq, audit_chains.c.hash).where(_OF).with_for_update()
_APPEND = insert(audit)
_MOVE_HEAD = update(audit_chains).where(_OF)

# As the rows are, without any conversion that a forged value could trip.
_RAW = [type_coerce(column, BigInteger() if column.name == "seq" else Text()).label(column.name) for column in audit.c]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry with its place: row `seq` of `chain`."""

    chain: str
    seq: int
    entry: AuditEntry
    hash: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain does not hold, and how that shows."""

    chain: str
    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `heads` (chain → seq, hash) may be kept elsewhere: a later verify can be held against them."""

    rows: int
    heads: Mapping[str, tuple[int, str]]
    broken: tuple[Broken, ...]

    @property
    def ok(self) -> bool:
        return not self.broken


def prepare(entry: AuditEntry) -> AuditEntry:
    """`entry` as it will be read back: UTC, its data as plain JSON. InvalidInput for what the table would refuse."""
    for name, text, least, most in (
        ("actor", entry.actor.id, 1, 200),
        ("action", entry.action, 1, 100),
        ("subject", entry.subject, 0, 200),
    ):
        if not least <= len(storable(text)) <= most:
            raise InvalidInput(
                f"the {name} of an audit entry has {len(text)} characters, allowed are {least} to {most}", code="bad-audit-entry"
            )
    data = canonical(dict(entry.data))
    _encodable(data)
    return AuditEntry(entry.actor, entry.action, entry.subject, utc(entry.at), json.loads(data))


async def append(conn: AsyncConnection, chain: str, entries: Sequence[AuditEntry]) -> None:
    """Add `entries` to `chain`, in order; the head's row lock keeps two processes of one name from forking it."""
    if not entries:
        return
    found = (await conn.execute(_HEAD, {"of": chain})).one_or_none()
    if found is None:
        await conn.execute(insert(audit_chains).values(chain=chain, seq=0, hash=GENESIS))
        entries = [AuditEntry(SYSTEM, STARTED, chain, entries[0].at), *entries]
    seq, hash_ = (0, GENESIS) if found is None else (found.seq, found.hash)
    for start in range(0, len(entries), PAGE):
        rows = []
        for entry in entries[start : start + PAGE]:
            seq, hash_ = seq + 1, chain_hash(hash_, entry)
            rows.append(_columns(chain, seq, entry, hash_))
        await conn.execute(_APPEND, rows)
    await conn.execute(_MOVE_HEAD, {"of": chain, "seq": seq, "hash": hash_})


def _seen_by(reach: Reach) -> ColumnElement[bool]:
    c = audit.c
    request = exists().where(footage_requests.c.id == c.subject, request_seen_by(reach))
    hold = exists().where(holds.c.id == c.subject, hold_seen_by(reach))
    return and_(or_(c.action.not_like("footage.%"), request), or_(c.action.not_like("hold.%"), hold))


class AuditRepository:
    """Reads the record; rows are only ever added, by `Tx.record`."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def page(
        self,
        *,
        before: tuple[str, str, int] | None = None,
        subject: str | None = None,
        reach: Reach | None = None,
        limit: int = 100,
    ) -> list[AuditRow]:
        """The newest `limit` rows of all chains, newest first; `before`: (at, chain, seq) of the last row of the page before.

        `reach`: whose eyes look; of footage requests and holds, they see the rows of those that are shown to them. None: all.
        """
        c = audit.c
        statement = select(audit).order_by(c.at.desc(), c.chain.desc(), c.seq.desc()).limit(limit)
        if subject is not None:
            statement = statement.where(c.subject == subject)
        if reach is not None:
            statement = statement.where(_seen_by(reach))
        if before is not None:
            at, chain, seq = before
            statement = statement.where((c.at < at) | ((c.at == at) & ((c.chain < chain) | ((c.chain == chain) & (c.seq < seq)))))
        return [AuditRow(row.chain, row.seq, _entry(row), row.hash) for row in await self._conn.execute(statement)]

    async def heads(self) -> dict[str, tuple[int, str]]:
        """The last (seq, hash) of each chain, as the writers left them."""
        rows = await self._conn.execute(select(audit_chains).order_by(audit_chains.c.chain))
        return {row.chain: (row.seq, row.hash) for row in rows}

    async def verify(self, *, expected: Mapping[str, tuple[int, str]] | None = None) -> Verdict:
        """Walk every chain and say whether each row is the one that was written.

        Finds any row that was changed, removed, added, swapped or moved, a chain cut short or renamed, and a chain rewritten behind a
        checkpoint that another one holds. `expected`: heads from an earlier `Verdict`, kept where this store's owner cannot reach.
        """
        walk = _Walk(await self._promises(expected or {}))
        async for row in self._rows(select(*_RAW)):
            walk.step(row)
        walk.finish(await self.heads())
        return Verdict(walk.count, walk.heads, tuple(walk.broken))

    async def _promises(self, expected: Mapping[str, tuple[int, str]]) -> "_Promises":
        """Which hash each checkpoint, and `expected`, says that a row has. A checkpoint that is itself broken shows on its own chain."""
        promises: _Promises = defaultdict(list)
        for chain, (seq, hash_) in expected.items():
            promises[chain, seq].append((hash_, "a head kept elsewhere"))
        async for row in self._rows(select(*_RAW).where(audit.c.action == CHECKPOINT)):
            try:
                for chain, (seq, hash_) in json.loads(str(row.data)).items():
                    promises[chain, seq].append((hash_, f"checkpoint {row.chain}/{row.seq}"))
            except (ValueError, TypeError, AttributeError):
                continue
        return promises

    async def _rows(self, statement: Select[*tuple[Any, ...]]) -> AsyncIterator[Row[Any]]:
        chain, seq = "", -1
        while True:
            after = (audit.c.chain > chain) | ((audit.c.chain == chain) & (audit.c.seq > seq))
            page = (await self._conn.execute(statement.where(after).order_by(audit.c.chain, audit.c.seq).limit(PAGE))).all()
            for row in page:
                yield row
            if len(page) < PAGE:
                return
            chain, seq = page[-1].chain, page[-1].seq


_Promises = dict[tuple[str, int], list[tuple[str, str]]]  # (chain, seq) → (hash, who says so)


class _Walk:
    """One pass over all rows in the order (chain, seq), holding each chain's last hash and what others say of its rows."""

    def __init__(self, promises: _Promises) -> None:
        self.count = 0
        self.heads: dict[str, tuple[int, str]] = {}
        self.broken: list[Broken] = []
        self._promises = promises

    def step(self, row: Row[Any]) -> None:
        self.count += 1
        before_seq, before_hash = self.heads.get(row.chain, (0, GENESIS))
        why = _fault(row, before_seq, before_hash)
        if why:
            self.broken.append(Broken(row.chain, row.seq, why))
        self.heads[row.chain] = (row.seq, row.hash)
        for hash_, witness in self._promises.pop((row.chain, row.seq), ()):
            if hash_ != row.hash:
                self.broken.append(Broken(row.chain, row.seq, f"{witness} knows another row here"))

    def finish(self, written: Mapping[str, tuple[int, str]]) -> None:
        """Look at what no row has answered for: heads as the writers left them, and rows that others know and that are not there."""
        for chain in sorted(set(written) | set(self.heads)):
            if written.get(chain) != self.heads.get(chain):
                last = self.heads.get(chain, (0, ""))[0]
                self.broken.append(Broken(chain, last, "the chain does not end where its writer left it"))
        for (chain, seq), said in sorted(self._promises.items()):
            self.broken += [Broken(chain, seq, f"{witness} knows a row that is not there") for _, witness in said]


def _fault(row: Row[Any], before_seq: int, before_hash: str) -> str:
    if row.seq != before_seq + 1:
        return f"row {before_seq + 1} is missing"
    try:
        entry = _entry(row)
        rewritten = row.data != canonical(dict(entry.data)) or row.at != entry.at.isoformat()
    except (InvalidInput, ValueError, TypeError, AttributeError) as error:
        return f"not a row that we write: {type(error).__name__}"
    if rewritten or chain_hash(before_hash, entry) != row.hash:
        return "the row is not the one that was hashed"
    if row.seq == 1 and (row.action, row.subject) != (STARTED, row.chain):
        return "the first row names another chain"
    return ""


def _entry(row: Row[Any]) -> AuditEntry:
    actor = Actor(ActorKind(row.actor_kind), row.actor_id)
    return AuditEntry(actor, row.action, row.subject, datetime.fromisoformat(row.at), json.loads(row.data))


def _columns(chain: str, seq: int, entry: AuditEntry, hash_: str) -> dict[str, object]:
    return {
        "chain": chain,
        "seq": seq,
        "actor_kind": entry.actor.kind.value,
        "actor_id": entry.actor.id,
        "action": entry.action,
        "subject": entry.subject,
        "at": entry.at.isoformat(),
        "data": canonical(dict(entry.data)),
        "hash": hash_,
    }


def _encodable(data: str) -> None:
    try:
        json.dumps(json.loads(data), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("text with half a surrogate pair cannot be stored", code="bad-text") from error
