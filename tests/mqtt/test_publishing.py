"""What goes out: every event in order, each device's state retained, and after any break on from where it stopped."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Person
from gateway.domain.health import HealthState, Standing
from gateway.domain.maintenance import Places
from gateway.incidents.maintenance import Wish
from gateway.mqtt import Broker
from gateway.mqtt.publishing import BATCH
from gateway.mqtt.topics import level
from gateway.storage.events import event_head, events
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, SPEAKER, going, open_house
from tests.mqtt.conftest import Line, door_of
from tests.mqtt.wire import listening
from tests.waiting import until

EVENTS = "gateway/v1/events/device.state"


def cursors(line: Line, topic: str = EVENTS) -> list[int]:
    return [json.loads(payload)["cursor"] for payload in line.broker.on(topic)]


def told(line: Line, device: str = CAMERA) -> list[dict]:
    """What the broker was told of a device, in order; `{}` where it was taken back."""
    return [json.loads(payload or b"{}") for payload in line.broker.on(f"gateway/v1/devices/{device}/state")]


async def test_every_connection_begins_with_all_states_retained(line: Line):
    line.house.services.board.put(Standing(CAMERA, HealthState.UP, line.house.clock.now()))
    async with line.up():
        await line.ready()
        line.broker.session = True  # what it has kept of us may be of long ago
        line.broker.commands.cut()
        await line.ready(connections=2)
    assert {message.topic for message in line.states()} == {
        f"gateway/v1/devices/{device}/state" for device in line.house.services.city.devices
    }
    assert all(message.retain for message in line.states())
    assert [state["state"] for state in told(line)] == ["up", "up"]
    assert told(line, "spk-1")[0]["state"] == "unknown"


async def test_events_go_out_in_order_and_are_not_retained(line: Line):
    async with line.up():
        await line.ready()
        await line.house.emit(*(line.house.event(n=n) for n in range(3 * BATCH)))
        await line.broker.until(lambda: len(cursors(line)) == 3 * BATCH)
    assert cursors(line) == list(range(1, 3 * BATCH + 1))
    assert not any(message.retain for message in line.broker.published if message.topic == EVENTS)


async def test_a_change_of_state_is_told_at_once_and_only_once(line: Line):
    board, now = line.house.services.board, line.house.clock.now()
    async with line.up():
        await line.ready()
        board.put(Standing(CAMERA, HealthState.DOWN, now, "refused", "reach"))
        await line.house.emit(*(line.house.event() for _ in range(5)))
        await line.broker.until(lambda: len(told(line)) == 2)
        board.put(Standing(CAMERA, HealthState.DOWN, now, "refused", "reach", facts={"reach": {"took_ms": 4}}))
        await line.house.emit(line.house.event(), line.house.event("last", "test.last"))
        await line.broker.until(lambda: line.broker.on("gateway/v1/events/test.last"))
    beside = {"muted": False, "suppressed_by": None, "incident": None}
    assert told(line)[1:] == [
        {"device": CAMERA, "state": "down", "since": now.isoformat(), "reason": "refused", "check": "reach", **beside}
    ]


async def test_what_stands_beside_a_state_is_told_when_it_changes(line: Line):
    async with line.up():
        await line.ready()
        wish = Wish(Places(devices=frozenset({CAMERA})), end=line.house.clock.now() + timedelta(days=1))
        await line.house.services.maintenance.create(wish, by=Person(SYSTEM, ""))
        await line.broker.until(lambda: len(told(line)) == 2)
    assert (told(line)[-1]["muted"], told(line)[-1]["suppressed_by"], told(line)[-1]["incident"]) == (True, None, None)


async def test_a_state_that_no_event_tells_of_is_found_by_looking_around(line: Line):
    async with line.up():
        await line.ready()
        line.house.services.board.put(Standing(CAMERA, HealthState.UP, line.house.clock.now()))
        await line.broker.until(lambda: len(told(line)) == 2)
    assert told(line)[-1]["state"] == "up"


async def test_what_was_not_acknowledged_comes_again_after_a_break_and_nothing_else_does(line: Line):
    async with line.up():
        await line.ready()
        await line.house.emit(line.house.event("a"), line.house.event("b"))
        await line.broker.until(lambda: len(cursors(line)) == 2)
        await line.house.emit(line.house.event("c", "test.between"))
        await line.broker.until(lambda: line.broker.on("gateway/v1/events/test.between"))
        line.broker.withhold = True
        await line.house.emit(line.house.event("d"), line.house.event("e"))
        await line.broker.until(lambda: len(cursors(line)) == 4)
        line.broker.withhold, line.broker.session = False, True
        line.broker.commands.cut()
        await line.broker.until(lambda: len(cursors(line)) == 6)
        await line.house.emit(line.house.event("f"))
        await line.broker.until(lambda: len(cursors(line)) == 7)
    assert cursors(line) == [1, 2, 4, 5, 4, 5, 6]


async def test_a_new_life_of_the_daemon_goes_on_where_the_last_one_stopped(line: Line):
    async with line.up():
        await line.ready()
        await line.house.emit(line.house.event("a"))
        await until(lambda: _reader(line), wanted=lambda cursor: cursor == 1)
    await line.house.emit(line.house.event("while nobody listened"))
    async with line.up():
        await line.broker.until(lambda: len(cursors(line)) > 1)
    assert cursors(line) == [1, 2]


async def test_what_happens_before_the_first_connection_is_not_lost(line: Line, tmp_path: Path, template: Path):
    door = door_of(line.house, Broker("127.0.0.1", 1))
    async with going(door.run):
        await until(lambda: _reader(line), wanted=lambda cursor: cursor is not None)
        await line.house.emit(line.house.event("early"))
    async with line.up():
        await line.broker.until(lambda: cursors(line))
    assert cursors(line) == [1]


async def test_a_device_that_is_no_more_is_taken_back_and_a_new_one_announced(line: Line):
    city = line.house.services.city
    others = [device for device in city.devices.values() if device.id != CAMERA]
    new = replace(city.devices[CAMERA], id=DeviceId("cam-new"))
    async with line.up():
        await line.ready()
        city.replace(devices=[*others, new], groups=city.groups.values(), zones=city.zones.values())
        await line.broker.until(lambda: told(line, "cam-new") and len(told(line)) == 2)
    assert told(line)[-1] == {}


async def test_a_device_that_went_while_the_daemon_was_down_is_taken_back(line: Line):
    async with line.up():
        await line.ready()
        removed = line.house.event("city.yaml", "inventory.imported", removed_devices=["long-gone", SPEAKER])
        await line.house.emit(removed)
        await line.broker.until(lambda: told(line, "long-gone"))
        await line.broker.until(lambda: len(told(line, SPEAKER)) == 2)
    assert told(line, "long-gone") == [{}]
    assert told(line, SPEAKER)[1] != {}, "this one is still there"


async def test_a_reader_that_retention_has_passed_says_so_and_goes_on(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template) as before:
        await before.emit(*(before.event(str(n)) for n in range(5)))
        await before.services.store.writer.write(lambda tx: tx.readers.advance("mqtt:city-gateway", 1), lane=Lane.STOP)
        await before.services.store.writer.write(_forget_three, lane=Lane.STOP)
    async with open_house(tmp_path, template) as house, listening() as broker:
        line = Line(house, broker)
        async with line.up():
            await broker.until(lambda: len(cursors(line)) == 2)
        [gap] = broker.on("gateway/v1/events/gap")
        assert json.loads(gap)["data"] == {"oldest": 3}
        assert cursors(line) == [4, 5]


async def test_a_reader_that_is_ahead_of_a_restored_log_says_so_and_goes_on(line: Line):
    await line.house.services.store.writer.write(lambda tx: tx.readers.advance("mqtt:city-gateway", 900), lane=Lane.STOP)
    async with line.up():
        await line.broker.until(lambda: line.broker.on("gateway/v1/events/gap"))
        await line.house.emit(line.house.event("x"))
        await line.broker.until(lambda: cursors(line))
    assert cursors(line) == [1]


@pytest.mark.parametrize("it", ["says so", "hangs up", "keeps silent"])
async def test_a_broker_that_knows_no_mqtt_5_is_spoken_to_in_its_own_version(line: Line, it, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.mqtt.connection.ANSWER_TIMEOUT_S", 1.0)
    line.broker.to_v5 = it
    async with line.up():
        await line.ready()
    assert (line.broker.refused, len(line.broker.commands.connects), line.broker.commands.connects[0][6]) == (2, 1, 4)
    assert "mqtt.unreachable" not in capsys.readouterr().out


async def test_the_broker_is_told_that_we_came_and_that_we_went(line: Line):
    async with line.up():
        await line.ready()
    assert [message.payload for message in line.broker.published if message.topic == "gateway/v1/status"] == [b"online", b"offline"]
    will = b"\x00\x11gateway/v1/status\x00\x07offline"
    assert will in line.broker.commands.connects[0]
    assert line.broker.commands.connects[0][7] & 0b0010_1110 == 0b0010_1100, "a retained will of QoS 1, and a session that lasts"


@given(st.text(max_size=60))
def test_an_id_is_one_level_of_a_topic_and_no_two_are_the_same(name: str):
    encoded = level(name)
    assert encoded and not set(encoded) & set("/+#\0")
    encoded.encode()
    if name:
        assert unquote(encoded, errors="surrogatepass") == name


async def _reader(line: Line) -> int | None:
    async with line.house.services.store.read() as tx:
        return await tx.readers.cursor("mqtt:city-gateway")


async def _forget_three(tx) -> None:
    await tx.conn.execute(delete(events).where(events.c.cursor <= 3))
    await tx.conn.execute(update(event_head).values(floor=3))
