"""Parsing the cells of one row: each getter returns a value of its type, or notes a fault and returns a harmless one."""

import ipaddress
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.domain.devices import MulticastGroup, Position, Ring
from gateway.domain.geo import CoordinateSystem, to_wgs84
from gateway.domain.identity import hardware_address
from gateway.errors import Fault
from gateway.inventory.grid import rings_of
from gateway.inventory.raw import SECRETS, RawRow, RawValue

MAX_TEXT: Final = 200
_ID: Final = re.compile(r"[\w][\w.:\-]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_FLAGS: Final = {"true": True, "yes": True, "1": True, "是": True, "false": False, "no": False, "0": False, "否": False}


_DECIMALS: Final = 7
"""Of a degree: a centimetre in the street. What differs less comes from arithmetic, and is no change."""


def rounded(position: Position) -> Position:
    """`position` as it is stored and compared: to 1e-7 degrees."""
    return Position(round(position.latitude, _DECIMALS), round(position.longitude, _DECIMALS))


class Faults:
    """The faults of a file in the order found, bounded: beyond `LIMIT` only their number is kept."""

    LIMIT: Final = 1_000

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.count = 0

    def add(self, where: str, why: str) -> None:
        self.count += 1
        if self.count <= self.LIMIT:
            self.found.append(Fault(where, why))


class Fields:
    """The cells of `row` laid over `known`, what is stored of the same thing: a column that the row lacks keeps its value."""

    def __init__(self, row: RawRow, faults: Faults, *, known: Mapping[str, str | list[str]] | None = None) -> None:
        self.where = row.where
        self.given = row
        self._values: Mapping[str, RawValue] = {**(known or {}), **_speaking(row.values)}
        self._faults = faults
        self._missing: Sequence[str] = ()

    def fault(self, why: str) -> None:
        self._faults.add(self.where, why)

    def text(self, column: str) -> str:
        """Trimmed text of at most `MAX_TEXT` characters, without control or direction-changing characters."""
        value = self._values.get(column, "")
        if not isinstance(value, str):
            self.fault(f"{column}: expected a single value, not a list")
            return ""
        if len(value) > MAX_TEXT or _CONTROL.search(value.strip()):
            self.fault(f"{column}: longer than {MAX_TEXT} characters, or with control characters in it")
            return ""
        return value.strip()

    def secret(self, column: str) -> str:
        """Like `text`, with its spaces; the value is never repeated in a fault."""
        value = self._values.get(column, "")
        if not isinstance(value, str) or len(value) > MAX_TEXT or _CONTROL.search(value):
            self.fault(f"{column}: not a single value of at most {MAX_TEXT} printable characters")
            return ""
        return value

    def require(self, columns: Sequence[str]) -> bool:
        """Whether each of `columns` has a value; a fault for each that has none, and no other one of it afterwards."""
        self._missing = [column for column in columns if not _filled(self._values.get(column))]
        for column in self._missing:
            self.fault(f"{column} is missing")
        return not self._missing

    def rings(self, column: str) -> tuple[Ring, ...]:
        """The rings of a polygon, in the file's coordinates; none, and a fault, when they are not sound."""
        value = self._values.get(column)
        if column in self._missing:
            return ()
        try:
            if isinstance(value, str):
                raise ValueError(value)  # noqa: TRY301 -- the reader's word on why there is no polygon
            return rings_of(value or [])
        except ValueError as error:
            self.fault(f"polygon: {error}")
            return ()

    def id(self, column: str) -> str:
        """An id that may stand in a URL and a topic: letters, digits and `. _ : -`, at most 64; "" when the cell is empty."""
        value = self.text(column)
        if value and not _ID.fullmatch(value):
            self.fault(f"{column}: {value!r} is no id: use up to 64 letters, digits and . _ : -")
            return ""
        return value

    def ids(self, column: str) -> Sequence[str]:
        """A list of ids: a YAML list, or ids parted by spaces, commas or semicolons."""
        value = self._values.get(column, "")
        items = re.split(r"[\s,;，；、]+", value.strip()) if isinstance(value, str) else [str(item) for item in value]
        return [item for item in items if item]

    def choice(self, column: str, choices: Sequence[str], *, default: str = "") -> str:
        """One of `choices`, in any case; `default` when the cell is empty."""
        value = self.text(column)
        if not value:
            return default
        found = next((choice for choice in choices if choice.lower() == value.lower()), None)
        if found is None:
            self.fault(f"{column}: {value!r} is not one of {', '.join(choice for choice in choices if choice)}")
        return found or default

    def integer(self, column: str, *, low: int, high: int, default: int | None = None) -> int | None:
        """A whole number from `low` to `high`; `default` when the cell is empty."""
        value = self.text(column)
        if not value:
            return default
        if not re.fullmatch(r"-?[0-9]{1,18}", value) or not low <= int(value) <= high:
            self.fault(f"{column}: {value!r} is no whole number from {low} to {high}")
            return default
        return int(value)

    def group(self, column: str) -> MulticastGroup | None:
        """An IPv4 multicast address and a port, 239.1.2.3:5004; None when the cell is empty."""
        value = self.text(column)
        if not value:
            return None
        address, _, port = value.rpartition(":")
        try:
            multicast = ipaddress.IPv4Address(address).is_multicast
        except ValueError:
            multicast = False
        if not multicast or not re.fullmatch(r"[0-9]{4,5}", port) or not 1024 <= int(port) <= 65534 or int(port) % 2:
            self.fault(f"{column}: {value!r} is no IPv4 multicast address with an even port from 1024, such as 239.1.2.3:5004")
            return None
        return MulticastGroup(address, int(port))

    def number(self, column: str, *, low: float, high: float, default: float) -> float:
        """A number from `low` to `high`, to six decimals; `default` when the cell is empty."""
        value = self.text(column)
        if not value or column in self._missing:
            return default
        if not re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value) or not low <= float(value) <= high:
            self.fault(f"{column}: {value!r} is no number from {low:g} to {high:g}")
            return default
        return round(float(value), 6)

    def moment(self, column: str) -> datetime | None:
        """A time in ISO 8601 with an offset from UTC; None when the cell is empty."""
        value = self.text(column)
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        self.fault(f"{column}: {value!r} is no time with an offset, such as 2026-03-01T08:00:00+08:00")
        return None

    def flag(self, column: str, *, default: bool) -> bool:
        value = self.text(column).lower()
        if value and value not in _FLAGS:
            self.fault(f"{column}: {value!r} is neither true nor false")
        return _FLAGS.get(value, default)

    def address(self, column: str) -> str:
        """A literal IPv4 or IPv6 address of one machine, in its canonical form."""
        value = self.text(column)
        if column in self._missing:
            return ""
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            self.fault(f"{column}: {value!r} is no literal IP address: names are not resolved")
            return value
        if address.is_multicast or address.is_unspecified or value == "255.255.255.255" or "%" in value:
            self.fault(f"{column}: {value!r} is not the address of one machine")
        return str(address)

    def gb28181_id(self, column: str) -> str:
        """A device id of GB/T 28181, annex E: 20 digits."""
        value = self.text(column)
        if re.fullmatch(r"[0-9]{20}", value) or not value:
            return value
        spoilt = re.fullmatch(r"[0-9.]+[eE]\+?[0-9]+", value) is not None
        why = "the spreadsheet stored it as a number and lost its last digits: make the column text" if spoilt else "20 digits are needed"
        self.fault(f"{column}: {value!r} is no GB/T 28181 id: {why}")
        return ""

    def hardware_address(self, column: str) -> str:
        """An IEEE 802 (MAC) address in its canonical form."""
        value = self.text(column)
        if value and not hardware_address(value):
            self.fault(f"{column}: {value!r} is no hardware address, such as 3c:ef:8c:00:00:01")
        return hardware_address(value)

    def position(self, system: CoordinateSystem, *, kept: Position | None) -> Position | None:
        """The row's place as WGS-84; `kept` when the row has neither column."""
        if "latitude" not in self.given.values and "longitude" not in self.given.values:
            return kept
        given = [column for column in ("latitude", "longitude") if self.given.text(column)]
        latitude = self._degrees("latitude", 90) if "latitude" in given else None
        longitude = self._degrees("longitude", 180) if "longitude" in given else None
        if len(given) == 1:
            self.fault("latitude and longitude: one without the other")
        if latitude is None or longitude is None:
            return None
        place = rounded(to_wgs84(Position(latitude, longitude), system))
        if (latitude == 0 and longitude == 0) or place == Position(0, 0):
            self.fault("latitude and longitude: 0, 0 lies in the ocean; leave both empty when the place is not known")
            return None
        return place

    def _degrees(self, column: str, limit: int) -> float | None:
        value = self.text(column)
        try:
            degrees = float(value)
        except ValueError:
            degrees = math.nan
        if -limit <= degrees <= limit:
            return degrees
        swapped = column == "latitude" and 90 < degrees <= 180
        self.fault(f"{column}: {value!r} is not from -{limit} to {limit}{': is it the longitude?' if swapped else ''}")
        return None


def _filled(value: RawValue | None) -> bool:
    """Whether a cell says something: blanks say nothing."""
    return bool(value.strip() if isinstance(value, str) else value)


def _speaking(values: Mapping[str, RawValue]) -> Mapping[str, RawValue]:
    """`values` without empty secrets: no export has them, so an empty one says nothing."""
    return {column: value for column, value in values.items() if value or column not in SECRETS}
