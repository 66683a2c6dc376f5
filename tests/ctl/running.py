"""gatewayctl as a person runs it: processes of their own, against a whole gateway, judged by exit code and what they print."""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.domain.access import Role
from tests.api.house import House
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


async def gatewayctl(house: House | None, *arguments: str, role: Role = Role.ADMIN, cwd: Path = ROOT, **env: str) -> Done:
    """Run one command as the key of `role`, to its end, with nothing to read."""
    asked = {"arguments": arguments, "cwd": str(cwd), "env": _environment(house, role, env)}
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_unix_connection(_forking(), limit=1 << 26)
        try:
            writer.write(json.dumps(asked).encode() + b"\n")
            return Done(**json.loads(await reader.readline()))
        finally:
            writer.close()


@functools.cache
def _forking() -> str:
    """The socket of a process that forks commands, which lives as long as this one."""
    folder = tempfile.mkdtemp(prefix="gatewayctl-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "tests.ctl.forked", f"{folder}/socket"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(process.communicate)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return f"{folder}/socket"


def _environment(house: House | None, role: Role, more: Mapping[str, str]) -> dict[str, str]:
    mine = {} if house is None else {"GATEWAY_URL": house.url, "GATEWAY_KEY": house.keys[role]}
    known = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    return {**known, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **mine, **more}


async def started(
    house: House | None, *arguments: str, role: Role = Role.ADMIN, cwd: Path = ROOT, **env: str
) -> asyncio.subprocess.Process:
    """One command under way as the key of `role`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.ctl", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=_environment(house, role, env),
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
        filed = dict.fromkeys(("id", "state", "reason", "case_number", "requester", "cameras", "start"), "")
        filed |= dict.fromkeys(("end", "submitted_at"), "2031-05-01T08:00:00Z")
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


@contextlib.asynccontextmanager
async def breaking_off(answers: Mapping[tuple[str, str], Any]) -> AsyncIterator[str]:
    """A gateway that answers what is in `answers`, by method and path, and resets the connection at everything else, as one that dies."""

    async def answer(request: web.Request) -> web.Response:
        body = answers.get((request.method, request.path))
        if body is None:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, headers={"Date": "Thu, 01 May 2031 08:00:00 GMT"})

    app = web.Application()
    app.add_routes([web.route("*", "/{rest:.*}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
