"""Kills the daemon with SIGKILL while it acknowledges writes, starts it again, and looks for every write that it had acknowledged."""

import asyncio
import os
import random
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.daemon import alive
from demo import processes

WRITERS = 8
AT_LEAST = 20  # acknowledged writes before each kill


@dataclass(slots=True)
class Ledger:
    """What the daemon acknowledged, and how the rounds went."""

    keys: set[str] = field(default_factory=set)
    left: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    ready_s: list[float] = field(default_factory=list)

    def begin(self, wanted: int) -> None:
        """A new round, enough once `wanted` more are acknowledged."""
        self.left = wanted
        self.enough.clear()

    def acknowledge(self, key: str) -> None:
        self.keys.add(key)
        self.left -= 1
        if self.left <= 0:
            self.enough.set()


def measure(*, rounds: int = 50, seed: int = 1) -> dict[str, Any]:
    """`rounds` kills; every acknowledged row must be there afterwards and the audit chain whole."""
    with tempfile.TemporaryDirectory(prefix="gateway-crash-") as folder:
        return asyncio.run(_measure(Path(folder), rounds, random.Random(seed)))


async def _measure(folder: Path, rounds: int, rng: random.Random) -> dict[str, Any]:
    port = processes.free_port(0)
    config = folder / "gateway.yaml"
    config.write_text(f"data_dir: {folder}/data\nkey_file: {folder}/store-key\nhttp:\n  port: {port}\n")
    admin = (await processes.output("gateway", "create-key", "--config", str(config), "--role", "admin", "--name", "crash")).strip()
    ledger = Ledger()
    headers = {"Authorization": f"Bearer {admin}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as http:
        for _ in range(rounds):
            await _one_round(http, config, ledger, rng)
        async with alive(http, config):
            lost = len(ledger.keys - await _present(http))
            whole = (await _get(http, "/v1/audit/verification"))["ok"]
    ready = sorted(ledger.ready_s)
    figures = {
        "kills": rounds,
        "acknowledged": len(ledger.keys),
        "lost": lost,
        "audit_intact": whole,
        "ready_again_s_median": round(ready[len(ready) // 2], 2),
    }
    return {"figures": figures, "ratios": {}}


async def _one_round(http: aiohttp.ClientSession, config: Path, ledger: Ledger, rng: random.Random) -> None:
    """Start the daemon, let it acknowledge, and kill it in the middle of more."""
    ledger.begin(AT_LEAST + rng.randrange(60))
    async with alive(http, config) as life:
        ledger.ready_s.append(life.ready_s)
        missing = ledger.keys - await _present(http)
        if missing:
            raise AssertionError(f"{len(missing)} acknowledged rows are gone: {sorted(missing)[:5]}")
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(_keep_writing(http, ledger))
            await ledger.enough.wait()
            await asyncio.sleep(rng.random() / 100)
            os.kill(life.pid, signal.SIGKILL)


async def _keep_writing(http: aiohttp.ClientSession, ledger: Ledger) -> None:
    while True:
        try:
            async with http.post("/v1/keys", json={"name": "crash", "roles": ["viewer"]}) as answer:
                if answer.status != 201:
                    raise AssertionError(f"a write was answered {answer.status}: {await answer.text()}")
                ledger.acknowledge((await answer.json())["id"])
        except aiohttp.ClientError:
            return  # the daemon is dead


async def _present(http: aiohttp.ClientSession) -> set[str]:
    return {key["id"] for key in (await _get(http, "/v1/keys"))["items"]}


async def _get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as answer:
        answer.raise_for_status()
        return await answer.json()
