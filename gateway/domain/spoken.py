"""Texts made fit to be said aloud: what is no word is taken out, Chinese numbers and number plates are written as people say them."""

import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

TEXT_LIMIT = 2_000
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使"
_DIGITS = "零一二三四五六七八九"
_UNITS = ("", "十", "百", "千")
_MOST = 10**8  # beyond, digits are said one by one
_NARROW = {wide: wide - 0xFEE0 for first, last in ("０９", "ＡＺ", "ａｚ") for wide in range(ord(first), ord(last) + 1)}
# What engines take for markup, phonemes, commands or options, and a listener for nothing.
_SIGNS = frozenset('<>&[]{}|\\^`~_=*#@"')
_FOREIGN = re.compile(r"[A-Za-z][A-Za-z0-9 '’,.;:!?\-]*")
_WORD = re.compile(r"[a-z]{2}")
_PLATE = re.compile(rf"([{_PROVINCES}])\s?([A-Za-z])\s?[·•.\-]?\s?([A-Za-z0-9]{{4,6}})(?![A-Za-z0-9])")
_CALLED = re.compile(r"(?<=拨打|电话|热线|号码)([:：\s]?)(\d{3,})|(\d{3,})(?=热线|电话)")
_LANDLINE = re.compile(r"(?<!\d)(0\d{2,3})\s?-\s?(\d{7,8})(?!\d)")
_YEAR = re.compile(r"(?<!\d)(\d{4})(?=年)")
_CLOCK = re.compile(r"(?<!\d)([01]?\d|2[0-4])[:：]([0-5]\d)(?!\d)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?[%％]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MONEY = re.compile(r"[￥¥]\s?(\d+(?:\.\d+)?)元?")
_MEASURES = {
    "km/h": "公里每小时",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "m": "米",
    "kg": "公斤",
    "t": "吨",
    "℃": "摄氏度",
    "°C": "摄氏度",
}
_MEASURE = re.compile(rf"(?<=\d)\s?({'|'.join(_MEASURES)})(?![A-Za-z0-9/])")
_BETWEEN = re.compile(r"(?<=\d)\s?[~～]\s?(?=\d)")
# From one day, hour or price to another; not within telephone numbers.
_UNTIL = re.compile(r"(?<=[日月年号时点分元])\s?[\-–—~～]\s?(?=\d)|(?<=:\d\d)\s?[\-–—]\s?(?=\d{1,2}:\d\d)")


class Script(StrEnum):
    """What a text is written in, as far as voices differ by it."""

    HAN = "han"
    LATIN = "latin"


class Run(NamedTuple):
    """A part of a text in one script."""

    script: Script
    text: str


def clean(text: str) -> str:
    """`text` as one line of words, digits and punctuation, never beginning with a dash; "" when nothing in it can be said."""
    plain = unicodedata.normalize("NFC", text).translate(_NARROW)
    plain = _BETWEEN.sub("至" if script_of(plain) is Script.HAN else " to ", plain)
    line = " ".join("".join(_kept(character) for character in plain).split()).lstrip("-–—‒― ")
    return line if any(character.isalnum() for character in line) else ""


def _kept(character: str) -> str:
    """The character, a pause for the end of a line, or a space for what is no part of speech."""
    if character == "\n":
        return "; "
    if character in _SIGNS or (unicodedata.category(character)[0] in "CSZ" and character not in "+%％°℃$￥¥€～"):
        return " "
    return character


def script_of(text: str) -> Script:
    """Han, where one Chinese character is in it."""
    return Script.HAN if re.search(f"[{_HAN}]", text) else Script.LATIN


def runs(text: str) -> list[Run]:
    """`text` cut where its script changes. Single letters, number plates and abbreviations in capitals stay within Chinese."""
    if script_of(text) is Script.LATIN:
        return [Run(Script.LATIN, text)]
    text = _MEASURE.sub(lambda measure: _MEASURES[measure[1]], text)
    found: list[Run] = []
    at = 0
    for match in _FOREIGN.finditer(text):
        if _WORD.search(match[0]):
            found += [Run(Script.HAN, text[at : match.start()]), Run(Script.LATIN, match[0])]
            at = match.end()
    found.append(Run(Script.HAN, text[at:]))
    return [run for run in found if any(character.isalnum() for character in run.text)]


def said_in_chinese(text: str) -> str:
    """`text` with its numbers in characters: amounts by their value, plates, telephone numbers and years digit by digit."""
    text = _UNTIL.sub("至", text)
    text = _MONEY.sub(r"\1元", text)
    text = _PLATE.sub(lambda plate: f"{plate[1]} {' '.join(_digits(plate[2] + plate[3]).upper())} ", text)
    text = _CALLED.sub(lambda number: (number[1] or "") + _digits(number[2] or number[3]), text)
    text = _LANDLINE.sub(lambda number: f"{_digits(number[1])} {_digits(number[2])}", text)
    text = _YEAR.sub(lambda year: _digits(year[1]), text)
    text = _CLOCK.sub(lambda time: _time(int(time[1]), time[2]), text)
    text = _PERCENT.sub(lambda share: "百分之" + _number(share[1]), text)
    return _NUMBER.sub(lambda number: _number(number[0]), text)


def _digits(text: str) -> str:
    return "".join(_DIGITS[int(character)] if character in "0123456789" else character for character in text)


def _time(hour: int, minute: str) -> str:
    if minute == "00":
        return f"{in_characters(hour)}点"
    said = "零" + in_characters(int(minute)) if minute[0] == "0" else in_characters(int(minute))
    return f"{in_characters(hour)}点{said}分"


def _number(text: str) -> str:
    whole, _, fraction = text.partition(".")
    said = _digits(whole) if (whole.startswith("0") and len(whole) > 1) or int(whole) >= _MOST else in_characters(int(whole))
    return f"{said}点{_digits(fraction)}" if fraction else said


def in_characters(number: int) -> str:
    """A number below 10⁸ as it is said in Mandarin: 20000 → 二万, 105 → 一百零五, 15 → 十五."""
    high, low = divmod(number, 10_000)
    if not high:
        return _below_ten_thousand(low).removeprefix("一") if 10 <= low < 20 else _below_ten_thousand(low) or "零"
    said = in_characters(high) + "万"
    return said + ("零" if 0 < low < 1_000 else "") + _below_ten_thousand(low)  # a place is empty


def _below_ten_thousand(number: int) -> str:
    """ "" for 0; one 零 for all empty places between two digits."""
    said, empty = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            said += ("零" if empty and said else "") + _DIGITS[digit] + _UNITS[place]
        empty = not digit
    return said
