"""The console's colours: words can be read on every ground, in both themes (WCAG 2.2, 1.4.3)."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[1] / "console/src/style.css").read_text()
LEAST = 4.5
DARK, LIGHT = (re.search(rf"^:root{theme} \{{(.*?)\}}", CSS, re.M | re.S)[1] for theme in ("", r'\[data-theme="light"\]'))  # type: ignore[index]  # both stand there
PAIRS = [*((f"on-{ground}", ground) for ground in ("up", "down", "accent"))] + [
    (words, "card") for words in ("text", "dim", "up", "degraded", "down", "accent")
]


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("words", "ground"), PAIRS)
def test_words_can_be_read_on_their_ground(theme: str, words: str, ground: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", DARK + theme))
    lighter, darker = sorted((luminance(colours[words]), luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= LEAST


def test_no_rule_gives_words_a_colour_of_its_own_which_nobody_would_judge() -> None:
    rules = CSS.partition("* { box-sizing")[2]
    assert rules
    assert re.findall(r"[^-\w]color: (?!var\(|inherit)[^;}]+", rules) == []


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = colour.removeprefix("#")
    pairs = [digit * 2 for digit in digits] if len(digits) == 3 else re.findall("..", digits)
    shares = [int(pair, 16) / 255 for pair in pairs]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
