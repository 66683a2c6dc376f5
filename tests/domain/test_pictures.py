"""What pictures are worth: each illness by numbers, what is learnt and when, and histories of healthy pictures without one alarm."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import pictures
from gateway.domain.pictures import BLANK, COLUMNS, LEARN, ROWS, Memory, Opinion, Picture, likeness, look, renewed

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(hours=2)
HOUSES = bytes((40 + 37 * (column // 5 * 7 + row // 4 * 3) % 150) for row in range(ROWS) for column in range(COLUMNS))
ELSEWHERE = bytes((40 + 53 * (column // 3 * 5 + row // 2 * 11) % 150) for row in range(ROWS) for column in range(COLUMNS))


def grains(seed: int) -> bytes:
    return bytes((number * 31 + seed * 17 + number * seed % 7) % 256 for number in range(COLUMNS * ROWS))


def picture(number: int, **changed: object) -> Picture:
    """A healthy picture of the houses, the `number`th: the noise is never twice the same."""
    usual = Picture(1920, 1080, 0.05, 0.02, 0.2, 100.0, 12.0, f"{number:032x}", grains(number), HOUSES)
    return replace(usual, **changed)


def seen(*shown: Picture, memory: Memory = BLANK, movable: bool = False, every: timedelta = EVERY) -> tuple[Memory, list[Opinion]]:
    at, opinions = START, []
    for one in shown:
        memory, opinion = look(memory, one, at, movable=movable)
        opinions.append(opinion)
        at += every
    return memory, opinions


def learnt() -> Memory:
    return seen(*(picture(number) for number in range(LEARN)))[0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"dark": 0.98}, "picture-black"),
        ({"bright": 0.9}, "picture-white"),
        ({"flat": 0.9}, "picture-covered"),
        ({"dark": 0.98, "flat": 0.98}, "picture-black"),
        ({"sharpness": 20.0}, "picture-blurred"),
        ({"fields": ELSEWHERE}, "picture-moved"),
        ({"fields": bytes(200 - value // 2 for value in HOUSES)}, ""),  # other light: the edges stay
        ({"fields": ELSEWHERE, "colour": 0.5}, ""),  # by infrared light nothing is known yet
    ],
)
def test_an_illness_by_its_numbers(changed: dict[str, object], reason: str) -> None:
    _, (opinion,) = seen(picture(99, **changed), memory=learnt())
    assert opinion.reason == reason


def test_a_camera_that_can_be_moved_may_look_anywhere() -> None:
    memory, _ = seen(*(picture(number) for number in range(LEARN)), movable=True)
    assert seen(picture(9, fields=ELSEWHERE), memory=memory, movable=True)[1][0].reason == ""


def test_the_same_picture_to_the_last_bit_is_frozen_unless_it_was_asked_for_twice_at_once() -> None:
    _, opinions = seen(picture(1), picture(1), picture(2))
    assert [one.reason for one in opinions] == ["", "picture-frozen", ""]
    assert [one.reason for one in seen(picture(1), picture(1), every=timedelta(seconds=1))[1]] == ["", ""]
    often = seen(*[picture(1)] * 5, every=timedelta(seconds=10))[1]
    assert [one.reason for one in often] == ["", "", "", "picture-frozen", "picture-frozen"], "however often it is asked for"


def test_a_picture_under_a_running_caption_is_frozen_when_nothing_else_moved_for_twelve_hours() -> None:
    still = [picture(number, grains=grains(0)) for number in range(9)]
    reasons = [one.reason for one in seen(*still)[1]]
    assert reasons == [""] * 6 + ["picture-frozen"] * 3, "after twelve hours"
    assert [one.reason for one in seen(*still, every=timedelta(minutes=5))[1]] == [""] * 9, "an hour of it is a quiet street"


def test_what_is_worth_nothing_teaches_nothing() -> None:
    before = learnt()
    after, _ = seen(picture(9, flat=0.9), picture(10, fields=ELSEWHERE), picture(11, sharpness=1.0), memory=before)
    assert after.references == before.references


def test_pictures_that_do_not_agree_begin_the_lesson_anew() -> None:
    memory, opinions = seen(picture(1), picture(2, fields=ELSEWHERE), picture(3, fields=ELSEWHERE), picture(4, fields=ELSEWHERE))
    assert [one.reason for one in opinions] == [""] * 4
    assert seen(picture(5, fields=ELSEWHERE), memory=memory)[1][0].reason == ""
    assert seen(picture(5), memory=memory)[1][0].reason == "picture-moved"


def test_a_reference_is_taught_once_a_day_and_learns_another_place_only_when_it_is_renewed() -> None:
    memory = learnt()
    assert seen(picture(9), memory=memory)[0].references == memory.references
    follows, _ = look(memory, picture(9, sharpness=60.0), START + timedelta(days=3), movable=False)
    assert follows.references["colour"].sharpness == pytest.approx(95.0)
    anew, opinions = seen(*(picture(number, fields=ELSEWHERE) for number in range(20, 24)), memory=renewed(memory))
    assert [one.reason for one in opinions] == [""] * 4
    assert anew.references["colour"].learnt


def test_too_few_edges_tell_no_place() -> None:
    assert likeness(HOUSES, bytes([90]) * (ROWS * COLUMNS)) is None
    assert likeness(HOUSES, HOUSES) == pytest.approx(1.0)


numbers = st.builds(
    Picture,
    st.integers(64, 4_000),
    st.integers(64, 4_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1e6),
    st.floats(0, 128),
    st.sampled_from("abc"),
    st.binary(min_size=COLUMNS * ROWS, max_size=COLUMNS * ROWS),
    st.binary(min_size=COLUMNS * ROWS, max_size=COLUMNS * ROWS),
)


@settings(deadline=None, max_examples=100)
@given(shown=st.lists(numbers, max_size=12), movable=st.booleans())
def test_whatever_is_shown_an_opinion_has_a_known_reason_and_a_reference_stays_within_its_bounds(
    shown: list[Picture], movable: bool
) -> None:
    memory, opinions = seen(*shown, movable=movable)
    known = {"", pictures.BLACK, pictures.DAZZLED, pictures.COVERED, pictures.FROZEN, pictures.BLURRED, pictures.MOVED}
    assert {one.reason for one in opinions} <= known
    for reference in memory.references.values():
        assert 1 <= reference.pictures <= LEARN
        assert len(reference.fields) == COLUMNS * ROWS
        assert all(0 <= value <= 255 for value in reference.fields)
