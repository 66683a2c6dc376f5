"""The control API tells what the devices saw and breaks them on request; the command serves a city and ends cleanly."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulators.heard import Heard, HeardSession
from tests.simulators.street import Street, free_ports


@pytest.fixture
async def control(street: Street) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{street.control_port}") as http:
        yield http


async def ask(http: aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with http.request(method, path, **options) as answer:
        return answer.status, await (answer.json() if answer.content_type == "application/json" else answer.read())


async def test_devices_say_who_has_been_verified(street: Street, control: aiohttp.ClientSession) -> None:
    await street.call(street.camera, "tds", "GetDeviceInformation")
    _, listed = await ask(control, "GET", "/devices")

    assert len(listed["devices"]) == len(street.city.devices)
    assert [device["id"] for device in listed["devices"] if device["verified"]] == [street.camera.id]


async def test_a_switch_is_verified_by_snmp_and_nothing_else(street: Street) -> None:
    switch = street.city.of_kind("switch")[0]
    street.state.logged_in("http", switch)
    assert not street.state.is_verified(switch)
    street.state.logged_in("snmp", switch)
    assert street.state.is_verified(switch)


async def test_one_device_is_shown_without_its_secrets(street: Street, control: aiohttp.ClientSession) -> None:
    status, shown = await ask(control, "GET", f"/devices/{street.speaker.id}")

    assert status == 200
    assert shown["serial"] == street.speaker.serial
    assert street.speaker.password not in json.dumps(shown)
    assert street.speaker.snmp is not None
    assert (street.speaker.snmp.community or street.speaker.snmp.auth_key) not in json.dumps(shown)


async def test_a_fault_is_given_and_taken_back(street: Street, control: aiohttp.ClientSession) -> None:
    path = f"/devices/{street.camera.id}/fault"
    status, shown = await ask(control, "POST", path, json={"answer": "busy", "password": "new"})
    broken = await street.call(street.camera, "tds", "GetDeviceInformation")
    await ask(control, "DELETE", path)

    assert (status, shown["answer"], shown["password"]) == (200, "busy", "changed")
    assert broken.status == 401
    assert (await street.call(street.camera, "tds", "GetDeviceInformation")).status == 200


@pytest.mark.parametrize("body", ['{"answer": "sleepy"}', "[]", "not json", ""])
async def test_a_fault_that_is_none_changes_nothing(street: Street, control: aiohttp.ClientSession, body: str) -> None:
    status, shown = await ask(control, "POST", f"/devices/{street.camera.id}/fault", data=body)

    assert status == 400
    assert shown["error"]
    assert not street.state.faults


async def test_counters_count_by_kind(street: Street, control: aiohttp.ClientSession) -> None:
    await street.call(street.camera, "tds", "GetDeviceInformation")
    await street.call(street.recorder, "tds", "GetDeviceInformation", header="")
    _, shown = await ask(control, "GET", "/counters")

    assert shown["counters"] == {
        "http.digest_good.camera": 1,
        "http.digest_none.recorder": 1,
        "http.requests.camera": 1,
        "http.requests.recorder": 1,
    }


async def test_what_a_loudspeaker_heard_is_told_and_forgotten(street: Street, control: aiohttp.ClientSession) -> None:
    heard, session = Heard(), HeardSession("127.0.0.1:4000", "udp", "PCMA", 5)
    heard.sessions.append(session)
    heard.take(session, b"\xd5" * 160, arrival_ns=7, sequence=1, timestamp=0)
    street.state.heard[street.speaker.id] = heard
    path = f"/speakers/{street.speaker.id}/heard"
    _, shown = await ask(control, "GET", path)
    _, wav = await ask(control, "GET", f"{path}.wav")
    await ask(control, "DELETE", path)

    assert (shown["packets"], shown["first_ns"], shown["encoding"], len(shown["sessions"])) == (1, 7, "PCMA", 1)
    assert wav[:4] == b"RIFF"
    assert len(wav) == 44 + 320
    assert shown["playing"] is True
    assert (await ask(control, "GET", path))[1]["packets"] == 0


async def test_the_packets_of_a_loudspeaker_are_listed_one_by_one(street: Street, control: aiohttp.ClientSession) -> None:
    heard, session = Heard(), HeardSession("127.0.0.1:4000", "udp", "PCMA", 5)
    heard.take(session, b"\xd5" * 160, arrival_ns=7, sequence=1, timestamp=9, marker=True)
    street.state.heard[street.speaker.id] = heard
    _, shown = await ask(control, "GET", f"/speakers/{street.speaker.id}/heard/packets")
    assert shown["packets"] == [{"arrival_ns": 7, "timestamp": 9, "sequence": 1, "bytes": 160, "marker": True, "played": True}]


async def test_a_loudspeakers_cabinet_is_changed_in_part(street: Street, control: aiohttp.ClientSession) -> None:
    path = f"/speakers/{street.speaker.id}/cabinet"
    await ask(control, "POST", path, json={"amplifier": "fault"})
    assert (await ask(control, "POST", path, json={"volume": 30}))[1] == {"volume": 30, "amplifier": "fault", "contact": "closed"}
    for wrong in ({"volume": 101}, {"contact": "ajar"}, {"colour": "red"}):
        assert (await ask(control, "POST", path, json=wrong))[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/devices/NOBODY"),
        ("PUT", "/devices"),
        ("GET", "/speakers/CAM-0001-1/heard"),
        ("GET", "/devices/x/y/z"),
    ],
)
async def test_what_is_not_there_is_404(control: aiohttp.ClientSession, method: str, path: str) -> None:
    assert (await ask(control, method, path))[0] == 404


# -- the command ------------------------------------------------------------------------------------------------------


async def command(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "simulators", *arguments, stdout=pipe, stderr=pipe)


async def test_the_command_plans_serves_and_ends_cleanly(tmp_path: Path) -> None:
    http, rtsp, snmp = map(str, free_ports(3))
    ports = ("--http-port", http, "--rtsp-port", rtsp, "--snmp-port", snmp)
    planning = await command("plan", "--seed", "3", "--groups", "5", "--speakers", "2", *ports, "--out", str(tmp_path))
    assert await planning.wait() == 0
    serving = await command("serve", "--city", str(tmp_path / "city.json"), "--only", "http")
    assert serving.stdout is not None
    ready = json.loads(await asyncio.wait_for(serving.stdout.readline(), 60))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{ready['control']}") as control:
        status, shown = await ask(control, "GET", "/devices")
        serving.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(serving.communicate(), 60)

    assert (status, len(shown["devices"])) == (200, ready["devices"])
    assert (serving.returncode, out, err) == (0, b"", b"")


async def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    process = await command("serve", "--city", str(tmp_path / "missing.json"))
    _, err = await process.communicate()

    assert process.returncode == 1
    assert b"missing.json" in err


async def test_the_command_says_which_port_is_taken(street: Street, tmp_path: Path) -> None:
    street.city.save(tmp_path / "city.json")
    process = await command("serve", "--city", str(tmp_path / "city.json"), "--only", "http")
    out, err = await process.communicate()

    assert (process.returncode, out) == (1, b"")
    assert str(street.city.http_port).encode() in err
    assert b"Traceback" not in err
