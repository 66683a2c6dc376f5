"""Reports over twelve months of 2,700 devices: how long any of them takes, and how long the loop stands still meanwhile."""

import asyncio
import gc
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bench import history
from gateway.clock import SimulatedClock
from gateway.reports.kinds import load_kinds, shipped_kinds
from gateway.reports.report import By, Report
from gateway.reports.service import ReportService
from gateway.reports.telling import report_json
from gateway.storage.engine import open_engines, parse_url
from gateway.storage.store import Store

SEED = 20261125
PERIODS = {
    "twelve months": (date(2025, 11, 1), date(2026, 10, 31)),
    "a month": (date(2026, 10, 1), date(2026, 10, 31)),
    "this month so far": (date(2026, 11, 1), date(2026, 11, 30)),
    "from the middle of a month to the middle of another": (date(2025, 11, 17), date(2026, 11, 20)),
}
LOOK_S = 0.005


def measure() -> dict[str, Any]:
    """Every kind of report over every period, on SQLite; the worst of two runs each."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, Any]:
    url, dice = f"sqlite:///{folder}/gateway.db", random.Random(SEED)
    clock, city = SimulatedClock(history.END), history.city(dice)
    async with Store.open(url, clock=clock, key=bytes(32)) as store:
        engines = open_engines(parse_url(url))
        async with engines.writing.begin() as conn:
            written = await history.write(conn, city, dice)
        await engines.dispose()
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(store.writer.run())
            service = ReportService(store=store, city=city, clock=clock, zone=ZoneInfo("Asia/Shanghai"), kinds=load_kinds(shipped_kinds()))
            gc.collect()
            gc.freeze()  # as the daemon does when it has taken up an inventory
            lag = _Lag()
            watching = group.create_task(lag.watch())
            reckoned = await _timed(service.ledger.catch_up)
            reckoning, lag.worst_s, lag.worst_cpu_s = (lag.worst_s, lag.worst_cpu_s), 0.0, 0.0
            times, cpu = await _reports(service)
            watching.cancel()
            writer.cancel()
    slowest = max(times, key=lambda name: times[name])
    return {
        "figures": {
            "report_s_max": round(times[slowest], 3),
            "slowest": slowest,
            "report_cpu_s_max": round(max(cpu.values()), 3),
            "report_s": {name: round(seconds, 3) for name, seconds in sorted(times.items())},
            "loop_blocked_ms_max": round(lag.worst_s * 1000, 1),
            "loop_cpu_ms_max": round(lag.worst_cpu_s * 1000, 1),
            "reckoning_s": round(reckoned, 1),
            "reckoning_loop_blocked_ms_max": round(reckoning[0] * 1000, 1),
            "reckoning_loop_cpu_ms_max": round(reckoning[1] * 1000, 1),
            "devices": len(city.devices),
            "transitions": written,
            "store_mib": round((folder / "gateway.db").stat().st_size / (1 << 20), 1) if (folder / "gateway.db").exists() else None,
        },
        "ratios": {},
    }


async def _reports(service: ReportService) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds by the report's name, from the question to the last byte: by the clock, and of the process's own work. The worse of two."""
    found, cpu = dict[str, float](), dict[str, float]()
    for name, (first, last) in PERIODS.items():
        for by in By:

            async def ask(first: date = first, last: date = last, by: By = by) -> None:
                report = await service.report(first, last, by)
                await service.aside(lambda: _bytes(report))

            for _ in range(2):
                worked = time.process_time()
                named = f"{name}, by {by}"
                found[named] = max(found.get(named, 0.0), await _timed(ask))
                cpu[named] = max(cpu.get(named, 0.0), time.process_time() - worked)
    return found, cpu


def _bytes(report: Report) -> bytes:
    return json.dumps(report_json(report), ensure_ascii=False).encode()


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


class _Lag:
    """How long the loop let somebody wait who only wanted to sleep a moment, and how much of that was its own work.

    On a machine that has other things to do the first is the machine's; the second is ours alone.
    """

    def __init__(self) -> None:
        self.worst_s = 0.0
        self.worst_cpu_s = 0.0

    async def watch(self) -> None:
        while True:
            began, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(LOOK_S)
            self.worst_s = max(self.worst_s, time.perf_counter() - began - LOOK_S)
            self.worst_cpu_s = max(self.worst_cpu_s, time.thread_time() - worked)
