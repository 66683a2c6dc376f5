"""Managed objects as data: what a kind of device has (its shape), and one device seen through it (its view)."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from simulators.snmp import ber
from simulators.snmp.ber import Oid

D = TypeVar("D")
Getter = Callable[[D], bytes]
"""Gives the encoded value of one object of a device."""
Row = tuple[Oid, bytes, Getter[D]]
"""An object: its name, the same encoded, and how its value is got."""


@dataclass(frozen=True, slots=True)
class Writer(Generic[D]):
    """An INTEGER that can be written: the values that it takes, and what one does."""

    values: frozenset[int]
    write: Callable[[D, int], None]


class Shape(Generic[D]):
    """The objects that all devices of one build have, in order; shared by them, so that a device costs nothing but itself.

    `writers`: those that can be written. `tables`: root → the rows below it of one device, for tables whose rows differ from device to
    device; nothing else lies below such a root.
    """

    def __init__(
        self,
        objects: Iterable[tuple[Oid, Getter[D]]],
        *,
        writers: Mapping[Oid, Writer[D]] | None = None,
        tables: Sequence[tuple[Oid, Callable[[D], "Shape[D]"]]] = (),
    ) -> None:
        rows = sorted(objects, key=lambda row: row[0])
        self.oids = [row[0] for row in rows]
        self.encoded = [ber.oid(row[0]) for row in rows]
        self.getters = [row[1] for row in rows]
        self.index = {row: number for number, row in enumerate(self.oids)}
        self.writers: Mapping[Oid, Writer[D]] = writers or {}
        self.tables = tables
        if len(self.index) != len(rows):
            raise ValueError("an object is there twice")

    def row(self, index: int) -> Row[D]:
        return self.oids[index], self.encoded[index], self.getters[index]

    def after(self, oid: Oid) -> Row[D] | None:
        """The first object behind `oid`."""
        found = self.index.get(oid)
        at = bisect_right(self.oids, oid) if found is None else found + 1
        return self.row(at) if at < len(self.oids) else None


@dataclass(frozen=True, slots=True)
class View(Generic[D]):
    """One device's objects, computed when asked for."""

    shape: Shape[D]
    device: D

    def get(self, oid: Oid) -> bytes | None:
        """The value of an object, None where there is none."""
        index = self.shape.index.get(oid)
        if index is not None:
            return self.shape.getters[index](self.device)
        for root, table in self.shape.tables:
            if oid[: len(root)] == root:
                rows = table(self.device)
                found = rows.index.get(oid)
                return None if found is None else rows.getters[found](self.device)
        return None

    def after(self, oid: Oid) -> Row[D] | None:
        """The first object behind `oid`, None at the end. A table is only made when its place has come."""
        row = self.shape.after(oid)
        for root, table in self.shape.tables:
            if oid[: len(root)] <= root and (row is None or root < row[0]):
                inner = table(self.device).after(oid)
                row = inner if inner is not None and (row is None or inner[0] < row[0]) else row
        return row

    def value(self, row: Row[D]) -> bytes:
        return row[2](self.device)

    def has_object_type(self, oid: Oid) -> bool:
        """Whether some instance lies below the name without its last number: tells noSuchInstance from noSuchObject."""
        parent = oid[:-1]
        row = self.after(parent)
        return row is not None and row[0][: len(parent)] == parent
