"""The scene that all simulated cameras share and the caption of each, judged by a decoder that knows nothing of how they were made."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime

import av
import pytest

from simulators import drawing, video
from simulators.frames import GOP_FRAMES, MAIN, SUB, AccessUnit, Codec, Sight, Size, frame_at
from simulators.views import Seen, View
from tests.simulators.reading import caption_of

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
AT_NOON = frame_at(int(NOON.timestamp()) * 10**9)
CAMERA = Sight("CAM-0001-1")
DECODERS = {Codec.H264: "h264", Codec.H265: "hevc"}
VIEWS = [View.STREET, View.BLACK, View.COVERED, View.MOVED, View.BLURRED, View.DAZZLED]


def sight(view: View, *, since: float = 0.0, offset_s: float = 0.0) -> Sight:
    return Sight("CAM-0001-1", lambda: offset_s, lambda at: Seen(view, since) if at >= since else Seen())


def decode(codec: Codec, units: Sequence[AccessUnit]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    frames = []
    for unit in units:
        frames += decoder.decode(av.Packet(b"".join(video.NAL_START + nal for nal in unit.nals)))
    return frames + decoder.decode(None)


def watched(which: Sight, codec: Codec = Codec.H264, size: Size = MAIN, *, frames: int = 125, since: int = AT_NOON) -> list[av.VideoFrame]:
    reel = video.Reel(which, codec, size)
    return decode(codec, [reel.unit(since + index) for index in range(frames)])


def street_of(frame: av.VideoFrame) -> bytes:
    """The luma above the band."""
    return grey(frame)[: frame.width * {180: MAIN, 96: SUB}[frame.height].band_top]


def mean_luma(frame: av.VideoFrame) -> float:
    data = bytes(frame.reformat(format="gray").planes[0])
    return sum(data) / len(data)


def decode_jpeg(picture: bytes) -> av.VideoFrame:
    with av.open(io.BytesIO(picture), format="mjpeg") as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("size", [MAIN, SUB], ids=["main", "sub"])
@pytest.mark.parametrize("codec", list(Codec))
def test_each_picture_shows_the_camera_and_its_own_clock(codec: Codec, size: Size) -> None:
    """Its clock is 0.3 s ahead of the pictures' grid, so it moves on twice in the middle of each group."""
    frames = watched(sight(View.STREET, offset_s=0.3), codec, size, frames=2 * drawing.LOOP_FRAMES)
    assert {(frame.width, frame.height) for frame in frames} == {(size.width, size.height)}
    shown = [caption_of(frame) for frame in frames]
    clocks = [datetime.fromtimestamp(NOON.timestamp() + 0.3 + index * 0.08, UTC) for index in range(250)]
    assert shown == [("CAM-0001-1", f"{clock:%Y-%m-%d %H:%M:%S}") for clock in clocks]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [MAIN, SUB], ids=["main", "sub"])
@pytest.mark.parametrize("codec", list(Codec))
def test_the_caption_leaves_no_trace_in_the_street_above_it(codec: Codec, size: Size, view: View) -> None:
    """Pixel for pixel the street as it was encoded without a caption: nothing reaches from one part of the picture to the other."""
    scene = video.scene(size, codec, view)
    bare = [
        AccessUnit((*scene.sets, *slices) if index % GOP_FRAMES == 0 else slices, key=index % GOP_FRAMES == 0)
        for index, slices in enumerate(scene.units)
    ]
    start = AT_NOON - (AT_NOON + video.phase_of(CAMERA.name)) % drawing.LOOP_FRAMES
    expected, shown = decode(codec, bare), watched(sight(view, offset_s=-0.7), codec, size, since=start)
    assert len(shown) == drawing.LOOP_FRAMES
    assert [street_of(frame) for frame in shown] == [street_of(frame) for frame in expected]


@pytest.mark.parametrize("codec", list(Codec))
def test_every_group_of_pictures_stands_alone(codec: Codec) -> None:
    """Closed groups: what comes after a key picture decodes the same whether or not one saw what came before."""
    reel = video.Reel(CAMERA, codec, MAIN)
    units = [reel.unit(AT_NOON + index) for index in range(3 * GOP_FRAMES)]
    whole, alone = decode(codec, units), decode(codec, units[2 * GOP_FRAMES :])
    assert [bytes(frame.planes[0]) for frame in whole[2 * GOP_FRAMES :]] == [bytes(frame.planes[0]) for frame in alone]


def test_key_pictures_fall_on_even_seconds_of_utc_for_every_camera() -> None:
    for name in ("CAM-0001-1", "CAM-0002-1", "CAM-0003-1", "CAM-0004-2"):
        reel = video.Reel(Sight(name), Codec.H264, MAIN)
        assert [index for index in range(100) if reel.unit(AT_NOON + index).key] == [0, 25, 50, 75]


@pytest.mark.parametrize(("codec", "kinds"), [(Codec.H264, [7, 8, 6, 5, 5]), (Codec.H265, [32, 33, 34, 39, *[20] * 6])])
def test_a_key_picture_brings_its_parameter_sets_and_says_whose_it_is_and_when(codec: Codec, kinds: list[int]) -> None:
    unit = video.Reel(CAMERA, codec, MAIN).unit(AT_NOON)
    assert [nal[0] & 0x1F if codec is Codec.H264 else nal[0] >> 1 & 0x3F for nal in unit.nals] in (kinds, [*kinds[:4], *[19] * 6])
    assert f"CAM-0001-1 {int(NOON.timestamp())}.000".encode() in unit.nals[len(kinds) - (2 if codec is Codec.H264 else 6) - 1]


def test_the_high_profile_is_announced() -> None:
    assert video.parameter_sets(MAIN, Codec.H264)[0][1] == 100  # profile_idc, H.264 §7.4.2.1.1


@pytest.mark.parametrize("size", [MAIN, SUB], ids=["main", "sub"])
@pytest.mark.parametrize("codec", list(Codec))
def test_a_snapshot_shows_what_the_stream_shows_at_that_moment(codec: Codec, size: Size) -> None:
    snapshot = decode_jpeg(video.jpeg(CAMERA, NOON.timestamp() + 3.2, size=size))
    frame = watched(CAMERA, codec, size, frames=41)[-1]
    assert caption_of(snapshot) == caption_of(frame) == ("CAM-0001-1", "2026-05-01 12:00:03")
    apart = [abs(one - other) for one, other in zip(grey(snapshot), grey(frame), strict=True)]
    assert sum(apart) / len(apart) < 6
    other = grey(watched(CAMERA, codec, size, frames=101)[-1])
    assert sum(map(abs, (a - b for a, b in zip(grey(snapshot), other, strict=True)))) > 1.5 * sum(apart)


def grey(frame: av.VideoFrame) -> bytes:
    """The luma as it was coded, row by row."""
    plane = frame.planes[0]
    data = bytes(plane)
    return b"".join(data[at : at + frame.width] for at in range(0, frame.height * plane.line_size, plane.line_size))


def test_a_blacked_out_and_a_covered_lens_look_like_it() -> None:
    street = mean_luma(decode_jpeg(video.jpeg(CAMERA, NOON.timestamp())))
    black = decode_jpeg(video.jpeg(sight(View.BLACK), NOON.timestamp()))
    covered = decode_jpeg(video.jpeg(sight(View.COVERED), NOON.timestamp()))
    assert mean_luma(black) < 24 < mean_luma(covered) < street
    assert max(street_of(covered)) - min(street_of(covered)) < 8
    assert caption_of(black) == caption_of(covered) == ("CAM-0001-1", "2026-05-01 12:00:00")


@pytest.mark.parametrize("codec", list(Codec))
def test_a_frozen_picture_stands_still_with_the_clock_in_it(codec: Codec) -> None:
    frozen = sight(View.FROZEN, since=NOON.timestamp() + 3)
    frames = watched(frozen, codec, frames=200)
    assert [caption_of(frame)[1] for frame in frames[150:]] == ["2026-05-01 12:00:02"] * 50
    keys = [street_of(frames[index]) for index in (100, 125, 150, 175)]
    assert len(set(keys)) == 1
    assert video.jpeg(frozen, NOON.timestamp() + 5) == video.jpeg(frozen, NOON.timestamp() + 60)


def test_a_camera_that_was_pushed_aside_shows_another_street() -> None:
    usual, moved = (decode_jpeg(video.jpeg(which, NOON.timestamp())) for which in (CAMERA, sight(View.MOVED)))
    assert street_of(usual) != street_of(moved)
    assert abs(mean_luma(usual) - mean_luma(moved)) < 12


def test_a_name_that_the_font_does_not_know_still_gives_a_picture() -> None:
    assert decode_jpeg(video.jpeg(Sight("湖滨路" * 40), NOON.timestamp())).width == 320
