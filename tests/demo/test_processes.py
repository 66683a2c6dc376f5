"""Ports for the demo's processes."""

import asyncio
import random
import sys

import pytest

from demo import processes
from demo.processes import free_port

OF_THE_SAME_MIND = """
import random
from demo import processes
processes._chance = random.Random(1)
print(*(processes.free_port(0) for _ in range(100)), flush=True)
input()
"""


def test_no_port_is_given_twice() -> None:
    assert len({free_port(0) for _ in range(600)}) == 600


async def test_no_two_processes_are_given_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_chance", random.Random(1))
    ours = {free_port(0) for _ in range(100)}
    pipe = asyncio.subprocess.PIPE
    neighbour = await asyncio.create_subprocess_exec(sys.executable, "-c", OF_THE_SAME_MIND, cwd=processes.ROOT, stdin=pipe, stdout=pipe)
    assert neighbour.stdout is not None
    theirs = {int(port) for port in (await neighbour.stdout.readline()).split()}
    await neighbour.communicate(b"\n")
    assert (len(ours), len(theirs), ours & theirs) == (100, 100, set())
