import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.media.depacketize import Depacketizer
from gateway.media.mp4 import Mp4Writer
from gateway.media.parameter_sets import configure, from_format
from tests.media.video import Packet, Track, pictures

codecs = st.sampled_from(["H264", "H265"])
wire = st.builds(
    Packet,
    payload=st.binary(max_size=60),
    sequence=st.integers(0, 65535),
    timestamp=st.integers(0, (1 << 32) - 1),
    marker=st.booleans(),
)


@given(codecs, st.lists(wire, max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_packets_make_pictures_or_a_protocol_error(encoding: str, packets: list[Packet]) -> None:
    depacketizer, writer = Depacketizer(encoding), Mp4Writer(lambda _: None, Track(encoding))
    try:
        for packet in packets:
            for unit in depacketizer.push(packet):
                assert all(unit.nals)
                writer.add(unit)
    except ProtocolError:
        return
    writer.close()


def test_a_picture_of_ever_more_pieces_is_refused_though_they_are_empty() -> None:
    depacketizer = Depacketizer("H264")
    depacketizer.push(Packet(b"\x7c\x85", 0, 0, False))
    with pytest.raises(ProtocolError, match="too large"):
        for number in range(1, 1 << 20):
            depacketizer.push(Packet(b"\x7c\x05", number & 0xFFFF, 0, False))


@given(codecs, st.lists(st.binary(min_size=2, max_size=80), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_parameter_sets_are_understood_or_refused(encoding: str, nals: list[bytes]) -> None:
    heads = {"H264": (b"\x67", b"\x68"), "H265": (b"\x40\x01", b"\x42\x01", b"\x44\x01")}[encoding]
    try:
        found = configure(encoding, [*nals, *(head + nal for head in heads for nal in nals)])
    except ProtocolError:
        return
    assert found is None or (0 < found.width <= 16384 and 0 < found.height <= 16384)


@given(codecs, st.data())
@settings(deadline=None)
def test_true_parameter_sets_with_a_flipped_bit_never_crash(encoding: str, data: st.DataObject) -> None:
    nals = [bytearray(nal) for nal in pictures(encoding, 30)[0]]
    victim = data.draw(st.sampled_from(nals[:3]))
    victim[data.draw(st.integers(0, len(victim) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        configure(encoding, map(bytes, nals))
    except ProtocolError:
        pass


@given(st.text(max_size=60))
def test_any_format_parameters_are_understood_or_refused(text: str) -> None:
    try:
        from_format("H264", {"sprop-parameter-sets": text})
    except ProtocolError:
        pass
