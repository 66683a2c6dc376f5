"""The ledger with 100,000 broadcasts of a year: how long its statistics, its pages and its export take.

    statistics_s_max    the slowest of all ways to count: a year by month, place, person and priority, a quarter by day
    page_ms_max         a page of 100 by every filter
    export_s            a month of it as XLSX, with a sheet of the deliveries
    cpu_s_max           the process's CPU of the slowest statistic

Takes about two minutes, most of it writing.
"""

import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert

from bench.api import planned_city
from gateway.broadcast.ledger_files import FileKind, LedgerRows, Names, ledger_file
from gateway.broadcast.statistics import StatisticsDesk
from gateway.broadcast.views import View
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import Priority
from gateway.domain.broadcast_ledger import EVERYTHING, SaidAs, StreetOutcome, Wanted
from gateway.domain.broadcast_statistics import LONGEST, CountedBy
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.events import Actor, ActorKind
from gateway.storage.broadcasts import broadcasts, deliveries
from gateway.storage.engine import open_engines, parse_url
from gateway.storage.store import Store

BROADCASTS = 100_000
START = datetime(2025, 12, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
_AT_ONCE = 2_000


def measure(*, count: int = BROADCASTS) -> dict[str, Any]:
    """All of it, on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), count))


async def _measure(folder: Path, count: int) -> dict[str, Any]:
    url, city, dice = f"sqlite:///{folder}/gateway.db", planned_city()[0], random.Random(9)
    speakers = sorted(device.id for device in city.of_kind(DeviceKind.SPEAKER))
    async with Store.open(url, clock=SimulatedClock(START), key=bytes(32)) as store:
        engines = open_engines(parse_url(url))
        for first in range(0, count, _AT_ONCE):
            rows = [_drawn(dice, number, speakers) for number in range(first, min(count, first + _AT_ONCE))]
            async with engines.writing.begin() as conn:
                await conn.execute(insert(broadcasts), [row for row, _ in rows])
                await conn.execute(insert(deliveries), [one for _, found in rows for one in found])
        await engines.dispose()
        desk = StatisticsDesk(store=store, city=city, timezone=ZoneInfo("Asia/Shanghai"))
        counted = {by.value: await _timed(partial(_count, desk, by)) for by in CountedBy}
        pages = {name: await _timed(partial(_page, store, wanted)) for name, wanted in _filters(speakers).items()}
        export = await _timed(partial(_export, store))
    slowest = max(counted, key=lambda name: counted[name][0])
    return {
        "figures": {
            "broadcasts": count,
            "statistics_s_max": round(counted[slowest][0], 3),
            "slowest": slowest,
            "cpu_s_max": round(max(cpu for _, cpu in counted.values()), 3),
            "statistics_s": {name: round(took, 3) for name, (took, _) in counted.items()},
            "page_ms_max": round(1000 * max(took for took, _ in pages.values()), 1),
            "page_ms": {name: round(1000 * took, 1) for name, (took, _) in pages.items()},
            "export_s": round(export[0], 2),
        },
        "ratios": {},
    }


def _drawn(dice: random.Random, number: int, speakers: list[DeviceId]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The rows of one broadcast at one to three loudspeakers."""
    at = START + dice.random() * YEAR
    name = f"b{number}"
    one: dict[str, Any] = {
        "id": name,
        "kind": "speech",
        "clip": None,
        "text": "请勿占道经营",
        "voice": "",
        "chime": False,
        "repeats": 1,
        "pause_s": 1.0,
        "targets": {"speakers": []},
        "priority": dice.randrange(5),
        "not_after": at + timedelta(seconds=30),
        "created_at": at,
        "actor_kind": "api-key",
        "actor_id": f"key-{dice.randrange(40)}",
        "case_ref": f"C-{number}" if dice.random() < 0.3 else "",
        "reason": "",
        "resume": False,
        "override": "",
        "again": False,
        "approved_by_kind": None,
        "approved_by_id": None,
        "sender": "",
        "approver": "",
        "outcome": dice.choice([*(outcome.value for outcome in StreetOutcome), "", ""]),
    }
    return one, [_delivery(dice, name, speaker, at) for speaker in dice.sample(speakers, dice.randrange(1, 4))]


def _delivery(dice: random.Random, name: str, speaker: DeviceId, at: datetime) -> dict[str, Any]:
    done = dice.random() < 0.9
    first = at + timedelta(milliseconds=40) if done else None
    return {
        "broadcast": name,
        "speaker": speaker,
        "state": "done" if done else "failed",
        "since": at,
        "reason": "" if done else dice.choice(["busy", "unreachable", "wrong-device"]),
        "detail": "",
        "encoding": "PCMA" if done else "",
        "packets": 250 if done else 0,
        "dropped": 0,
        "first_packet_at": first,
        "last_packet_at": first and first + timedelta(seconds=5),
        "path": "backchannel" if done else "",
        "lost": None,
    }


async def _count(desk: StatisticsDesk, by: CountedBy) -> None:
    await desk.count(by, EVERYTHING, start=START, end=START + min(YEAR, LONGEST[by]))


def _filters(speakers: list[DeviceId]) -> dict[str, Wanted]:
    return {
        "all": EVERYTHING,
        "speaker": Wanted(speakers=frozenset(speakers[:1])),
        "operator": Wanted(actor=Actor(ActorKind.API_KEY, "key-7")),
        "outcome": Wanted(outcome=""),
        "kind": Wanted(kind=SaidAs.TALK),
        "priority": Wanted(priority=Priority.EMERGENCY),
        "case": Wanted(case="C-no"),
        "a day": Wanted(start=START + YEAR / 2, end=START + YEAR / 2 + timedelta(days=1)),
    }


async def _page(store: Store, wanted: Wanted) -> list[View]:
    async with store.read() as tx:
        found = await tx.broadcasts.page(wanted=wanted, limit=100)
        ids = [one.id for one in found]
        of = await tx.broadcasts.deliveries_of(ids)
        outcomes, (pictures, _) = await tx.ledger.outcomes(ids), await tx.ledger.pictures(ids)
    return [View(one, tuple(of[one.id]), tuple(outcomes[one.id]), tuple(pictures[one.id])) for one in found]


async def _export(store: Store) -> None:
    end = START + timedelta(days=31)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.xlsx"
        with ledger_file(file, FileKind.XLSX, LedgerRows.BROADCASTS, ZoneInfo("Asia/Shanghai")) as sheets:
            while page := await _page(store, Wanted(start=START, end=end)):
                await asyncio.to_thread(sheets.add, page, Names({}, {}))
                end = page[-1].broadcast.created_at


async def _timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, float]:
    """The slower of two runs, in seconds, and its CPU."""
    runs = []
    for _ in range(2):
        usage, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await work()
        after = resource.getrusage(resource.RUSAGE_SELF)
        runs.append((time.perf_counter() - began, after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime))
    return max(runs)
