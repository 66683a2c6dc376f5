"""What comes in: done at most once, answered, and acknowledged to the broker only after the commit."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.broadcast.orders import Order
from gateway.broadcast.service import Stopped
from gateway.broadcast.views import View
from gateway.domain.broadcast import BroadcastId
from gateway.domain.events import Actor
from gateway.mqtt.answers import REFUSALS_LOGGED, Answers
from gateway.mqtt.commands import Commands
from gateway.mqtt.connection import MESSAGE_BYTES
from gateway.mqtt.stops import StopAlls
from gateway.mqtt.topics import Topics, to_json
from tests.api.house import House
from tests.api.test_broadcasts import clip_of
from tests.mqtt.conftest import BODY_BYTES, COMMANDS, MARKER, REPLY, STOP_ALL, UNADDRESSED, Line, sender_of
from tests.waiting import until


async def command(line: Line, **changes) -> bytes:
    soon = (line.house.clock.now() + timedelta(seconds=30)).isoformat()
    body = {"id": "m-1", "clip": await clip_of(line.house), "targets": {"speakers": ["spk-1"]}, "not_after": soon, "reply_to": REPLY}
    return json.dumps(body | changes).encode()


def code_of(answer: dict) -> str:
    """The code of the problem in an answer."""
    return answer["problem"]["type"].removeprefix("urn:city-gateway:problem:")


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """The store's file held by somebody else: nothing can be written."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def answer_to(line: Line, payload: bytes, *, mid: int = 7, topic: str = REPLY, **flags) -> dict:
    """Send a command; the answer, once the command has been acknowledged too."""
    before = len(line.broker.on(topic))
    line.broker.send(COMMANDS, payload, mid=mid, **flags)
    await line.broker.until(lambda: len(line.broker.on(topic)) > before and mid in line.broker.acknowledged)
    return json.loads(line.broker.on(topic)[-1])


async def test_a_command_is_done_answered_and_then_acknowledged(line: Line):
    async with line.up():
        await line.ready()
        answer = await answer_to(line, await command(line))
    assert (answer["id"], answer["result"], list(answer["broadcast"]["speakers"])) == ("m-1", "accepted", ["spk-1"])
    _, shown = await line.house.json("GET", "/v1/broadcasts/m-1")
    assert shown["actor"] == "api-key:mqtt:city-gateway"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="speech from text: espeak-ng is not installed")
async def test_a_command_speaks_a_text_or_says_why_not(line: Line):
    async with line.up():
        await line.ready()
        said = await answer_to(line, await command(line, clip=None, text="请勿占道经营", chime=True, repeats=2, pause_s=0.5))
        refused = await answer_to(line, await command(line, id="m-2", clip=None, text="👮"), mid=8)
        both = await answer_to(line, await command(line, id="m-3", text="请离开"), mid=9)
    assert (said["result"], list(said["broadcast"]["speakers"])) == ("accepted", ["spk-1"])
    assert (refused["result"], code_of(refused)) == ("refused", "text-empty")
    assert (both["result"], code_of(both)) == ("refused", "invalid-input")
    _, shown = await line.house.json("GET", "/v1/broadcasts/m-1")
    assert (shown["kind"], shown["text"], shown["clip"], shown["repeats"]) == ("speech", "请勿占道经营", None, 2)


async def test_a_command_that_comes_again_is_done_once_and_told_what_came_of_it(line: Line):
    async with line.up():
        await line.ready()
        payload = await command(line)
        await answer_to(line, payload)
        again = await answer_to(line, payload, mid=8, again=True)
    assert again["result"] == "seen-before"
    _, page = await line.house.json("GET", "/v1/broadcasts")
    assert len(page["items"]) == 1


async def test_no_acknowledgement_goes_out_before_the_answer_has_arrived(line: Line):
    async with line.up():
        payload = await command(line)
        await line.broker.until(
            lambda: COMMANDS in line.broker.commands.subscribed and line.broker.on("gateway/v1/events/broadcast.clip-added")
        )
        line.broker.withhold = True
        line.broker.send(COMMANDS, payload, mid=7)
        await line.broker.until(lambda: line.broker.on(REPLY))
        assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 200
        assert line.broker.acknowledged == []
        line.broker.withhold, line.broker.session = False, True
        line.broker.commands.cut()
        await line.broker.until(lambda: line.broker.commands.subscribed.count(COMMANDS) == 2)
        answer = await answer_to(line, payload, mid=7, again=True)
    assert answer["result"] == "seen-before"


async def test_nothing_is_acknowledged_while_the_store_does_not_take_it(line: Line, tmp_path: Path):
    async with line.up():
        payload = await command(line)
        await line.broker.until(
            lambda: COMMANDS in line.broker.commands.subscribed and line.broker.on("gateway/v1/events/broadcast.clip-added")
        )
        async with locked(tmp_path / "gateway.db"):
            line.broker.send(COMMANDS, payload, mid=7)
            writer = line.house.services.store.writer
            await until(lambda: writer.depth or writer.failures)  # the command has come as far as the disk
            assert line.broker.acknowledged == []
            assert line.broker.on(REPLY) == []
        await line.broker.until(lambda: line.broker.acknowledged == [7])
    assert json.loads(line.broker.on(REPLY)[-1])["result"] == "accepted"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"not_after": "2020-01-01T00:00:00Z"}, "expired"),
        ({"not_after": "2030-01-01T00:00:00"}, "invalid-input"),
        ({"targets": {"speakers": ["nobody"]}}, "unknown-target"),
        ({"clip": "0" * 64}, "no-clip"),
        ({"id": None}, "invalid-input"),
        ({"id": "x" * 101}, "invalid-input"),
        ({"volume": 11}, "invalid-input"),
    ],
)
async def test_a_wrong_command_is_refused_with_its_reason_and_acknowledged(line: Line, changes: dict, code: str):
    async with line.up():
        await line.ready()
        answer = await answer_to(line, await command(line, **changes))
    assert (answer["result"], code_of(answer)) == ("refused", code)


async def test_quiet_hours_hold_for_commands_too_and_no_command_overrides_them(line: Line):
    days = [(line.house.clock.now() + timedelta(days=days)).date().isoformat() for days in (-1, 1)]
    silence = {"name": "高考", "first": days[0], "last": days[1], "start": "00:00", "end": "24:00", "effect": "quiet", "reason": "notice"}
    assert (await line.house.json("POST", "/v1/quiet-hours/exceptions", json=silence))[0] == 201
    async with line.up():
        await line.ready()
        for mid, (changes, code) in enumerate(
            [({}, "quiet-hours"), ({"priority": "enforcement", "override": "fight"}, "override-not-allowed")], start=7
        ):
            answer = await answer_to(line, await command(line, **changes), mid=mid)
            assert (answer["result"], code_of(answer), bool(answer["problem"]["hint"])) == ("refused", code, True)
    assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


async def test_a_command_is_no_emergency_where_nobody_allowed_that(line: Line):
    async with line.up():
        await line.ready()
        answer = await answer_to(line, await command(line, priority="emergency"), mid=7)
    assert (answer["result"], code_of(answer), bool(answer["problem"]["hint"])) == ("refused", "emergency-not-allowed", True)


async def test_a_retained_command_is_refused_however_right_it_is(line: Line):
    async with line.up():
        await line.ready()
        answer = await answer_to(line, await command(line), retain=True)
    assert (answer["result"], code_of(answer)) == ("refused", "retained")
    assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


async def test_another_order_under_a_known_id_is_refused(line: Line):
    async with line.up():
        await line.ready()
        await answer_to(line, await command(line))
        answer = await answer_to(line, await command(line, case="another"), mid=8)
    assert (answer["result"], code_of(answer)) == ("refused", "id-reused")


async def test_a_refusal_is_the_problem_that_http_would_answer(line: Line):
    async with line.up():
        await line.ready()
        payload = json.loads(await command(line, clip="0" * 64))
        refused = (await answer_to(line, json.dumps(payload).encode()))["problem"]
    del payload["reply_to"]
    _, problem = await line.house.json("POST", "/v1/broadcasts", json=payload)
    assert refused == problem


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "malformed-json"),
        (b"\xff\x00", "malformed-json"),
        (b"[1]", "malformed-json"),
        (b"[" * 60_000, "malformed-json"),
        (b"1" * 60_000, "malformed-json"),
        (b"x" * (BODY_BYTES + 1), "body-too-large"),
        (b'{"reply_to": 7}', "bad-reply-to"),
        (b'{"id": "\\ud800", "clip": "\\u0000"}', "invalid-input"),
    ],
)
async def test_garbage_is_refused_acknowledged_and_harms_nobody(line: Line, payload: bytes, code: str):
    async with line.up():
        await line.ready()
        assert code_of(await answer_to(line, payload, mid=3, topic=UNADDRESSED)) == code
        assert (await answer_to(line, await command(line)))["result"] == "accepted"


async def test_what_is_too_large_or_broken_is_answered_where_it_asks_for_it(line: Line):
    async with line.up():
        await line.ready()
        large = (await command(line))[:-1] + b', "case": "' + b"x" * BODY_BYTES + b'"}'
        assert code_of(await answer_to(line, large)) == "body-too-large"
        assert code_of(await answer_to(line, (await command(line))[:-1], mid=8)) == "malformed-json"
        assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


@pytest.mark.parametrize(
    "topic",
    [
        "elsewhere/x",
        "gateway/v1",
        "gateway/v1/replies/",
        "gateway/v1/repliesx/y",
        "gateway/v10/replies/x",
        COMMANDS,
        "gateway/v1/status",
        "gateway/v1/devices/cam-1/state",
        "gateway/v1/events/x",
        "gateway/v1/replies/+",
        "gateway/v1/replies/\0",
        "gateway/v1/replies/" + "x" * 200,
        "#",
        "",
    ],
)
async def test_no_answer_goes_where_it_could_be_taken_for_something_else(line: Line, topic: str):
    async with line.up():
        await line.ready()
        answer = await answer_to(line, await command(line, reply_to=topic), mid=3, topic=UNADDRESSED)
    assert code_of(answer) == "bad-reply-to"
    assert b"refused" not in b"".join(line.broker.on(topic))
    assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


@given(st.text(max_size=40))
def test_an_answer_never_leaves_its_corner(topic: str):
    topics = Topics("gateway/v1")
    for wanted in (topic, f"gateway/v1/{topic}", f"gateway/v1/replies/{topic}"):
        if topics.may_answer_on(wanted):
            assert wanted.startswith("gateway/v1/replies/")
            assert not set(wanted) & set("+#\0")
            wanted.encode()


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "clip", "targets", "not_after", "reply_to"]), inner),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | _values.map(lambda value: json.dumps(value).encode()))
async def test_no_payload_does_more_than_be_refused(line: Line, payload: bytes):
    services, topics = line.house.services, Topics("gateway/v1")
    sender = sender_of(services)
    answers = Answers(topics, clock=services.clock, problem=sender.problem)
    parts = {"clock": services.clock, "broadcasts": services.broadcasts, "sender": sender, "answers": answers}
    commands = Commands(topics, **parts, stop_alls=StopAlls(topics, **parts))
    for retained in (False, True):
        answer = await commands.broadcast(payload, retained=retained)
        assert answer.problem is not None
        assert answer.topic is None or topics.may_answer_on(answer.topic)
        json.loads(to_json(answer.body()))


# -- turns ------------------------------------------------------------------------------------------------------------


class Slow:
    """The house's own broadcasts, where orders of a `slow` case wait, as for a sound that is being made, until they may go on."""

    def __init__(self, house: House) -> None:
        self._house = house.services.broadcasts
        self.begun: list[str] = []
        self.go_on = asyncio.Event()

    async def submit(self, order: Order) -> View:
        self.begun.append(order.id)
        if order.case == "slow":
            await self.go_on.wait()
        return await self._house.submit(order)

    async def get(self, broadcast: BroadcastId) -> View:
        return await self._house.get(broadcast)

    @property
    def stops(self) -> int:
        return self._house.stops

    def stop_all(self, actor: Actor) -> Stopped:
        return self._house.stop_all(actor)

    async def stopped(self, *, since: int) -> None:
        await self._house.stopped(since=since)

    async def stop_written(self) -> None:
        await self._house.stop_written()


async def test_a_command_waits_for_none_of_another_priority_and_is_acknowledged_in_its_turn(line: Line):
    slow = Slow(line.house)
    async with line.up(broadcasts=slow):
        await line.ready()
        for mid, (name, changes) in enumerate(
            [("n-1", {"case": "slow"}), ("n-2", {}), ("e-1", {"priority": "emergency"}), ("x-1", {"priority": "enforcement"})], start=7
        ):
            line.broker.send(COMMANDS, await command(line, id=name, **changes), mid=mid)
        told = await until(lambda: answers(line), wanted=lambda found: len(found) == 2)
        assert {(one["id"], one["result"]) for one in told} == {("e-1", "refused"), ("x-1", "accepted")}  # nobody allowed emergencies
        assert (slow.begun, line.broker.acknowledged) == (["n-1", "x-1"], [])
        slow.go_on.set()
        await line.broker.until(lambda: line.broker.acknowledged == [7, 8, 9, 10])
    assert [one["id"] for one in answers(line)][2:] == ["n-1", "n-2"]


async def test_commands_of_one_id_keep_their_order_whatever_their_priority(line: Line):
    slow = Slow(line.house)
    async with line.up(broadcasts=slow):
        await line.ready()
        line.broker.send(COMMANDS, await command(line, case="slow"), mid=7)
        line.broker.send(COMMANDS, await command(line, priority="enforcement"), mid=8)
        line.broker.send(COMMANDS, await command(line, id="m-2", priority="enforcement", targets={"speakers": ["spk-2"]}), mid=9)
        await line.broker.until(lambda: [one["id"] for one in answers(line)] == ["m-2"])
        slow.go_on.set()
        await line.broker.until(lambda: line.broker.acknowledged == [7, 8, 9])
    _, first, second = answers(line)
    assert (first["result"], code_of(second)) == ("accepted", "id-reused")


def answers(line: Line) -> list[dict]:
    return [json.loads(payload) for payload in line.broker.on(REPLY)]


# -- floods -----------------------------------------------------------------------------------------------------------


async def test_more_commands_than_there_is_room_for_are_refused_and_break_no_connection(line: Line, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.mqtt.turns.WAITING_MAX", 20)
    slow = Slow(line.house)
    async with line.up(broadcasts=slow):
        payload = await command(line, case="slow")
        await line.ready()
        for mid in range(1, 24):
            line.broker.send(COMMANDS, payload, mid=mid)
        await line.broker.until(lambda: len(line.broker.on(REPLY)) == 3)
        assert {code_of(one) for one in answers(line)} == {"overloaded"}
        line.broker.send(COMMANDS, await command(line, id="x-1", priority="enforcement"), mid=24)
        await line.broker.until(lambda: len(line.broker.on(REPLY)) == 4)
        assert answers(line)[-1]["result"] == "accepted", "what is more important has room of its own"
        slow.go_on.set()
        await line.broker.until(lambda: line.broker.acknowledged == list(range(1, 25)))
    assert len(line.broker.commands.connects) == 1
    assert [one["result"] for one in answers(line)].count("seen-before") == 19


async def test_a_flood_while_nothing_is_read_breaks_the_connection_instead_of_being_dropped(
    line: Line, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.mqtt.connection.INCOMING_BYTES", 20 * (MESSAGE_BYTES + 8))
    line.broker.banned = {line.broker.stops.name}
    monkeypatch.setattr("gateway.mqtt.connection.ANSWER_TIMEOUT_S", 0.5)
    line.broker.granted = None  # so that nothing is read yet
    async with line.up():
        await line.broker.until(lambda: line.broker.commands.subscribed)
        for mid in range(1, 22):
            line.broker.send(COMMANDS, b"nonsense", mid=mid, to=line.broker.commands)
        line.broker.granted = 1
        await line.broker.until(lambda: len(line.broker.commands.connects) == 2)
        assert line.broker.acknowledged == []
    assert "mqtt.flooded" in capsys.readouterr().out


async def test_a_flood_of_refusals_does_not_flood_the_log(line: Line, capsys):
    async with line.up():
        await line.ready()
        for _ in range(3 * REFUSALS_LOGGED):
            line.broker.send(COMMANDS, b"nonsense", mid=0)
        await line.broker.until(lambda: len(line.broker.on(UNADDRESSED)) == 3 * REFUSALS_LOGGED)
    assert capsys.readouterr().out.count("mqtt.command_refused") == REFUSALS_LOGGED


async def test_a_broker_that_denies_commands_still_gets_the_events(line: Line, capsys):
    line.broker.granted = 0x80
    async with line.up():
        await line.ready()
        await line.house.emit(line.house.event())
        await line.broker.until(lambda: line.broker.on("gateway/v1/events/device.state"))
        assert len(line.broker.commands.connects) == 1
    assert capsys.readouterr().out.count("mqtt.commands_denied") == 3


async def test_who_reads_that_we_are_there_may_command_at_once(line: Line):
    line.broker.withhold = True
    async with line.up():
        await line.broker.until(lambda: line.broker.on("gateway/v1/status"))
        assert (line.broker.stops.subscribed, line.broker.commands.subscribed) == ([STOP_ALL], [MARKER, COMMANDS])
