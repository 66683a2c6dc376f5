"""How values are written for people."""

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.markup import text
from gateway.reports.kinds import load_kinds, shipped_kinds
from gateway.reports.report import By
from gateway.reports.sheet import cell
from gateway.reports.wording import Language, Wording, share
from gateway.reports.words import BY, FORMULAS, KINDS, WORDS

SHANGHAI = ZoneInfo("Asia/Shanghai")
EN, ZH = Wording(Language.EN, SHANGHAI), Wording(Language.ZH, SHANGHAI)


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (None, "–", "–"),
        (0, "0 s", "0秒"),
        (59.6, "1 min", "1分"),
        (61, "1 min 1 s", "1分1秒"),
        (3_600, "1 h", "1小时"),
        (3_605, "1 h", "1小时"),
        (90_061, "1 d 1 h", "1天1小时"),
    ],
)
def test_a_length_has_its_two_largest_units(seconds: float | None, en: str, zh: str) -> None:
    assert (EN.length(seconds), ZH.length(seconds)) == (en, zh)


def test_a_share_is_cut_so_that_only_what_never_failed_has_a_hundred() -> None:
    assert [share(value) for value in (None, 0.0, 0.98, 0.999999, 1.0)] == ["–", "0.00%", "98.00%", "99.99%", "100.00%"]
    dice = random.Random(1)
    for _ in range(1_000):
        cents = dice.randrange(10_001)
        assert share(cents / 10_000) == f"{cents / 100:.2f}%"


def test_moments_are_told_by_the_clocks_of_the_site() -> None:
    assert EN.moment(datetime(2026, 3, 31, 16, tzinfo=UTC)) == "2026-04-01 00:00"


@given(st.text())
def test_no_text_becomes_markup_or_what_cannot_be_seen(value: str) -> None:
    shown = text(value)
    assert not {"<", ">", '"', "'", "\u202e", "\x00"} & set(shown)
    assert not {"\x00", "\u202e", "\ufffe"} & set(cell(value))
    cell(value).encode()  # nothing that UTF-8 cannot hold


def test_everything_has_words_in_both_languages() -> None:
    assert set(BY) == set(By)
    for table in (BY, KINDS, WORDS):
        assert all(zh and en for zh, en in table.values())
    assert all(one.zh and one.en and one.zh_formula and one.en_formula for one in FORMULAS)


def test_the_list_of_what_may_excuse_is_the_operators(tmp_path) -> None:
    assert {"power-cut", "road-works", "cut-fibre", "other"} <= set(load_kinds(shipped_kinds()))
    for broken in ("", "excuse_kinds: []", "excuse_kinds: {a: {zh: x}}", "excuse_kinds: {a: {zh: x, en: y}}\nmore: 1", "a: ["):
        file = tmp_path / "excuses.yaml"
        file.write_text(broken, encoding="utf-8")
        with pytest.raises(InvalidInput) as refused:
            load_kinds(file)
        assert refused.value.code == "bad-register"
