"""The store as the gateway sees it: open it, read from it in transactions, change it through its one writer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Column, Table, Text, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.clock import Clock
from gateway.domain.events import SYSTEM, AuditEntry
from gateway.errors import StorageFailed
from gateway.storage.audit import CHECKPOINT
from gateway.storage.engine import Engines, assert_durable, open_engines, parse_url, reason
from gateway.storage.events import EventLog
from gateway.storage.migrations import migrate
from gateway.storage.schema import metadata
from gateway.storage.tx import Tx
from gateway.storage.vault import Vault
from gateway.storage.writer import Lane, Writer

__all__ = ["Store", "Tx"]

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))


class Store:
    """All that lasts. Reads are snapshots and never wait for the writer; changes go through `writer`; `events` tells what changed."""

    def __init__(self, engines: Engines, *, clock: Clock, vault: Vault, chain: str) -> None:
        self._engines = engines
        self._clock = clock
        self._vault = vault
        self.chain = chain
        self._joined: dict[str, list[object]] = {}
        self.events = EventLog(self._snapshot)
        self.writer = Writer(engines.writing, transaction=self._changing, publish=self.events.publish, chain=chain)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, clock: Clock, key: bytes, chain: str = "gateway") -> AsyncIterator["Store"]:
        """The store at `url` (`sqlite:///file`, `postgresql://…`), brought to the newest revision; closed at the end of the block.

        `key`: 32 bytes that seal the credentials. `chain`: this writer's name on its audit chain, another for each process that
        writes (`gateway`, `import`…). Raises InvalidInput for a wrong address or key, StorageFailed for a store that
        cannot be opened, is newer than this program, or does not keep what it acknowledges. Whoever opens it runs `writer.run`.
        """
        vault = Vault(key)
        engines = open_engines(parse_url(url))
        try:
            await assert_durable(engines)
            await migrate(engines.writing)
            await _check_key(engines, vault)
            store = cls(engines, clock=clock, vault=vault, chain=chain)
            await store.events.start()
            yield store
        finally:
            await engines.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A transaction that sees one moment of the store and changes nothing. StorageFailed when the store does not answer."""
        async with self._snapshot() as conn:
            yield Tx(conn, self._vault, writable=False)

    async def checkpoint(self) -> None:
        """Put the heads of all other audit chains on this one, if they have moved: from now on they cannot be rewritten unseen."""
        async with self.read() as tx:
            others = {chain: list(head) for chain, head in (await tx.audit.heads()).items() if chain != self.chain}
        if others == self._joined:
            return

        async def change(tx: Tx) -> None:
            tx.record(AuditEntry(SYSTEM, CHECKPOINT, self.chain, self._clock.now(), others))

        await self.writer.write(change, lane=Lane.HEALTH)
        self._joined = others

    def _changing(self, conn: AsyncConnection) -> Tx:
        return Tx(conn, self._vault, writable=True)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engines.reading.connect() as conn, conn.begin():
                yield conn
        except (SQLAlchemyError, OSError) as error:
            raise StorageFailed(f"the store does not answer: {reason(error)}") from error


async def _check_key(engines: Engines, vault: Vault) -> None:
    """StorageFailed unless `vault` has the key that this store was made with."""
    async with engines.writing.begin() as conn:
        found = await conn.scalar(select(meta.c.value).where(meta.c.name == "vault-check"))
        if found is None:
            await conn.execute(insert(meta).values(name="vault-check", value=vault.fingerprint))
        elif found != vault.fingerprint:
            raise StorageFailed("the store was made with another key", code="wrong-key", hint="point key_file to the key of this store")
