"""Columns and rows of what was fetched from a device: its period and runs on the true clock, and how wrong the device's own clock was."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from sqlalchemy import BigInteger, Boolean, Column, Double, Row, Text

from gateway.domain.footage import Period, TimeSource
from gateway.storage.schema import Json, UtcTime
from gateway.storage.spans import to_periods, to_spans

TOLD_APART: Final = frozenset({"period", "runs", "offset", "time_source"})
"""The fields of a file that are written otherwise than they are."""


def file_columns() -> Sequence[Column[Any]]:
    """What the tables of files have in common, `number` within their primary keys."""
    return (
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("name", Text, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("frames", BigInteger, nullable=False),
        Column("damaged", BigInteger, nullable=False),
        Column("start_at", UtcTime, nullable=False),
        Column("end_at", UtcTime, nullable=False),
        Column("runs", Json, nullable=False),
        Column("created_at", UtcTime, nullable=False),
        Column("removed", Boolean, nullable=False),
        Column("offset_s", Double),
        Column("serial", Text, nullable=False),
        Column("recording", Text, nullable=False),
        Column("sound_left_out", Text, nullable=False),
        Column("time_source", Text, nullable=False),
        Column("sound_refused", Text, nullable=False),
        Column("set_backs", BigInteger, nullable=False),
    )


class Fetched(Protocol):
    """A file of footage: `footage.FootageFile`, `holds.HeldFile`."""

    @property
    def period(self) -> Period: ...

    @property
    def runs(self) -> tuple[Period, ...]: ...

    @property
    def offset(self) -> timedelta | None: ...

    @property
    def time_source(self) -> TimeSource: ...


def to_file_row(file: Fetched, same: Iterable[str]) -> dict[str, Any]:
    """The columns of a file; `same`: those that are as the file's fields are."""
    told = {name: getattr(file, name) for name in same}
    spans = {"start_at": file.period.start, "end_at": file.period.end, "runs": to_spans(file.runs)}
    return told | spans | {"offset_s": to_seconds(file.offset), "time_source": file.time_source.value}


def to_file_fields(row: Row[Any], same: Iterable[str]) -> dict[str, Any]:
    """What to make a file of, from its row."""
    told = {name: row._mapping[name] for name in same}
    times = {"period": Period(row.start_at, row.end_at), "runs": to_periods(row.runs), "time_source": TimeSource(row.time_source)}
    return told | times | {"offset": to_offset(row.offset_s)}


def to_seconds(offset: timedelta | None) -> float | None:
    return None if offset is None else offset.total_seconds()


def to_offset(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
