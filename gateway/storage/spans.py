"""Periods in a column of JSON: a list of [start, end], RFC 3339 with an offset."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from gateway.domain.footage import Period


def to_spans(periods: Iterable[Period]) -> list[list[str]]:
    return [[period.start.isoformat(), period.end.isoformat()] for period in periods]


def to_periods(spans: Iterable[Sequence[str]]) -> tuple[Period, ...]:
    return tuple(Period(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in spans)
