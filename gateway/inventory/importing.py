"""Reading inventory files (YAML, CSV, XLSX, GeoJSON) into the one raw form, with the place of every row."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

import python_calamine

from gateway.domain.spreadsheets import unguarded
from gateway.errors import Fault, InvalidInput
from gateway.inventory import raw_yaml
from gateway.inventory.grid import read_geojson
from gateway.inventory.raw import NOUNS, Header, Noun, RawFile, RawRow

MAX_BYTES: Final = 32 * 1024 * 1024
"""About ten times the file of a city with 100,000 devices is refused before it is looked at."""
MAX_ROWS: Final = 200_000
_EXACT_IN_FLOAT: Final = 2**53


def read(data: bytes, name: str) -> RawFile:
    """The rows of the file `name`, told by its suffix (.yaml, .yml, .csv, .xlsx, .geojson, .json).

    InvalidInput, with the line where there is one, when it is too large, of an unknown kind, or not what its suffix says.
    Heavy and, for hostile files, dangerous to the process: the service calls it through `aside`.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"the file has {len(data)} bytes, at most {MAX_BYTES} are taken", code="too-large")
    suffix = PurePath(name).suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        raise InvalidInput(
            f"no reader for {suffix or 'a file without a suffix'!r}", code="unknown-format", hint=f"use {', '.join(_READERS)}"
        )
    found = reader(data, name)
    if len(found.rows) > MAX_ROWS:
        raise InvalidInput(f"the file has {len(found.rows)} rows, at most {MAX_ROWS} are taken", code="too-large")
    return found


def read_csv(data: bytes, name: str) -> RawFile:
    """A CSV file: UTF-8, or GB18030 as Chinese spreadsheets write it. Lines `# coordinates: GCJ-02` may stand above the header.

    The noun of a row is its column `noun`; without that column, the file's name (`groups.csv`), or else devices.
    """
    lines = _decoded(data).splitlines(keepends=True)
    settings, skipped = _preamble(lines)
    table = csv.reader(lines[skipped:], strict=True)
    try:
        header = [column.strip() for column in next(table, [])]
        _check_separator(header, where=f"line {skipped + 1}")
        _check_header(header, where=f"line {skipped + 1}")
        fallback = _noun_of_name(name)
        rows = [
            _csv_row(dict(zip(header, cells, strict=False)), len(cells), header, where=f"line {skipped + line}", fallback=fallback)
            for line, cells in _numbered(table)
        ]
    except csv.Error as error:
        raise _broken(f"line {skipped + table.line_num}", str(error)) from error
    nouns = frozenset(row.noun for row in rows) | (frozenset() if "noun" in header else {fallback})
    named = Header(f"line {skipped + 1}", None if "noun" in header else fallback, tuple(name for name in header if name != "noun"))
    return RawFile(settings.get("coordinates", ""), nouns, rows, (named,))


def read_xlsx(data: bytes, _name: str) -> RawFile:
    """A workbook with a sheet for each noun; a sheet `file` may hold pairs of name and value (`coordinates`, `GCJ-02`)."""
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = {sheet: book.get_sheet_by_name(sheet).to_python(skip_empty_area=False) for sheet in book.sheet_names}
    except Exception as error:
        raise _broken("workbook", f"not a readable workbook: {error}") from error
    settings = {_cell(row[0]): _cell(row[1]) for row in sheets.pop("file", []) if len(row) > 1}
    unknown = [sheet for sheet in sheets if sheet not in NOUNS]
    if unknown:
        faults = [Fault(f"sheet {sheet}", f"not one of {', '.join(Noun)}, file") for sheet in unknown]
        raise InvalidInput("the workbook has unknown sheets", faults=faults, code="unknown-sheet")
    filled = {Noun(sheet): cells for sheet, cells in sheets.items() if cells}
    headers = {noun: _sheet_header(noun, cells) for noun, cells in filled.items()}
    rows = [row for noun, cells in filled.items() for row in _sheet_rows(headers[noun], noun, cells)]
    return RawFile(settings.get("coordinates", ""), frozenset(Noun(sheet) for sheet in sheets), rows, tuple(headers.values()))


def read_yaml(data: bytes, _name: str) -> RawFile:
    """A YAML file as `simulators plan` and `export_yaml` write it."""
    return raw_yaml.read(data)


def _read_json(data: bytes, _name: str) -> RawFile:
    return read_geojson(data)


_READERS: Final[Mapping[str, Callable[[bytes, str], RawFile]]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".csv": read_csv,
    ".xlsx": read_xlsx,
    ".geojson": _read_json,
    ".json": _read_json,
}


def _decoded(data: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _broken("file", "neither UTF-8 nor GB18030")


def _preamble(lines: list[str]) -> tuple[dict[str, str], int]:
    """The settings in the comment lines at the top, and how many lines those are."""
    settings: dict[str, str] = {}
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            return settings, number
        name, _, value = line.lstrip("#").partition(":")
        settings[name.strip()] = value.strip().rstrip(",")
    return settings, len(lines)


def _numbered(table: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line on which it begins: a quoted cell may span lines."""
    begins = table.line_num + 1
    for cells in table:
        if any(cell.strip() for cell in cells):
            yield begins, cells
        begins = table.line_num + 1


def _csv_row(values: dict[str, str], width: int, header: list[str], *, where: str, fallback: Noun) -> RawRow:
    if width > len(header):
        raise _broken(where, f"{width} cells under {len(header)} columns")
    noun = values.pop("noun", fallback).strip()
    if noun not in NOUNS:
        raise _broken(where, f"noun {noun!r} is not one of {', '.join(Noun)}")
    values = {column: unguarded(value) for column, value in values.items()}
    if "noun" in header:  # one table for all nouns: an empty cell is a column that the noun lacks
        values = {column: value for column, value in values.items() if value != ""}
    return RawRow(Noun(noun), where, dict(values))


def _sheet_header(noun: Noun, cells: list[list[Any]]) -> Header:
    columns = [_cell(cell).strip() for cell in cells[0]]
    while columns and not columns[-1]:
        columns.pop()
    _check_header(columns, where=f"sheet {noun}, row 1")
    return Header(f"sheet {noun}, row 1", noun, tuple(columns))


def _sheet_rows(header: Header, noun: Noun, cells: list[list[Any]]) -> Iterator[RawRow]:
    for number, row in enumerate(cells[1:], start=2):
        values = {column: _cell(cell) for column, cell in zip(header.columns, row, strict=False)}
        if any(values.values()):
            yield RawRow(noun, f"sheet {noun}, row {number}", values)


def _check_separator(header: list[str], *, where: str) -> None:
    """A table whose only column name holds another separator was saved with that one."""
    found = next((name for sign, name in ((";", "semicolons"), ("\t", "tabs")) if sign in "".join(header)), "")
    if len(header) == 1 and found:
        raise _broken(where, f"the columns are separated by {found}: separate them by commas")


def _check_header(header: list[str], *, where: str) -> None:
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise _broken(where, f"column {twice[0]!r} stands twice")
    if not header or not all(header):
        raise _broken(where, "the header has an empty column name")


def _cell(value: object) -> str:
    """A spreadsheet's cell as text. A number beyond 2**53 has lost its last digits in the spreadsheet and is left in its E form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_IN_FLOAT:
        return str(int(value))
    return str(value)


def _noun_of_name(name: str) -> Noun:
    stem = PurePath(name).stem.lower()
    return Noun(stem) if stem in NOUNS else Noun.DEVICES


def _broken(where: str, why: str) -> InvalidInput:
    return InvalidInput("the file cannot be read", faults=[Fault(where, why)], code="unreadable")
