"""How a report's values are written for people: shares, lengths of time and moments, in Chinese, in English or in both."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Final

from gateway.domain.availability import MICROSECONDS
from gateway.reports.words import KINDS, WORDS, Pair

NOTHING: Final = "–"
_UNITS: Final = ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分", "min"), (1, "秒", "s"))


class Language(StrEnum):
    ZH = "zh"
    EN = "en"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Wording:
    """Words and values for one reader."""

    language: Language
    zone: tzinfo

    def words(self, pair: Pair) -> Sequence[str]:
        """One line, or the Chinese one and the English one."""
        if self.language is Language.BOTH and pair[0] != pair[1]:
            return pair
        return (pair[1 if self.language is Language.EN else 0],)

    def label(self, name: str, table: Mapping[str, Pair] = WORDS) -> Sequence[str]:
        """The words of `name`; itself where there are none."""
        return self.words(table.get(name, (name, name)))

    def line(self, name: str, table: Mapping[str, Pair] = WORDS) -> str:
        """The same in one line."""
        return " ".join(self.label(name, table))

    def kind(self, kind: str) -> str:
        return self.line(kind, KINDS)

    def length(self, seconds: float | None) -> str:
        """The two largest units: 3 d 4 h, 2 h 5 min, 12 s."""
        if seconds is None:
            return NOTHING
        left, parts = round(seconds), list[str]()
        for unit, zh, en in _UNITS:
            count, left = divmod(left, unit)
            if count or (unit == 1 and not parts):
                parts.append(f"{count}{zh}" if self.language is Language.ZH else f"{count} {en}")
            if len(parts) == 2 or (parts and not count):
                break
        return ("" if self.language is Language.ZH else " ").join(parts)

    def span(self, microseconds: int) -> str:
        return self.length(microseconds / MICROSECONDS) if microseconds else NOTHING

    def moment(self, moment: datetime) -> str:
        """By the site's clocks, to the minute."""
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")


def share(value: float | None) -> str:
    """Per cent with two digits, cut and not rounded: 100 % is said only of what was never down."""
    return NOTHING if value is None else f"{math.floor(value * 10_000 + 1e-6) / 100:.2f}%"
