"""The door at work on a store: follows the log, survives stops and refusals, sends each message once by id, and explains itself."""

import asyncio
import itertools
import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.domain.alert_log import Fate
from gateway.domain.alerting import Kind
from gateway.domain.city import City
from gateway.domain.duty import Shift, ShiftId
from gateway.domain.events import SYSTEM, NewEvent
from gateway.errors import Conflict, InvalidInput, NotFound, Overloaded
from gateway.notify.notifier import READER, Notifier
from gateway.storage.alerts import Addressed
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.domain.troubles import START, incident_json
from tests.notify import receivers
from tests.notify.receivers import Vendors
from tests.waiting import Watched, until

ALERTS = """
channels:
  hook: {{kind: webhook, url: '{url}/hook', secret_file: {secret}}}
  other: {{kind: webhook, url: '{url}/hook', secret_file: {secret}, per_minute: 2}}
routes:
  - {{name: all, channels: [hook], to: on-duty, group_wait_s: 5, group_interval_s: 60, match: {{severity: minor}}}}
  - {{name: rest, channels: [other], group_wait_s: 10}}
"""


@dataclass
class Door:
    """A store, other sides, and a notifier that can be stopped and started anew."""

    store: Store
    clock: Watched
    there: Vendors
    file: Path
    muted: dict[str, str] = field(default_factory=dict)
    city: City = field(default_factory=City)
    notifier: Notifier = field(init=False)
    at_work: bool = False
    ids: Any = field(default_factory=lambda: itertools.count(1))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Notifier]:
        self.notifier = Notifier(
            self.file,
            store=self.store,
            city=self.city,
            clock=self.clock,
            muted_by=lambda device: self.muted.get(device, ""),
            new_id=lambda: f"A-{next(self.ids)}",
        )
        running = asyncio.create_task(self.notifier.run())
        await self.settle()
        self.at_work = True
        try:
            yield self.notifier
        finally:
            self.at_work = False
            running.cancel()
            await asyncio.wait([running])

    async def tell(self, event: str = "opened", **changes: Any) -> None:
        told = incident_json(**changes)

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent(f"incident.{event}", told["id"], self.clock.now(), {"incident": told, "actor": "system", "comment": ""}))

        await self.write(change)
        if self.at_work:
            await self.until_decided()

    async def until_decided(self) -> None:
        """Wait, in real time, until what the log has was decided on."""
        await until(self._waiting, wanted=operator.not_)

    async def _waiting(self) -> list[str]:
        """What the stored cursor has still before it, of all that is decided on; the deliveries' own events move it only later."""
        async with self.store.read() as tx:
            cursor = await tx.readers.cursor(READER) or 0
        ahead = await self.store.events.read_after(cursor, limit=5_000)
        return [event.type for event in ahead if event.type.startswith(("incident.", "work-order.", "footage."))]

    async def write(self, change: Callable[[Tx], Awaitable[None]]) -> None:
        await self.store.writer.write(change, lane=Lane.HEALTH)

    async def settle(self) -> None:
        """Return when all is done that can be while the clock stands: the log is decided on, and the tick and each courier sleep."""
        await self.until_decided()
        await self.write(_nothing)  # whoever waited for the store before goes on now
        await self.clock.advance(0)
        asleep = 1 + len(await self.notifier.channels()) - self.there.unanswered
        await until(lambda: self.clock.waiting, wanted=lambda waiting: waiting >= asleep)

    async def pass_(self, seconds: float) -> None:
        steps = max(1, min(round(seconds), 12))
        for _ in range(steps):
            await self.clock.advance(seconds / steps)
            await self.settle()

    async def until_settled(self, fate: Fate) -> None:
        """Wait, in real time, until something has come to this."""
        await until(self.log, wanted=lambda entries: [one for one in entries if one.outcome is fate])

    async def log(self, **which: Any) -> Any:
        async with self.store.read() as tx:
            return await tx.alerts.log(limit=100, **which)


async def _nothing(_tx: Tx) -> None:
    pass


@asynccontextmanager
async def a_door(alerts: str, store: Store, clock: Watched, folder: Path, **more: Any) -> AsyncIterator[Door]:
    """The notifier with the file `alerts` before all the vendors' receivers."""
    secret, file = folder / "secret", folder / "alerts.yaml"
    secret.write_text(receivers.HOOK_SECRET)
    async with receivers.vendors() as there:
        file.write_text(alerts.format(url=there.url, secret=secret))
        yield Door(store, clock, there, file, **more)


@pytest.fixture
def clock() -> Watched:
    return Watched(START)


@pytest.fixture
async def door(store: Store, clock: Watched, tmp_path: Path) -> AsyncIterator[Door]:
    async with a_door(ALERTS, store, clock, tmp_path) as opened:
        yield opened


RESOLVED = {"state": "resolved", "resolved_at": START.isoformat()}


async def test_an_incident_is_told_once_and_its_end_once(door: Door) -> None:
    async with door.open():
        await door.tell()
        assert door.there.got == []
        await door.pass_(7)
        await door.there.until(1)
        await door.tell("resolved", **RESOLVED)
        await door.pass_(8)
        await door.there.until(2)
        await door.pass_(5)
    assert [body["kind"] for body in door.there.got] == ["problem", "recovery"]
    assert door.there.ids == ["A-1.1", "A-1.2"]


async def test_a_restart_in_the_middle_loses_nothing_and_repeats_nothing(door: Door) -> None:
    async with door.open():
        await door.tell()
    async with door.open():
        await door.pass_(7)
        await door.there.until(1)
    async with door.open():
        await door.pass_(30)
    await door.tell("resolved", **RESOLVED)  # while nobody was there
    async with door.open():
        await door.pass_(8)
        await door.there.until(2)
    assert [body["kind"] for body in door.there.got] == ["problem", "recovery"]


async def test_what_may_have_arrived_when_we_were_stopped_comes_again_with_the_same_id(door: Door) -> None:
    async with door.open():
        await door.tell()
        door.there.mute = True
        await door.pass_(7)
        await door.there.until(1)
    door.there.mute = False
    async with door.open():
        await door.there.until(2)
        await door.until_settled(Fate.SENT)
        await door.pass_(20)
    assert door.there.ids == ["A-1.1", "A-1.1"]


async def test_a_crowd_of_incidents_is_told_in_few_messages(door: Door) -> None:
    async def crowd(tx: Tx) -> None:
        for number in range(700):
            told = incident_json(id_=f"I-{number}")
            tx.emit(NewEvent("incident.opened", told["id"], door.clock.now(), {"incident": told, "actor": "system", "comment": ""}))

    async with door.open():
        await door.write(crowd)
        await door.until_decided()
        await door.pass_(7)
        await door.there.until(3)
    assert sorted(len(body["incidents"]) + body["more"] for body in door.there.got) == [100, 300, 300]


async def test_after_a_long_stop_there_is_no_storm(door: Door) -> None:
    async with door.open():
        pass
    for number in range(30):
        await door.tell(id_=f"I-{number}")
        await door.tell("resolved", id_=f"I-{number}", **RESOLVED)
    await door.clock.advance(7_200)
    async with door.open():
        await door.pass_(8)
        await door.there.until(1)
        await door.pass_(100)
    assert [(body["kind"], len(body["over"])) for body in door.there.got] == [("summary", 30)]


async def test_what_the_other_side_refuses_for_now_comes_again_with_the_same_id(door: Door) -> None:
    door.there.faults.extend([web.Response(status=503), web.Response(status=502)])
    async with door.open() as notifier:
        await door.tell()
        await door.pass_(20)
        await door.there.until(1)
        await door.settle()
        entry = (await door.log(channel="hook"))[0]
    assert (entry.outcome, entry.attempts, door.there.ids) == (Fate.SENT, 3, ["A-1.1"])
    assert notifier.counts == {("hook", Fate.QUEUED): 2, ("hook", Fate.SENT): 1}


async def test_a_message_that_always_fails_lets_the_others_past_but_not_those_of_its_bundle(door: Door) -> None:
    async def tried(times: int) -> None:
        async def on() -> None:
            await door.clock.advance(10)
            await door.settle()

        await until(lambda: door.log(channel="hook"), 30, on, wanted=lambda entries: entries[-1].attempts >= times)

    door.there.indigestible = "A-1.1"
    async with door.open():
        await door.tell()
        await door.pass_(7)
        await tried(5)
        await door.clock.advance(60)
        await door.tell(id_="I-2")
        await door.tell("resolved", **RESOLVED)
        await door.pass_(10)
        await door.there.until(1)
        await tried(6)
        assert door.there.ids == ["A-2.1"]
        door.there.indigestible = ""
        await tried(7)
        await door.there.until(3)
    assert door.there.ids == ["A-2.1", "A-1.1", "A-1.2"]


async def test_a_channel_that_was_away_is_asked_ever_more_rarely_and_gets_all_of_it_when_it_is_back(door: Door) -> None:
    async def an_hour() -> None:
        for _ in range(20):
            await door.clock.advance(180)
            await door.settle()

    door.there.faults.extend(web.Response(status=503) for _ in range(200))
    async with door.open():
        for number in range(4):
            await door.tell(id_=f"I-{number}")
            await door.clock.advance(70)
            await door.settle()
        await an_hour()
        asked = 200 - len(door.there.faults)
        door.there.faults.clear()
        await an_hour()
        await door.there.until(4)
    assert 10 < asked < 50
    assert sorted(door.there.ids) == ["A-1.1", "A-2.1", "A-3.1", "A-4.1"]


async def test_what_cannot_succeed_fails_at_once_and_says_why(door: Door) -> None:
    door.there.faults.append(web.Response(status=404))
    async with door.open() as notifier:
        await door.tell()
        await door.pass_(8)
        await door.until_settled(Fate.FAILED)
        answer = (await notifier.why("I-1", channel="hook"))[-1]
        figures = {one.name: one.figures for one in await notifier.channels()}
    assert (answer.told, answer.reason) == (False, "channel-refused")
    assert "404" in answer.zh and "404" in answer.en
    assert figures["hook"].last_failed_at is not None and figures["hook"].queued == 0


async def test_a_message_that_cannot_be_composed_fails_alone(door: Door) -> None:
    async with door.open():
        to = [Addressed("all", "hook", Kind.PROBLEM, "critical", (), ("I-0",))]
        await door.write(lambda tx: tx.alerts.enqueue("A-0.1", {"nothing": "of ours"}, to, at=door.clock.now()))
        await door.tell()
        await door.pass_(7)
        await door.there.until(1)
        assert [(one.reason, one.message) for one in await door.log(fate=Fate.FAILED)] == [("internal-error", "A-0.1")]


async def test_no_secret_gets_into_the_store_or_the_log(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    door.there.faults.extend([web.Response(status=503), web.Response(status=302, headers={"Location": "http://127.0.0.2/"})])
    async with door.open() as notifier:
        await door.tell()
        await door.pass_(14)
        await door.until_settled(Fate.FAILED)
        await notifier.test("hook", SYSTEM)
        shown = str(await notifier.channels())
    kept = await asyncio.to_thread(lambda: b"".join(path.read_bytes() for path in tmp_path.glob("store*.db*")))
    logged = capsys.readouterr()
    assert b"A-1.1" in kept and "alerts.channel_fails" in logged.out + logged.err
    for canary in receivers.CANARIES:
        assert canary.encode() not in kept and canary not in logged.out + logged.err + shown


async def test_more_than_the_channel_may_send_waits_for_the_next_minute(door: Door) -> None:
    async with door.open():
        for number in range(3):
            await door.tell(id_=f"I-{number}", severity="warning")
            await door.pass_(11)
            await door.tell("escalated", id_=f"I-{number}", severity="warning", escalation_level=1)
        await door.settle()
        held_back = [one for one in await door.log(channel="other") if one.outcome is Fate.QUEUED]
        assert len(door.there.got) == 2
        assert held_back[-1].reason == "rate-limited"
        await door.pass_(61)
        await door.there.until(4)


async def test_the_person_on_duty_is_named_and_an_escalation_goes_to_the_next(door: Door) -> None:
    async def roster(tx: Tx) -> None:
        for level, person in enumerate(("王建国", "李敏")):
            shift = Shift(id=ShiftId(f"S-{level}"), person=person, start=START, end=START.replace(hour=20), level=level)
            await tx.alerts.put_shift(shift)

    await door.write(roster)
    async with door.open() as notifier:
        await door.tell()
        await door.pass_(7)
        await door.tell("escalated", escalation_level=1)
        await door.there.until(2)
        await door.settle()
        answers = await notifier.why("I-1", person="李敏")
    assert [body["on_duty"][0]["person"] for body in door.there.got] == ["王建国", "李敏"]
    assert [(answer.told, answer.reason) for answer in answers if answer.reason != "earlier-route"] == [
        (False, "not-on-duty"),
        (True, "sent"),
    ]
    assert "escalation" in next(answer.en for answer in answers if answer.told)


async def test_why_tells_what_held_it_back(door: Door) -> None:
    door.muted = {"sw-1": "M-1", **{f"cam-{n}": "M-1" for n in range(1, 10)}}
    async with door.open() as notifier:
        await door.tell()
        answers = await notifier.why("I-1", channel="hook")
        others = await notifier.why("I-1", channel="other")
    assert [answer.reason for answer in answers] == ["muted"]
    assert answers[0].zh == "维护期内静默:维护窗口 M-1"
    assert [answer.reason for answer in others] == ["earlier-route"]


async def test_a_reload_is_whole_or_not_at_all(door: Door) -> None:
    async with door.open() as notifier:
        good = door.file.read_text()
        door.file.write_text(good + "  - {name: more, channels: [nowhere]}\n")
        with pytest.raises(InvalidInput):
            await notifier.reload(SYSTEM)
        assert len(await notifier.channels()) == 2
        door.file.write_text(good.replace("name: all", "name: everything"))
        assert await notifier.reload(SYSTEM) == 2
        await door.settle()
        await door.tell()
        await door.pass_(7)
        await door.there.until(1)
    assert door.there.got[0]["route"] == "everything"
    async with door.store.read() as tx:
        entries = await tx.audit.page(limit=10)
    assert "alerts.reloaded" in {row.entry.action for row in entries}


async def test_messages_for_a_channel_that_was_taken_out_are_given_up(door: Door) -> None:
    door.there.faults.extend(web.Response(status=503) for _ in range(50))
    async with door.open() as notifier:
        await door.tell()
        await door.pass_(8)
        door.file.write_text("channels: {hooked: {kind: mqtt}}\nroutes: []\n")
        await notifier.reload(SYSTEM)
        await door.until_settled(Fate.FAILED)
        assert (await door.log(channel="hook"))[0].reason == "no-channel"


async def test_the_test_button_sends_a_real_message_and_tells_what_came_of_it(door: Door) -> None:
    async with door.open() as notifier:
        good = await notifier.test("hook", SYSTEM)
        door.there.faults.append(web.Response(status=500))
        bad = await notifier.test("hook", SYSTEM)
        with pytest.raises(NotFound):
            await notifier.test("nobody", SYSTEM)
        await notifier.test("other", SYSTEM)
        await notifier.test("other", SYSTEM)
        with pytest.raises(Overloaded):
            await notifier.test("other", SYSTEM)
    assert (good.sent, bad.sent, bad.reason) == (True, False, "channel-refused")
    assert "测试" in door.there.got[0]["title"]


async def test_without_a_file_nobody_is_told_and_the_log_says_so(store: Store, clock: Watched) -> None:
    notifier = Notifier(None, store=store, city=City(), clock=clock)
    door = Door(store, clock, Vendors(), Path("/nowhere"))
    door.notifier = notifier
    running = asyncio.create_task(notifier.run())
    await door.settle()
    door.at_work = True
    await door.tell()
    with pytest.raises(Conflict):
        await notifier.reload(SYSTEM)
    assert [answer.reason for answer in await notifier.why("I-1")] == ["no-route"]
    running.cancel()
    await asyncio.wait([running])


async def test_an_event_that_cannot_be_read_or_stored_is_passed_over(door: Door) -> None:
    async def change(tx: Tx) -> None:
        tx.emit(NewEvent("incident.opened", "I-0", door.clock.now(), {"incident": {"id": "I-0"}}))
        tx.emit(NewEvent("incident.opened", "", door.clock.now(), {"incident": incident_json(id_="I" * 300)}))
        tx.emit(NewEvent("work-order.opened", "W-0", door.clock.now(), {}))
        tx.emit(NewEvent("incident.opened", "I-2", door.clock.now(), {"incident": incident_json(id_="I-2")}))

    async with door.open():
        await door.write(change)
        await door.tell()
        await door.pass_(7)
        await door.there.until(1)
    assert {one["id"] for body in door.there.got for one in body["incidents"]} == {"I-1", "I-2"}
