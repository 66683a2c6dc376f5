"""The part of BER that SNMP uses (X.690; RFC 3417 §8): definite lengths, single-byte tags."""

from functools import lru_cache
from typing import Final

Oid = tuple[int, ...]

INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OBJECT: Final = 0x06
SEQUENCE: Final = 0x30
IP_ADDRESS: Final = 0x40
COUNTER32: Final = 0x41
GAUGE32: Final = 0x42
TICKS: Final = 0x43
OPAQUE: Final = 0x44
COUNTER64: Final = 0x46
NO_SUCH_OBJECT: Final = b"\x80\x00"
NO_SUCH_INSTANCE: Final = b"\x81\x00"
END_OF_VIEW: Final = b"\x82\x00"
EMPTY: Final = b"\x05\x00"

MOST_SUBIDENTIFIERS: Final = 128
"""RFC 3416 §4.1."""


class Malformed(Exception):
    """These bytes are not what SNMP sends."""


# -- writing ----------------------------------------------------------------------------------------------------------


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(value: int) -> bytes:
    """INTEGER in the fewest octets, two's complement."""
    if 0 <= value < 0x80:
        return bytes((INTEGER, 1, value))
    return tlv(INTEGER, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True))


def unsigned(tag: int, value: int) -> bytes:
    """Counter32, Gauge32, TimeTicks and Counter64: never negative, wrapped at their width."""
    value &= 0xFFFF_FFFF_FFFF_FFFF if tag == COUNTER64 else 0xFFFF_FFFF
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes | str) -> bytes:
    return tlv(OCTETS, value.encode() if isinstance(value, str) else value)


@lru_cache(maxsize=16_384)
def oid(value: Oid) -> bytes:
    """OBJECT IDENTIFIER; `value` has at least two numbers."""
    return tlv(OBJECT, b"".join(map(_base128, (value[0] * 40 + value[1], *value[2:]))))


def _base128(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(number & 0x7F | 0x80)
    return bytes(reversed(out))


# -- reading ----------------------------------------------------------------------------------------------------------


class Reader:
    """Walks over consecutive elements of `data`. Every method raises `Malformed`."""

    __slots__ = ("_data", "_end", "at")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data, self.at, self._end = data, at, len(data) if end is None else end

    @property
    def more(self) -> bool:
        return self.at < self._end

    def element(self) -> tuple[int, int, int]:
        """Tag, and where the content begins and ends; moves behind it."""
        data, at = self._data, self.at
        try:
            tag, size, at = data[at], data[at + 1], at + 2
            if size & 0x80:
                count = size & 0x7F
                if not 1 <= count <= 4:
                    raise Malformed("a length of this form")
                size, at = int.from_bytes(data[at : at + count], "big"), at + count
        except IndexError:
            raise Malformed("cut off") from None
        if at + size > self._end:
            raise Malformed("longer than what holds it")
        self.at = at + size
        return tag, at, at + size

    def content(self, tag: int) -> bytes:
        """The content of the next element, which has this tag."""
        found, start, end = self.element()
        if found != tag:
            raise Malformed(f"tag {found:#x} where {tag:#x} belongs")
        return self._data[start:end]

    def inner(self, tag: int) -> "Reader":
        """A reader of the next element's content."""
        found, start, end = self.element()
        if found != tag:
            raise Malformed(f"tag {found:#x} where {tag:#x} belongs")
        return Reader(self._data, start, end)

    def value(self) -> tuple[int, bytes]:
        """Tag and content of the next element."""
        tag, start, end = self.element()
        return tag, self._data[start:end]

    def integer(self, lowest: int = -0x8000_0000, highest: int = 0x7FFF_FFFF) -> int:
        content = self.content(INTEGER)
        value = int.from_bytes(content, "big", signed=True)
        if not content or not lowest <= value <= highest:
            raise Malformed("an integer out of its range")
        return value

    def done(self) -> None:
        """Nothing may follow."""
        if self.at != self._end:
            raise Malformed("something follows the end")


def read_oid(content: bytes) -> Oid:
    """Raises `Malformed`."""
    if not content or content[-1] & 0x80:
        raise Malformed("an object identifier cut off")
    numbers: list[int] = []
    number = 0
    for octet in content:
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
        elif number >= 1 << 25:
            raise Malformed("a subidentifier beyond 32 bits")
    if len(numbers) >= MOST_SUBIDENTIFIERS:
        raise Malformed("too many subidentifiers")
    first = min(numbers[0] // 40, 2)
    return (first, numbers[0] - 40 * first, *numbers[1:])
