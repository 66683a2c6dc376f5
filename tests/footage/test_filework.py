"""A thread that touches files is never left behind by who started it."""

import asyncio
import threading

import pytest

from gateway.footage.filework import to_the_end
from tests.waiting import until


async def test_who_is_cancelled_however_often_leaves_when_the_thread_has_ended() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(20)
        raise OSError("nobody is left to hear of it")

    working = asyncio.create_task(to_the_end(work))
    await until(begun.is_set)
    for _ in range(2):
        working.cancel()
        await asyncio.sleep(0)
    assert not working.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_what_the_work_says_is_heard() -> None:
    assert await to_the_end(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await to_the_end(divmod, 7, 0)
