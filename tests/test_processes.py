"""The end of a process of our own, whatever it was doing."""

import asyncio
import sys

import pytest

from gateway.processes import put_down
from tests.waiting import until

_PIPE = asyncio.subprocess.PIPE
_FLOODS = "import os\nwhile True: os.write(1, bytes(65536))"


async def started(program: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=_PIPE, stdout=_PIPE, limit=1 << 10)


async def test_one_whose_words_nobody_reads_is_put_down() -> None:
    process = await started(_FLOODS)
    assert process.stdout is not None
    assert await process.stdout.readexactly(1)
    await until(lambda: process.stdout._paused)  # no more is taken from its pipe
    await put_down(process)
    assert process.returncode == -9


@pytest.mark.parametrize("program", ["import sys; sys.stdin.read()", "import sys; sys.stdin.close(); sys.stdout.close()"])
async def test_one_that_waits_and_one_that_has_ended_are_put_down(program: str) -> None:
    process = await started(program)
    await put_down(process)
    await put_down(process)
    assert process.returncode is not None


async def test_one_is_gone_before_whoever_puts_it_down_and_is_cancelled_meanwhile_goes_on() -> None:
    process = await started("import sys; sys.stdin.read()")
    ending = asyncio.create_task(put_down(process))
    for _ in range(3):
        await asyncio.sleep(0)
        ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert process.returncode == -9
