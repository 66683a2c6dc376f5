"""What goes out: every event once in order, each device's state retained, and after any break on from where it stopped."""

import json
from pathlib import Path

from sqlalchemy import delete, update

from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Standing
from gateway.mqtt.publishing import BATCH
from gateway.mqtt.topics import Topics
from gateway.storage.events import event_head, events
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, open_house
from tests.mqtt.conftest import Line
from tests.mqtt.wire import listening

EVENTS = "gateway/v1/events/device.state"


def cursors(line: Line, topic: str = EVENTS) -> list[int]:
    return [json.loads(payload)["cursor"] for payload in line.broker.on(topic)]


async def test_a_broker_that_knows_nothing_is_told_every_state_retained(line: Line):
    line.house.services.board.put(Standing(CAMERA, HealthState.UP, line.house.clock.now()))
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
    assert {message.topic for message in line.broker.published} == {
        f"gateway/v1/devices/{device}/state" for device in line.house.services.city.devices
    }
    assert all(message.retain for message in line.broker.published)
    [state] = line.broker.on(f"gateway/v1/devices/{CAMERA}/state")
    assert json.loads(state)["state"] == "up"


async def test_events_go_out_in_order_and_a_change_of_state_is_retained_too(line: Line):
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
        await line.house.emit(*(line.house.event(CAMERA, after="down" if n % 2 else "up", reason="refused") for n in range(3 * BATCH)))
        await line.broker.until(lambda: len(line.broker.published) == 7 + 6 * BATCH)
    assert cursors(line) == list(range(1, 3 * BATCH + 1))
    states = line.broker.on(f"gateway/v1/devices/{CAMERA}/state")
    assert json.loads(states[-1]) == json.loads(states[-1]) | {"state": "down", "reason": "refused"}
    assert not any(message.retain for message in line.broker.published if message.topic == EVENTS)


async def test_what_was_not_acknowledged_comes_again_after_a_break_and_nothing_else_does(line: Line):
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
        await line.house.emit(line.house.event("a"), line.house.event("b"))
        await line.broker.until(lambda: len(cursors(line)) == 2)
        await line.house.services.store.writer.write(_nothing, lane=Lane.STOP)
        line.broker.withhold = True
        await line.house.emit(line.house.event("c"), line.house.event("d"))
        await line.broker.until(lambda: len(cursors(line)) == 4)
        line.broker.withhold, line.broker.session = False, True
        line.broker.cut()
        await line.broker.until(lambda: len(cursors(line)) == 6)
        await line.house.emit(line.house.event("e"))
        await line.broker.until(lambda: len(cursors(line)) == 7)
    assert cursors(line) == [1, 2, 3, 4, 3, 4, 5]


async def test_a_new_life_of_the_daemon_goes_on_where_the_last_one_stopped(line: Line):
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
        await line.house.emit(line.house.event("a"))
        await line.broker.until(lambda: cursors(line) == [1])
        await line.house.services.store.writer.write(_nothing, lane=Lane.STOP)
    await line.house.emit(line.house.event("while nobody listened"))
    line.broker.session = True
    async with line.up():
        await line.broker.until(lambda: len(cursors(line)) > 1)
    assert cursors(line)[-1] == 2
    assert cursors(line).count(2) == 1


async def test_a_broker_that_lost_its_memory_is_told_every_state_again(line: Line):
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
        line.broker.cut()
        await line.broker.until(lambda: len(line.broker.published) == 14)
        line.broker.session = True
        line.broker.cut()
        await line.broker.until(lambda: len(line.broker.connects) == 3)
        await line.house.emit(line.house.event("x"))
        await line.broker.until(lambda: len(line.broker.published) == 15)


async def test_a_device_that_is_no_more_is_taken_back_and_a_new_one_announced(line: Line):
    city = line.house.services.city
    async with line.up():
        await line.broker.until(lambda: len(line.broker.published) == 7)
        stay = [device for device in city.devices.values() if device.id != CAMERA]
        city.replace(devices=stay, groups=city.groups.values(), zones=city.zones.values())
        await line.house.emit(line.house.event("anything"))
        await line.broker.until(lambda: line.broker.on(EVENTS))
    assert line.broker.on(f"gateway/v1/devices/{CAMERA}/state")[-1] == b""


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


async def test_ids_cannot_climb_out_of_their_level(line: Line):
    topics = Topics("gateway/v1")
    assert topics.state(DeviceId("a/b+#")) == "gateway/v1/devices/a%2Fb%2B%23/state"


async def _nothing(_tx) -> None:
    """A change that comes after all that were asked for before it."""


async def _forget_three(tx) -> None:
    await tx.conn.execute(delete(events).where(events.c.cursor <= 3))
    await tx.conn.execute(update(event_head).values(floor=3))
