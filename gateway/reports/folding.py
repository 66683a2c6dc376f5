"""Accounts as rows of numbers, joined and filled: what `Account.then` does, for a hundred thousand rows in a fraction of a second."""

from collections.abc import Sequence
from operator import add
from typing import Final

from gateway.domain.availability import Account
from gateway.storage.availability import COLUMNS, account_of

_RAW, _ADJUSTED = 0, 7
_UP, _DEGRADED, _DOWN, _OUTAGES, _LEAD, _TAIL, _LONGEST = range(7)
_CLOCK, _PICTURE = COLUMNS.index("clock_checked"), COLUMNS.index("picture_checked")
NOTHING: Final = (0,) * len(COLUMNS)


class Fold:
    """The account of one device in the making: rows that follow each other in time, with plain time between them."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: list[int] = list(NOTHING)

    def row(self, numbers: Sequence[int]) -> None:
        """The numbers of the account that follows."""
        before = self._sums
        sums = list(map(add, before, numbers))
        for tally in (_RAW, _ADJUSTED):
            if sums[tally + _DOWN]:
                _join(sums, before, numbers, tally)
        self._sums = sums

    def plain(self, length: int, *, clock: int, picture: int) -> None:
        """Time in which it was up; `clock` and `picture`: how much of it with those checks made."""
        if length <= 0:
            return
        for tally in (_RAW, _ADJUSTED):
            self._sums[tally + _UP] += length
            self._sums[tally + _TAIL] = 0
        self._sums[_CLOCK] += clock
        self._sums[_PICTURE] += picture

    def read(self) -> Account:
        return account_of(self._sums)


def _join(sums: list[int], before: Sequence[int], after: Sequence[int], tally: int) -> None:
    """Mend what is no sum: outages that go on over the border, and their lengths."""
    tail, lead = before[tally + _TAIL], after[tally + _LEAD]
    if tail and lead:
        sums[tally + _OUTAGES] -= 1
    broken = before[tally + _UP] or before[tally + _DEGRADED]
    sums[tally + _LEAD] = before[tally + _LEAD] if broken else before[tally + _DOWN] + lead
    broken = after[tally + _UP] or after[tally + _DEGRADED]
    sums[tally + _TAIL] = after[tally + _TAIL] if broken else tail + after[tally + _DOWN]
    sums[tally + _LONGEST] = max(before[tally + _LONGEST], after[tally + _LONGEST], tail + lead)
