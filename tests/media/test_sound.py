from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.media.sound import SoundUnit, sound_track
from tests.media.video import Packet

STEREO = {"cpresent": "0", "config": "400023203fc0"}  # as FFmpeg describes 48 kHz of two channels
LOW_DELAY = {"config": "1408", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}


@dataclass(frozen=True)
class Track:
    encoding: str
    clock_rate: int = 16_000
    parameters: dict[str, str] = field(default_factory=lambda: dict(LOW_DELAY))


def pushed(track: Track, *packets: Packet) -> list[SoundUnit]:
    found = sound_track(track)
    assert found is not None
    return [unit for packet in packets for unit in found.push(packet)]


def header(*sizes: int) -> bytes:
    return (16 * len(sizes)).to_bytes(2) + b"".join((size << 3).to_bytes(2) for size in sizes)


def test_frames_of_one_packet_follow_each_other() -> None:
    packet = Packet(header(3, 2) + b"abcde", 1, 1_000, marker=True)
    assert pushed(Track("MPEG4-GENERIC"), packet) == [SoundUnit(b"abc", 1_000, 1_024), SoundUnit(b"de", 2_024, 1_024)]


def test_a_frame_in_pieces_is_put_together() -> None:
    pieces = [Packet(header(5) + b"abc", 1, 7, marker=False), Packet(header(5) + b"de", 2, 7, marker=True)]
    assert pushed(Track("MPEG4-GENERIC"), *pieces) == [SoundUnit(b"abcde", 7, 1_024)]


def test_a_frame_that_lost_a_piece_is_left_out() -> None:
    pieces = [Packet(header(5) + b"abc", 1, 7, marker=True), Packet(header(2) + b"xy", 2, 9, marker=True)]
    assert [unit.data for unit in pushed(Track("MPEG4-GENERIC"), *pieces)] == [b"xy"]


def latm(*frames: bytes) -> bytes:
    return b"".join(b"\xff" * (len(frame) // 255) + bytes((len(frame) % 255,)) + frame for frame in frames)


LATM = Track("MP4A-LATM", 48_000, STEREO)


def test_a_muxed_configuration_is_told_as_a_file_wants_it() -> None:
    found = sound_track(LATM)
    assert found is not None
    assert (found.format.entry, found.format.channels, found.format.configuration) == ("mp4a", 2, bytes.fromhex("1190"))


@pytest.mark.parametrize("size", [1, 254, 255, 256, 509, 510, 511])
def test_muxed_frames_of_any_length_follow_each_other(size: int) -> None:
    frames = [b"a" * size, b"b" * 3]
    packet = Packet(latm(*frames), 1, 1_000, marker=True)
    assert pushed(LATM, packet) == [SoundUnit(frames[0], 1_000, 1_024), SoundUnit(frames[1], 2_024, 1_024)]


def test_a_muxed_frame_in_pieces_is_put_together_and_one_that_lost_a_piece_is_left_out() -> None:
    whole = latm(b"x" * 600)
    pieces = [Packet(whole[at : at + 250], at, 7, marker=at == 500) for at in (0, 250, 500)]
    assert pushed(LATM, *pieces) == [SoundUnit(b"x" * 600, 7, 1_024)]
    for lost in range(3):
        rest = [piece for number, piece in enumerate(pieces) if number != lost]
        assert [unit.data for unit in pushed(LATM, *rest, Packet(latm(b"next"), 9, 1_031, marker=True))] == [b"next"]


@pytest.mark.parametrize(
    "track",
    [
        Track("MP4A-LATM", 48_000, {"config": STEREO["config"]}),  # the configuration comes between the frames
        Track("MP4A-LATM", 48_000, STEREO | {"config": "800023203fc0"}),  # another version
        Track("MP4A-LATM", 48_000, STEREO | {"config": "400223203fc0"}),  # two programs
        Track("MP4A-LATM", 48_000, STEREO | {"config": "400053203fc0"}),  # SBR
        Track("MP4A-LATM", 48_000, STEREO | {"config": "400023203fe0"}),  # other data
        Track("MP4A-LATM", 48_000, STEREO | {"config": "4000"}),
        Track("G726-32", 8_000),
        Track("PCMA", 0),
        Track("MPEG4-GENERIC", parameters={}),
        Track("MPEG4-GENERIC", parameters=LOW_DELAY | {"config": "zz"}),
        Track("MPEG4-GENERIC", parameters=LOW_DELAY | {"sizelength": "99"}),
    ],
)
def test_what_no_file_can_hold_is_no_sound_track(track: Track) -> None:
    assert sound_track(track) is None


@given(
    st.sampled_from([Track("PCMA"), Track("PCMU"), Track("MPEG4-GENERIC"), LATM]),
    st.lists(st.builds(Packet, st.binary(max_size=60), st.just(1), st.just(2), st.booleans())),
)
@example(Track("MPEG4-GENERIC", 16_000, LOW_DELAY), [Packet(b"\0\x11\0\0", 1, 2, False)])  # its headers are cut off
def test_any_packets_make_sound_or_nothing(track: Track, packets: list[Packet]) -> None:
    assert all(unit.data and unit.duration > 0 for unit in pushed(track, *packets))


@given(st.binary(max_size=12))
def test_any_muxed_configuration_is_understood_or_refused(config: bytes) -> None:
    found = sound_track(Track("MP4A-LATM", parameters={"cpresent": "0", "config": config.hex()}))
    assert found is None or len(found.format.configuration) in (2, 5)


@given(st.dictionaries(st.sampled_from(list(LOW_DELAY)), st.text("0123456789abcdef", max_size=12)))
def test_any_description_is_understood_or_refused(parameters: dict[str, str]) -> None:
    found = sound_track(Track("MPEG4-GENERIC", parameters=parameters))
    assert found is None or 0 < found.format.channels < 16
