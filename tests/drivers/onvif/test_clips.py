"""Clips that a loudspeaker keeps and plays by itself: brought once, known again, played by token, silenced."""

from __future__ import annotations

import array
import bisect
import hashlib
import io
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import av
import pytest

from demo import sound
from gateway.clock import SimulatedClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import DeviceClip, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.clips import FRESH_S, Clips, Offer, linear, mu_law, name_of, read_offer
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.soap import parse
from gateway.errors import DeviceFault, NotSupported, Unreachable
from simulators import g711, wave_file
from simulators.http import Request, Response
from simulators.onvif import clip_shelf
from simulators.onvif import clips as simulated
from simulators.onvif.unit import Unit
from tests.drivers.devices import Wire, answer, device, soap
from tests.simulators.street import NOW, Street, standing

TIMEOUT_S = 5.0


MULAW = sorted((int.from_bytes(g711.decode("PCMU", bytes([code])), sys.byteorder, signed=True), code) for code in range(256))


def mulaw(samples: array.array[int]) -> bytes:
    return bytes(MULAW[min(255, bisect.bisect_left(MULAW, (sample, 0)))][1] for sample in samples)


def clip(seconds: float = 1.0, *, seed: int = 1, interval_s: int = 0) -> DeviceClip:
    samples = sound.speech_like(seconds, seed=seed)
    return DeviceClip(hashlib.sha256(samples.tobytes()).hexdigest(), samples.tobytes(), mulaw(samples), interval_s)


@dataclass
class Pole:
    """A loudspeaker with clips, and ours of it."""

    street: Street
    clock: SimulatedClock
    target: Target
    clips: Clips

    def anew(self) -> Clips:
        """As after a restart of the gateway."""
        return Clips(OnvifDevice(self.target, Http(), self.clock), self.clock)

    async def kept(self, field: str = "Name") -> list[str]:
        return (await self.street.call(self.street.speaker, "tr2", "GetAudioClips")).texts(field)

    async def put(self, name: str) -> str:
        """A clip that somebody else brings to the device; its token."""
        settings = (
            f"<tr2:Configuration><tr2:Enabled>true</tr2:Enabled><tr2:Name>{name}</tr2:Name><tr2:Type>audio/vnd.wave;codec=1</tr2:Type>"
        )
        settings += "<tr2:RepeatCycles>0</tr2:RepeatCycles></tr2:Configuration>"
        answer = await self.street.call(self.street.speaker, "tr2", "AddAudioClip", settings)
        path = "/" + answer.texts("UploadUri")[0].split("/", 3)[3]
        await self.street.http(self.street.speaker, "POST", path, body=linear(clip(0.1)), headers="Content-Type: audio/wav\r\n")
        return answer.texts("Token")[0]

    async def forget(self, token: str) -> None:
        await self.street.call(self.street.speaker, "tr2", "DeleteAudioClip", f"<tr2:Token>{token}</tr2:Token>")

    def played(self) -> array.array[int]:
        return sound.read_wav(self.street.state.heard[self.street.speaker.id].wav(int(self.street.clock.now * 1e9)))


@pytest.fixture
async def pole() -> AsyncIterator[Pole]:
    async with standing() as street:
        horn, clock = street.speaker, SimulatedClock(datetime.fromtimestamp(NOW, UTC))
        target = Target(DeviceId(horn.id), horn.address, Ports(onvif=street.city.http_port), Credentials(horn.username, horn.password))
        yield Pole(street, clock, target, Clips(OnvifDevice(target, Http(), clock), clock))


async def test_a_clip_is_brought_once_and_known_again_after_a_restart(pole: Pole) -> None:
    wanted = clip()
    token = await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S)
    assert await pole.kept() == [name_of(wanted)]
    assert await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S) == token
    assert await pole.anew().ensure(wanted, timeout_s=TIMEOUT_S) == token
    assert await pole.kept("Token") == [token]


async def test_what_is_played_is_the_clip_as_often_as_asked_with_pauses_between(pole: Pole) -> None:
    wanted = clip(0.5, interval_s=1)
    token = await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S)
    await pole.clips.play(token, repeats=1, timeout_s=TIMEOUT_S)
    assert await pole.clips.playing(timeout_s=TIMEOUT_S) == {token}
    pole.street.clock.now += 10
    assert await pole.clips.playing(timeout_s=TIMEOUT_S) == set()
    spoken, silence = array.array("h", wanted.pcm), array.array("h", bytes(16_000))
    assert sound.snr_db(spoken + silence + spoken, pole.played()) > 60  # linear PCM: nothing is lost


async def test_another_pause_is_told_and_nothing_brought_again(pole: Pole) -> None:
    token = await pole.clips.ensure(clip(interval_s=1), timeout_s=TIMEOUT_S)
    assert await pole.clips.ensure(clip(interval_s=3), timeout_s=TIMEOUT_S) == token
    assert await pole.kept("RepeatInterval") == ["3"]


async def test_a_clip_is_silenced_in_the_middle(pole: Pole) -> None:
    token = await pole.clips.ensure(clip(1.0), timeout_s=TIMEOUT_S)
    await pole.clips.play(token, repeats=5, timeout_s=TIMEOUT_S)
    pole.street.clock.now += 0.5
    await pole.clips.stop(token, timeout_s=TIMEOUT_S)
    pole.street.clock.now += 10
    assert len(pole.played()) == 4_000


async def test_what_a_restart_of_the_device_cost_it_is_brought_again(pole: Pole) -> None:
    wanted = clip()
    await pole.forget(await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S))
    await pole.clock.advance(FRESH_S + 1)
    await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S)
    assert await pole.kept() == [name_of(wanted)]


async def test_after_a_refusal_to_play_it_is_looked_at_once_what_is_there(pole: Pole) -> None:
    wanted = clip()
    token = await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S)
    await pole.forget(token)
    with pytest.raises(DeviceFault):
        await pole.clips.play(token, repeats=0, timeout_s=TIMEOUT_S)
    await pole.clips.play(await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S), repeats=0, timeout_s=TIMEOUT_S)


async def test_a_full_device_gives_up_what_was_wanted_longest_ago_and_never_what_others_brought(
    pole: Pole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_shelf, "MAX_CLIPS", 3)
    await pole.put("fire alarm")
    first, second, third = (clip(0.2, seed=seed) for seed in range(3))
    for wanted in (first, second, first, third):
        await pole.clips.ensure(wanted, timeout_s=TIMEOUT_S)
    assert await pole.kept() == ["fire alarm", name_of(first), name_of(third)]


async def test_a_device_that_others_have_filled_has_no_room(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_shelf, "MAX_CLIPS", 2)
    await pole.put("one")
    await pole.put("two")
    with pytest.raises(DeviceFault) as refused:
        await pole.clips.ensure(clip(), timeout_s=TIMEOUT_S)
    assert refused.value.code == "device-clips-full"
    assert await pole.kept() == ["one", "two"]


async def test_what_plays_makes_no_room(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_shelf, "MAX_CLIPS", 1)
    token = await pole.clips.ensure(clip(seed=1), timeout_s=TIMEOUT_S)
    await pole.clips.play(token, repeats=9, timeout_s=TIMEOUT_S)
    with pytest.raises(DeviceFault) as refused:
        await pole.clips.ensure(clip(seed=2), timeout_s=TIMEOUT_S)
    assert refused.value.code == "device-clips-full"


async def test_a_long_clip_goes_as_mu_law_and_a_longer_one_not_at_all(pole: Pole) -> None:
    await pole.clips.ensure(clip(15.0), timeout_s=TIMEOUT_S)
    assert await pole.kept("Type") == ["audio/vnd.wave;codec=7"]
    with pytest.raises(DeviceFault) as refused:
        await pole.clips.ensure(clip(30.0), timeout_s=TIMEOUT_S)
    assert refused.value.code == "device-clip-too-large"


@pytest.mark.parametrize(
    ("status", "code"), [(413, "device-clip-too-large"), (415, "device-clip-format"), (404, "not-supported"), (500, "fault")]
)
async def test_an_upload_that_is_refused_is_told_by_its_reason(pole: Pole, monkeypatch: pytest.MonkeyPatch, status: int, code: str) -> None:
    monkeypatch.setattr(simulated, "upload", lambda _unit, _request: Response(status, content_type=b"text/plain"))
    with pytest.raises(DeviceFault) as refused:
        await pole.clips.ensure(clip(), timeout_s=TIMEOUT_S)
    assert refused.value.code == code


async def test_a_device_that_takes_uploads_by_put_gets_them_so(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    take = simulated.upload

    def by_put(unit: Unit, request: Request) -> Response:
        return take(unit, request) if request.method == "PUT" else Response(405, content_type=b"text/plain")

    monkeypatch.setattr(simulated, "upload", by_put)
    await pole.clips.ensure(clip(), timeout_s=TIMEOUT_S)
    assert len(await pole.kept()) == 1


async def test_where_one_format_is_refused_the_other_is_brought(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    take = simulated.upload

    def choosy(unit: Unit, request: Request) -> Response:
        is_linear = wave_file.decode(request.body).codec == wave_file.PCM
        return Response(415, content_type=b"text/plain") if is_linear else take(unit, request)

    monkeypatch.setattr(simulated, "upload", choosy)
    await pole.clips.ensure(clip(), timeout_s=TIMEOUT_S)
    assert await pole.kept("Type") == ["audio/vnd.wave;codec=7"]


async def test_an_address_for_the_upload_that_leads_elsewhere_leads_to_the_device(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Unit, "http_url", lambda _unit, path: f"http://203.0.113.7:8080{path}")
    await pole.clips.ensure(clip(), timeout_s=TIMEOUT_S)
    assert len(await pole.kept()) == 1


async def test_a_device_without_clips_says_so(pole: Pole) -> None:
    plain = next(horn for horn in pole.street.city.of_kind("speaker") if "audio-clips" in horn.lacks)
    target = replace(pole.target, address=plain.address, credentials=Credentials(plain.username, plain.password))
    with pytest.raises(NotSupported) as refused:
        await Clips(OnvifDevice(target, Http(), pole.clock), pole.clock).ensure(clip(), timeout_s=TIMEOUT_S)
    assert refused.value.code == "no-audio-clips"


async def test_play_is_never_sent_twice(pole: Pole) -> None:
    """The device takes the request on a connection that it had kept, and hangs up: other requests would be sent anew."""
    asked = 0

    async def behave(wire: Wire) -> None:
        nonlocal asked
        while heard := await wire.request():
            if heard.operation == "PlayAudioClip":
                asked += 1
                return
            await wire.send(answer(BODIES[heard.operation]))

    async with device(behave) as fake:
        ours = OnvifDevice(fake.target(), Http(), pole.clock)
        with pytest.raises(Unreachable) as lost:
            await Clips(ours, pole.clock).play("A", repeats=0, timeout_s=TIMEOUT_S)
    assert (asked, lost.value.code) == (1, "closed")


def offer(attributes: str) -> Offer:
    told = f"<tr2:Capabilities><tr2:AudioClipCapabilities {attributes}/></tr2:Capabilities>"
    element = f'<a xmlns:tr2="http://www.onvif.org/ver20/media/wsdl">{told}</a>'
    return read_offer(parse(element.encode()))


def test_what_a_device_offers_is_read_however_it_is_written() -> None:
    formats = 'SupportedAudioClipFormat="audio/mpeg audio/vnd.wave; codec=7, AUDIO/vnd.wave;codec=1"'
    assert offer(f'MaxAudioClipLimit="20" MaxAudioClipSize="200.5" {formats}') == Offer(
        20, 200_500, ("audio/vnd.wave;codec=1", "audio/vnd.wave;codec=7")
    )
    assert offer(f'MaxAudioClipLimit="-1" MaxAudioClipSize="nan" {formats}') == Offer(
        0, 0, ("audio/vnd.wave;codec=1", "audio/vnd.wave;codec=7")
    )
    for other in ('SupportedAudioClipFormat="audio/mpeg"', ""):
        with pytest.raises(NotSupported):
            offer(other)


def test_the_files_are_wave_files_that_others_read() -> None:
    wanted = clip(0.25)
    assert wave_file.decode(linear(wanted)).audio == wanted.pcm
    assert (wave_file.decode(mu_law(wanted)).encoding, wave_file.decode(mu_law(wanted)).audio) == ("PCMU", wanted.mulaw)
    for data in (linear(wanted), mu_law(wanted)):
        with av.open(io.BytesIO(data)) as file:
            assert sum(frame.samples for frame in file.decode(audio=0)) == 2_000


BODIES = {
    "GetSystemDateAndTime": soap("<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime/></tds:GetSystemDateAndTimeResponse>"),
    "GetDeviceInformation": soap("<tds:GetDeviceInformationResponse/>"),
    "GetServices": soap(
        "<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver20/media/wsdl</tds:Namespace>"
        "<tds:XAddr>http://10.0.0.1/onvif/media2</tds:XAddr></tds:Service></tds:GetServicesResponse>"
    ),
}
