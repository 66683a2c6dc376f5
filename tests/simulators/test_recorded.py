"""A device is recorded with its secrets removed, and its recording answers in its place."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports, SnmpCredentials, SnmpVersion
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.onboarding import DeviceDescription, onboard
from gateway.drivers.snmp.polling import GufoEngine
from gateway.errors import AuthenticationFailed
from simulators.city import City, SimDevice
from simulators.recorded.command import city_of
from simulators.recorded.folder import Recording
from simulators.recorded.secrets import Scrubber
from simulators.recorded.snmp_walk import line_of
from simulators.serving import running
from simulators.snmp.recorded import recorded_device
from simulators.state import State
from tests.simulators.street import Street, free_ports

ADDRESS = "127.77.6.1"


async def recorded(street: Street, device: SimDevice, out: Path, *more: str, password: str = "") -> tuple[int, str]:
    """Run the command against a simulated device: exit code and what it said."""
    secret = {"SIMULATORS_PASSWORD": password or device.password}
    if device.snmp:
        secret["SIMULATORS_COMMUNITY"] = device.snmp.community
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "record", device.address, "--user", device.username, "--port", str(street.city.http_port),
        "--out", str(out), *more, stderr=asyncio.subprocess.PIPE, env={**os.environ, **secret},
    )  # fmt: skip
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


@contextlib.asynccontextmanager
async def served(folder: Path, *, login: tuple[str, str] = ("", "")) -> AsyncIterator[City]:
    http, snmp = free_ports(2)
    city = city_of(folder, None, address=ADDRESS, ports=(http, snmp), login=login, community="c1ty")
    async with running(city, State(), control=("127.0.0.1", 0), only=("http", "snmp")):
        yield city


async def described(device: SimDevice, port: int, *, password: str = "") -> DeviceDescription:
    login = Credentials(device.username, password or device.password)
    ours = OnvifDevice(Target(DeviceId(device.id), device.address, Ports(onvif=port), login), Http(), SystemClock())
    return await onboard(ours, timeout_s=20)


async def test_a_recording_is_onboarded_as_the_device_itself_was(street: Street, tmp_path: Path) -> None:
    camera, out = street.camera, tmp_path / "camera"
    code, said = await recorded(street, camera, out)
    assert (code, "device/GetDeviceInformation: answer" in said) == (0, True)
    original = await described(camera, street.city.http_port)
    async with served(out, login=("admin", "another")) as city:
        twin = replace(city.devices[0], id=camera.id)
        copy = await described(twin, city.http_port)
    assert (copy.identity, copy.presets, copy.has_ptz) == (original.identity, original.presets, True)
    assert [one.profile for one in copy.streams] == [one.profile for one in original.streams]


async def test_a_camera_that_takes_digest_alone_is_recorded_too(street: Street, tmp_path: Path) -> None:
    code, _ = await recorded(street, street.digest_camera, tmp_path / "camera")
    assert code == 0
    assert ("http://www.onvif.org/ver10/device/wsdl", "GetDeviceInformation") in Recording.load(tmp_path / "camera").answers


async def test_a_wrong_password_is_tried_once_and_nothing_is_written(street: Street, tmp_path: Path) -> None:
    code, said = await recorded(street, street.camera, tmp_path / "camera", password="not-the-one")
    assert (code, "refuses this login" in said) == (1, True)
    assert not (tmp_path / "camera").exists()
    assert street.state.counters["http.digest_bad.camera"] == 1


async def test_no_secret_of_the_device_is_in_the_recording(street: Street, tmp_path: Path) -> None:
    speaker = next(one for one in street.city.of_kind("speaker") if one.snmp and one.snmp.version == "v2c" and one.auth == "wsse")
    assert speaker.snmp is not None
    options = ("--snmp", "--snmp-port", "9", "--hide-identity")
    code, _ = await recorded(street, speaker, tmp_path / "speaker", *options)
    assert code == 1  # nothing listens there for SNMP; what ONVIF told was written before
    everything = b"".join(path.read_bytes() for path in (tmp_path / "speaker").rglob("*.xml"))
    for secret in (speaker.password, speaker.serial, speaker.mac, speaker.mac.upper(), speaker.snmp.community):
        assert secret.encode() not in everything
    assert len(Recording.load(tmp_path / "speaker").answers) > 10


async def test_a_recorded_login_is_checked_when_one_is_set(street: Street, tmp_path: Path) -> None:
    await recorded(street, street.camera, tmp_path / "camera")
    async with served(tmp_path / "camera", login=("admin", "right")) as city:
        await described(city.devices[0], city.http_port)
        with pytest.raises(AuthenticationFailed):
            await described(city.devices[0], city.http_port, password="wrong")


async def test_addresses_in_a_recording_become_its_own(street: Street, tmp_path: Path) -> None:
    await recorded(street, street.camera, tmp_path / "camera")
    recording = Recording.load(tmp_path / "camera")
    body = recording.answers["http://www.onvif.org/ver10/media/wsdl", "GetStreamUri"].body
    moved = recording.rewritten(body, address=ADDRESS, ports={b"http": 8080, b"rtsp": 8554})
    assert street.camera.address.encode() in body
    assert b"rtsp://" + ADDRESS.encode() + b":8554/" in moved
    assert street.camera.address.encode() not in moved


def test_a_uri_to_somebody_else_stays_as_it_was_recorded() -> None:
    recording = Recording({}, {}, frozenset({b"10.0.0.2"}))
    body = b"<a>http://10.0.0.2/x</a><b>http://10.0.0.20/x</b><c>rtsp://239.0.0.1:8860</c><d>https://10.0.0.2:443/y</d>"
    assert recording.rewritten(body, address="127.0.0.9", ports={b"http": 81}) == (
        b"<a>http://127.0.0.9:81/x</a><b>http://10.0.0.20/x</b><c>rtsp://239.0.0.1:8860</c><d>https://127.0.0.9:443/y</d>"
    )


def test_both_ways_to_name_the_files_are_read(tmp_path: Path) -> None:
    envelope = '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>{}</e:Body></e:Envelope>'
    answer, fault = envelope.format('<x:GetARes{} xmlns:x="urn:x"/>'), envelope.format("<e:Fault/>")
    for name, text in (
        ("one/GetA.Response.xml", answer),
        ("one/GetB.Error.xml", fault),
        ("two/GetCResponse.xml", answer),
        ("two/Fault.xml", fault),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("Res{}", "Response").replace("GetA", "GetC" if "two" in name else "GetA").replace(
            "urn:x", "urn:two" if "two" in name else "urn:one"))  # fmt: skip
    recording = Recording.load(tmp_path)
    kinds = {(space, name): one.is_fault for (space, name), one in recording.answers.items()}
    assert kinds == {("urn:one", "GetA"): False, ("urn:one", "GetB"): True, ("urn:two", "GetC"): False}
    unknown = recording.answer("urn:two", "GetZ")
    assert unknown is not None
    assert unknown.is_fault
    assert recording.answer("urn:one", "GetZ") is None


@pytest.mark.parametrize("content", [b"", b"<a", b"<a/>", b"--boundary: a backup", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_a_file_that_is_no_soap_is_played_as_it_is_and_alone_makes_no_recording(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "GetBackup.Response.xml").write_bytes(content)
    with pytest.raises(ValueError, match="holds no recorded answer"):
        Recording.load(tmp_path)
    envelope = (
        b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><x:GetAResponse xmlns:x="urn:x"/></e:Body></e:Envelope>'
    )
    (tmp_path / "GetA.Response.xml").write_bytes(envelope)
    assert Recording.load(tmp_path).answers["urn:x", "GetBackup"].body == content


def test_secrets_go_and_the_answer_stays_well_formed() -> None:
    answer = (
        b"<t:User><t:Username>root</t:Username><t:Password>s3cret</t:Password></t:User><t:Uri>rtsp://root:s3cret@10.0.0.2/live?user=root"
        b"&amp;password=s3cret&amp;channel=1</t:Uri><t:Note>hunter2 is it</t:Note><t:SerialNumber>AB-1234</t:SerialNumber>"
        b"<t:HwAddress>00:11:22:aa:bb:cc</t:HwAddress><t:Scope>onvif://www.onvif.org/MAC/001122AABBCC</t:Scope>"
    )
    plain = Scrubber.of([answer], secrets=("hunter2",), hide_identity=False).scrubbed(answer)
    assert b"s3cret" not in plain
    assert b"hunter2" not in plain
    assert b"AB-1234" in plain
    hidden = Scrubber.of([answer], secrets=(), hide_identity=True).scrubbed(answer)
    for told in (b"AB-1234", b"aa:bb:cc", b"001122AABBCC"):
        assert told not in hidden
    assert b"channel=1" in hidden
    assert b"<t:HwAddress>00:00:00:00:00:00</t:HwAddress>" in hidden


# -- SNMP, and the commands


async def test_a_walk_is_recorded_and_served_with_the_same_values(tmp_path: Path) -> None:
    from tests.simulators.snmp_block import SPEAKER, snmp_block  # noqa: PLC0415 -- a city of its own

    path = tmp_path / "device.snmprec"
    async with snmp_block() as block:
        code = (
            "import sys; from pathlib import Path; from simulators.recorded.snmp_walk import record;"
            f"sys.exit(record('{SPEAKER.address}', {block.server.port}, 'c1ty', Path({str(path)!r})) < 30)"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        assert await process.wait() == 0
    assert f"|4|{SPEAKER.id}" in path.read_text()
    shape = recorded_device(path)
    assert shape.oids == sorted(shape.oids)


@pytest.mark.parametrize(("row", "line"), [
    (((1, 3, 6, 1), 4, b"text"), "1.3.6.1|4|text"), (((1, 3, 6, 1), 4, b"\x00\xff"), "1.3.6.1|4x|00ff"),
    (((1, 3, 6, 1), 2, b"\xff"), "1.3.6.1|2|-1"),
    (((1, 3, 6, 1), 0x40, b"\x0a\x00\x00\x01"), "1.3.6.1|64|10.0.0.1"), (((1, 3, 6, 1), 6, b"\x2b\x06"), "1.3.6.1|6|1.3.6"),
    (((1, 3, 6, 1, 6, 3, 18, 1), 4, b"public"), ""), (((1, 3, 6, 1), 4, b"a hunter2"), "1.3.6.1|4|a 0000000")])  # fmt: skip
def test_a_row_of_a_walk_is_written_as_snmprec_has_it(row: tuple[tuple[int, ...], int, bytes], line: str) -> None:
    assert line_of(row, hidden=(b"hunter2",)) == line


async def test_the_command_serves_a_recording_with_its_walk(street: Street, tmp_path: Path) -> None:
    folder = tmp_path / "camera"
    await recorded(street, street.camera, folder)
    (folder / "device.snmprec").write_text("1.3.6.1.2.1.1.5.0|4|recorded\n")
    http, snmp = free_ports(2)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "serve-recorded", str(folder), "--address", ADDRESS, "--http-port", str(http),
        "--snmp-port", str(snmp), stdout=asyncio.subprocess.PIPE, env={**os.environ, "SIMULATORS_COMMUNITY": "c1ty"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            ready = json.loads(await process.stdout.readline())
        assert (ready["http"], ready["snmp"]) == (http, snmp)
        login = Credentials(snmp=SnmpCredentials(SnmpVersion.V2C, "c1ty"))
        engine = GufoEngine(try_s=1.0)
        reply = await engine.get(Target(DeviceId("r"), ADDRESS, Ports(snmp=snmp), login), ("1.3.6.1.2.1.1.5.0",), timeout_s=5)
        await engine.close()
        assert reply.values == {"1.3.6.1.2.1.1.5.0": b"recorded"}
        told = await described(SimDevice("r", "camera", "r", ADDRESS, username="x", password="y"), http)
        assert told.identity.serial == street.camera.serial
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_recording_is_a_device_of_a_city_and_lies_beside_its_file(street: Street, tmp_path: Path) -> None:
    await recorded(street, street.camera, tmp_path / "camera")
    City(1, 0, 0, 0, groups=(), devices=(SimDevice("C", "camera", "C", ADDRESS, recording="camera"),)).save(tmp_path / "city.json")
    city = replace(City.load(tmp_path / "city.json"), http_port=free_ports(1)[0], rtsp_port=0, snmp_port=0)
    async with running(city, State(), control=("127.0.0.1", 0), only=("http",)):
        assert (
            await described(replace(city.devices[0], username="x", password="y"), city.http_port)
        ).identity.serial == street.camera.serial
