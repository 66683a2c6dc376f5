import base64
import hashlib
import io
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import NotSupported, ProtocolError
from gateway.media.depacketize import Depacketizer
from gateway.media.mp4 import Mp4Writer, Written
from tests.media.video import Track, access_unit, packets, pictures, read_back

ENCODINGS = ("H264", "H265")


def exported(encoding: str, made: list, track: Track | None = None) -> tuple[bytes, Written]:
    out = io.BytesIO()
    depacketizer, writer = Depacketizer(encoding), Mp4Writer(out.write, track or Track(encoding))
    for packet in made:
        for unit in depacketizer.push(packet):
            writer.add(unit)
    for unit in depacketizer.flush():
        writer.add(unit)
    written = writer.close()
    return out.getvalue(), written


def lengths(nals: tuple[bytes, ...]) -> bytes:
    return b"".join(len(nal).to_bytes(4) + nal for nal in nals)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("aggregate", [False, True])
@pytest.mark.parametrize("mtu", [20, 400, 65000])
async def test_every_nal_unit_reaches_the_file_byte_for_byte(encoding: str, aggregate: bool, mtu: int) -> None:
    units = pictures(encoding)
    data, written = exported(encoding, packets(encoding, units, mtu=mtu, aggregate=aggregate))
    samples, times, stream = read_back(data)
    assert samples == [lengths(nals) for nals in units]
    assert len(times) == written.frames == len(units)
    assert (stream.width, stream.height) == (160, 90)
    assert stream.codec_context.name == {"H264": "h264", "H265": "hevc"}[encoding]


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_the_hash_and_the_size_are_those_of_the_bytes_written(encoding: str) -> None:
    data, written = exported(encoding, packets(encoding, pictures(encoding)))
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert written.size == len(data)


async def test_a_gap_in_the_footage_keeps_its_length_in_the_file() -> None:
    made = packets("H264", pictures("H264"))
    hole = timedelta(seconds=120)
    late = [replace(packet, ntp=packet.ntp and packet.ntp + hole) if packet.timestamp >= 50 * 3600 else packet for packet in made]
    data, _ = exported("H264", late)
    _, times, stream = read_back(data)
    assert times[50] - times[49] == pytest.approx(120.04, abs=1e-4)
    assert float(stream.duration * stream.time_base) == pytest.approx(122.4, abs=0.05)


async def test_pictures_before_the_first_key_picture_are_counted_and_left_out() -> None:
    data, written = exported("H264", packets("H264", pictures("H264"))[3:])
    samples, _, _ = read_back(data)
    assert written.skipped > 0
    assert len(samples) == written.frames == 60 - 25


async def test_parameter_sets_may_come_from_the_description_alone() -> None:
    units = pictures("H264")
    sets = [nal for nal in units[0] if nal[0] & 0x1F in (7, 8)]
    bare = [tuple(nal for nal in nals if nal[0] & 0x1F not in (7, 8)) for nals in units]
    track = Track("H264", {"sprop-parameter-sets": ",".join(base64.b64encode(nal).decode() for nal in sets)})
    data, written = exported("H264", packets("H264", bare), track)
    samples, times, _ = read_back(data)
    assert samples == [lengths(nals) for nals in bare]
    assert len(times) == written.frames == 60


async def test_parameter_sets_that_a_device_ends_with_a_marker_join_the_picture_they_belong_to() -> None:
    units = pictures("H264", 30)
    made = [replace(packet, marker=True) if packet.payload[0] & 0x1F in (6, 7, 8) else packet for packet in packets("H264", units)]
    data, _ = exported("H264", made)
    assert read_back(data)[0] == [lengths(nals) for nals in units]


async def test_a_picture_without_its_marker_ends_where_the_timestamp_changes() -> None:
    units = pictures("H264", 30)
    data, _ = exported("H264", [replace(packet, marker=False) for packet in packets("H264", units)])
    assert read_back(data)[0] == [lengths(nals) for nals in units]


async def test_a_lost_packet_is_counted_and_damages_one_picture_only() -> None:
    made = packets("H264", pictures("H264"), mtu=20)
    victim = next(i for i, p in enumerate(made) if p.timestamp == 10 * 3600 and not p.marker and p.payload[0] & 0x1F == 28)
    depacketizer = Depacketizer("H264")
    found = [unit for packet in made[:victim] + made[victim + 1 :] for unit in depacketizer.push(packet)]
    assert depacketizer.lost_packets == 1
    assert [unit.timestamp // 3600 for unit in found if unit.damaged] in ([10], [11])  # itself, or when nothing of it is left, the next


async def test_footage_without_the_recorders_time_keeps_the_rtp_clock() -> None:
    made = [
        replace(packet, ntp=None, timestamp=(packet.timestamp + 0xFFFF0000) % (1 << 32)) for packet in packets("H264", pictures("H264"))
    ]
    data, _ = exported("H264", made)
    _, times, _ = read_back(data)
    assert times == pytest.approx([index / 25 for index in range(60)], abs=1e-3)


async def test_times_that_step_back_never_make_a_file_that_cannot_be_read() -> None:
    made = [
        replace(p, ntp=p.ntp and p.ntp - timedelta(hours=1)) if p.timestamp > 30 * 3600 else p for p in packets("H264", pictures("H264"))
    ]
    data, written = exported("H264", made)
    assert len(read_back(data)[0]) == written.frames == 60


async def test_the_file_is_written_in_pieces_that_do_not_grow_with_the_footage() -> None:
    pieces: list[int] = []
    writer = Mp4Writer(lambda data: pieces.append(len(data)), Track("H264"))
    key, other = pictures("H264")[0], pictures("H264")[1]
    big = (*key, key[-1] + bytes(1 << 20))
    for index in range(64):
        writer.add(access_unit(big if index == 0 else (*other, bytes(1 << 20)), index * 3600, key=index == 0))
    writer.close()
    assert max(pieces) < 12 << 20


async def test_footage_without_pictures_leaves_an_empty_file() -> None:
    data, written = exported("H264", [])
    assert (data, written.frames, written.size) == (b"", 0, 0)


@pytest.mark.parametrize("encoding", ["JPEG", "MP4V-ES"])
async def test_other_codecs_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(NotSupported, match=encoding):
        Depacketizer(encoding)


async def test_a_garbled_description_is_the_devices_fault() -> None:
    with pytest.raises(ProtocolError):
        Mp4Writer(lambda _: None, Track("H264", {"sprop-parameter-sets": "!!"}))
