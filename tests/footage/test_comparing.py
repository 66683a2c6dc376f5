"""What goes out is compared with what was sealed: whole files as they are read, parts once the whole was, and that once."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.handover import Span
from gateway.evidence.contents import Altered
from gateway.footage.comparing import Comparer

CONTENT = os.urandom(3 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHOLE, PART = Span(0, len(CONTENT)), Span(1000, 2 << 20)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def comparer(clock: SimulatedClock) -> Comparer:
    return Comparer(clock)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(CONTENT)
    return path


def damage(film: Path, at: int) -> None:
    with film.open("r+b") as file:
        file.seek(at)
        file.write(bytes((CONTENT[at] ^ 1,)))


def read(pieces: Iterator[bytes]) -> tuple[bytes, bool, int]:
    """What came of it, whether it came to its end, and how many steps only compared."""
    came, steps = b"", 0
    try:
        for piece in pieces:
            came, steps = came + piece, steps + (not piece)
    except Altered:
        return came, False, steps
    return came, True, steps


def test_a_whole_file_is_compared_in_the_reading_that_sends_it_and_a_damaged_one_never_arrives_whole(comparer: Comparer, film: Path):
    assert read(comparer.pieces(film, WHOLE, DIGEST)) == (CONTENT, True, 0)
    damage(film, 5)
    came, whole, _ = read(comparer.pieces(film, WHOLE, DIGEST))
    assert (whole, len(came) < len(CONTENT)) == (False, True)


@pytest.mark.parametrize("at", [5, 1500, len(CONTENT) - 1], ids=["before the part", "in it", "behind it"])
def test_of_a_damaged_file_no_part_goes_out(comparer: Comparer, film: Path, at: int):
    damage(film, at)
    assert read(comparer.pieces(film, PART, DIGEST))[:2] == (b"", False)


async def test_parts_are_compared_once_for_a_day_and_again_once_the_file_is_another(comparer: Comparer, clock: SimulatedClock, film: Path):
    part = CONTENT[PART.start : PART.end]
    assert read(comparer.pieces(film, PART, DIGEST)) == (part, True, 3)
    assert read(comparer.pieces(film, PART, DIGEST)) == (part, True, 0)
    await clock.advance(25 * 3600)
    assert read(comparer.pieces(film, PART, DIGEST)) == (part, True, 3)
    os.utime(film, ns=(0, 0))
    assert read(comparer.pieces(film, PART, DIGEST)) == (part, True, 3)
    damage(film, 5)
    assert read(comparer.pieces(film, PART, DIGEST))[:2] == (b"", False)


def test_a_file_that_went_out_whole_needs_no_comparison_before_its_parts(comparer: Comparer, film: Path):
    read(comparer.pieces(film, WHOLE, DIGEST))
    assert read(comparer.pieces(film, PART, DIGEST))[1:] == (True, 0)


def test_downloads_of_parts_share_one_comparison_and_one_that_is_broken_off_is_gone_on_with(comparer: Comparer, film: Path):
    broken_off, first, second = (comparer.pieces(film, PART, DIGEST) for _ in range(3))
    assert [next(broken_off), next(first), next(second)] == [b""] * 3
    broken_off.close()
    assert [read(first), read(second)] == [(CONTENT[PART.start : PART.end], True, 0)] * 2
