"""The file of holidays: which days are off, and which weekend days are worked instead; every fault named with its line."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from gateway.config import Section
from gateway.domain.schedules import Holidays
from gateway.yaml_file import Place, YamlFile

EXAMPLE: Final = "configs/holidays.yaml"
_LONGEST_DAYS: Final = 31


class _Holiday(Section):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    first: date
    last: date | None = None


class _File(Section):
    holidays: Annotated[tuple[_Holiday, ...], Field(max_length=1_000)] = ()
    worked: Annotated[tuple[date, ...], Field(max_length=1_000)] = ()


def load_holidays(path: Path) -> Holidays:
    """What the file at `path` says. InvalidInput (`bad-holidays`) with one fault for everything that is wrong, each with its line."""
    file = YamlFile(path, code="bad-holidays", example=EXAMPLE)
    found = file.validated(_File, _keys_beside)
    if found is not None:
        _judge(found, file)
    if file.faults or found is None:
        file.refuse()
    return Holidays({day: one.name for one in found.holidays for day in _days(one)}, frozenset(found.worked))


def _days(one: _Holiday) -> Iterator[date]:
    last = one.last or one.first
    return (one.first + timedelta(days=number) for number in range((last - one.first).days + 1))


def _judge(found: _File, file: YamlFile) -> None:
    """What no single key shows: days in the wrong order, told twice, or both off and worked."""
    off: dict[date, str] = {}
    for number, one in enumerate(found.holidays):
        length = ((one.last or one.first) - one.first).days + 1
        if not 1 <= length <= _LONGEST_DAYS:
            file.fault(file.line(("holidays", number, "last")), f"{one.name}: last must be 0 to {_LONGEST_DAYS - 1} days after first")
            continue
        for day in _days(one):
            if (other := off.setdefault(day, one.name)) != one.name:
                file.fault(file.line(("holidays", number)), f"{one.name}: {day} is of {other} as well")
    for number, day in enumerate(found.worked):
        if day in off:
            file.fault(file.line(("worked", number)), f"worked: {day} is a day off ({off[day]}) as well")


def _keys_beside(place: Place) -> list[str]:
    """The keys that are known where an unknown one stands."""
    known = _Holiday if place and place[0] == "holidays" else _File
    return list(known.model_fields)
