"""A gateway that is held up itself calls nobody down for it."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.config import Health
from tests.system.standing import Standing, standing
from tests.waiting import until

ONE_LOST_ANSWER = {"interval_s": 1.0, "down_after": 1}  # is one device down


async def test_pauses_of_half_a_second_leave_every_device_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _changes_under(tmp_path, monkeypatch, timeout_s=0.9, pauses=[0.5] * 12) == []


async def test_pauses_beyond_the_deadline_of_a_check_make_us_blind_and_no_device_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = await _changes_under(tmp_path, monkeypatch, timeout_s=0.4, pauses=[0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 2.0])
    assert {after for _, after, _ in changes} <= {"unknown", "up"}
    assert {reason for _, after, reason in changes if after == "unknown"} <= {"gateway-lagging"}


async def _changes_under(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, timeout_s: float, pauses: list[float]
) -> list[tuple[str, str, str]]:
    """What changes in a healthy street while the loop is held up now and then, each time in the middle of visits."""
    async with standing(folder, monkeypatch, health=Health(timeout_s=timeout_s, **ONE_LOST_ANSWER)) as stand:
        await stand.until_all_are_up()
        cursor = (await stand.call("GET", "/v1/health/summary"))["event_cursor"]
        for pause_s in pauses:
            await _amid_visits(stand)
            time.sleep(pause_s)  # noqa: ASYNC251 -- the very thing that is tried
            await _visits(stand, len(stand.street.devices) // 2)
        return await _changes(stand, cursor)


async def _amid_visits(stand: Standing) -> None:
    """Return in the turn of the loop in which visits have begun and none has been answered."""
    while stand.health.figures.under_way:  # noqa: ASYNC110 -- the very next turn counts
        await asyncio.sleep(0)
    while not stand.health.figures.under_way:  # noqa: ASYNC110 -- as above
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def _visits(stand: Standing, more: int) -> None:
    """Wait until the wheel has made so many visits more."""
    wanted = stand.health.figures.visits + more
    await until(lambda: stand.health.figures.visits >= wanted)


async def _changes(stand: Standing, cursor: int) -> list[tuple[str, str, str]]:
    """Every change of a state since `cursor`: before, after, and why."""
    mark = await stand.call("POST", "/v1/broadcasts/stop-all")  # whose event is the last
    assert mark["broadcasts"] == 0
    changes = []
    async with stand.listening("device.state", "broadcast.stop-all", after=cursor) as listener:
        while (event := await listener.next())["type"] != "broadcast.stop-all":
            changes.append((event["data"]["before"], event["data"]["after"], event["data"]["reason"]))
    return changes
