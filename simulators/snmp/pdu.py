"""PDUs (RFC 3416; RFC 1157 for v1) answered from a view of a device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

from simulators.snmp import ber
from simulators.snmp.ber import Malformed, Oid, Reader
from simulators.snmp.tree import View, Writer

GET: Final = 0xA0
GETNEXT: Final = 0xA1
RESPONSE: Final = 0xA2
SET: Final = 0xA3
TRAP_V1: Final = 0xA4
GETBULK: Final = 0xA5
INFORM: Final = 0xA6
TRAP_V2: Final = 0xA7
REPORT: Final = 0xA8
MOST_BINDINGS: Final = 200
MOST_REPETITIONS: Final = 500


class Status(IntEnum):
    """error-status (RFC 3416 §3)."""

    NO_ERROR = 0
    TOO_BIG = 1
    NO_SUCH_NAME = 2
    BAD_VALUE = 3
    NO_ACCESS = 6
    WRONG_TYPE = 7
    WRONG_VALUE = 10
    AUTHORIZATION_ERROR = 16
    NOT_WRITABLE = 17


@dataclass(frozen=True, slots=True)
class Pdu:
    """A request. `first`, `second`: non-repeaters and max-repetitions of GETBULK. `bindings`: the list's content as it came.

    `writes`: whoever sent it may write.
    """

    tag: int
    request_id: bytes
    first: int
    second: int
    bindings: bytes
    names: tuple[Oid, ...]
    writes: bool = False


class _Failed(Exception):
    """The whole request fails: status and the index of the name to blame, counted from one."""

    def __init__(self, status: Status, index: int) -> None:
        super().__init__(status, index)
        self.status, self.index = status, index


def read(data: bytes, at: int, end: int) -> Pdu:
    """The request that lies in `data` from `at` to `end`. Raises `Malformed`."""
    outer = Reader(data, at, end)
    tag, start, stop = outer.element()
    outer.done()
    if tag not in {GET, GETNEXT, SET, GETBULK}:
        raise Malformed(f"PDU {tag:#x}")
    reader = Reader(data, start, stop)
    id_start = reader.at
    reader.integer()
    request_id = data[id_start : reader.at]
    first, second = reader.integer(), reader.integer()
    bindings = reader.content(ber.SEQUENCE)
    reader.done()
    return Pdu(tag, request_id, first, second, bindings, _names(bindings))


@lru_cache(maxsize=2048)
def _names(bindings: bytes) -> tuple[Oid, ...]:
    """The names in a variable-bindings list; kept, because pollers ask the same of many devices. Raises `Malformed`."""
    reader, names = Reader(bindings), []
    while reader.more:
        binding = reader.inner(ber.SEQUENCE)
        names.append(ber.read_oid(binding.content(ber.OBJECT)))
        binding.element()
        binding.done()
        if len(names) > MOST_BINDINGS:
            raise Malformed("too many variable bindings")
    return tuple(names)


def answer(pdu: Pdu, view: View[Any], *, v1: bool, room: int) -> bytes | None:
    """The response PDU, whose bindings take at most `room` octets; None for what v1 does not have."""
    if v1 and pdu.tag == GETBULK:
        return None
    try:
        return response(pdu.request_id, _ANSWERS[pdu.tag](pdu, view, v1, room))
    except _Failed as failure:
        return failed(pdu, failure.status, failure.index)


def response(request_id: bytes, bindings: bytes, *, tag: int = RESPONSE) -> bytes:
    return ber.tlv(tag, request_id + b"\x02\x01\x00\x02\x01\x00" + ber.tlv(ber.SEQUENCE, bindings))


def failed(pdu: Pdu, status: Status, index: int) -> bytes:
    """A response that refuses, with the request's own bindings; without any when they would be too big."""
    bindings = b"" if status is Status.TOO_BIG else pdu.bindings
    return ber.tlv(RESPONSE, pdu.request_id + ber.integer(status) + ber.integer(index) + ber.tlv(ber.SEQUENCE, bindings))


def binding(name: bytes, value: bytes) -> bytes:
    size = len(name) + len(value)
    return bytes((0x30, size)) + name + value if size < 0x80 else ber.tlv(ber.SEQUENCE, name + value)


# -- one function for each kind of request ----------------------------------------------------------------------------


def _get(pdu: Pdu, view: View[Any], v1: bool, room: int) -> bytes:
    out = []
    for number, name in enumerate(pdu.names, start=1):
        value = view.get(name)
        if v1 and (value is None or value[0] == ber.COUNTER64):
            raise _Failed(Status.NO_SUCH_NAME, number)
        out.append(binding(ber.oid(name), _absent(view, name) if value is None else value))
    return _fitting(b"".join(out), room)


def _get_next(pdu: Pdu, view: View[Any], v1: bool, room: int) -> bytes:
    out = []
    for number, name in enumerate(pdu.names, start=1):
        row = view.after(name)
        while v1 and row is not None and view.value(row)[0] == ber.COUNTER64:
            row = view.after(row[0])  # RFC 3584 §4.2.2.1: v1 does not see Counter64
        if row is not None:
            out.append(binding(row[1], view.value(row)))
        elif v1:
            raise _Failed(Status.NO_SUCH_NAME, number)
        else:
            out.append(binding(ber.oid(name), ber.END_OF_VIEW))
    return _fitting(b"".join(out), room)


def _get_bulk(pdu: Pdu, view: View[Any], _v1: bool, room: int) -> bytes:
    """RFC 3416 §4.2.3: as many repetitions as fit, cut off between two bindings."""
    out, size = bytearray(), 0
    once = max(0, min(pdu.first, len(pdu.names)))
    places: list[Oid | None] = list(pdu.names)
    last = [ber.oid(name) for name in pdu.names]
    for round_ in range(max(1, min(pdu.second, MOST_REPETITIONS) if len(places) > once else 1)):
        ended = True
        for column in range(0 if round_ == 0 else once, len(places) if pdu.second > 0 else once):
            place = places[column]
            row = None if place is None else view.after(place)
            places[column] = None if row is None else row[0]
            if row is not None:
                last[column] = row[1]
                ended = False
            made = binding(last[column], ber.END_OF_VIEW if row is None else view.value(row))
            size += len(made)
            if size > room:
                return bytes(out)
            out += made
        if ended:
            break
    return bytes(out)


def _set(pdu: Pdu, view: View[Any], v1: bool, _room: int) -> bytes:
    """All or nothing (RFC 3416 §4.2.5): every assignment is judged before the first is made."""
    if not pdu.writes:
        known = bool(pdu.names) and view.get(pdu.names[0]) is not None
        writable = bool(pdu.names) and pdu.names[0] in view.shape.writers
        status = Status.NO_ACCESS if writable or not known else Status.NOT_WRITABLE
        raise _Failed(Status.NO_SUCH_NAME if v1 else status, min(1, len(pdu.names)))
    assignments = [_assignment(view, number, *row, v1=v1) for number, row in enumerate(_bindings(pdu.bindings), start=1)]
    for writer, value in assignments:
        writer.write(view.device, value)
    return pdu.bindings


def _assignment(view: View[Any], number: int, name: Oid, tag: int, content: bytes, *, v1: bool) -> tuple[Writer[Any], int]:
    writer = view.shape.writers.get(name)
    if writer is None:
        status = Status.NO_ACCESS if view.get(name) is None else Status.NOT_WRITABLE
        raise _Failed(Status.NO_SUCH_NAME if v1 else status, number)
    if tag != ber.INTEGER:
        raise _Failed(Status.BAD_VALUE if v1 else Status.WRONG_TYPE, number)
    value = int.from_bytes(content, "big", signed=True)
    if value not in writer.values:
        raise _Failed(Status.BAD_VALUE if v1 else Status.WRONG_VALUE, number)
    return writer, value


def _bindings(bindings: bytes) -> Iterator[tuple[Oid, int, bytes]]:
    """Name, tag and content of each binding of a list that was read before."""
    reader = Reader(bindings)
    while reader.more:
        inner = reader.inner(ber.SEQUENCE)
        name = ber.read_oid(inner.content(ber.OBJECT))
        yield name, *inner.value()


def _absent(view: View[Any], name: Oid) -> bytes:
    return ber.NO_SUCH_INSTANCE if view.has_object_type(name) else ber.NO_SUCH_OBJECT


def _fitting(bindings: bytes, room: int) -> bytes:
    if len(bindings) > room:
        raise _Failed(Status.TOO_BIG, 0)
    return bindings


_ANSWERS: Final[dict[int, Callable[[Pdu, View[Any], bool, int], bytes]]] = {GET: _get, GETNEXT: _get_next, GETBULK: _get_bulk, SET: _set}
