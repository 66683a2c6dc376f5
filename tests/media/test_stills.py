"""Stills out of a stream: what the decoder's process makes of good and of hostile pictures."""

import pytest

from gateway.errors import ProtocolError
from gateway.media.stills import StillDecoder
from simulators.frames import MAIN, Codec, Sight
from simulators.video import NAL_START, Reel


def key_picture(codec: Codec) -> bytes:
    return b"".join(NAL_START + nal for nal in Reel(Sight("CAM-1"), codec, MAIN).unit(25_000_000).nals)


@pytest.mark.parametrize("codec", list(Codec))
async def test_a_key_picture_becomes_a_jpeg(codec: Codec) -> None:
    assert (await StillDecoder().jpeg(codec, key_picture(codec))).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("stream", [b"", bytes(range(256)) * 16, key_picture(Codec.H264)[:40]], ids=["nothing", "noise", "headless"])
async def test_what_is_no_picture_is_refused(stream: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        await StillDecoder().jpeg("H264", stream)
    assert refused.value.code == "no-picture"


async def test_a_decoder_that_dies_is_the_stream_s_fault() -> None:
    with pytest.raises(ProtocolError, match="died"):
        await StillDecoder(python="/bin/true").jpeg("H264", key_picture(Codec.H264))
