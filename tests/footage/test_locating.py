"""Asking many recorders at once: a silent one holds up nobody, and is not asked again for each of its cameras."""

import asyncio

import pytest

from gateway.domain.devices import DeviceId
from gateway.errors import DeviceFault, Unreachable
from gateway.footage.locating import Round

SILENT, LIVE = DeviceId("NVR-1"), DeviceId("NVR-2")


async def test_a_recorder_is_asked_while_another_one_keeps_its_silence() -> None:
    asking, never = Round(), asyncio.Event()
    waiting = asyncio.create_task(asking.ask(SILENT, never.wait))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert await asking.ask(LIVE, lambda: asyncio.sleep(0, "an hour"))
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize(("failure", "questions"), [(Unreachable("no way"), 1), (DeviceFault("no such recording"), 3)])
async def test_a_silent_recorder_is_asked_for_one_of_its_cameras_alone(failure: Exception, questions: int) -> None:
    asked: list[int] = []

    async def question() -> None:
        asked.append(1)
        raise failure

    asking = Round()
    told = await asyncio.gather(*(asking.ask(SILENT, question) for _ in range(3)), return_exceptions=True)
    assert (len(asked), told) == (questions, [failure] * 3)
