"""Sums of rows made whole: plain days put in where there is no row, and outages that go over midnight counted once.

What `Account.then` does row by row, for a hundred thousand rows: the store sums, and only the rows at whose edges an outage stands are
looked at one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

from gateway.domain.availability import Account, month_after
from gateway.domain.devices import DeviceId
from gateway.storage.availability import COLUMNS, Edge, Reckoned, Sums, account_of

_RAW, _ADJUSTED = 0, 7
_UP, _DEGRADED, _DOWN, _OUTAGES, _LEAD, _TAIL, _LONGEST = range(7)
_CLOCK, _PICTURE = COLUMNS.index("clock_checked"), COLUMNS.index("picture_checked")
_ALL: Final = range(len(COLUMNS))
_NOT_SUMMED: Final = {tally + part for tally in (_RAW, _ADJUSTED) for part in (_LEAD, _TAIL, _LONGEST)}
_SUMMED: Final = tuple(place for place in _ALL if place not in _NOT_SUMMED)
Length = Callable[[date, date], int]


class Folds:
    """The accounts of many devices in the making; parts come in the order of time, each without a gap after the one before.

    An account that is read has no lead and no tail.
    """

    def __init__(self, devices: Sequence[DeviceId]) -> None:
        self._sums: dict[DeviceId, list[int]] = {device: [0] * len(COLUMNS) for device in devices}
        self._open: dict[tuple[DeviceId, int], tuple[date | None, int]] = {}

    def days(
        self, sums: Sequence[Sums], edges: Sequence[Edge], part: tuple[date, date], reckoned: Mapping[DeviceId, Reckoned], length: Length
    ) -> None:
        """Days from `part[0]` until before `part[1]`; those that are reckoned and have no row are plain."""
        rows = {one.device: one for one in sums}
        for device, numbers in self._sums.items():
            known = reckoned.get(device)
            if known is not None:
                one = rows.get(device)
                if one is not None:
                    _add(numbers, one.numbers)
                _fill(numbers, one, (max(part[0], known.first), min(part[1], known.until)), known, length)
        self._join(edges, lambda day: date.fromordinal(day.toordinal() + 1))

    def months(self, sums: Sequence[Sums], edges: Sequence[Edge]) -> None:
        """Whole months, each of which has a row where it is reckoned."""
        for one in sums:
            if one.device in self._sums:
                _add(self._sums[one.device], one.numbers)
        self._join(edges, month_after)

    def last(self, device: DeviceId, numbers: Sequence[int], day: date) -> None:
        """The account of what begins on `day` and is the last."""
        _add(self._sums[device], numbers)
        for tally in (_RAW, _ADJUSTED):
            working = numbers[tally + _UP] + numbers[tally + _DEGRADED]
            self._touch(device, tally, (working, numbers[tally + _DOWN], numbers[tally + _LEAD], numbers[tally + _TAIL]), day, day)

    def read(self, device: DeviceId) -> Account:
        return account_of(self._sums[device])

    def _join(self, edges: Sequence[Edge], after: Callable[[date], date]) -> None:
        for edge in edges:
            if edge.device in self._sums:
                following = after(edge.day)
                self._touch(edge.device, _RAW, edge.raw, edge.day, following)
                self._touch(edge.device, _ADJUSTED, edge.adjusted, edge.day, following)

    def _touch(self, device: DeviceId, tally: int, edge: Sequence[int], day: date, following: date) -> None:
        """An outage that was open when `day` began is the same that stands at its beginning, unless something lies between."""
        working, down, lead, tail = edge
        open_until, carried = self._open.get((device, tally), (None, 0))
        if open_until != day:
            carried = 0
        numbers = self._sums[device]
        if carried and lead:
            numbers[tally + _OUTAGES] -= 1
            numbers[tally + _LONGEST] = max(numbers[tally + _LONGEST], carried + lead)
        self._open[device, tally] = (following, tail if working else carried + down)


def _add(numbers: list[int], more: Sequence[int]) -> None:
    for place in _SUMMED:
        numbers[place] += more[place]
    for tally in (_RAW, _ADJUSTED):
        numbers[tally + _LONGEST] = max(numbers[tally + _LONGEST], more[tally + _LONGEST])


def _fill(numbers: list[int], rows: Sums | None, part: tuple[date, date], known: Reckoned, length: Length) -> None:
    """The plain days of `part`: those that `rows` do not span."""
    if part[0] >= part[1]:
        return
    plain = length(*part) - (rows.length_us if rows else 0)
    for tally in (_RAW, _ADJUSTED):
        numbers[tally + _UP] += plain
    checked = (
        (_CLOCK, known.clock, rows.since_clock_us if rows else 0),
        (_PICTURE, known.picture, rows.since_picture_us if rows else 0),
    )
    for place, since, spanned in checked:
        if since is not None and since < part[1]:
            numbers[place] += length(max(since, part[0]), part[1]) - spanned
