"""Packets that come together make the same pictures as packets that come alone, whatever was lost, repeated or damaged on the way."""

import io
import itertools
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.drivers.base import Pieces
from gateway.drivers.rtp import packets as rtp
from gateway.drivers.rtsp import bursts as reading
from gateway.drivers.rtsp.bursts import Burst
from gateway.drivers.rtsp.messages import Frame, Message, Parser, Room, encode_frame
from gateway.drivers.rtsp.replay import FRAGMENTATIONS
from gateway.errors import ProtocolError
from gateway.media.depacketize import AccessUnit, Depacketizer
from gateway.media.mp4 import Mp4Writer
from tests.media import video


def wire(encoding: str) -> list[bytes]:
    units = video.pictures(encoding, 12)
    made = []
    for packet in video.packets(encoding, units, mtu=150):
        head = rtp.header(payload_type=96, sequence=packet.sequence, timestamp=packet.timestamp, ssrc=7, marker=packet.marker)
        if packet.ntp is not None:
            seconds = int(packet.ntp.timestamp()) + 2_208_988_800
            fraction = packet.ntp.microsecond * (1 << 32) // 1_000_000
            head = b"\x90" + head[1:] + b"\xab\xac\0\3" + seconds.to_bytes(4) + fraction.to_bytes(4) + bytes(4)
        made.append(encode_frame(0, head + packet.payload))
    return made


def read_into(room: Room, piece: bytes) -> list[Message]:
    """What is behind the piece in the room is not zero, and is no part of the stream."""
    free = room.free()
    free[: len(piece) + 100] = piece + b"$" * 100
    return room.take(len(piece))


def film(encoding: str, units: list[AccessUnit]) -> bytes:
    out = io.BytesIO()
    writer = Mp4Writer(out.write, video.Track(encoding))
    for unit in units:
        writer.add(video.access_unit(unit.parts, unit.timestamp, unit.ntp, key=unit.key))
    writer.close()
    return out.getvalue()


def pictures(encoding: str, pieces: list[bytes], *, together: bool) -> tuple[list[AccessUnit], int, int, int]:
    """The pictures, each NAL unit in one part; the packets that were lost, how many pictures came before the end was said, how many calls
    it took."""
    room, parser, depacketizer = Room({0: FRAGMENTATIONS[encoding]}), Parser(), Depacketizer(encoding)
    found: list[AccessUnit] = []
    calls = 0
    try:
        for frame in (message for piece in pieces for message in (read_into(room, piece) if together else parser.feed(piece))):
            if not isinstance(frame, Frame | Burst) or frame.channel != 0:
                continue
            packet = rtp.parse(frame.payload) if isinstance(frame, Frame) else frame.packet
            if packet is None:
                break  # a replay ends there, too
            found += depacketizer.push(packet)
            calls += 1
    except ProtocolError:
        pass
    units = [unit._replace(parts=unit.nals) for unit in found + depacketizer.flush()]
    return units, depacketizer.lost_packets, len(found), calls


@given(st.sampled_from(["H264", "H265"]), st.data())
@settings(max_examples=100, deadline=None)
def test_packets_that_come_together_make_the_same_pictures(encoding: str, data: st.DataObject) -> None:
    frames = wire(encoding)
    places = st.integers(0, len(frames) - 1)
    for place in sorted(data.draw(st.sets(places, max_size=6)), reverse=True):
        frames[place : place + 1] = data.draw(st.sampled_from([[], [frames[place]] * 2, [frames[place - 1]], [frames[place][:-1] + b"x"]]))
    stream = bytearray(b"".join(frames))
    for _ in range(data.draw(st.integers(0, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [bytes(stream[start:end]) for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    together, alone = pictures(encoding, pieces, together=True), pictures(encoding, pieces, together=False)
    assert together[:3] == alone[:3]


@given(st.sampled_from(["H264", "H265"]), st.data())
@settings(max_examples=50, deadline=None)
def test_the_file_is_the_same_however_the_stream_was_cut_into_reads(encoding: str, data: st.DataObject) -> None:
    stream = b"".join(wire(encoding))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = film(encoding, pictures(encoding, [stream], together=False)[0])
    assert film(encoding, pictures(encoding, pieces, together=True)[0]) == whole


@pytest.mark.parametrize("encoding", ["H264", "H265"])
def test_a_picture_is_one_call(encoding: str) -> None:
    stream = b"".join(wire(encoding))
    together, alone = pictures(encoding, [stream], together=True), pictures(encoding, [stream], together=False)
    assert together[0] == alone[0]
    assert 12 * len(together[0]) < alone[3]
    assert together[3] <= len(together[0]) + 1  # the numbers wrap once
    assert together[2] == len(together[0])  # the last marker ends the last picture


@pytest.mark.parametrize("encoding", ["H264", "H265"])
def test_the_pieces_of_a_nal_unit_are_one_item(encoding: str) -> None:
    came = read_into(Room({0: FRAGMENTATIONS[encoding]}), b"".join(wire(encoding)))
    bursts = [message for message in came if isinstance(message, Burst)]
    packets = [burst.packet for burst in bursts if burst.packet is not None]
    pieces = [item for packet in packets for item in packet.following if isinstance(item, Pieces)]
    assert max(len(item.bodies) for item in pieces) > 12
    assert all(len(body) == len(item.bodies[0]) for item in pieces for body in item.bodies)
    assert sum(packet.packets for packet in packets) == len(wire(encoding))
    assert sum(burst.size for burst in bursts) == len(b"".join(wire(encoding)))


def piece(sequence: int, body: bytes, *, timestamp: int = 1, source: int = 7, ends: bool = False) -> bytes:
    """A piece in the midst of a NAL unit of H.264, or its last."""
    head = rtp.header(payload_type=96, sequence=sequence, timestamp=timestamp, ssrc=source, marker=False)
    return encode_frame(0, head + (b"\x7c\x45" if ends else b"\x7c\x05") + body)


def read(stream: bytes) -> int:
    """How many packets there are."""
    came = read_into(Room({0: FRAGMENTATIONS["H264"]}), stream)
    packets = [message.packet for message in came if isinstance(message, Burst)]
    return sum(packet.packets for packet in packets if packet is not None)


def test_what_is_kept_of_how_pieces_lie_stays_small_whatever_their_lengths() -> None:
    """A recorder's pieces may have any length, and any number of them may be alike: 62 lengths and 29 numbers of them."""
    lengths = itertools.product(range(1, 63), range(3, 32))
    runs = [b"".join(piece(at, bytes(size), timestamp=count, ends=at == count) for at in range(count + 1)) for size, count in lengths]
    read(runs[0])
    reading._layout.cache_clear()
    tracemalloc.start()
    try:
        for run in runs:
            read(run)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


@pytest.mark.parametrize(
    ("sources", "a_picture"),
    [((1, 2), 10_000), ((1, 1, 2, 2), 10_000), ((1, 1, 1, 2), 10_000), ((1,) * 30 + (2,), 10_000), ((1,), 2)],
    ids=["every piece", "every other piece", "once in three pieces", "once in thirty pieces", "pictures of two pieces"],
)
def test_pieces_that_turn_out_to_be_none_cost_few_looks_each(
    sources: tuple[int, ...], a_picture: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device may change its source, or its pictures, within what looks like a run of pieces."""
    looked: list[int] = []
    layout: Callable[[int, int, int], tuple[object, ...]] = reading._layout

    def counted(stride: int, heads: int, count: int) -> tuple[object, ...]:
        looked.append(count)
        return layout(stride, heads, count)

    monkeypatch.setattr(reading, "_layout", counted)
    pieces = [piece(at, b"x", timestamp=at // a_picture, source=sources[at % len(sources)]) for at in range(10_000)]
    assert read(b"".join(pieces)) == 10_000
    assert sum(looked) <= 3 * 10_000
