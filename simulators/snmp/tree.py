"""Managed objects as data: what a kind of device has (its shape), and one device seen through it (its view)."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from simulators.snmp import ber
from simulators.snmp.ber import Oid

D = TypeVar("D")
Getter = Callable[[D], bytes]
"""Gives the encoded value of one object of a device."""


class Shape(Generic[D]):
    """The objects that all devices of one build have, in order; shared by them, so that a device costs nothing but itself."""

    def __init__(self, objects: Iterable[tuple[Oid, Getter[D]]]) -> None:
        rows = sorted(objects, key=lambda row: row[0])
        self.oids = [row[0] for row in rows]
        self.encoded = [ber.oid(row[0]) for row in rows]
        self.getters = [row[1] for row in rows]
        self.index = {row: number for number, row in enumerate(self.oids)}
        if len(self.index) != len(rows):
            raise ValueError("an object is there twice")

    def after(self, oid: Oid) -> int:
        """The index of the first object behind `oid`; the number of objects when there is none."""
        found = self.index.get(oid)
        return bisect_right(self.oids, oid) if found is None else found + 1

    def has_object_type(self, oid: Oid) -> bool:
        """Whether some instance lies below the name without its last number: tells noSuchInstance from noSuchObject."""
        parent = oid[:-1]
        at = self.after(parent)
        return at < len(self.oids) and self.oids[at][: len(parent)] == parent


@dataclass(frozen=True, slots=True)
class View(Generic[D]):
    """One device's objects, computed when asked for."""

    shape: Shape[D]
    device: D

    def value(self, index: int) -> bytes:
        return self.shape.getters[index](self.device)
