"""The footage desk: random sequences of calls by people who may and who may not, and the pages of requests amid a million custody rows.

The sequences go through policies, scopes, the service and a real store; what the store then has is judged by plain SQL. Nothing may be
looked up, fetched or handed over without a second person, a case number and the key's scope.
"""

import asyncio
import json
import logging
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from bench.desk_calls import START, Desk, desk_in, sequences
from gateway.domain.footage import RequestId

SEQUENCES = 100_000
PARTS = 2
A_STORE = 1_000
"""Sequences before a new store is begun, so that none grows large."""
ROWS = 1_000_000
REQUESTS = 20_000
LONGEST = 20_000
"""Custody rows of the one request that has most."""
_PAGES = 200


def measure(*, sequences: int = SEQUENCES, parts: int = PARTS, rows: int = ROWS) -> dict[str, Any]:
    """All of it, on SQLite. RuntimeError when a process fails."""
    began = time.monotonic()
    share = -(-sequences // parts)
    commands = [
        [sys.executable, "-m", "bench.desk", str(first), str(min(share, sequences - first))] for first in range(0, sequences, share)
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        told = [json.loads(_said(process)) for process in running]
    finally:
        for process in running:
            process.kill()
    for fault in (fault for one in told for fault in one["wrong"]):
        print(fault, file=sys.stderr)
    answers = sum((Counter(one["answers"]) for one in told), Counter[str]())
    counts = sum((Counter(one["counts"]) for one in told), Counter[str]())
    done = sum(count for name, count in answers.items() if name.endswith(": done"))
    figures: dict[str, Any] = {"sequences": sequences, "faults": sum(len(one["wrong"]) for one in told)}
    figures |= {"calls": answers.total(), "calls_refused": answers.total() - done, **counts}
    figures |= {"sequences_took_s": round(time.monotonic() - began, 1)}
    with tempfile.TemporaryDirectory() as folder:
        figures |= asyncio.run(pages(Path(folder), rows=rows))
    return {"figures": figures, "ratios": {}}


def _said(process: "subprocess.Popen[str]") -> str:
    """The last line of its output."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"desk: a process failed ({process.returncode})")
    return output.strip().splitlines()[-1]


# -- a million custody rows -------------------------------------------------------------------------------------------


async def pages(folder: Path, *, rows: int = ROWS) -> dict[str, Any]:
    """How long requests' pages take amid so many custody rows, the one with most of them included."""
    async with desk_in(folder):
        pass  # makes the store
    await asyncio.to_thread(_fill, folder / "desk.db", rows)
    chance = random.Random(5)
    async with desk_in(folder) as desk:
        some = [f"F-x{chance.randrange(REQUESTS)}" for _ in range(_PAGES)]
        found = {
            "page": [await _timed(desk, name) for name in some],
            "page_of_the_longest": [await _timed(desk, "F-x0") for _ in range(20)],
            "list": [await _listed(desk) for _ in range(20)],
        }
    figures: dict[str, Any] = {"custody_rows_there": rows}
    for name, took in found.items():
        walls, cpus = sorted(wall for wall, _ in took), sorted(cpu for _, cpu in took)
        figures |= {f"{name}_ms_p50": walls[len(walls) // 2], f"{name}_ms_max": walls[-1], f"{name}_cpu_ms_max": cpus[-1]}
    return figures


async def _timed(desk: Desk, name: str) -> tuple[float, float]:
    """Milliseconds of the clock and of CPU, the desk's other parts included."""
    began, cpu = time.perf_counter(), time.process_time()
    answer = await desk.call("zhao", "read_footage_request", request_id=name)
    if answer is None or RequestId(name) not in answer.model_dump_json():
        raise RuntimeError(f"{name} was not found")
    return round(1000 * (time.perf_counter() - began), 1), round(1000 * (time.process_time() - cpu), 1)


async def _listed(desk: Desk) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    answer = await desk.call("zhao", "list_footage_requests")
    if answer is None:
        raise RuntimeError("the list was refused")
    answer.model_dump_json()
    return round(1000 * (time.perf_counter() - began), 1), round(1000 * (time.process_time() - cpu), 1)


def _fill(path: Path, rows: int) -> None:
    """Requests straight into the store, with so many custody rows, of which the first request has `LONGEST`."""
    start, end = (moment.isoformat() for moment in (START - timedelta(hours=2), START - timedelta(hours=1)))
    conn = sqlite3.connect(path)
    words = "'submitted', NULL, 'police', 'w', 'u', 'b', '', 'c', '', '', 'd', '', 'p', '', '', 'normal', NULL"
    rest = f"'{start}', '{end}', 0, 'user:w', 'w', ?, FALSE, NULL, NULL, NULL, '', '', '{end}', NULL, NULL, NULL, NULL"
    names = [f"F-x{number}" for number in range(REQUESTS)]
    place = json.dumps({"cameras": [], "groups": [], "cells": []})
    moments = [(START - timedelta(seconds=number)).isoformat() for number in range(REQUESTS)]
    conn.executemany(f"INSERT INTO footage_requests VALUES (?, {words}, '{place}', {rest})", zip(names, moments, strict=True))
    cameras = [(name, f"CAM-{one}", one + 1, start, end) for name in names for one in range(2)]
    conn.executemany("INSERT INTO footage_cameras VALUES (?, ?, ?, ?, ?)", cameras)
    each = (rows - LONGEST) // (REQUESTS - 1)
    detail = json.dumps({"name": "01_CAM-1_001.mp4", "sha256": "a" * 64, "download": 1})
    line = f"INSERT INTO footage_custody VALUES (?, ?, 'looked', 'api-key', 'k', 'Wang', '{end}', '{detail}')"
    for name in names:
        conn.executemany(line, ((name, number) for number in range(1, (LONGEST if name == "F-x0" else each) + 1)))
    conn.commit()
    conn.close()


# -- one process ------------------------------------------------------------------------------------------------------


async def _part(first: int, count: int) -> dict[str, Any]:
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for begin in range(first, first + count, A_STORE):
        with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
            found, there, answered = await sequences(begin, min(A_STORE, first + count - begin), Path(folder))
        wrong += found
        counts += there
        answers += answered
        print(f"desk: {begin + A_STORE - first} of {count}, {len(wrong)} faults", file=sys.stderr, flush=True)
    return {"wrong": wrong, "counts": counts, "answers": answers}


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(asyncio.run(_part(int(sys.argv[1]), int(sys.argv[2])))))


if __name__ == "__main__":
    main()
