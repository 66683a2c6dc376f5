"""Opus talk: packets that are none are refused before anything decodes them, lost ones are made up for, and nothing harms the gateway."""

import array
import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.media.opus import LONGEST_S, OpusVoice, duration_of
from gateway.media.opus_worker import Decoder
from tests.media.opus import opus_packets
from tests.sweeps import clearest_db, sweeps
from tests.waiting import until

PACKETS = opus_packets(sweeps(1, rate=16_000), rate=16_000, layout="mono")


@pytest.mark.parametrize(
    ("packet", "seconds"),
    [
        (b"\x08" + b"x" * 40, 0.020),  # SILK, narrow band
        (b"\x18", 0.060),
        (b"\xe0" + b"x", 0.0025),  # CELT
        (b"\xfc" + b"x" * 60, 0.020),  # stereo
        (b"\x09" + b"xx", 0.040),
        (b"\x0a\x01" + b"xyz", 0.040),
        (b"\x0b\x03" + b"xxx", 0.060),
        (b"\x0b\x83\x01\x02" + b"abbc", 0.060),
        (b"\x0b\x42\x02" + b"xx" + b"\0\0", 0.040),
    ],
)
def test_a_packet_tells_how_long_it_is(packet: bytes, seconds: float) -> None:
    assert duration_of(packet) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(1_277),  # a frame of more than 1,275 bytes
        bytes(4_001),
        b"\x09x",  # two alike, an odd number of bytes
        b"\x0a",  # no length
        b"\x0a\xfd",  # a length cut short
        b"\x0a\x05abc",  # the first frame is longer than all
        b"\x0b",
        b"\x0b\x00",  # no frame
        b"\x0b\x07" + bytes(7),  # 140 ms
        b"\x1b\x03" + bytes(3),  # 180 ms
        b"\x0b\x02abc",  # shared unevenly
        b"\x0b\x41\xff\xff",  # padding without an end
        b"\x0b\x41\x05ab",  # more padding than bytes
        b"\x0b\x83\x05\x05abc",  # frames longer than all
    ],
)
def test_what_the_rfc_rules_out_is_no_packet(packet: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        duration_of(packet)
    assert refused.value.code == "bad-frame"


framed = st.builds(bytes.__add__, st.sampled_from([b"\x0b", b"\x0a", b"\xff"]), st.binary(max_size=1_500))


@given(packet=st.one_of(st.binary(max_size=200), framed))
def test_any_bytes_are_refused_or_have_a_length(packet: bytes) -> None:
    try:
        assert 0.0025 <= duration_of(packet) <= LONGEST_S + 1e-9
    except InvalidInput as refused:
        assert refused.code == "bad-frame"


def test_what_passes_is_decoded_to_its_length_whatever_is_in_it() -> None:
    """2,000 packets with damaged contents, which have the form of Opus."""
    dice, decoder = random.Random(1), Decoder()
    for packet in opus_packets(sweeps(1, rate=48_000), rate=48_000, layout="stereo")[:5]:
        decoder.pcm(packet)
    for _ in range(2_000):
        packet = bytearray(dice.choice(PACKETS))
        for _ in range(dice.randrange(1, 8)):
            packet[dice.randrange(len(packet))] = dice.randrange(256)
        data = bytes(packet[: dice.randrange(1, len(packet) + 1)])
        try:
            seconds = duration_of(data)
        except InvalidInput:
            continue
        pcm = decoder.pcm(data)
        assert pcm is not None
        assert len(pcm) / 2 / 8_000 == pytest.approx(seconds, abs=0.006)


async def test_a_voice_comes_out_as_it_went_in_and_a_lost_packet_takes_its_time() -> None:
    heard = bytearray()
    voice = await OpusVoice.start(heard.extend)
    try:
        assert voice.hear(b"") == 0.0  # nothing to go by yet
        spoken = sum(voice.hear(packet) for packet in PACKETS)
        await until(lambda: len(heard) / 16_000 > spoken - 0.01, within_s=60)
        lost = [voice.hear(b"") for _ in range(3)]
        await until(lambda: len(heard) / 16_000 > spoken + sum(lost) - 0.01, within_s=60)
        assert lost == [0.02] * 3
    finally:
        await voice.close()
    assert clearest_db(array.array("h", bytes(heard))) > 15


async def test_no_more_is_made_up_than_a_moment() -> None:
    heard = bytearray()
    voice = await OpusVoice.start(heard.extend)
    try:
        voice.hear(PACKETS[5])
        for _ in range(100):
            voice.hear(b"")
        voice.hear(PACKETS[6])
        await until(lambda: len(heard) / 16_000 > 0.225, within_s=60)
        await asyncio.sleep(0)
    finally:
        await voice.close()
    assert len(heard) / 16_000 < 0.3


async def test_a_decoder_that_dies_is_seen_and_ends_with_its_talk() -> None:
    voice = await OpusVoice.start(lambda _: None)
    voice._process.kill()
    await until(lambda: voice.gone, within_s=60)
    voice.hear(PACKETS[0])
    await voice.close()
    assert voice._process.returncode is not None


async def test_a_decoder_ends_when_nobody_listens() -> None:
    voice = await OpusVoice.start(lambda _: None)
    voice.hear(PACKETS[0])
    await voice.close()
    assert voice._process.returncode == 0
