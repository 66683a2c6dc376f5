"""Everything beside health: zeep builds and reads, only our own way out sends, and what a device makes of it stays its own trouble."""

import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from xml.etree.ElementTree import canonicalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from zeep import Client

from gateway.clock import SimulatedClock, SystemClock
from gateway.drivers.base import MediaProfile, Preset
from gateway.drivers.http import Http
from gateway.drivers.http_reader import Answer
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.media import read_profiles
from gateway.drivers.onvif.ptz import read_presets
from gateway.drivers.onvif.soap import MEDIA, PTZ, REPLAY, SEARCH, open_answer
from gateway.drivers.onvif.wsdl import WSDLS, folder
from gateway.errors import DeviceError, DeviceFault, NotSupported, ProtocolError, Unreachable
from tests.drivers.devices import FakeDevice, Heard, Wire, always, answer, device, fault, soap
from tests.drivers.onvif.camera import Camera, met

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings" / "onvif"
Extra = dict[str, Callable[[Heard], bytes]]


# -- building ---------------------------------------------------------------------------------------------------------

UNICAST = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
REQUESTS = [
    (MEDIA, "media.wsdl", "GetProfiles", {}),
    (MEDIA, "media.wsdl", "GetStreamUri", {"StreamSetup": UNICAST, "ProfileToken": "a <b> & c"}),
    (MEDIA, "media.wsdl", "GetSnapshotUri", {"ProfileToken": "p"}),
    (PTZ, "ptz.wsdl", "GetPresets", {"ProfileToken": "p"}),
    (PTZ, "ptz.wsdl", "GotoPreset", {"ProfileToken": "p", "PresetToken": "1"}),
    (PTZ, "ptz.wsdl", "ContinuousMove", {"ProfileToken": "p", "Velocity": {"Zoom": {"x": 0.5}}, "Timeout": timedelta(seconds=2)}),
    (SEARCH, "search.wsdl", "EndSearch", {"SearchToken": "s"}),
    (REPLAY, "replay.wsdl", "GetReplayUri", {"StreamSetup": UNICAST, "RecordingToken": "r"}),
]


@pytest.mark.parametrize(("namespace", "file", "name", "arguments"), REQUESTS, ids=[name for _, _, name, _ in REQUESTS])
def test_a_request_is_what_a_plain_zeep_client_makes(namespace: str, file: str, name: str, arguments: dict[str, object]) -> None:
    client = Client(str(folder() / file))
    theirs = client.create_message(client.service, name, **arguments)
    body = etree.tostring(theirs.find("{*}Body")[0]).decode()
    ours = WSDLS.body(namespace, name, arguments).decode()
    assert canonicalize(ours, rewrite_prefixes=True) == canonicalize(body, rewrite_prefixes=True)


def test_loading_zeep_changes_nothing_of_the_process() -> None:
    program = (
        "import logging, os, sys\n"
        "from gateway.drivers.onvif.device import OnvifDevice\n"
        "assert 'zeep' not in sys.modules, 'loaded only when needed'\n"
        "from gateway.drivers.onvif.wsdl import WSDLS\n"
        "from gateway.drivers.onvif.soap import MEDIA\n"
        "WSDLS.body(MEDIA, 'GetProfiles', {})\n"
        "assert 'zeep' in sys.modules and 'onvif' not in sys.modules\n"
        "assert logging.getLogger().handlers == [] and os.environ['http_proxy'] == 'http://127.0.0.99:1'\n"
    )
    environment = {**os.environ, "http_proxy": "http://127.0.0.99:1"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


# -- reading ----------------------------------------------------------------------------------------------------------


def recorded_profiles() -> list[bytes]:
    return [
        file.read_bytes()
        for file in [*RECORDINGS.glob("*/media*/GetProfiles.Response.xml"), *RECORDINGS.glob("*/media1/GetProfilesResponse.xml")]
    ]


PROFILES = soap(
    '<trt:GetProfilesResponse><trt:Profiles token="T1" fixed="true"><tt:Name>main</tt:Name><tt:VideoEncoderConfiguration token="E">'
    "<tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>1920</tt:Width>"
    "<tt:Height>1080</tt:Height></tt:Resolution><tt:Quality>5</tt:Quality><tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit>"
    "<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl></tt:VideoEncoderConfiguration>"
    "</trt:Profiles><trt:Profiles><tt:Name>without a token</tt:Name></trt:Profiles></trt:GetProfilesResponse>"
)
PRESETS = soap(
    '<tptz:GetPresetsResponse><tptz:Preset token="1"><tt:Name>街口</tt:Name></tptz:Preset>'
    '<tptz:Preset><tt:Name>lost</tt:Name></tptz:Preset><tptz:Preset token="2"/></tptz:GetPresetsResponse>'
)
MAIN = MediaProfile("T1", "main", "H264", 1920, 1080, 25.0, 4096)


T = TypeVar("T")


def value(body: bytes, namespace: str, name: str, convert: Callable[[Any], T]) -> T:
    return WSDLS.value(open_answer(Answer(200, {}, body), f"{{{namespace}}}{name}Response", large=True), convert)


def test_profiles_are_read() -> None:
    assert value(PROFILES, MEDIA, "GetProfiles", read_profiles) == (MAIN,)


def test_presets_are_read_and_those_without_a_token_left_out() -> None:
    assert value(PRESETS, PTZ, "GetPresets", read_presets) == (Preset("1", "街口"), Preset("2", ""))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_list_of_profiles_is_read_or_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([PROFILES, *recorded_profiles()]))
    words = [b"1920", b"H264", b"25", b"tt:Name", b"trt:Profiles", b"token", b"Resolution", b"Width"]
    for _ in range(data.draw(st.integers(1, 3))):
        whole = whole.replace(
            data.draw(st.sampled_from(words)), data.draw(st.sampled_from([b"", b"x", b"-1", b"1e999", b"tt:Other", b"\xe2\x80\xae"]))
        )
    try:
        profiles = value(whole, MEDIA, "GetProfiles", read_profiles)
    except (ProtocolError, DeviceFault):
        return
    assert all(0 <= profile.width < 10_000_000 for profile in profiles)


# -- on the wire ------------------------------------------------------------------------------------------------------


def services(port: int, address: str = "127.0.0.99") -> bytes:
    """Every service, at somebody else's address."""
    listed = "".join(
        f"<tds:Service><tds:Namespace>http://www.onvif.org/{name}/wsdl</tds:Namespace>"
        f"<tds:XAddr>http://user:secret@{address}:{port}:{port}/onvif/{name}</tds:XAddr></tds:Service>"
        for name in ("ver10/media", "ver20/media", "ver20/ptz", "ver10/search")
    )
    return soap(f"<tds:GetServicesResponse>{listed}</tds:GetServicesResponse>")


@pytest.fixture
async def trap() -> AsyncIterator[FakeDevice]:
    async with device(always(answer(b"caught")), "127.0.0.99") as somebody:
        yield somebody
        assert somebody.connections == 0


def uri(name: str, where: str) -> Callable[[Heard], bytes]:
    body = f"<trt:{name}Response><trt:MediaUri><tt:Uri>{where}</tt:Uri></trt:MediaUri></trt:{name}Response>"
    return lambda _heard: answer(soap(body))


async def test_services_streams_and_snapshots_at_somebody_elses_address_are_taken_from_the_inventorys(
    clock: SimulatedClock, trap: FakeDevice
) -> None:
    def profiles(heard: Heard) -> bytes:
        return answer(PROFILES) if b"ver10/media" in heard.body else answer(fault("ter:ActionNotSupported"), "400 Bad")

    extra: Extra = {
        "GetServices": lambda _: answer(services(trap.port)),
        "GetProfiles": profiles,
        "GetStreamUri": uri("GetStreamUri", f"rtsp://{trap.address}:554/live?channel=1&amp;subtype=0"),
        "GetSnapshotUri": uri("GetSnapshotUri", f"http://{trap.address}:{trap.port}/snap.jpg"),
        "": lambda _: answer(b"\xff\xd8\xff picture"),
    }
    async with met(Camera(clock, extra=extra)) as (fake, ours):
        assert await ours.profiles(timeout_s=10) == (MAIN,)
        assert await ours.stream_path("T1", timeout_s=10) == "/live?channel=1&subtype=0"

        async def picture(wire: Wire) -> None:
            while await wire.request():
                await wire.send(answer(b"\xff\xd8\xff picture"))

        assert await ours.snapshot_path("T1", timeout_s=10) == "/snap.jpg"
        assert {heard.fields["host"] for heard in fake.heard} == {f"127.0.0.1:{fake.port}"}
        assert "/onvif/ver10/media" in {heard.path for heard in fake.heard}


def snapshot_camera(clock: SimulatedClock, where: str) -> Camera:
    extra: Extra = {"GetServices": lambda _: answer(services(80)), "GetSnapshotUri": uri("GetSnapshotUri", where)}
    return Camera(clock, extra=extra)


async def with_picture(camera: Camera, picture: bytes) -> tuple[bytes, list[Heard]]:
    """A snapshot of a device whose web server gives `picture`."""

    async def behave(wire: Wire) -> None:
        while heard := await wire.request():
            await wire.send(picture if heard.method == "GET" else camera._answer(heard))

    async with device(behave) as fake:
        ours = OnvifDevice(fake.target("operator", camera.password), Http(), camera.clock)
        return await ours.snapshot("T1", timeout_s=10), fake.heard


async def test_a_snapshot_is_fetched_from_the_device_itself_whatever_its_uri_says(clock: SimulatedClock) -> None:
    for where in ("http://127.0.0.99/snap.jpg", "https://127.0.0.99:443/snap.jpg", "/snap.jpg", "http://a:b@127.0.0.99:1:1/snap.jpg#x"):
        picture, heard = await with_picture(snapshot_camera(clock, where), answer(b"\xff\xd8\xff..."))
        assert picture == b"\xff\xd8\xff..."
        assert heard[-1].path == "/snap.jpg"


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (answer(b"<html>no picture</html>"), ProtocolError),
        (answer(b""), ProtocolError),
        (answer(b"", "404 Not Found"), NotSupported),
        (answer(b"", "302 Found", "Location: http://127.0.0.99/"), ProtocolError),
        (answer(bytes(3 * 1024 * 1024)), ProtocolError),
    ],
    ids=["HTML", "nothing", "missing", "redirect", "too large"],
)
async def test_what_is_no_picture_is_refused(clock: SimulatedClock, picture: bytes, error: type[DeviceError]) -> None:
    with pytest.raises(error):
        await with_picture(snapshot_camera(clock, "http://x/snap.jpg"), picture)


async def test_the_password_is_never_told_in_clear_to_a_web_server(clock: SimulatedClock) -> None:
    with pytest.raises(DeviceError) as caught:
        await with_picture(snapshot_camera(clock, "http://x/s"), answer(b"", "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'))
    assert caught.value.code == "no-digest"


async def test_a_missing_snapshot_uri_is_the_devices_trouble(clock: SimulatedClock) -> None:
    with pytest.raises(ProtocolError):
        await with_picture(snapshot_camera(clock, ""), answer(b""))


def ptz_camera(clock: SimulatedClock, extra: Extra) -> Camera:
    return Camera(clock, extra={"GetServices": lambda _: answer(services(80)), **extra})


def done(name: str) -> bytes:
    return answer(soap(f"<tptz:{name}Response/>"))


async def test_a_move_is_sent_at_most_once(clock: SimulatedClock) -> None:
    """The device takes the command and hangs up: whether it moves nobody knows, and it is not told again."""

    camera = ptz_camera(clock, {})

    async def behave(wire: Wire) -> None:
        while heard := await wire.request():
            if heard.operation == "ContinuousMove":
                return
            await wire.send(camera._answer(heard))

    async with device(behave) as fake:
        ours = OnvifDevice(fake.target("operator", camera.password), Http(), clock)
        with pytest.raises(Unreachable):
            await ours.move("T1", pan=1, tilt=0, zoom=0, run_s=1, timeout_s=10)
        assert fake.operations().count("ContinuousMove") == 1


async def test_a_device_that_refuses_a_timeout_is_moved_without_one(clock: SimulatedClock) -> None:
    def move(heard: Heard) -> bytes:
        return answer(fault("ter:InvalidArgVal"), "400 Bad") if b"Timeout" in heard.body else done("ContinuousMove")

    async with met(ptz_camera(clock, {"ContinuousMove": move})) as (fake, ours):
        await ours.move("T1", pan=1, tilt=0, zoom=0, run_s=1, timeout_s=10)
        assert fake.operations().count("ContinuousMove") == 2


async def test_a_device_that_refuses_to_stop_is_given_a_speed_of_zero(clock: SimulatedClock) -> None:
    extra: Extra = {"ContinuousMove": lambda _: done("ContinuousMove")}
    async with met(ptz_camera(clock, extra)) as (fake, ours):
        await ours.stop("T1", timeout_s=10)
        assert b'x="0.0"' in fake.heard[-1].body


async def test_speeds_beyond_what_the_standard_knows_are_cut(clock: SimulatedClock) -> None:
    async with met(ptz_camera(clock, {"ContinuousMove": lambda _: done("ContinuousMove")})) as (fake, ours):
        await ours.move("T1", pan=9, tilt=-9, zoom=0, run_s=1, timeout_s=10)
        assert b'x="1.0" y="-1.0"' in fake.heard[-1].body


async def test_a_device_without_the_service_is_asked_for_its_services_once(clock: SimulatedClock) -> None:
    empty = answer(soap("<tds:GetServicesResponse/>"))
    async with met(Camera(clock, extra={"GetServices": lambda _: empty})) as (fake, ours):
        for _ in range(3):
            with pytest.raises(NotSupported):
                await ours.presets("T1", timeout_s=10)
        assert fake.operations().count("GetServices") == 1


def test_a_device_costs_at_most_two_kibibytes() -> None:
    target, http, clock = FakeDevice("127.0.0.1", 80).target(), Http(), SystemClock()
    made = [OnvifDevice(target, http, clock) for _ in range(10)]
    gc.collect()
    tracemalloc.start()
    made += [OnvifDevice(target, http, clock) for _ in range(1000)]
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used / 1000 < 2048
    assert len(made) == 1010
