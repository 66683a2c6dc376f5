"""Sound beside the pictures: as the recorder sent it, at its time, in every file its part, and gaps in it as in the pictures."""

import array
import asyncio
import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import ExportState, FootageState, Step
from gateway.drivers.base import Span
from gateway.drivers.rtsp.replay import replay
from gateway.footage.cut_file import Finished
from gateway.footage.cutting import Stretch
from gateway.footage.exporting import fetch
from gateway.storage.store import Store
from simulators import footage
from simulators.city import SimChannel, SimDevice
from simulators.microphones import AAC, Microphone, microphone_of
from tests.footage.desk import NOW, Street, desk_of, filing, keeping, working

SECOND = timedelta(seconds=1)
START = NOW - timedelta(hours=1)
CODECS = {"PCMA": "pcm_alaw", "PCMU": "pcm_mulaw", AAC: "aac"}


def heard(where: Street, encoding: str, *, gappy: bool = False) -> tuple[SimDevice, SimChannel]:
    """A recorder and one of its channels whose camera hears in this way."""
    return next(
        (recorder, channel)
        for recorder in where.simulated.of_kind("recorder")
        for channel in recorder.channels
        if channel.gappy is gappy and getattr(microphone_of(channel.camera), "encoding", None) == encoding
    )


async def fetched(where: Street, place: tuple[SimDevice, SimChannel], stretch: Stretch) -> list[Finished]:
    recorder, channel = place
    reported: list[Finished] = []
    window = Span(stretch.start, stretch.end)
    target = where.target_of(DeviceId(recorder.id))
    session = await replay(target, f"/replay/{channel.token}", window, timeout_s=10, kinds=("video", "audio"), bursts=True)
    await fetch(session, stretch, keeping(reported))
    return reported


def sent(place: tuple[SimDevice, SimChannel], start: datetime, end: datetime) -> list[tuple[datetime, bytes]]:
    """What the microphone heard from `start` to `end` on the recorder's clock, as the payloads of packets."""
    recorder, channel = place
    microphone = microphone_of(channel.camera)
    assert microphone is not None
    offset = timedelta(seconds=recorder.clock_offset_s)
    first, stop = (int((moment - offset).timestamp() * 12.5) for moment in (start, end))
    pieces = (piece for frame in range(first - 1, stop + 1) for piece in microphone.during(frame))
    found = [(datetime.fromtimestamp(at / 1e9, UTC) + offset, piece) for at, piece in pieces]
    head = 4 if microphone.encoding == AAC else 0
    return [(at, piece[head:]) for at, piece in found if start <= at < end]


def sounds(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("encoding", list(CODECS))
async def test_sound_is_kept_byte_for_byte_at_its_time(where: Street, tmp_path: Path, encoding: str) -> None:
    place = heard(where, encoding)
    (file,) = await fetched(where, place, Stretch(START, START + 20 * SECOND, timedelta(minutes=5), tmp_path, "f_"))
    found = sounds(tmp_path / file.name)
    begin, end = file.runs[0]
    expected = sent(place, begin, min(end, START + 20 * SECOND))
    assert [piece for _, piece in found] == [piece for _, piece in expected]
    assert max(abs(at - (moment - begin) / SECOND) for (at, _), (moment, _) in zip(found, expected, strict=True)) < 0.001


@pytest.mark.parametrize("encoding", list(CODECS))
async def test_a_decoder_hears_the_tone_at_every_even_second(where: Street, tmp_path: Path, encoding: str) -> None:
    place = heard(where, encoding)
    (file,) = await fetched(where, place, Stretch(START, START + 10 * SECOND, timedelta(minutes=5), tmp_path, "f_"))
    with av.open(str(tmp_path / file.name)) as container:
        assert container.streams.audio[0].codec_context.name == CODECS[encoding]
        to_16_bit = av.AudioResampler("s16", "mono")
        plain = [(frame, to_16_bit.resample(frame)[0]) for frame in container.decode(audio=0)]
    loud = [float(frame.pts * frame.time_base) for frame, same in plain if max(array.array("h", bytes(same.planes[0]))) > 4_000]
    starts = [at for before, at in zip([-1.0, *loud], loud, strict=False) if at - before > 1]
    assert len(starts) >= 5
    if encoding != AAC:  # whose loop is not two seconds long
        even = file.runs[0][0] - timedelta(seconds=place[0].clock_offset_s)
        assert all(min((even.timestamp() + at) % 2, 2 - (even.timestamp() + at) % 2) < 0.03 for at in starts)


async def test_no_sound_is_lost_where_one_file_ends_and_the_next_begins(where: Street, tmp_path: Path) -> None:
    place = heard(where, "PCMA")
    files = await fetched(where, place, Stretch(START, START + 30 * SECOND, 10 * SECOND, tmp_path, "f_"))
    assert len(files) == 3
    found = [piece for file in files for _, piece in sounds(tmp_path / file.name)]
    assert found == [piece for _, piece in sent(place, files[0].runs[0][0], START + 30 * SECOND)]


async def test_a_gap_is_as_long_in_the_sound_as_in_the_pictures(where: Street, tmp_path: Path) -> None:
    place = heard(where, "PCMA", gappy=True)
    recorder, channel = place
    week = footage.Span((NOW - timedelta(days=5)).timestamp(), (NOW - timedelta(hours=2)).timestamp())
    gap = footage.gaps(recorder, channel, week)[-1]
    start, end = datetime.fromtimestamp(gap.start, UTC) - 10 * SECOND, datetime.fromtimestamp(gap.end, UTC) + 10 * SECOND
    files = await fetched(where, place, Stretch(start, end, timedelta(hours=2), tmp_path, "f_"))
    (file,) = files
    assert len(file.runs) == 2
    found = [at for at, _ in sounds(tmp_path / file.name)]
    steps = [after - before for before, after in pairwise(found)]
    hole = (file.runs[1][0] - file.runs[0][1]) / SECOND
    assert [round(step, 2) for step in steps if step > 0.1] == [pytest.approx(hole, abs=0.1)]


@pytest.mark.interop
@pytest.mark.parametrize("encoding", list(CODECS))
async def test_ffprobe_plays_both_tracks_without_a_complaint(where: Street, tmp_path: Path, encoding: str) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe: ffmpeg is not installed")
    (file,) = await fetched(where, heard(where, encoding), Stretch(START, START + 10 * SECOND, 5 * SECOND * 60, tmp_path, "f_"))
    told = "stream=codec_name,nb_read_frames,duration"
    command = ["ffprobe", "-v", "warning", "-count_frames", "-show_entries", told, "-of", "csv=p=0", str(tmp_path / file.name)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    video, audio = done.stdout.split()
    assert int(video.split(",")[-1]) == file.frames
    assert audio.split(",")[0] == CODECS[encoding]


def hears(monkeypatch: pytest.MonkeyPatch, microphone: Microphone) -> None:
    """Have every camera hear in this way."""
    monkeypatch.setattr("simulators.rtsp.resources.microphone_of", lambda _: microphone)


async def test_aac_in_latm_is_kept_frame_by_frame(where: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = heard(where, AAC)
    spoken = microphone_of(place[1].camera)
    assert spoken is not None
    frames = [piece[4:] for piece in spoken.pieces]
    muxed = tuple(b"\xff" * (len(frame) // 255) + bytes((len(frame) % 255,)) + frame for frame in frames)
    hears(monkeypatch, replace(spoken, encoding="MP4A-LATM", pieces=muxed, told="cpresent=0;config=400028103fc0"))
    (file,) = await fetched(where, place, Stretch(START, START + 10 * SECOND, timedelta(minutes=5), tmp_path, "f_"))
    found = [piece for _, piece in sounds(tmp_path / file.name)]
    assert (found, file.sound_left_out) == ([piece for _, piece in sent(place, file.runs[0][0], START + 10 * SECOND)], "")
    with av.open(str(tmp_path / file.name)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 1_024 * len(found)


async def test_sound_that_no_file_can_hold_is_told_wherever_the_footage_is(
    where: Street, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = microphone_of(heard(where, "PCMA")[1].camera)
    assert spoken is not None
    hears(monkeypatch, replace(spoken, encoding="G726-32", payload_type=96))
    _, channel = where.recorded(gappy=False)
    async with working(desk_of(where, store, SimulatedClock(NOW), tmp_path)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
        request = dossier.request.id
        told = json.loads(desk.file(request, "manifest.json").read_text())["cameras"][0]
        papers = [desk.file(request, name).read_text() for name in ("custody-sheet.html", "evidence-list.html")]
    said = "sound in G726-32 left out: the file has no place for it"
    assert (dossier.request.state, dossier.exports[0].state) == (FootageState.READY, ExportState.DONE)
    assert dossier.request.reason == f"{channel.camera}: {said}"
    assert (told["reason"], [file["sound_left_out"] for file in told["files"]]) == (said, ["G726-32"])
    assert [file["time_source"] for file in told["files"]] == ["device"]
    assert [line.detail["sound_left_out"] for line in dossier.custody if line.step == Step.EXPORTED] == ["G726-32"]
    assert all(f"未含声音（G726-32 编码，文件无法存入） {said}" in paper for paper in papers)
