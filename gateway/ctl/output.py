"""What goes to the terminal: data as a table, JSON or YAML, talk to standard error, and nothing that could steer the terminal."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

# Control characters and those that turn the direction of text: a device's name must not be able to use them (rule 9).
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


class Format(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, what stands in it, and whether only `wide` shows it."""

    heading: str
    of: Callable[[Mapping[str, Any]], object]
    wide: bool = False


def column(name: str, heading: str | None = None, *, wide: bool = False) -> Column:
    """The column of one field."""
    return Column((heading or name).upper().replace("_", " "), lambda item: item.get(name), wide)


def show(items: Iterable[Mapping[str, Any]], columns: Sequence[Column], form: Format) -> None:
    """Print a list."""
    if form in {Format.JSON, Format.YAML}:
        tell(list(items), form)
        return
    Rows(columns, form).heads(items)


class Rows:
    """A table that goes on: rows that come later stand under the same headings, as wide as the first ones were."""

    def __init__(self, columns: Sequence[Column], form: Format) -> None:
        self._form = form
        self._shown = [one for one in columns if form is Format.WIDE or not one.wide]
        self._widths: list[int] = []

    def heads(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Print the headings and the first rows; as JSON or YAML each by itself."""
        if self._form in {Format.JSON, Format.YAML}:
            for item in items:
                self.row(item)
            return
        from rich.cells import cell_len  # JSON does without

        rows = [[one.heading for one in self._shown], *(self._cells(item) for item in items)]
        self._widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]  # Chinese takes two cells a character
        for row in rows:
            self._line(row)

    def row(self, item: Mapping[str, Any]) -> None:
        """Print one more."""
        if self._form is Format.JSON:
            line(item)
        elif self._form is Format.YAML:
            tell([item], Format.YAML)
        else:
            self._line(self._cells(item))
        sys.stdout.flush()

    def _cells(self, item: Mapping[str, Any]) -> list[str]:
        return [_cell(one.of(item)) for one in self._shown]

    def _line(self, row: Sequence[str]) -> None:
        from rich.cells import cell_len

        padded = "  ".join(text + " " * (width - cell_len(text)) for text, width in zip(row, self._widths, strict=True))
        _write(padded.rstrip() + "\n")


def tell(value: Any, form: Format) -> None:
    """Print one thing; as a table, a line a field."""
    if form is Format.YAML:
        import yaml  # only who asks for YAML pays for it

        _write(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))
    elif form is Format.JSON or not isinstance(value, Mapping):
        _write(harmless(json.dumps(value, ensure_ascii=False, indent=2), escape=True) + "\n")
    else:
        _table([[name.replace("_", " "), _cell(field)] for name, field in value.items()])


def line(event: Any) -> None:
    """Print one thing on one line, at once."""
    _write(harmless(json.dumps(event, ensure_ascii=False), escape=True) + "\n")
    sys.stdout.flush()


def write_line(text: str) -> None:
    """Print a line of text."""
    _write(harmless(text) + "\n")


def say(text: str) -> None:
    """Talk to the person at the terminal."""
    sys.stderr.write(harmless(text) + "\n")


def local(moment: str) -> str:
    """An RFC 3339 time of the API in this machine's time, with its offset (`Z` for none); any other text as it is."""
    if _MOMENT.fullmatch(moment) is None:
        return moment
    try:
        return datetime.fromisoformat(moment).astimezone().isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return moment


def harmless(text: str, *, escape: bool = False) -> str:
    """`text` without what steers a terminal; `escape` writes it as JSON would."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}" if escape else "\N{REPLACEMENT CHARACTER}", text)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_cell(part)}" for name, part in value.items() if part not in (0, None, "", [])) or "-"
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "-"
    return harmless(local(str(value)).replace("\n", " ")) or "-"


def _table(rows: Sequence[Sequence[str]]) -> None:
    from rich.cells import cell_len  # JSON does without

    widths = [max(map(cell_len, cells)) for cells in zip(*rows, strict=True)]  # Chinese takes two cells a character
    for row in rows:
        padded = "  ".join(text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
        _write(padded.rstrip() + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
