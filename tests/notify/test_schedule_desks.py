"""Schedules that wait for a second person, told to whom hears of broadcasts that do; with all that is to be decided on, and once."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.broadcast.schedules import CHANGED_EVENT
from gateway.domain.broadcast import ClipContent, Programme, Targets, View
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event, NewEvent
from gateway.domain.schedules import ScheduleState
from gateway.notify.schedule_desks import content_of, notice, waits
from gateway.storage.store import Tx
from tests.domain.troubles import START
from tests.notify.test_broadcast_desks import clock, decided, door
from tests.notify.test_notifier import Door
from tests.storage.test_broadcasts import CLIP, clip
from tests.storage.test_schedules import schedule
from tests.waiting import Watched

__all__ = ["clock", "door"]

ASKS: dict[str, Any] = {"what": "created", "name": "放学提醒", "state": "awaiting-approval", "speakers": ["SPK-1", "SPK-2"]}


async def asked(door: Door, name: str = "S-1", *, state: ScheduleState = ScheduleState.AWAITING_APPROVAL, **changes: Any) -> None:
    """A schedule that waited for a second person, and stands at `state` now."""

    async def change(tx: Tx) -> None:
        await tx.clips.add(clip("no swimming"))
        await tx.schedules.add(schedule(door.clock, name, state=state, **changes))
        tx.emit(NewEvent(CHANGED_EVENT, name, door.clock.now(), ASKS))

    await door.write(change)


async def test_the_second_person_reads_what_is_to_be_said_where_by_whom_and_when(door: Door) -> None:
    async with door.open():
        await asked(door)
        await asked(door, "S-2", programme=Programme(ClipContent(CLIP)), targets=Targets(views=(View(DeviceId("SPK-2"), ""),)), rule="")
        await decided(door)
        await door.there.until(2)
    told = {one["schedule"]: one for one in door.there.got}
    for part in (
        "请走人行道",
        "Li",
        "safety",
        "泺源大街 2号音柱",
        "FREQ=DAILY，Asia/Shanghai，仅工作日",
        "schedules approve",
        "S-1",
        "2026-03-03 12:00:00",
    ):
        assert part in told["S-1"]["text"]
    assert "放学提醒" in told["S-1"]["title"]
    assert "school: waits for a second person" in told["S-1"]["title"]
    one = told["S-1"]
    assert (one["kind"], one["step"], one["severity"]) == ("schedule", "awaiting-approval", "major")
    assert (one["speakers"], one["rrule"]) == (["SPK-1", "SPK-2"], "FREQ=DAILY")
    assert "Clip: no swimming" in told["S-2"]["text"]
    assert "Loudspeakers heard where this camera looks: 历下区 泺源大街 2号音柱 (SPK-2)" in told["S-2"]["text"]
    assert {one.channel for one in await door.log(incident="S-1")} == {"second"}


async def test_one_that_is_decided_on_or_would_be_too_late_asks_nobody(door: Door) -> None:
    async with door.open():
        pass
    await asked(door, "S-1", state=ScheduleState.ACTIVE)
    await asked(door, "S-2", state=ScheduleState.WITHDRAWN)
    await asked(door, "S-3", rule="", start=START - timedelta(seconds=30))
    await asked(door, "S-4")
    async with door.open():
        await decided(door)
        await door.there.until(1)
        await door.pass_(3)
    assert [one["schedule"] for one in door.there.got] == ["S-4"]


def test_only_that_one_waits_is_told() -> None:
    def changed(**data: Any) -> Event:
        return Event(1, CHANGED_EVENT, "S-1", START, ASKS | data)

    assert [waits(changed()), waits(changed(state="active")), waits(Event(1, "schedule.ran", "S-1", START, {"state": "ordered"}))] == [
        *(True, False, False),
    ]


def test_of_many_loudspeakers_twenty_are_named_and_all_are_counted() -> None:
    event = Event(1, CHANGED_EVENT, "S-1", START, ASKS | {"speakers": [f"X-{number}" for number in range(30)]})
    content = content_of(schedule(Watched(START)), event, place_of=str, clip="")
    text = notice(content, "S-7", "zh", ZoneInfo("Asia/Shanghai")).text(limit=10_000)
    assert (text.count("音柱:X-"), "音柱总数:30" in text) == (20, True)
