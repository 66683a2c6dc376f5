"""What a request costs, and how long it takes, while the daemon checks the whole simulated city."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import Load, drive, request_for
from demo import city, usage
from demo.observer import Observer
from demo.standing import Plan, standing_city

SECONDS = 20.0
PAUSE_S = 0.04  # 8 connections at this pause ask about 200 times a second
VERIFIED_WITHIN_S = 150.0


def while_checking(*, groups: int = 759, speakers: int = 110) -> dict[str, float]:
    """CPU of the daemon a request, over and above the same checks without requests, and the requests' latencies."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        return asyncio.run(_while_checking(Path(folder), Plan(groups=groups, speakers=speakers, port=8095)))


async def _while_checking(folder: Path, plan: Plan) -> dict[str, float]:
    async with standing_city(folder, plan) as (layout, observer):
        devices = sum(count for kind, count in city.totals(layout).items() if kind != "groups")
        await observer.until_verified(devices, within_s=VERIFIED_WITHIN_S)
        listed = await observer.call("viewer", "GET", "/v1/devices?limit=500")
        requests = [request_for(f"/v1/devices/{device['id']}", observer.keys["viewer"]) for device in listed["items"]]
        alone = await _cpu_s_of(observer, asyncio.sleep(SECONDS))
        load = asyncio.create_task(_drive(observer, requests))
        both = await _cpu_s_of(observer, load)
        loaded = load.result()
        summary = await _drive(observer, [request_for("/v1/health/summary", observer.keys["viewer"])])
    return {
        "cpu_ms_per_request": round(1000 * max(0.0, both - alone) / (loaded.rate * SECONDS), 4),
        "p50_ms": round(loaded.p50_ms, 3),
        "p99_ms": round(loaded.p99_ms, 3),
        "summary_p99_ms": round(summary.p99_ms, 3),
        "checking_requests_per_s": round(loaded.rate),
        "checking_cpu_pct_of_core": round(100 * alone / SECONDS, 2),
    }


async def _drive(observer: Observer, requests: list[bytes]) -> Load:
    port = urlsplit(observer.gateway).port
    assert port is not None
    return await asyncio.to_thread(drive, port, requests, SECONDS, pause_s=PAUSE_S)


async def _cpu_s_of(observer: Observer, work: Awaitable[object]) -> float:
    """CPU of the daemon while `work` is done, scaled to `SECONDS`."""
    before, begun = usage.cpu_seconds(observer.daemon), time.monotonic()
    await work
    return (usage.cpu_seconds(observer.daemon) - before) * SECONDS / (time.monotonic() - begun)
