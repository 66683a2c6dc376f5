"""A real Prometheus with our example of a scrape and our rules: it reads the gateway, and its alerts follow what the gateway says."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.processes import free_port
from gateway.domain.access import Role
from gateway.domain.health import HealthState, Standing
from tests.api.conftest import template
from tests.api.house import CAMERA, House, open_house
from tests.waiting import until

__all__ = ["template"]

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "prometheus"

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]


async def test_a_prometheus_scrapes_with_the_example_and_reckons_with_the_rules(tmp_path: Path, template: Path) -> None:
    async with open_house(tmp_path, template) as house:
        house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
        async with prometheus(tmp_path, house) as base, aiohttp.ClientSession(base) as http:
            down = await asked(http, 'gateway_devices{kind="camera",state="down"}')
            assert [one["value"][1] for one in down] == ["1"]
            dark = await asked(http, 'district:gateway_down:ratio{district="历下"}')
            assert [round(float(one["value"][1]), 2) for one in dark] == [0.25]
            assert (await asked(http, 'up{job="gateway"}'))[0]["value"][1] == "1"
            async with http.get("/api/v1/rules") as answer:
                groups = (await answer.json())["data"]["groups"]
            assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}


async def asked(http: aiohttp.ClientSession, query: str) -> list[dict[str, Any]]:
    """What Prometheus knows, once it knows something."""

    async def known() -> list[dict[str, Any]]:
        async with http.get("/api/v1/query", params={"query": query}) as answer:
            return json.loads(await answer.text())["data"]["result"]

    return await until(known, within_s=60)


@asynccontextmanager
async def prometheus(folder: Path, house: House) -> AsyncIterator[str]:
    """One that follows the example, only oftener; its address."""
    home = folder / "prometheus"
    await asyncio.to_thread(shutil.copytree, CONFIGS, home)
    (home / "gateway.key").write_text(house.keys[Role.VIEWER])
    config = home / "prometheus.yml"
    config.write_text(
        config.read_text().replace("127.0.0.1:8080", house.url.removeprefix("http://")).replace("_interval: 30s", "_interval: 1s")
    )
    port = free_port(0)
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession(base) as http:
            await until(lambda: _ready(http), within_s=60)
        yield base
    finally:
        process.terminate()
        await process.wait()


async def _ready(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
