"""What goes out is read beside the other file work, not in its way."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, web

from gateway.api.byte_ranges import Part
from gateway.api.sending import send
from gateway.domain.handover import Span
from gateway.evidence import archive
from tests.waiting import until

FILM = bytes(range(256)) * 16_384  # 4 MiB


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    path.write_bytes(FILM)
    return path


async def door(handler) -> tuple[web.AppRunner, str]:
    """A server on loopback, and where it is."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}/"


async def test_a_package_goes_out_while_all_threads_of_the_others_are_busy(film: Path) -> None:
    size, busy, go_on = archive.length({film.name: len(FILM)}), threading.Event(), threading.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        whole = Part(Span(0, size), whole=True)
        return await send(request, whole, archive.pieces([film]), headers={}, stop=lambda: False)

    def work() -> None:
        busy.set()
        go_on.wait(20)

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    held = loop.run_in_executor(None, work)
    await until(busy.is_set)
    runner, where = await door(handler)
    try:
        async with asyncio.timeout(10), ClientSession() as session, session.get(where) as answer:
            assert await answer.read() == b"".join(archive.pieces([film]))
    finally:
        go_on.set()
        await held
        await runner.cleanup()


async def test_nothing_is_read_any_more_for_a_reader_that_has_gone(film: Path) -> None:
    """While a package is measured nothing is sent: only the connection itself tells."""
    ended, steps = asyncio.Event(), []

    def measuring():
        while True:
            steps.append(1)
            yield b""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await send(request, Part(Span(0, 10), whole=True), measuring(), headers={}, stop=lambda: False)
        finally:
            ended.set()

    runner, where = await door(handler)
    try:
        async with ClientSession() as session, session.get(where) as answer:
            await until(lambda: steps)
            answer.close()
        async with asyncio.timeout(10):
            assert await ended.wait(), "the reading ends with its reader"
    except ClientError:
        pytest.fail("the answer had not begun")
    finally:
        await runner.cleanup()
