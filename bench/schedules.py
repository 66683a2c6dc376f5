"""Random schedules of commands, losses, duplicates, reorderings, crashes between any two steps, swapped loudspeakers, clock steps, health
checks and imports.

Each schedule is a few minutes of simulated time in front of the real service, its journal and a real store. Afterwards the street is
asked what was heard: nothing twice, nothing late, nothing from the wrong loudspeaker; and the store, whether all has come to an end.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import structlog

from bench import virtual
from bench.deeds import CLIPS, draw
from bench.judging import faults
from bench.virtual import START, VirtualLoop
from bench.world import PLATFORM, World, WorldClock
from gateway.domain.broadcast import Clip
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

SCHEDULES = 100_000
PARTS = 2
A_STORE = 500
"""Schedules before a new store is begun, so that none grows large."""


def measure(*, schedules: int = SCHEDULES, parts: int = PARTS) -> dict[str, Any]:
    """All schedules, in so many processes; a few seconds for a hundred of them. RuntimeError when a process fails."""
    began = time.monotonic()
    share = -(-schedules // parts)
    firsts = range(0, schedules, share)
    commands = [[sys.executable, "-m", "bench.schedules", str(first), str(min(share, schedules - first))] for first in firsts]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        told = [json.loads(_said(process)) for process in running]
    finally:
        for process in running:
            process.kill()
    states: Counter[str] = sum((Counter(one["states"]) for one in told), Counter())
    for fault in (fault for one in told for fault in one["faults"]):
        print(fault, file=sys.stderr)
    figures = {"schedules": schedules, "faults": sum(one["fault_count"] for one in told), "deliveries": states.total()}
    figures |= {f"deliveries_{state}": count for state, count in sorted(states.items())}
    return {"figures": figures | {"took_s": round(time.monotonic() - began, 1)}, "ratios": {}}


def _said(process: "subprocess.Popen[str]") -> str:
    """The last line of its output."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"schedules: a process failed ({process.returncode})")
    return output.strip().splitlines()[-1]


async def act_out(first: int, count: int, loop: VirtualLoop) -> dict[str, Any]:
    """So many schedules from number `first` on, each drawn by its number: what was found wrong, and what became of all deliveries."""
    found: list[str] = []
    states: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for begin in range(first, first + count, A_STORE):
        async with _new_store(loop) as (store, clock):
            for number in range(begin, min(begin + A_STORE, first + count)):
                chance = random.Random(number)
                world = World(draw(f"w{number}", chance), store, clock, chance)
                await world.run()
                found += [fault async for fault in faults(world)]
                answers += world.answers
            async with store.read() as tx:
                states += await _states(tx)
        print(f"schedules: {min(begin + A_STORE - first, count)} of {count}, {len(found)} faults", file=sys.stderr, flush=True)
    return {"faults": found[:20], "fault_count": len(found), "states": dict(states), "answers": dict(answers)}


@contextlib.asynccontextmanager
async def _new_store(loop: VirtualLoop) -> AsyncIterator[tuple[Store, WorldClock]]:
    clock = WorldClock(loop)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        async with Store.open(f"sqlite:///{folder}/world.db", clock=clock, key=bytes(32)) as store:
            writing = asyncio.create_task(store.writer.run())
            await store.writer.write(_shelve, lane=Lane.BROADCAST)
            yield store, clock
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


async def _shelve(tx: Tx) -> None:
    for clip in CLIPS:
        await tx.clips.add(Clip(clip, clip[-2:], 1, 1, START, PLATFORM.actor))


async def _states(tx: Tx) -> Counter[str]:
    found: Counter[str] = Counter()
    page = await tx.broadcasts.page(limit=10 * A_STORE)
    for begin in range(0, len(page), 500):
        for deliveries in (await tx.broadcasts.deliveries_of([one.id for one in page[begin : begin + 500]])).values():
            found.update(delivery.state.value for delivery in deliveries)
    return found


if __name__ == "__main__":
    _, begin, many = sys.argv
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(virtual.run(partial(act_out, int(begin), int(many)))), flush=True)
