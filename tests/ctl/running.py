"""gatewayctl as a person runs it: processes of their own, against a whole gateway, judged by exit code and what they print."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.domain.access import Role
from tests.api.house import House

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


async def gatewayctl(house: House | None, *arguments: str, role: Role = Role.ADMIN, cwd: Path = ROOT, **env: str) -> Done:
    """Run one command as the key of `role`, to its end."""
    process = await started(house, *arguments, role=role, cwd=cwd, **env)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


async def started(
    house: House | None, *arguments: str, role: Role = Role.ADMIN, cwd: Path = ROOT, **env: str
) -> asyncio.subprocess.Process:
    """One command under way as the key of `role`."""
    mine = {} if house is None else {"GATEWAY_URL": house.url, "GATEWAY_KEY": house.keys[role]}
    known = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.ctl", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**known, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **mine, **env},
    )


async def on_a_terminal(house: House, *arguments: str, role: Role) -> tuple[int, str]:
    """The exit code of a command whose standard error is a terminal, and what stood on it."""
    ours, theirs = os.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    env |= {"GATEWAY_URL": house.url, "GATEWAY_KEY": house.keys[role], "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.ctl", *arguments), stdout=asyncio.subprocess.DEVNULL, stderr=theirs, cwd=ROOT, env=env
    )
    os.close(theirs)
    seen = await asyncio.to_thread(_read_terminal, ours)
    return await process.wait(), seen


def _read_terminal(terminal: int) -> str:
    seen = b""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", buffering=0) as screen:
        while piece := screen.read(1 << 16):
            seen += piece
    return seen.decode()


@contextlib.asynccontextmanager
async def in_2031() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A gateway whose clock stands in 2031, and what it was asked for."""
    asked: list[dict[str, Any]] = []

    async def post(request: web.Request) -> web.Response:
        asked.append(await request.json())
        filed = dict.fromkeys(("id", "state", "reason", "case_number", "requester", "cameras", "start", "end", "submitted_at"), "")
        return web.json_response({**filed, "missing": [], "keeps": [], "owner": {"name": "x"}, "expires_at": ""})

    async def report(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response({})

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({}, headers={"Date": "Thu, 01 May 2031 08:00:00 GMT"})

    app = web.Application()
    app.add_routes([web.get("/healthz", health), web.get("/v1/health/reports", report), web.post("/{rest:.*}", post)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()
