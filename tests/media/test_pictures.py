"""Pictures in numbers: what the decoder's process says of the simulated street, of hostile streams, and how it dies."""

from pathlib import Path

import pytest

from gateway.domain.pictures import COLUMNS, ROWS, likeness
from gateway.errors import DeadlineExceeded, ProtocolError
from gateway.media.pictures import PictureReader
from simulators.frames import MAIN, Codec, Sight
from simulators.video import NAL_START, Reel
from simulators.views import Seen, View

FRAME = 25_000_000


def stream(view: View = View.STREET, *, frame: int = FRAME, codec: Codec = Codec.H264) -> bytes:
    sight = Sight("CAM-1", view=lambda _at: Seen(view, 0.0))
    return b"".join(NAL_START + nal for nal in Reel(sight, codec, MAIN).unit(frame).nals)


@pytest.fixture
async def reader():
    made = PictureReader()
    yield made
    await made.close()


@pytest.mark.parametrize("codec", list(Codec))
async def test_a_street_has_colours_edges_and_grains(reader: PictureReader, codec: Codec) -> None:
    found = await reader.read(codec, stream(codec=codec))
    assert (found.width, found.height, found.light) == (MAIN.width, MAIN.height, "colour")
    assert found.dark < 0.2
    assert found.bright < 0.2
    assert found.sharpness > 2
    assert len(found.fields) == len(found.grains) == COLUMNS * ROWS


async def test_each_view_has_its_numbers(reader: PictureReader) -> None:
    found = {view: await reader.read("H264", stream(view)) for view in View}
    street = found[View.STREET]
    assert found[View.BLACK].dark > 0.95
    assert found[View.DAZZLED].bright > 0.85
    assert found[View.COVERED].flat > 0.85
    assert found[View.BLURRED].sharpness < street.sharpness / 4
    moved = likeness(street.fields, found[View.MOVED].fields)
    assert moved is not None
    assert moved < 0.3
    assert found[View.FROZEN].digest == (await reader.read("H264", stream(View.FROZEN, frame=FRAME + 250))).digest
    assert street.digest != (await reader.read("H264", stream(frame=FRAME + 250))).digest, "the caption has gone on"


@pytest.mark.parametrize("bad", [b"", bytes(range(256)) * 16, stream()[:40]], ids=["nothing", "noise", "headless"])
async def test_what_is_no_picture_is_refused_and_the_next_one_read(reader: PictureReader, bad: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        await reader.read("H264", bad)
    assert refused.value.code == "no-picture"
    assert (await reader.read("H264", stream())).width == MAIN.width


async def test_a_decoder_that_ended_is_started_again(reader: PictureReader) -> None:
    await reader.read("H264", stream())
    assert reader._process is not None
    reader._process.kill()
    assert (await reader.read("H264", stream())).width == MAIN.width


async def test_a_decoder_that_dies_each_time_is_the_stream_s_fault_and_one_that_hangs_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="died"):
        await PictureReader(python="/bin/true").read("H264", stream())
    script = tmp_path / "hangs"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    hanging = PictureReader(python=str(script), timeout_s=0.05)
    with pytest.raises(DeadlineExceeded):
        await hanging.read("H264", bytes(8 << 20))
    assert hanging._process is None
