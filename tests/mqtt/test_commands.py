"""What comes in: done at most once, answered, and acknowledged to the broker only after the commit."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.topics import Topics
from tests.api.test_broadcasts import clip_of
from tests.mqtt.conftest import Line

COMMANDS, REPLY = "gateway/v1/commands/broadcasts", "gateway/v1/replies/platform"


async def command(line: Line, **changes) -> bytes:
    soon = (line.house.clock.now() + timedelta(seconds=30)).isoformat()
    body = {"id": "m-1", "clip": await clip_of(line.house), "targets": {"speakers": ["spk-1"]}, "not_after": soon, "reply_to": REPLY}
    return json.dumps(body | changes).encode()


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
        await line.broker.until(lambda: line.broker.subscribed)
        answer = await answer_to(line, await command(line))
    assert (answer["id"], answer["result"], list(answer["broadcast"]["speakers"])) == ("m-1", "accepted", ["spk-1"])
    _, shown = await line.house.json("GET", "/v1/broadcasts/m-1")
    assert shown["actor"] == "system:mqtt"


async def test_a_command_that_comes_again_is_done_once_and_told_what_came_of_it(line: Line):
    async with line.up():
        await line.broker.until(lambda: line.broker.subscribed)
        payload = await command(line)
        await answer_to(line, payload)
        again = await answer_to(line, payload, mid=8, again=True)
    assert again["result"] == "seen-before"
    _, page = await line.house.json("GET", "/v1/broadcasts")
    assert len(page["items"]) == 1


async def test_no_acknowledgement_goes_out_before_the_answer_has_arrived(line: Line):
    async with line.up():
        payload = await command(line)
        await line.broker.until(lambda: line.broker.subscribed and line.broker.on("gateway/v1/events/broadcast.clip-added"))
        line.broker.withhold = True
        line.broker.send(COMMANDS, payload, mid=7)
        await line.broker.until(lambda: line.broker.on(REPLY))
        assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 200
        assert line.broker.acknowledged == []
        line.broker.withhold, line.broker.session = False, True
        line.broker.cut()
        await line.broker.until(lambda: len(line.broker.subscribed) == 2)
        answer = await answer_to(line, payload, mid=7, again=True)
    assert answer["result"] == "seen-before"


async def test_nothing_is_acknowledged_while_the_store_does_not_take_it(line: Line, tmp_path: Path):
    async with line.up():
        payload = await command(line)
        await line.broker.until(lambda: line.broker.subscribed and line.broker.on("gateway/v1/events/broadcast.clip-added"))
        async with locked(tmp_path / "gateway.db"):
            line.broker.send(COMMANDS, payload, mid=7)
            writer = line.house.services.store.writer
            while not writer.depth and not writer.failures:  # the command has come as far as the disk
                await line.house.json("GET", "/healthz")
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
        await line.broker.until(lambda: line.broker.subscribed)
        answer = await answer_to(line, await command(line, **changes))
    assert (answer["result"], answer["problem"]["code"]) == ("refused", code)


async def test_a_retained_command_is_refused_however_right_it_is(line: Line):
    async with line.up():
        await line.broker.until(lambda: line.broker.subscribed)
        answer = await answer_to(line, await command(line), retain=True)
    assert (answer["result"], answer["problem"]["code"]) == ("refused", "retained")
    assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


async def test_another_order_under_a_known_id_is_refused(line: Line):
    async with line.up():
        await line.broker.until(lambda: line.broker.subscribed)
        await answer_to(line, await command(line))
        answer = await answer_to(line, await command(line, case="another"), mid=8)
    assert (answer["result"], answer["problem"]["code"]) == ("refused", "id-reused")


@pytest.mark.parametrize("payload", [b"", b"\xff\x00", b"[1]", b"[" * 60_000, b"x" * 70_000, b'{"reply_to": 7}'])
async def test_garbage_is_acknowledged_and_harms_nobody(line: Line, payload: bytes):
    async with line.up():
        await line.broker.until(lambda: line.broker.subscribed)
        line.broker.send(COMMANDS, payload, mid=3)
        await line.broker.until(lambda: line.broker.acknowledged == [3])
        assert (await answer_to(line, await command(line)))["result"] == "accepted"


@pytest.mark.parametrize(
    "topic",
    [
        "elsewhere/x",
        "gateway/v1",
        "gateway/v10/x",
        COMMANDS,
        "gateway/v1/devices/cam-1/state",
        "gateway/v1/events/x",
        "gateway/v1/+",
        "#",
        "",
    ],
)
async def test_no_answer_goes_where_it_could_be_taken_for_something_else(line: Line, topic: str):
    async with line.up():
        await line.broker.until(lambda: line.broker.subscribed and len(line.broker.published) == 7)
        line.broker.send(COMMANDS, await command(line, reply_to=topic), mid=3)
        await line.broker.until(lambda: line.broker.acknowledged == [3])
    assert line.broker.on(topic) == [] or topic.startswith("gateway/v1/devices/")
    assert (await line.house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


@given(st.text(max_size=40))
def test_an_answer_never_leaves_the_prefix(topic: str):
    for wanted in (topic, f"gateway/v1/{topic}"):
        if Topics("gateway/v1").may_answer_on(wanted):
            assert wanted.startswith("gateway/v1/")
            assert not set(wanted) & set("+#\0")
            assert not wanted.startswith(("gateway/v1/devices/", "gateway/v1/events/", "gateway/v1/commands/"))


async def test_a_broker_that_denies_commands_still_gets_the_events(line: Line):
    line.broker.granted = 0x80
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
        await line.house.emit(line.house.event())
        await line.broker.until(lambda: line.broker.on("gateway/v1/events/device.state"))
