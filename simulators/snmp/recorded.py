"""Devices that somebody recorded: `.snmprec` files, one `oid|type|value` a line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from simulators.snmp import ber
from simulators.snmp.ber import Oid
from simulators.snmp.tree import Getter, Shape


def recorded_device(path: Path) -> Shape[Any]:
    """What a recording holds; its values never change. Raises OSError, and ValueError naming the line that cannot be read."""
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line and not line.startswith(b"#"):
            try:
                rows.append(_row(line))
            except (ValueError, LookupError) as error:
                raise ValueError(f"{path.name}, line {number}: {error}") from error
    return Shape(rows)


def _row(line: bytes) -> tuple[Oid, Getter[Any]]:
    name, kind, value = line.split(b"|", 2)
    hexadecimal = kind.endswith(b"x")
    encode = _TYPES[int(kind[:-1] if hexadecimal else kind)]
    encoded = encode(bytes.fromhex(value.decode()) if hexadecimal else value, hexadecimal)
    return _name(name), lambda _device: encoded


def _name(text: bytes) -> Oid:
    numbers = tuple(map(int, text.decode().strip(".").split(".")))
    if len(numbers) < 2:
        raise ValueError(f"{text!r} is too short for a name")
    return numbers


def _unsigned(tag: int) -> Callable[[bytes, bool], bytes]:
    return lambda value, _hex: ber.unsigned(tag, int(value))


def _address(value: bytes, hexadecimal: bool) -> bytes:
    return ber.tlv(ber.IP_ADDRESS, value if hexadecimal else bytes(map(int, value.split(b"."))))


def _object(value: bytes, _hexadecimal: bool) -> bytes:
    return ber.oid(_name(value))


_TYPES: Final[dict[int, Callable[[bytes, bool], bytes]]] = {
    2: lambda value, _hex: ber.integer(int(value)),
    4: lambda value, _hex: ber.octets(value),
    5: lambda _value, _hex: ber.EMPTY,
    6: _object,
    64: _address,
    65: _unsigned(ber.COUNTER32),
    66: _unsigned(ber.GAUGE32),
    67: _unsigned(ber.TICKS),
    68: lambda value, _hex: ber.tlv(ber.OPAQUE, value),
    70: _unsigned(ber.COUNTER64),
}
"""By the tag's number, as the recordings write it."""
