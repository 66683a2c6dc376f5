"""Kill a writing process at random moments and look for what it had acknowledged: `rounds` is used by the tests and the long count."""

import asyncio
import os
import random
import signal
import sys
import time
from dataclasses import dataclass

from sqlalchemy import insert, select

from gateway.clock import SystemClock
from gateway.domain.events import SYSTEM, AuditEntry, NewEvent
from gateway.storage.inventory import zones
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

KEY = bytes(range(32))
WRITERS = 8


@dataclass(slots=True)
class Tally:
    """What came of all rounds."""

    acknowledged: int = 0
    lost: int = 0
    unacknowledged: int = 0  # stored, and killed before the word went out: why commands carry idempotency keys
    broken: int = 0


async def rounds(url: str, count: int, *, seed: int = 1, at_least: int = 20) -> Tally:
    """Start a writer, kill it after `at_least` acknowledged rows and a random time, look into the store; `count` times over."""
    dice, tally = random.Random(seed), Tally()
    for number in range(count):
        words = await _killed(url, f"round-{number}", at_least, dice.random() * 0.3)
        async with Store.open(url, clock=SystemClock(), key=KEY) as store, store.read() as tx:
            stored = {name for name in await tx.conn.scalars(select(zones.c.id)) if name.startswith(f"round-{number}-")}
            emitted = {event.subject for event in await store.events.read_after(0, limit=10_000_000)}
            verdict = await tx.audit.verify()
        tally.acknowledged += len(words)
        tally.lost += len(words - stored) + len(stored - emitted)
        tally.unacknowledged += len(stored - words)
        tally.broken += len(verdict.broken)
    return tally


async def _killed(url: str, prefix: str, at_least: int, after_s: float) -> set[str]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, url, prefix, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    words: list[bytes] = []
    deadline = None
    while deadline is None or time.monotonic() < deadline:
        words.append(await process.stdout.readline())
        if len(words) == at_least:
            deadline = time.monotonic() + after_s
    process.send_signal(signal.SIGKILL)
    words += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return {word.decode().strip() for word in words if word.endswith(b"\n")}


async def _write(store: Store, prefix: str, writer: int) -> None:
    number = 0
    while True:
        number += 1
        name = f"{prefix}-{writer}-{number}"

        async def change(tx: Tx, name: str = name) -> None:
            await tx.conn.execute(insert(zones).values(id=name, name=""))
            tx.emit(NewEvent("zone", name, SystemClock().now()))
            tx.record(AuditEntry(SYSTEM, "zone.put", name, SystemClock().now()))

        await store.writer.write(change, lane=Lane(number % len(Lane)))
        os.write(1, f"{name}\n".encode())


async def _main(url: str, prefix: str) -> None:
    async with Store.open(url, clock=SystemClock(), key=KEY) as store, asyncio.TaskGroup() as group:
        group.create_task(store.writer.run())
        for writer in range(WRITERS):
            group.create_task(_write(store, prefix, writer))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
