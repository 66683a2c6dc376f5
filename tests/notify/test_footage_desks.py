"""Footage requests told: the approver hears what waits, the requester what became of it, each once, complete, and not when it is over."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.alerting import Kind
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event, NewEvent
from gateway.domain.footage import Emergency, FootageRequest, FootageState, Period, RequestId, Urgency
from gateway.notify.footage_desks import STEPS, Desk, FootageDesk, content_of, letters, notice, step_of, still
from gateway.notify.letters import Letter
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.domain.troubles import START
from tests.footage.desk import WANG, ZHAO, filing
from tests.notify.test_notifier import Door, a_door
from tests.storage.test_footage import HANDED, READY, way, write_through
from tests.waiting import Watched

FILE = """
language: both
channels:
  approvers: {{kind: webhook, url: '{url}/hook', secret_file: {secret}}}
  desk: {{kind: webhook, url: '{url}/hook', secret_file: {secret}}}
footage:
  - {{channels: [approvers], tell: approvers}}
  - {{channels: [desk], tell: requesters, units: [东昌府分局治安大队]}}
"""
WINDOW = Period(START - timedelta(hours=1), START - timedelta(minutes=50))


def request(number: int = 1, **changes: object) -> FootageRequest:
    asked = replace(filing(window=WINDOW), **changes)
    return FootageRequest(RequestId(f"F-{number}"), asked, (DeviceId("CAM-1"),), WANG, START)


@pytest.fixture
def clock() -> Watched:
    return Watched(START)


@pytest.fixture
async def door(store: Store, clock: Watched, tmp_path: Path) -> AsyncIterator[Door]:
    async with a_door(FILE, store, clock, tmp_path) as opened:
        yield opened


async def filed(door: Door, one: FootageRequest) -> None:
    async def change(tx: Tx) -> None:
        await tx.footage.add(one)
        tx.emit(NewEvent("footage.request", one.id, door.clock.now(), {"state": "submitted", "act": "submit"}))

    await door.write(change)


async def happened(door: Door, one: FootageRequest, act: str) -> None:
    async def change(tx: Tx) -> None:
        tx.emit(NewEvent("footage.request", one.id, door.clock.now(), {"state": one.state, "act": act}))

    await door.write(change)
    await door.until_decided()


async def test_who_approves_hears_what_waits_and_who_asks_what_came_of_it_each_once(door: Door) -> None:
    async with door.open():
        await filed(door, request())
        await filed(door, request(2, urgency=Urgency.URGENT, unit="别的单位"))
        await door.until_decided()
        await door.pass_(3)
        await door.there.until(2)
        await happened(door, request(), "locate")
        await happened(door, request(), "approve")
        await happened(door, request(2, unit="别的单位"), "approve")
        await door.pass_(3)
        await door.there.until(3)
    told = {(one["request"], one["step"]): one for one in door.there.got}
    assert set(told) == {("F-1", "submit"), ("F-2", "submit"), ("F-1", "approve")}
    assert [told["F-1", "submit"]["severity"], told["F-2", "submit"]["severity"]] == ["major", "critical"]
    assert {(one.channel, one.route) for one in await door.log(incident="F-1")} == {("approvers", "footage"), ("desk", "footage")}


async def test_what_was_done_while_we_were_away_is_not_asked_for_any_more(door: Door) -> None:
    async with door.open():
        pass
    await filed(door, request())

    async def change(tx: Tx) -> None:
        await tx.footage.replace(request(), replace(request(), state=FootageState.CANCELLED, changed_at=START))

    await door.write(change)
    await filed(door, request(2))
    for _ in range(2):
        async with door.open():
            await door.until_decided()
            await door.pass_(3)
            await door.there.until(1)
    assert [one["request"] for one in door.there.got] == ["F-2"]


async def test_that_the_time_for_downloads_ends_soon_is_told_once(door: Door, clock: Watched) -> None:
    def approved(number: int) -> FootageRequest:
        return replace(request(number), decided_by=ZHAO, decided_at=START, ready_at=START)

    async def change(tx: Tx) -> None:
        await write_through(tx, *way(approved(1), *READY))
        await write_through(tx, *way(approved(2), *HANDED))

    await door.write(change)
    for _ in range(2):
        async with door.open():
            await door.pass_(3)
            assert not door.there.got
    await clock.advance(timedelta(hours=49).total_seconds())
    for _ in range(2):
        async with door.open():
            await door.pass_(3)
            await door.there.until(1)
    assert [(one["request"], one["step"]) for one in door.there.got] == [("F-1", "expiring")]


@pytest.mark.parametrize("language", ["zh", "en", "both"])
@pytest.mark.parametrize("step", STEPS)
def test_a_person_reads_which_case_where_when_and_what_to_do(language: str, step: str) -> None:
    one = replace(request(), ready_at=START, reason="gaps in the recording")
    content = content_of(step, one, START, name_of=lambda camera: f"东门枪机 ({camera})", download_for=timedelta(hours=72))
    made = notice(content, "F-7", language, ZoneInfo("Asia/Shanghai"))
    text = made.text(limit=10_000)
    for part in ("F-1", "聊公（治）字〔2026〕0001号", "东昌府分局治安大队", "东门枪机 (CAM-1)", "gaps in the recording", "F-7"):
        assert part in text
    assert f"{WINDOW.start.astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d %H:%M:%S}" in text
    until = (START + timedelta(hours=72)).astimezone(ZoneInfo("Asia/Shanghai"))
    told = f"{until:%Y-%m-%d %H:%M:%S}" in text
    assert told == (step in {"complete", "complete-in-part", "expiring"}), "until when it may be downloaded"
    for private in ("王建国", "李敏", "371502-0417", "查明经过"):
        assert private not in text.replace("王建国的窗口", "")


@pytest.mark.parametrize(("camera", "told"), [("CAM-1", "01_CAM-1_001.mp4, 东门枪机 (CAM-1)"), ("", "01_CAM-1_001.mp4")])
async def test_a_person_reads_which_stored_file_is_damaged_and_whose_footage_it_is(store: Store, camera: str, told: str) -> None:
    data = {"state": "submitted", "file": "01_CAM-1_001.mp4"} | ({"camera": camera} if camera else {})

    async def change(tx: Tx) -> list[Letter]:
        await tx.footage.add(request())
        events = [Event(7, type_, "F-1", START, data) for type_ in ("footage.damaged", "footage.found-whole")]
        told_by = {"name_of": lambda camera: f"东门枪机 ({camera})", "download_for": timedelta(hours=72)}
        return await letters(tx, events, [FootageDesk(("desk",), Desk.REQUESTERS)], **told_by)

    for one in await store.writer.write(change, lane=Lane.FOOTAGE):
        lines = notice(one.content, one.id, "both", ZoneInfo("Asia/Shanghai")).lines
        assert f"File: {told}" in lines
        assert f"文件:{told.replace(', ', '、')}" in lines
        assert one.content["file"]["camera"] == camera


def test_an_emergency_is_told_at_once_with_until_when_its_papers_are_due_and_not_when_that_is_done() -> None:
    due = START + timedelta(hours=24)
    asked = request(emergency=Emergency.MISSING_PERSON, urgency=Urgency.URGENT)
    one = replace(asked, state=FootageState.LOCATING, papers_due_at=due)
    content = content_of("go-ahead", one, START, name_of=str, download_for=timedelta(hours=72))
    made = notice(content, "F-7", "en", ZoneInfo("Asia/Shanghai"))
    assert (made.severity, made.kind) == ("critical", Kind.PROBLEM)
    assert f"Papers due: {due.astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d %H:%M:%S}" in made.text(limit=10_000)
    assert still("go-ahead", {"state": "going-ahead"}, one)
    assert not still("submit", {"state": "submitted"}, one), "its filing is told once, as an emergency"
    assert not still("go-ahead", {"state": "going-ahead"}, replace(one, decided_by=WANG, decided_at=START, papers_at=START))


def test_which_step_goes_to_whom() -> None:
    assert [step_of("footage.request", {"act": act}) for act in ("submit", "locate", "complete")] == ["submit", "", "complete"]
    assert step_of("footage.hold", {"act": "expire"}) == ""  # of a hold, which is no request
    assert [step_of("footage.papers", {"papers": what}) for what in ("supplied", "overdue")] == ["papers-supplied", "papers-overdue"]
    assert step_of("footage.custody", {"step": "looked"}) == ""
    both = FootageDesk(("a",), Desk.BOTH)
    assert all(both.takes(step, request()) for step in STEPS)
    assert all(FootageDesk(("a",), who).takes("papers-overdue", request()) for who in Desk)
    desk = FootageDesk(("a",), Desk.REQUESTERS, steps=frozenset({"complete"}))
    assert [step for step in STEPS if desk.takes(step, request())] == ["complete"]
    urgent = FootageDesk(("a",), Desk.APPROVERS, urgent=True)
    assert [urgent.takes("submit", request(urgency=urgency)) for urgency in Urgency] == [False, True]
    assert {telling.kind for telling in STEPS.values()} <= {Kind.PROBLEM, Kind.UPDATE, Kind.RECOVERY}
