"""The MQTT door against mosquitto: passwords, TLS and ACL; a restart in the middle; a command that comes twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import aiomqtt
import pytest

from gateway.clock import SystemClock
from gateway.config import Mqtt
from gateway.mqtt import Broker, MqttDoor, Version
from gateway.mqtt.broadcasts import Broadcasts
from gateway.mqtt.connection import UNACKNOWLEDGED_MAX
from gateway.notify.channels import make_channel
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.channels.settings import MqttSettings
from gateway.notify.wording import Scribe
from tests.api.conftest import template
from tests.api.house import House, going, open_house
from tests.api.test_broadcasts import clip_of
from tests.interop import mosquitto
from tests.interop.mosquitto import USERS, Mosquitto
from tests.mqtt.conftest import COMMANDS, REPLY, STOP_ALL, door_of
from tests.mqtt.test_commands import Slow, code_of
from tests.waiting import until

__all__ = ["template"]

pytestmark = pytest.mark.interop


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    async with mosquitto.running(folder) as running:
        yield running


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, template, clock=SystemClock()) as opened:
        yield opened


def settings_of(broker: Mosquitto, *, password: str = USERS["gateway"], port: int | None = None) -> Broker:
    """The broker as the configuration of a city would have it."""
    secret = broker.folder / "gateway-password"
    secret.write_text(password + "\n")
    url = f"mqtts://127.0.0.1:{port or broker.port}"
    return Broker.of(Mqtt(url=url, username="gateway", password_file=secret, ca_file=broker.ca))


@asynccontextmanager
async def connected(house: House, broker: Broker, *, broadcasts: Broadcasts | None = None) -> AsyncIterator[MqttDoor]:
    door = door_of(house, broker, broadcasts=broadcasts)
    async with going(door.run):
        await until(lambda: door.connected)
        yield door


async def command(house: House, **changes) -> bytes:
    soon = (house.clock.now() + timedelta(seconds=50)).isoformat()
    body = {"id": "m-1", "clip": await clip_of(house), "targets": {"speakers": ["spk-1"]}, "not_after": soon, "reply_to": REPLY}
    return json.dumps(body | changes).encode()


async def heard(client: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    """The next `count` messages."""
    found: list[aiomqtt.Message] = []
    async with asyncio.timeout(60):
        async for message in client.messages:
            found.append(message)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("version", list(Version))
async def test_states_events_and_a_command_go_through_passwords_tls_and_acl(house: House, broker: Mosquitto, version: Version):
    async with broker.client("platform") as platform:
        await platform.subscribe("gateway/v1/#", qos=1)
        async with connected(house, replace(settings_of(broker), versions=(version,))):
            [came, *states] = await heard(platform, 1 + len(house.services.city.devices))
            assert (came.topic.value, came.payload) == ("gateway/v1/status", b"online")
            assert {message.topic.value for message in states} == {f"gateway/v1/devices/{one}/state" for one in house.services.city.devices}
            await platform.publish(COMMANDS, await command(house), qos=1)
            answer: dict = {}
            while not answer:
                [message] = await heard(platform, 1)
                if message.topic.value == REPLY:
                    answer = json.loads(message.payload)
    assert (answer["id"], answer["result"]) == ("m-1", "accepted")
    async with broker.client("viewer") as late:
        await late.subscribe("gateway/v1/devices/+/state", qos=1)
        assert all(message.retain for message in await heard(late, len(house.services.city.devices)))


async def test_an_alert_goes_out_by_the_same_connection_and_fails_with_a_reason_without_it(house: House, broker: Mosquitto):
    async with broker.client("viewer") as watcher:
        await watcher.subscribe("gateway/v1/alerts/#", qos=1)
        async with connected(house, settings_of(broker)) as door:
            channel = make_channel("platform", MqttSettings(kind="mqtt"), clock=SystemClock(), publish=door.publish)
            await channel.send(Scribe("zh", UTC).test("T-1", "platform", house.clock.now()))
            heard = await asyncio.wait_for(anext(aiter(watcher.messages)), 60)
        with pytest.raises(ChannelFailed, match="not connected"):
            await channel.send(Scribe("zh", UTC).test("T-2", "platform", house.clock.now()))
    assert str(heard.topic) == "gateway/v1/alerts/platform"
    assert (json.loads(heard.payload)["id"], heard.retain) == ("T-1", False)


async def test_a_wrong_password_and_an_unknown_ca_keep_us_out_and_say_so(house: House, broker: Mosquitto, capsys):
    for wrong in (settings_of(broker, password="nonsense"), _without_ca(broker)):
        door = door_of(house, wrong)
        async with going(door.run):
            said = await _said(capsys, "mqtt.unreachable")
        assert not door.connected
        assert "nonsense" not in said


def _without_ca(broker: Mosquitto) -> Broker:
    return Broker.of(Mqtt(url=f"mqtts://127.0.0.1:{broker.port}", username="gateway"))


async def test_who_may_not_command_is_not_heard(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform, connected(house, settings_of(broker)):
        await platform.subscribe(REPLY, qos=1)
        async with broker.client("viewer") as viewer:
            await viewer.publish(COMMANDS, await command(house, id="forged"), qos=1)
        await platform.publish(COMMANDS, await command(house), qos=1)
        [message] = await heard(platform, 1)
    assert json.loads(message.payload)["id"] == "m-1"
    assert (await house.json("GET", "/v1/broadcasts/forged"))[0] == 404


async def test_an_expired_command_that_waited_for_us_at_the_broker_is_refused(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform:
        await platform.subscribe(REPLY, qos=1)
        async with connected(house, settings_of(broker)):
            await _until_answered(broker)  # from now on the broker keeps what comes for us
        soon = house.clock.now() + timedelta(seconds=1)
        await platform.publish(COMMANDS, await command(house, not_after=soon.isoformat()), qos=1)
        await until(lambda: house.clock.now() > soon)
        async with connected(house, settings_of(broker)):
            [message] = await heard(platform, 1)
    assert code_of(json.loads(message.payload)) == "expired"


async def test_stop_all_silences_by_the_broker_and_a_viewer_cannot(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform, broker.client("viewer") as viewer, connected(house, settings_of(broker)):
        await platform.subscribe("gateway/v1/replies/#", qos=1)
        await viewer.publish(STOP_ALL, b'{"id": "forged"}', qos=1)
        await platform.publish(COMMANDS, await command(house), qos=1)
        [accepted] = await heard(platform, 1)
        await platform.publish(STOP_ALL, json.dumps({"id": "s-1", "reply_to": REPLY}), qos=1)
        [stopped] = await heard(platform, 1)
    assert json.loads(accepted.payload)["result"] == "accepted"
    assert (json.loads(stopped.payload)["id"], json.loads(stopped.payload)["result"]) == ("s-1", "stopped")
    _, shown = await house.json("GET", "/v1/broadcasts/m-1")
    assert not shown["open"]


def test_the_broker_of_the_example_gives_us_as_many_commands_at_once_as_we_take():
    told = (mosquitto.EXAMPLE / "mosquitto.conf").read_text().splitlines()
    assert f"max_inflight_messages {UNACKNOWLEDGED_MAX}" in told


@pytest.mark.parametrize("sent_at_once", [20, 200])
@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("way", ["mqtt", "http"])
async def test_a_stop_is_obeyed_at_once_though_a_thousand_slow_commands_are_before_it(
    house: House, tmp_path: Path, way: str, version: Version, sent_at_once: int, capsys
):
    async with mosquitto.running(tmp_path, unacknowledged_max=sent_at_once) as broker:
        await _stop_behind_a_thousand(house, broker, replace(settings_of(broker), versions=(version,)), way)
    said = capsys.readouterr().out
    assert (said.count("mqtt.connected"), "mqtt.lost" in said, "mqtt.marker_lost" in said) == (2, False, False)


async def _stop_behind_a_thousand(house: House, broker: Mosquitto, settings: Broker, way: str) -> None:
    slow = Slow(house)
    payload = await command(house, case="slow")
    async with broker.client("platform") as platform, connected(house, settings, broadcasts=slow):
        await platform.subscribe(REPLY, qos=1)
        for number in range(1_000):
            await platform.publish(COMMANDS, payload.replace(b'"m-1"', f'"m-{number}"'.encode()), qos=1)
        await until(lambda: slow.begun)
        if way == "mqtt":
            await platform.publish(STOP_ALL, json.dumps({"id": "s-1"}), qos=1)
            await until(lambda: house.services.broadcasts.stops)
        else:
            assert (await house.json("POST", "/v1/broadcasts/stop-all"))[0] == 200
        refused = [json.loads(message.payload) for message in await heard(platform, 1_000)]
        await platform.publish(COMMANDS, await command(house, id="after"), qos=1)
        [after] = await heard(platform, 1)
    assert json.loads(after.payload)["result"] == "accepted"
    assert slow.begun == ["m-0", "after"], "what was sent before the stop is not begun after it"
    assert sorted(one["id"] for one in refused) == sorted(f"m-{number}" for number in range(1_000))
    assert {code_of(one) for one in refused} == {"stop-all"}


@pytest.mark.parametrize("version", list(Version))
async def test_a_broker_whose_acl_keeps_the_marker_back_is_told_of_and_commands_are_heard(
    house: House, tmp_path: Path, version: Version, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.mqtt.marker.SILENCE_S", 0.5)
    monkeypatch.setattr("gateway.mqtt.marker.LONGEST_S", 1.0)
    async with (
        mosquitto.running(tmp_path, forbidden="topic write gateway/v1/commands/marker") as broker,
        broker.client("platform") as platform,
        connected(house, replace(settings_of(broker), versions=(version,))),
    ):
        await platform.subscribe(REPLY, qos=1)
        await _said(capsys, "mqtt.marker_lost")
        await platform.publish(STOP_ALL, json.dumps({"id": "s-1", "reply_to": REPLY}), qos=1)
        await heard(platform, 1)
        ids = iter(range(1_000))

        async def play() -> str:
            await platform.publish(COMMANDS, await command(house, id=f"m-{next(ids)}"), qos=1)
            [answer] = await heard(platform, 1)
            return json.loads(answer.payload)["result"]

        await until(play, wanted=lambda result: result == "accepted")


async def test_a_stop_all_that_was_sent_while_we_were_away_comes_before_the_commands(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform:
        await platform.subscribe(REPLY, qos=1)
        async with connected(house, settings_of(broker)):
            await _until_answered(broker)
        for number in range(3):
            await platform.publish(COMMANDS, await command(house, id=f"m-{number}"), qos=1)
        await platform.publish(STOP_ALL, json.dumps({"id": "s-1", "reply_to": REPLY}), qos=1)
        async with connected(house, settings_of(broker)):
            answers = [json.loads(message.payload) for message in await heard(platform, 4)]
    assert (answers[0]["id"], answers[0]["result"]) == ("s-1", "stopped")
    assert {code_of(one) for one in answers[1:]} == {"stop-all"}


@pytest.mark.parametrize("version", list(Version))
async def test_a_broker_that_takes_both_sessions_for_one_still_has_a_stop_all_obeyed(
    house: House, tmp_path: Path, version: Version, capsys
):
    async with (
        mosquitto.running(tmp_path, more="use_username_as_clientid true") as broker,
        broker.client("platform") as platform,
        connected(house, replace(settings_of(broker), versions=(version,))) as door,
    ):
        await platform.subscribe(REPLY, qos=1)
        said = await _said(capsys, "mqtt.stop_all_waits")
        await platform.publish(STOP_ALL, json.dumps({"id": "s-1", "reply_to": REPLY}), qos=1)
        [stopped] = await heard(platform, 1)
        assert door.connected
    assert json.loads(stopped.payload)["result"] == "stopped"
    assert (said + capsys.readouterr().out).count("mqtt.connected") <= 4, "neither session ends the other again and again"


async def test_the_broker_says_that_we_are_gone_when_we_cannot(house: House, broker: Mosquitto):
    async with broker.client("viewer") as viewer, Proxy.before(broker) as proxy, connected(house, settings_of(broker, port=proxy.port)):
        await viewer.subscribe("gateway/v1/status", qos=1)
        proxy.cut()
        said = [bytes(message.payload) for message in await heard(viewer, 3)]
    assert said == [b"online", b"offline", b"online"]


async def test_a_retained_command_is_refused_when_we_come_to_it_later(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform:
        await platform.subscribe(REPLY, qos=1)
        await platform.publish(COMMANDS, await command(house), qos=1, retain=True)
        async with connected(house, settings_of(broker)):
            [message] = await heard(platform, 1)
    assert code_of(json.loads(message.payload)) == "retained"
    assert (await house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


async def test_a_command_with_the_retain_flag_is_refused_while_we_listen_too(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform, connected(house, settings_of(broker)):
        await platform.subscribe(REPLY, qos=1)
        await platform.publish(COMMANDS, await command(house), qos=1, retain=True)
        [message] = await heard(platform, 1)
    assert code_of(json.loads(message.payload)) == "retained"
    assert (await house.json("GET", "/v1/broadcasts/m-1"))[0] == 404


async def test_a_restart_of_the_broker_loses_no_event_and_keeps_their_order(house: House, broker: Mosquitto):
    async def listen(found: list[int], want: int) -> None:
        while len(set(found)) < want:
            try:
                async with broker.client("platform", identifier="listener") as listener:
                    await listener.subscribe("gateway/v1/events/device.state", qos=1)
                    while len(set(found)) < want:
                        [message] = await heard(listener, 1)
                        found.append(json.loads(message.payload)["data"]["n"])
            except aiomqtt.MqttError:
                await until(broker.listens)

    found: list[int] = []
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        listening = group.create_task(listen(found, 60))
        async with connected(house, settings_of(broker)) as door:
            for n in range(60):
                await house.emit(house.event(n=n))
                if n == 20:
                    await broker.stop()
                if n == 40:
                    await broker.start()
            await listening
            assert door.connected
    first = list(dict.fromkeys(found))
    assert first == list(range(60))


async def test_a_command_that_was_done_and_not_acknowledged_comes_again_and_is_not_done_again(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform, Proxy.before(broker) as proxy:
        await platform.subscribe(REPLY, qos=1)
        async with connected(house, settings_of(broker, port=proxy.port)):
            payload = await command(house)
            proxy.mute = True
            await platform.publish(COMMANDS, payload, qos=1)
            await until(lambda: _is_known(house, "m-1"))
            proxy.mute = False
            proxy.cut()
            [message] = await heard(platform, 1)
    assert json.loads(message.payload)["result"] == "seen-before"
    _, page = await house.json("GET", "/v1/broadcasts")
    assert len(page["items"]) == 1


async def test_a_daemon_that_died_between_commit_and_acknowledgement_does_nothing_twice(house: House, broker: Mosquitto):
    async with broker.client("platform") as platform:
        await platform.subscribe(REPLY, qos=1)
        async with Proxy.before(broker) as proxy, connected(house, settings_of(broker, port=proxy.port)):
            payload = await command(house)
            proxy.mute = True
            await platform.publish(COMMANDS, payload, qos=1)
            await until(lambda: _is_known(house, "m-1"))
            proxy.cut(for_good=True)
        async with connected(house, settings_of(broker)):
            [message] = await heard(platform, 1)
    assert json.loads(message.payload)["result"] == "seen-before"
    _, page = await house.json("GET", "/v1/broadcasts")
    assert len(page["items"]) == 1


async def _said(capsys: pytest.CaptureFixture[str], words: str) -> str:
    """What the log has said by the time that it says `words`."""
    said: list[str] = []

    async def heard_yet() -> bool:
        said.append(capsys.readouterr().out)
        return words in "".join(said)

    await until(heard_yet)
    return "".join(said)


async def _until_answered(broker: Mosquitto) -> None:
    """Return when a command has been answered, be it one that nobody can read: the gateway has subscribed then."""
    async with broker.client("platform") as asking:
        await asking.subscribe("gateway/v1/replies/#", qos=1)
        answer = asyncio.create_task(heard(asking, 1))
        await until(answer.done, meanwhile=lambda: asking.publish(COMMANDS, b"?", qos=1))
        await answer


async def _is_known(house: House, broadcast: str) -> bool:
    status, _ = await house.json("GET", f"/v1/broadcasts/{broadcast}")
    return status == 200


class Proxy:
    """Stands between the door and the broker: `mute` holds back what the door says, `cut` breaks every connection."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.mute = False
        self._dead = False
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    @asynccontextmanager
    async def before(cls, broker: Mosquitto) -> AsyncIterator["Proxy"]:
        proxy = cls(broker.port)
        async with await asyncio.start_server(proxy._serve, "127.0.0.1", 0) as server:
            proxy.port = server.sockets[0].getsockname()[1]
            yield proxy
            proxy.cut()

    def cut(self, *, for_good: bool = False) -> None:
        self._dead = self._dead or for_good
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._dead:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass(reader, back, door=True))
            group.create_task(self._pass(there, writer, door=False))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, door: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if not (door and self.mute):
                    writer.write(data)
        except ConnectionError:
            pass
        writer.transport.abort()
