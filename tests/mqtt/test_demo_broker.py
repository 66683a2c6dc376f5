"""The MQTT door with amqtt, the broker of the demo."""

import json
from collections.abc import AsyncIterator

import aiomqtt
import pytest
from amqtt.broker import Broker as Amqtt

from gateway.mqtt import Broker, Version
from tests.api.house import going
from tests.mqtt.conftest import COMMANDS, REPLY, STOP_ALL, Line, door_of
from tests.mqtt.test_commands import Slow, code_of, command
from tests.waiting import until


@pytest.fixture
async def port(unused_tcp_port: int) -> AsyncIterator[int]:
    anybody = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Amqtt({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{unused_tcp_port}"}}, "plugins": anybody})
    await broker.start()
    yield unused_tcp_port
    await broker.shutdown()


async def test_states_events_and_a_command_go_through_the_demos_broker(line: Line, port: int):
    async with aiomqtt.Client("127.0.0.1", port) as platform:
        await platform.subscribe("gateway/v1/#", qos=1)
        async with going(door_of(line.house, Broker("127.0.0.1", port, versions=(Version.V3_1_1,))).run):
            wanted = {f"gateway/v1/devices/{device}/state" for device in line.house.services.city.devices} | {"gateway/v1/status"}
            sent = False
            async for message in platform.messages:
                wanted.discard(message.topic.value)
                if not wanted and not sent:
                    wanted, sent = {"gateway/v1/events/broadcast.accepted", REPLY}, True
                    await platform.publish(COMMANDS, await command(line), qos=1)
                if message.topic.value == REPLY:
                    answer = json.loads(message.payload)
                if sent and not wanted:
                    break
    assert (answer["id"], answer["result"]) == ("m-1", "accepted")


async def test_a_stop_all_passes_commands_that_wait_at_the_demos_broker(line: Line, port: int, capsys):
    slow = Slow(line.house)
    payload = await command(line, case="slow")
    async with aiomqtt.Client("127.0.0.1", port) as platform:
        await platform.subscribe(REPLY, qos=1)
        door = door_of(line.house, Broker("127.0.0.1", port), broadcasts=slow)
        async with going(door.run):
            await until(lambda: door.connected)
            for number in range(100):
                await platform.publish(COMMANDS, payload.replace(b'"m-1"', f'"m-{number}"'.encode()), qos=1)
            await until(lambda: slow.begun)
            await platform.publish(STOP_ALL, b"{}", qos=1)
            answers = aiter(platform.messages)
            refused = [json.loads((await anext(answers)).payload) for _ in range(100)]
            await platform.publish(COMMANDS, await command(line, id="after"), qos=1)
            after = json.loads((await anext(answers)).payload)
    assert ({code_of(one) for one in refused}, after["result"]) == ({"stop-all"}, "accepted")
    assert slow.begun == ["m-0", "after"]
    assert "mqtt.marker_lost" not in capsys.readouterr().out
