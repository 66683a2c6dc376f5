"""Films for a screen: the mark is in every picture, the original's bytes are not, and hostile films harm nobody."""

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from gateway.errors import Overloaded, ProtocolError
from gateway.media import marking
from gateway.media.marking import Projector
from tests.media.films import GREY, brightness, gappy_film, grey_film

BEGINS = datetime(2026, 9, 21, 21, 0, tzinfo=UTC)
LINES = ("V-0123456789 *071234", "F-1 2026-11-26 20:05")


async def shown(film: bytes, path: Path, *, lines: tuple[str, ...] = LINES, from_s: float = 0.0) -> bytes:
    await asyncio.to_thread(path.write_bytes, film)
    async with Projector().show(path, lines, begins=BEGINS, from_s=from_s) as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("encoding", ["H264", "H265"])
async def test_the_mark_is_in_every_picture_and_no_picture_is_lost(tmp_path: Path, encoding: str) -> None:
    film = await shown(grey_film(encoding=encoding), tmp_path / "film")
    pictures = brightness(film)
    assert [round(at * 25) for at, *_ in pictures] == list(range(100))
    assert all(abs(middle - GREY - 4 * (index // 25)) <= 2 for index, (_, _, middle, _) in enumerate(pictures))
    assert all(darkest < GREY - 20 and brightest > GREY + 20 for _, darkest, _, brightest in pictures)


async def test_without_letters_the_same_film_stays_grey(tmp_path: Path) -> None:
    pictures = brightness(await shown(grey_film(), tmp_path / "film", lines=("", "孙大娘")))
    assert all(darkest >= GREY - 3 and brightest <= GREY + 15 for _, darkest, _, brightest in pictures)


async def test_the_mark_wanders_so_that_no_place_of_the_picture_is_always_free_or_always_covered(tmp_path: Path) -> None:
    film = await shown(grey_film(), tmp_path / "film")
    with av.open(io.BytesIO(film)) as container:
        frames = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    lit = [{at for at, value in enumerate(frame) if value > GREY + 40} for frame in (frames[0], frames[-1])]
    assert lit[0] and lit[1]
    assert len(lit[0] & lit[1]) < min(map(len, lit)) / 2


async def test_the_original_s_coded_pictures_do_not_go_out(tmp_path: Path) -> None:
    original = grey_film()
    film = await shown(original, tmp_path / "film")
    with av.open(io.BytesIO(original)) as container:
        samples = [bytes(packet) for packet in container.demux(video=0) if packet.size > 100]  # an unchanged picture is the same everywhere
    assert samples and all(sample not in film for sample in samples)


async def test_a_film_begins_at_the_key_picture_before_the_moment_that_is_asked_for(tmp_path: Path) -> None:
    pictures = brightness(await shown(grey_film(), tmp_path / "film", from_s=2.5))
    assert pictures[0][0] == 0
    assert len(pictures) == 50
    assert abs(pictures[0][2] - GREY - 8) <= 2


async def test_a_gap_is_not_followed_by_nothing_but_key_pictures(tmp_path: Path) -> None:
    film = await shown(gappy_film(), tmp_path / "film")
    with av.open(io.BytesIO(film)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert (len(keys), sum(keys)) == (150, 3)


async def test_sound_goes_along_from_the_same_moment(tmp_path: Path) -> None:
    film = await shown(grey_film(), tmp_path / "film", from_s=2.0)
    with av.open(io.BytesIO(film)) as container:
        (sound,) = container.streams.audio
        frames = list(container.decode(sound))
    assert sound.codec_context.name == "aac"
    assert sum(frame.samples for frame in frames) / frames[0].rate == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize(("size", "smaller"), [((1920, 1080), (1280, 720)), ((1600, 1200), (960, 720)), ((352, 288), (352, 288))])
async def test_large_pictures_become_smaller_in_proportion_and_small_ones_stay(tmp_path: Path, size, smaller) -> None:
    film = await shown(grey_film(1, width=size[0], height=size[1]), tmp_path / "film")
    with av.open(io.BytesIO(film)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == smaller


@pytest.mark.parametrize("film", [b"", bytes(range(256)) * 64, grey_film()[:600]], ids=["nothing", "noise", "headless"])
async def test_what_is_no_film_is_refused(tmp_path: Path, film: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        await shown(film, tmp_path / "film")
    assert refused.value.code == "no-picture"


async def test_behind_the_end_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError) as refused:
        await shown(grey_film(), tmp_path / "film", from_s=100)
    assert refused.value.code == "no-picture"


async def test_no_more_films_are_shown_at_once_than_there_are_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marking, "_PLACE_S", 0.05)
    path = tmp_path / "film"
    path.write_bytes(grey_film())
    projector = Projector(at_once=1)
    async with projector.show(path, LINES, begins=BEGINS) as pieces:
        assert await anext(pieces)
        with pytest.raises(Overloaded):
            async with projector.show(path, LINES, begins=BEGINS):
                pass
    async with projector.show(path, LINES, begins=BEGINS) as pieces:
        assert await anext(pieces)


async def test_a_gap_is_jumped_over_and_the_picture_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = await shown(gappy_film(), tmp_path / "film")
    pictures = brightness(film)
    assert len(pictures) == 150
    assert pictures[-1][0] == pytest.approx(149 / 25, abs=0.05)
    bright = [await asyncio.to_thread(lit, film, second) for second in (1.0, 2.5)]
    assert bright[1] > bright[0] * 1.3  # a third line, twice
    with av.open(io.BytesIO(film)) as container:
        (sound,) = container.streams.audio
        frames = list(container.decode(sound))
    assert frames[-1].time == pytest.approx(6.0, abs=0.3)


def lit(film: bytes, at_s: float) -> int:
    """How many dots of the picture at that time belong to letters."""
    with av.open(io.BytesIO(film)) as container:
        frame = next(frame for frame in container.decode(video=0) if frame.time >= at_s)
        return sum(value > GREY + 45 for value in bytes(frame.planes[0]))
