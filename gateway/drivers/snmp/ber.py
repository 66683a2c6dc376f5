"""The little of BER (X.690) that SNMP messages are made of (RFC 3417, 8): read strictly and in bounds, standard library only.

Whoever can send a datagram reaches this: everything that is not as it should be raises `Malformed`, and nothing else ever does.
"""

from typing import Final

SEQUENCE, INTEGER, OCTETS, NULL, OBJECT_ID = 0x30, 0x02, 0x04, 0x05, 0x06
IP_ADDRESS, COUNTER32, GAUGE32, TICKS, OPAQUE, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x44, 0x46
_ABSENT: Final = frozenset({NULL, 0x80, 0x81, 0x82})  # RFC 3416, 3: noSuchObject, noSuchInstance, endOfMibView
_UNSIGNED: Final = frozenset({COUNTER32, GAUGE32, TICKS, COUNTER64})
_ARCS: Final = 128  # RFC 2578, 3.5
_LONGEST_INTEGER: Final = 9  # octets: 64 bits without a sign

Value = int | str | bytes | None


class Malformed(ValueError):
    """These octets are not what SNMP allows."""


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, first octet and end of the content of the element at `at`, which must lie before `end`."""
    if at + 2 > end:
        raise Malformed("ends within an element")
    tag, length = data[at], data[at + 1]
    at += 2
    if length & 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4 or at + octets > end:
            raise Malformed("a length that is none")
        length = int.from_bytes(data[at : at + octets], "big")
        at += octets
    if at + length > end:
        raise Malformed("longer than what holds it")
    return tag, at, at + length


def expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """First octet and end of the content of the element at `at`, which must have `tag`."""
    found, start, stop = element(data, at, end)
    if found != tag:
        raise Malformed("another type than belongs here")
    return start, stop


def integer(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The INTEGER at `at`, and where the next element begins."""
    start, stop = expect(data, at, end, INTEGER)
    return _signed(data, start, stop), stop


def octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """The OCTET STRING at `at`, and where the next element begins."""
    start, stop = expect(data, at, end, OCTETS)
    return data[start:stop], stop


def object_id(data: bytes, start: int, stop: int) -> str:
    """The content of an OBJECT IDENTIFIER, numeric and dotted."""
    if start >= stop or data[stop - 1] & 0x80:
        raise Malformed("an object id that does not end")
    arcs: list[int] = []
    arc = 0
    for octet in data[start:stop]:
        arc = arc << 7 | octet & 0x7F
        if arc > 0xFFFF_FFFF:
            raise Malformed("an arc beyond 32 bits")
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    if len(arcs) >= _ARCS:
        raise Malformed("too many arcs")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def value(data: bytes, at: int, end: int) -> tuple[Value, int]:
    """The value at `at` (integers of all kinds as int, octets as bytes, object ids and addresses as str), and where the next begins."""
    tag, start, stop = element(data, at, end)
    if tag == INTEGER:
        return _signed(data, start, stop), stop
    if tag in (OCTETS, OPAQUE):
        return data[start:stop], stop
    if tag in _UNSIGNED:
        if not 0 < stop - start <= _LONGEST_INTEGER:
            raise Malformed("a number of no length that it can have")
        return int.from_bytes(data[start:stop], "big"), stop
    if tag == OBJECT_ID:
        return object_id(data, start, stop), stop
    if tag == IP_ADDRESS and stop - start == 4:
        return ".".join(map(str, data[start:stop])), stop
    if tag in _ABSENT and start == stop:
        return None, stop
    raise Malformed("a value of no type that SNMP has")


def _signed(data: bytes, start: int, stop: int) -> int:
    if not 0 < stop - start <= _LONGEST_INTEGER:
        raise Malformed("a number of no length that it can have")
    return int.from_bytes(data[start:stop], "big", signed=True)


# -- writing ----------------------------------------------------------------------------------------------------------


def tlv(tag: int, content: bytes) -> bytes:
    """One element."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def write_integer(number: int, tag: int = INTEGER) -> bytes:
    """A number, never negative here."""
    return tlv(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def write_object_id(oid: str) -> bytes:
    first, second, *rest = map(int, oid.split("."))
    return tlv(OBJECT_ID, b"".join(map(_arc, (first * 40 + second, *rest))))


def _arc(number: int) -> bytes:
    encoded = bytes((number & 0x7F,))
    while number := number >> 7:
        encoded = bytes((number & 0x7F | 0x80,)) + encoded
    return encoded
