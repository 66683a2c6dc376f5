"""Silence: by a session of its own, ahead of all that waits, and nothing that was sent before it plays after it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.clock import SimulatedClock
from gateway.mqtt.marker import LONGEST_S, SILENCE_S
from tests.mqtt.conftest import BODY_BYTES, COMMANDS, MARKER, PREFIX, REPLY, STOP_ALL, Line
from tests.mqtt.test_commands import Slow, answer_to, answers, code_of, command, locked
from tests.waiting import until

STOP = json.dumps({"id": "s-1", "reply_to": REPLY}).encode()


async def stop(line: Line, door: str = "mqtt") -> None:
    """Stop everything by one of the doors; returns when the gateway has sent a marker for it."""
    before = len(line.broker.on(MARKER))
    if door == "http":
        assert (await line.house.json("POST", "/v1/broadcasts/stop-all"))[0] == 200
    else:
        line.broker.send(STOP_ALL, STOP, mid=9)
    await line.broker.until(lambda: len(line.broker.on(MARKER)) > before)


async def play(line: Line, id_: str, *, mid: int = 20) -> str:
    """What the gateway answers to a command that comes now: its result, or the code of its problem."""
    answer = await answer_to(line, await command(line, id=id_), mid=mid)
    return code_of(answer) if answer["result"] == "refused" else answer["result"]


async def test_a_stop_is_obeyed_at_once_and_acknowledged_when_the_next_life_would_obey_it_too(line: Line, tmp_path: Path):
    async with line.up():
        await line.ready()
        async with locked(tmp_path / "gateway.db"):
            line.broker.send(STOP_ALL, json.dumps({"reply_to": REPLY}).encode(), mid=7)
            await line.broker.until(lambda: line.broker.on(REPLY))
            assert json.loads(line.broker.on(REPLY)[-1])["result"] == "stopped"
            writer = line.house.services.store.writer
            await until(lambda: writer.depth or writer.failures)
            assert line.broker.stops.acknowledged == []
        await line.broker.until(lambda: line.broker.stops.acknowledged == [7])
    async with line.house.services.store.read() as tx:
        assert await tx.broadcasts.last_stop() is not None


@pytest.mark.parametrize("payload", [b"", b"{}", b"please", b"\xff", b"[" * 60_000, b'{"not_after": "whenever"}', b"x" * (BODY_BYTES + 1)])
async def test_any_message_on_stop_all_silences_everything(line: Line, payload: bytes):
    async with line.up():
        await line.ready()
        await answer_to(line, await command(line))
        line.broker.send(STOP_ALL, payload, mid=9)
        await line.broker.until(lambda: 9 in line.broker.stops.acknowledged)
    _, shown = await line.house.json("GET", "/v1/broadcasts/m-1")
    assert not shown["open"]


async def test_stop_all_is_answered_and_recorded_under_the_sender(line: Line):
    async with line.up():
        await line.ready()
        line.broker.send(STOP_ALL, json.dumps({"id": "s-1", "reply_to": REPLY}).encode(), mid=9)
        await line.broker.until(lambda: line.broker.on(REPLY) and 9 in line.broker.stops.acknowledged)
        assert json.loads(line.broker.on(REPLY)[0]) == {
            "id": "s-1",
            "result": "stopped",
            "broadcasts": 0,
            "speakers": 0,
            "may_still_sound": [],
        }
        await line.house.services.broadcasts.written()
    _, audit = await line.house.json("GET", "/v1/audit")
    assert ("api-key:mqtt:city-gateway", "broadcast.stop-all") in {(row["actor"], row["action"]) for row in audit["items"]}


@pytest.mark.parametrize(
    ("flags", "changes", "code"), [({"retain": True}, {}, "retained"), ({}, {"not_after": "2020-01-01T00:00:00Z"}, "expired")]
)
async def test_a_stop_all_of_another_time_is_refused(line: Line, flags: dict, changes: dict, code: str):
    async with line.up():
        await line.ready()
        await answer_to(line, await command(line))
        line.broker.send(STOP_ALL, json.dumps({"reply_to": REPLY} | changes).encode(), mid=9, **flags)
        await line.broker.until(lambda: 9 in line.broker.stops.acknowledged)
    assert (json.loads(line.broker.on(REPLY)[-1])["result"], code_of(json.loads(line.broker.on(REPLY)[-1]))) == ("refused", code)


# -- what was sent before it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["mqtt", "http"])
async def test_a_stop_is_obeyed_before_a_thousand_commands_and_none_of_them_is_begun_after_it(line: Line, door: str):
    slow = Slow(line.house)
    async with line.up(broadcasts=slow):
        await line.ready()
        line.broker.returns = False
        payload = await command(line, case="slow")
        for number in range(500):
            line.broker.send(COMMANDS, payload.replace(b'"m-1"', f'"m-{number}"'.encode()), mid=100 + number)
        await until(lambda: slow.begun)
        await stop(line, door)
        await line.broker.until(lambda: line.broker.acknowledged == list(range(100, 600)))
        for number in range(500, 1_000):  # those that had still been at the broker
            line.broker.send(COMMANDS, payload.replace(b'"m-1"', f'"m-{number}"'.encode()), mid=100 + number)
        line.broker.send(MARKER, line.broker.on(MARKER)[-1], mid=5)
        assert await play(line, "after") == "accepted"
        assert line.broker.acknowledged == [*range(100, 1_100), 5, 20], "a slow command holds up nothing"
    assert slow.begun == ["m-0", "after"]
    assert [code_of(one) for one in answers(line) if one["id"].startswith("m-")] == ["stop-all"] * 1_000
    assert len(line.broker.commands.connects) == 1


async def test_a_command_that_waits_for_the_store_is_cut_off_by_a_stop(line: Line, tmp_path: Path):
    async with line.up():
        await line.ready()
        payload = await command(line)
        async with locked(tmp_path / "gateway.db"):
            line.broker.send(COMMANDS, payload, mid=7)
            writer = line.house.services.store.writer
            await until(lambda: writer.depth or writer.failures)
            line.broker.send(STOP_ALL, STOP, mid=9)
            await line.broker.until(lambda: line.broker.acknowledged == [7])
            assert line.broker.stops.acknowledged == []
        await line.broker.until(lambda: line.broker.stops.acknowledged == [9])
    assert {one["result"] for one in answers(line)} == {"stopped", "refused"}
    _, shown = await line.house.json("GET", "/v1/broadcasts/m-1")
    assert shown.get("open", False) is False, "what was being written down is silenced before it is heard"


async def test_what_was_accepted_before_a_stop_and_comes_again_after_it_is_told_what_came_of_it(line: Line):
    async with line.up():
        await line.ready()
        payload = await command(line)
        await answer_to(line, payload)
        line.broker.returns = False
        await stop(line)
        assert (await answer_to(line, payload, mid=8, again=True))["result"] == "seen-before"
        assert await play(line, "m-2") == "stop-all"


async def test_no_other_message_is_taken_for_the_marker(line: Line):
    async with line.up():
        await line.ready()
        line.broker.returns = False
        await stop(line)
        marker = line.broker.on(MARKER)[-1]
        line.broker.send(MARKER, marker, mid=1, retain=True)
        line.broker.send(MARKER, line.broker.on(MARKER)[0], mid=2)
        line.broker.send(MARKER, b"", mid=3)
        assert await play(line, "m-1") == "stop-all"
        line.broker.send(MARKER, marker, mid=4)
        assert await play(line, "m-2", mid=21) == "accepted"
        await stop(line)
        line.broker.send(MARKER, marker, mid=5)
        assert await play(line, "m-3", mid=22) == "stop-all"
        assert line.broker.acknowledged == [1, 2, 3, 20, 4, 21, 5, 22]


async def test_the_marker_of_a_stop_before_the_last_one_does_not_let_commands_pass(line: Line):
    async with line.up():
        await line.ready()
        line.broker.returns = False
        await stop(line)
        await stop(line, "http")
        _, first, second = line.broker.on(MARKER)
        line.broker.send(MARKER, first, mid=1)
        assert await play(line, "m-1") == "stop-all"
        line.broker.send(MARKER, second, mid=2)
        assert await play(line, "m-2", mid=21) == "accepted"


async def test_a_marker_that_had_not_come_back_when_the_connection_broke_is_sent_again(line: Line):
    async with line.up():
        await line.ready()
        line.broker.returns, line.broker.session = False, True
        await stop(line)
        line.broker.commands.cut()
        await line.broker.until(lambda: len(line.broker.on(MARKER)) == 3)
        assert await play(line, "m-1") == "stop-all"
        line.broker.send(MARKER, line.broker.on(MARKER)[1], mid=4)  # what the broker has kept
        assert await play(line, "m-2", mid=21) == "accepted"


async def test_a_stop_while_we_are_away_from_the_broker_counts_when_we_come_back(line: Line):
    async with line.up():
        await line.ready()
        line.broker.returns, line.broker.session = False, True
        line.broker.banned = {line.broker.commands.name}
        line.broker.commands.cut()
        await line.broker.until(lambda: len(line.broker.commands.connects) == 2)
        assert (await line.house.json("POST", "/v1/broadcasts/stop-all"))[0] == 200
        line.broker.banned = set()
        await line.broker.until(lambda: len(line.broker.on(MARKER)) == 2)
        assert await play(line, "m-1") == "stop-all"
        line.broker.send(MARKER, line.broker.on(MARKER)[-1], mid=4)
        assert await play(line, "m-2", mid=21) == "accepted"


# -- a marker that does not come back ----------------------------------------------------------------------------------


def losses(capsys: pytest.CaptureFixture[str]) -> int:
    return capsys.readouterr().out.count("mqtt.marker_lost")


async def test_a_broker_that_brings_no_marker_is_known_from_the_first_connection_and_keeps_nobody_deaf(line: Line, capsys):
    clock, line.broker.returns = SimulatedClock(datetime.now(UTC)), False
    async with line.up(clock=clock):
        await line.ready()
        await line.broker.until(lambda: line.broker.on(MARKER))
        assert await play(line, "m-1") == "accepted"
        await clock.advance(SILENCE_S + 1)
        assert losses(capsys) == 1
        await stop(line)
        assert await play(line, "m-2", mid=21) == "stop-all"
        await clock.advance(SILENCE_S - 1)
        assert await play(line, "m-3", mid=22) == "stop-all"
        await clock.advance(SILENCE_S - 1)
        assert await play(line, "m-4", mid=23) == "stop-all", "whatever comes may be of those that waited"
        await clock.advance(SILENCE_S)
        assert await play(line, "m-5", mid=24) == "accepted"
        assert losses(capsys) == 0


async def test_a_marker_is_not_given_up_while_slow_commands_may_be_before_it(line: Line, capsys):
    clock, slow, line.broker.returns = SimulatedClock(datetime.now(UTC)), Slow(line.house), False
    async with line.up(broadcasts=slow, clock=clock):
        await line.ready()
        await line.broker.until(lambda: line.broker.on(MARKER))
        line.broker.send(COMMANDS, await command(line, case="slow"), mid=7)
        await until(lambda: slow.begun)
        await clock.advance(3 * SILENCE_S)
        assert losses(capsys) == 0
        slow.go_on.set()
        await line.broker.until(lambda: line.broker.acknowledged == [7])
        await clock.advance(SILENCE_S - 1)
        assert losses(capsys) == 0
        await clock.advance(SILENCE_S)
        assert losses(capsys) == 1


async def test_nobody_is_deaf_for_longer_than_a_minute_whatever_comes(line: Line):
    clock = SimulatedClock(datetime.now(UTC))
    async with line.up(clock=clock):
        await line.ready()
        line.broker.returns = False
        await stop(line)
        mids = iter(range(30, 60))
        for _ in range(int(LONGEST_S / (SILENCE_S - 1)) - 1):
            await clock.advance(SILENCE_S - 1)
            assert await play(line, "m-1", mid=next(mids)) == "stop-all"
        await clock.advance(SILENCE_S - 1)
        assert await play(line, "m-1", mid=next(mids)) == "accepted"


# -- without a session of its own --------------------------------------------------------------------------------------


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [said for said in capsys.readouterr().out.splitlines() if "mqtt.stop_all_waits" in said]


@pytest.mark.parametrize("how", ["banned", "denied"])
async def test_a_stop_all_comes_by_the_session_of_commands_where_its_own_cannot_be_had(line: Line, how: str, capsys):
    setattr(line.broker, how, {line.broker.stops.name})
    async with line.up():
        await line.ready()
        assert line.broker.commands.subscribed == [STOP_ALL, MARKER, COMMANDS]
        await line.broker.until(lambda: STOP_ALL in line.broker.commands.hears)
        assert await play(line, "m-1") == "accepted"
        line.broker.send(STOP_ALL, STOP, mid=9)
        await line.broker.until(lambda: 9 in line.broker.acknowledged)
        setattr(line.broker, how, set())
        await line.broker.until(lambda: STOP_ALL in line.broker.stops.hears and STOP_ALL not in line.broker.commands.hears)
    assert answers(line)[-1]["result"] == "stopped"
    [said] = complaints(capsys)
    assert line.broker.stops.name in said
    assert STOP_ALL in said


async def test_a_session_of_stop_alls_that_is_lost_and_cannot_be_had_again_is_stood_in_for(line: Line):
    async with line.up():
        await line.ready()
        assert STOP_ALL not in line.broker.commands.hears
        line.broker.banned = {line.broker.stops.name}
        line.broker.stops.cut()
        await line.broker.until(lambda: STOP_ALL in line.broker.commands.hears)
        line.broker.banned = set()
        await line.broker.until(lambda: STOP_ALL not in line.broker.commands.hears)
        assert len(line.broker.commands.connects) == 1, "neither session loses its connection by the other's loss"


async def test_the_session_of_stop_alls_stays_while_that_of_commands_breaks(line: Line):
    async with line.up():
        await line.ready()
        line.broker.commands.cut()
        await line.ready(connections=2)
        assert len(line.broker.stops.connects) == 1


async def test_stop_alls_that_wait_at_the_broker_are_heard_before_commands_that_wait_there(line: Line):
    broker, clock = line.broker, SimulatedClock(datetime.now(UTC))
    async with line.up(clock=clock):
        await line.ready()
        broker.banned = {broker.stops.name}
        broker.stops.cut()
        await until(lambda: len(broker.stops.connects) == 5, meanwhile=lambda: clock.advance(0.1))  # the next attempt is seconds away
        await broker.until(lambda: STOP_ALL in broker.commands.hears)
        broker.banned = set()
        broker.commands.cut()
        cut_at = clock.monotonic()
        await until(lambda: broker.commands.subscribed.count(COMMANDS) == 2, meanwhile=lambda: clock.advance(0.01))
        assert clock.monotonic() - cut_at < 2, "it does not wait for that attempt"
        assert STOP_ALL in broker.stops.hears
        assert broker.commands.subscribed == [MARKER, COMMANDS, STOP_ALL, MARKER, COMMANDS]


async def test_what_an_earlier_version_subscribed_to_is_given_up_and_what_it_left_waiting_is_obeyed(line: Line):
    line.broker.session = True
    line.broker.commands.hears.add(STOP_ALL)
    async with line.up():
        await line.ready()
        assert STOP_ALL not in line.broker.commands.hears
        line.broker.send(STOP_ALL, STOP, mid=9, to=line.broker.commands)
        await line.broker.until(lambda: 9 in line.broker.acknowledged)
    assert answers(line)[-1]["result"] == "stopped"


async def test_a_network_that_breaks_does_not_pass_for_a_broker_that_takes_both_sessions_for_one(line: Line):
    broker, status = line.broker, f"{PREFIX}/status"
    with capture_logs() as said:
        async with line.up():
            await line.ready()
            broker.withhold = True
            broker.commands.cut()
            await broker.until(lambda: broker.on(status).count(b"online") == 2)  # back, and not yet told so
            broker.stops.cut()
            await until(lambda: sum(one["event"] == "mqtt.lost" for one in said) == 2)
            broker.withhold = False
            broker.acknowledge(next(one for one in reversed(broker.published) if one.topic == status), to=broker.commands)
            await broker.until(lambda: len(broker.stops.connects) == 2 and STOP_ALL in broker.stops.hears)


async def test_a_broker_that_does_not_answer_after_a_break_is_tried_again(line: Line, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.mqtt.connection.ANSWER_TIMEOUT_S", 0.2)
    async with line.up():
        await line.ready()
        line.broker.granted = None
        line.broker.stops.cut()
        await line.broker.until(lambda: len(line.broker.stops.connects) == 3)
        line.broker.granted = 1
        await line.broker.until(lambda: STOP_ALL in line.broker.stops.hears)
