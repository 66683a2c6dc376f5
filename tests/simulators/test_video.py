"""The scene that all simulated cameras share, judged by a decoder that knows nothing of how it was made."""

import io
from datetime import UTC, datetime, timedelta

import av
import pytest

from simulators import video
from simulators.views import View

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def decode(units: list[video.AccessUnit]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = []
    for unit in units:
        frames += decoder.decode(av.Packet(b"".join(video.NAL_START + nal for nal in unit.nals)))
    return frames + decoder.decode(None)


def mean_luma(frame: av.VideoFrame) -> float:
    data = bytes(frame.reformat(format="gray").planes[0])
    return sum(data) / len(data)


@pytest.mark.parametrize("size", [video.MAIN, video.SUB])
def test_two_rounds_of_the_loop_decode_without_a_lost_picture(size: video.Size) -> None:
    scene = video.scene(size)
    frames = decode([scene.unit(frame, name="CAM-1", phase=0) for frame in range(2 * video.LOOP_FRAMES)])
    assert len(frames) == 2 * video.LOOP_FRAMES
    assert (frames[0].width, frames[0].height) == (size.width, size.height)


def test_every_group_of_pictures_stands_alone() -> None:
    """Closed groups: what comes after a key picture decodes the same whether or not one saw what came before."""
    scene = video.scene()
    units = [scene.unit(frame, name="CAM-1", phase=0) for frame in range(3 * video.GOP_FRAMES)]
    whole, alone = decode(units), decode(units[2 * video.GOP_FRAMES :])
    assert [bytes(frame.planes[0]) for frame in whole[2 * video.GOP_FRAMES :]] == [bytes(frame.planes[0]) for frame in alone]


def test_key_pictures_fall_on_even_seconds_of_utc_for_every_camera() -> None:
    scene, second = video.scene(), video.frame_at(int(NOON.timestamp()) * 10**9)
    for name in ("CAM-0001-1", "CAM-0002-1", "CAM-0003-1", "CAM-0004-2"):
        keys = [frame - second for frame in range(second, second + 100) if scene.unit(frame, name=name, phase=video.phase_of(name)).key]
        assert keys == [0, 25, 50, 75]


def test_a_key_picture_brings_its_parameter_sets_and_says_whose_it_is_and_when() -> None:
    frame = video.frame_at(int(NOON.timestamp()) * 10**9)
    unit = video.scene().unit(frame, name="CAM-0001-1", phase=0)
    assert [nal[0] & 0x1F for nal in unit.nals] == [7, 8, 6, 5]
    assert f"CAM-0001-1 {int(NOON.timestamp())}.000".encode() in unit.nals[2]


def test_the_high_profile_is_announced() -> None:
    assert video.scene().sps[1] == 100  # profile_idc, H.264 §7.4.2.1.1


def decode_jpeg(picture: bytes) -> av.VideoFrame:
    with av.open(io.BytesIO(picture), format="mjpeg") as container:
        return next(container.decode(video=0))


def test_a_snapshot_is_a_jpeg_that_changes_with_time_and_camera() -> None:
    pictures = {video.jpeg(name, NOON + timedelta(seconds=at)) for name in ("CAM-0001-1", "CAM-0009-1") for at in (0, 1, 2)}
    assert len(pictures) == 6
    assert {(decode_jpeg(picture).width, decode_jpeg(picture).height) for picture in pictures} == {(320, 180)}


def test_a_blacked_out_and_a_covered_lens_look_like_it() -> None:
    street = mean_luma(decode_jpeg(video.jpeg("CAM-1", NOON)))
    black = mean_luma(decode_jpeg(video.jpeg("CAM-1", NOON, view=View.BLACK)))
    covered = decode_jpeg(video.jpeg("CAM-1", NOON, view=View.COVERED))
    assert black < 20 < mean_luma(covered) < street
    grey = bytes(covered.reformat(format="gray").planes[0])
    assert max(grey) - min(grey) < 8


def test_a_name_that_the_font_does_not_know_still_gives_a_picture() -> None:
    assert decode_jpeg(video.jpeg("湖滨路" * 40, NOON)).width == 320
