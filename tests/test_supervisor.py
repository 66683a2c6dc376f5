import asyncio
import itertools
import random

import pytest
from structlog.testing import capture_logs

from gateway.clock import SimulatedClock
from gateway.errors import Conflict
from gateway.supervisor import PartState, Supervisors


async def test_a_part_that_raises_is_restarted_with_growing_pauses_while_the_others_run_on() -> None:
    clock = SimulatedClock()
    parts = Supervisors(clock=clock, rng=random.Random(1))
    starts: list[float] = []
    beats = 0

    async def fails() -> None:
        starts.append(clock.monotonic())
        raise RuntimeError("made to fail")

    async def beats_on() -> None:
        nonlocal beats
        while True:
            beats += 1
            await clock.sleep(0.1)

    parts.add("fails", fails)
    parts.add("beats", beats_on)
    async with asyncio.TaskGroup() as group:
        tasks = parts.start(group)
        await clock.advance(10)
        failing, beating = parts
        for task in tasks:
            task.cancel()

    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert 3 <= len(gaps) <= 5
    assert all(later > earlier for earlier, later in itertools.pairwise(gaps))
    assert failing.restarts == len(starts) and failing.last_error == "RuntimeError: made to fail"
    assert beats >= 99 and beating.restarts == 0
    assert beating.state is PartState.STOPPED


async def test_a_failure_that_was_foreseen_is_logged_with_its_hint_and_without_a_traceback() -> None:
    clock = SimulatedClock()
    parts = Supervisors(clock=clock)

    async def fails() -> None:
        raise Conflict("port 80 is in use", code="cannot-listen", hint="stop the other program")

    parts.add("http", fails)
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as group:
            (task,) = parts.start(group)
            await clock.advance(0.1)
            task.cancel()
    (line,) = [line for line in lines if line["event"] == "part-failed"]
    assert (line["error"], line["code"], line["hint"]) == ("port 80 is in use", "cannot-listen", "stop the other program")
    assert "exc_info" not in line


async def test_a_part_that_fails_inside_a_group_of_tasks_says_what_it_failed_of() -> None:
    clock = SimulatedClock()
    parts = Supervisors(clock=clock)

    async def fails() -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(_fails_deep_inside())

    parts.add("fails", fails)
    async with asyncio.TaskGroup() as group:
        (task,) = parts.start(group)
        await clock.advance(0.1)
        (status,) = parts
        assert status.last_error == "KeyError: 'cam-1'"
        task.cancel()


async def _fails_deep_inside() -> None:
    async with asyncio.TaskGroup() as inner:
        inner.create_task(_misses())


async def _misses() -> None:
    raise KeyError("cam-1")


async def test_a_part_that_returns_is_taken_for_failed() -> None:
    clock = SimulatedClock()
    parts = Supervisors(clock=clock)

    async def returns() -> None: ...

    parts.add("returns", returns)
    async with asyncio.TaskGroup() as group:
        (task,) = parts.start(group)
        await clock.advance(1)
        (status,) = parts
        assert status.restarts >= 1 and status.last_error == "ended without being asked to"
        task.cancel()


async def test_a_fatal_part_ends_the_daemon_with_its_error() -> None:
    parts = Supervisors(clock=SimulatedClock())

    async def fails() -> None:
        raise OSError("disk gone")

    parts.add("storage", fails, fatal=True)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            parts.start(group)
    assert isinstance(caught.value.exceptions[0], OSError)


async def test_a_part_is_begun_anew_as_new_however_it_failed() -> None:
    """A group of tasks that fails leaves a mark on the task that waits for it (Python 3.11), by which timeouts end as cancellations."""
    clock = SimulatedClock()
    parts = Supervisors(clock=clock)
    seen: list[str] = []

    async def run() -> None:
        if seen:
            try:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            except TimeoutError:
                seen.append("timed out")
            await asyncio.Event().wait()
        seen.append("failed")
        async with asyncio.TaskGroup() as group:
            group.create_task(_fails_deep_inside())

    parts.add("part", run)
    async with asyncio.TaskGroup() as group:
        (task,) = parts.start(group)
        await clock.advance(2)
        (status,) = parts
        assert (seen, status.state) == (["failed", "timed out"], PartState.RUNNING)
        task.cancel()
    assert status.state is PartState.STOPPED


async def test_a_part_that_ends_as_cancelled_though_nobody_asked_for_it_is_begun_anew() -> None:
    """As by the mark of a group whose failure it got over itself, or by awaiting what somebody else has cancelled."""
    clock = SimulatedClock()
    parts = Supervisors(clock=clock)

    async def run() -> None:
        raise asyncio.CancelledError

    parts.add("part", run)
    async with asyncio.TaskGroup() as group:
        (task,) = parts.start(group)
        await clock.advance(1)
        (status,) = parts
        assert status.restarts > 0 and status.last_error.startswith("RuntimeError: part ended as cancelled")
        task.cancel()


async def test_a_part_that_fails_while_it_is_cancelled_ends_as_cancelled() -> None:
    clock = SimulatedClock()
    parts = Supervisors(clock=clock)

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("made to fail")

    parts.add("part", run)
    async with asyncio.TaskGroup() as group:
        (task,) = parts.start(group)
        await clock.advance(1)
        task.cancel()
    (status,) = parts
    assert (task.cancelled(), status.state) == (True, PartState.STOPPED)
