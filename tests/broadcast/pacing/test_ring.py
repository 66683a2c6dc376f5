"""A live sound through shared memory: in order, once, with its time, whoever is faster."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.pacing.ring import PIECE_BYTES, PIECES, RingReader, RingWriter


@given(steps=st.lists(st.one_of(st.binary(min_size=1, max_size=3 * PIECE_BYTES), st.none()), max_size=60))
def test_what_is_written_is_read_once_and_in_order(steps: list[bytes | None]) -> None:
    writer = RingWriter(lambda: 7.0)
    reader = RingReader(writer.descriptor)
    written, read = b"", b""
    for step in steps:
        if step is not None:
            writer.write(step)
            written += step
        else:
            pieces, closed = reader.read()
            read += b"".join(data for _, data in pieces)
            assert {came for came, _ in pieces} <= {7.0}
            assert (read, closed) == (written, False)
    writer.close()
    pieces, closed = reader.read()
    assert (read + b"".join(data for _, data in pieces), closed) == (written, True)
    assert reader.read() == ([], True)


def test_who_reads_too_late_misses_the_oldest() -> None:
    times = iter(range(1_000))
    writer = RingWriter(lambda: float(next(times)))
    reader = RingReader(writer.descriptor)
    for number in range(3 * PIECES):
        writer.write(number.to_bytes(2))
    pieces, _ = reader.read()
    expected = range(3 * PIECES - PIECES + 1, 3 * PIECES)
    assert pieces == [(float(number), number.to_bytes(2)) for number in expected]
