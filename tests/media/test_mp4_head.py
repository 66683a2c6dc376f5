"""What is read of a film that somebody brought: true of a whole one, bounded and harmless of any other."""

import io
import struct
from datetime import timedelta
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.mp4_head import Head, read_head
from tests.media.films import grey_film

NOTHING = timedelta(0)
BEGIN = struct.pack(">I4s8x", 16, b"ftyp")


def box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def head_of(tmp_path: Path, data: bytes) -> Head | None:
    path = tmp_path / "brought.dav"
    path.write_bytes(data)
    return read_head(path)


def unfragmented(film: bytes, codec: str = "") -> bytes:
    """The same film as a vendor's client writes it: the samples first, the head behind them. `codec`: its pictures encoded anew."""
    out = io.BytesIO()
    with av.open(io.BytesIO(film)) as source, av.open(out, "w", format="mp4") as made:
        video = source.streams.video[0]
        stream = made.add_stream(codec, rate=25, width=640, height=360) if codec else made.add_stream_from_template(video)
        for packet in source.demux(video):
            for piece in [each for frame in packet.decode() for each in stream.encode(frame)] if codec else [packet] if packet.size else []:
                piece.stream = stream
                made.mux(piece)
        if codec:
            made.mux(stream.encode(None))
    return out.getvalue()


def test_a_film_says_how_long_it_is_and_that_it_can_be_shown(tmp_path: Path) -> None:
    assert head_of(tmp_path, unfragmented(grey_film())) == Head(timedelta(seconds=4), shown=True)
    assert head_of(tmp_path, grey_film(encoding="H265")) == Head(NOTHING, shown=True)  # in fragments, whose head knows no length
    assert head_of(tmp_path, unfragmented(grey_film(), "mpeg4")) == Head(timedelta(seconds=4), shown=False)


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"", None),
        (b"IMKH" + bytes(1000), None),
        (BEGIN, None),
        (BEGIN + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1), None),
        (BEGIN + struct.pack(">I4sQ", 1, b"mdat", 2**63 - 1), None),
        (BEGIN + struct.pack(">I4sQ", 1, b"mdat", 0) + box(b"moov"), None),
        (BEGIN + struct.pack(">I4s", 0, b"moov"), Head(NOTHING, shown=False)),
        (BEGIN + box(b"moov", box(b"udta", b"avc1 is what it calls itself")), Head(NOTHING, shown=False)),
        (BEGIN + box(b"moov", box(b"mvhd", bytes(24))), Head(NOTHING, shown=False)),
        (BEGIN + box(b"moov", box(b"mvhd", bytes(12), struct.pack(">II", 1, 90_000))), Head(NOTHING, shown=False)),
        (BEGIN + box(b"moov", box(b"mvhd", b"\1", bytes(19), struct.pack(">IQ", 1, 2**64 - 1))), Head(NOTHING, shown=False)),
    ],
)
def test_what_is_none_or_hostile_is_told_as_far_as_it_can_be(tmp_path: Path, data: bytes, head: Head | None) -> None:
    assert head_of(tmp_path, data) == head


@given(at=st.integers(0, 1 << 12), put=st.binary(min_size=1, max_size=16))
def test_no_damage_to_a_head_breaks_its_reader(tmp_path_factory: pytest.TempPathFactory, at: int, put: bytes) -> None:
    film = grey_film()
    at %= 2_000
    head = head_of(tmp_path_factory.getbasetemp(), film[:at] + put + film[at + len(put) :])
    assert head is None or NOTHING <= head.lasts < timedelta(days=1)
