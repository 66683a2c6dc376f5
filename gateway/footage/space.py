"""Room for footage on the disk: what is free, what is promised already, and an honest refusal when that is not enough."""

import asyncio
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.errors import Conflict, GatewayError

NO_SPACE = "no-space"


class DiskFull(GatewayError):
    """The disk does not take the footage: make room, then retry."""

    code = "disk"


def free_bytes(folder: Path) -> int:
    """What anybody but root may still write where `folder` is, or will be."""
    while not folder.exists():
        folder = folder.parent
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize


class Expecting(Protocol):
    """Footage that is being fetched for a request."""

    def expected(self) -> int:
        """How many bytes of it are to come still."""
        ...


@dataclass(frozen=True, slots=True)
class Room:
    """`free`: on the disk; `promised`: of that, to holds; `expected`: of that, for requests; `floor`: of that, what always stays free."""

    free: int
    promised: int
    expected: int
    floor: int

    @property
    def left(self) -> int:
        """What may be promised now."""
        return max(0, self.free - self.promised - self.expected - self.floor)


class Space:
    """The disk that footage lies on. One for all who write there: what is set aside for requests is known to it, not to the store."""

    def __init__(self, folder: Path, *, floor: int, free_of: Callable[[Path], int] = free_bytes) -> None:
        self._folder = folder
        self._floor = floor
        self._free_of = free_of
        self._reserved: set[Expecting] = set()

    async def free(self) -> int:
        """How many bytes may still be written. Reads the disk, so never to be asked inside a transaction."""
        return await asyncio.to_thread(self._free_of, self._folder)

    def keep_floor(self, wanted: int = 0, *, promised: int = 0) -> None:
        """Raise DiskFull when less than the floor would stay free beside `wanted` bytes and those promised. Reads the disk."""
        free = self._free_of(self._folder)
        if free - promised - wanted < self._floor:
            told = f", less {promised >> 20} MiB that are promised to holds" if promised else ""
            raise DiskFull(f"only {free >> 20} MiB are free for footage{told}", hint="free some space, then try again")

    def check(self, wanted: int, *, free: int, promised: int) -> None:
        """Raise Conflict (`no-space`) with the figures when `wanted` of the `free` bytes do not fit beside those that are promised."""
        room = self._room(free, promised)
        if wanted > room.left:
            hint = "Free some space, hold fewer cameras or a shorter window, or release another hold."
            raise Conflict(_short(wanted, room), code=NO_SPACE, hint=hint)

    def reserve(self, fetches: Collection[Expecting], *, free: int, promised: int) -> str:
        """Set aside what `fetches` expect, until they are given back, for as long as they expect it. "", or how much too little it is."""
        self.give_back(fetches)
        wanted, room = sum(fetch.expected() for fetch in fetches), self._room(free, promised)
        self._reserved.update(fetches)
        return _short(wanted, room) if wanted > room.left else ""

    def left(self, *, free: int, promised: int) -> int:
        """How many of the `free` bytes could be set aside now."""
        return self._room(free, promised).left

    def give_back(self, fetches: Collection[Expecting]) -> None:
        """`fetches` need no room any more."""
        self._reserved.difference_update(fetches)

    def _room(self, free: int, promised: int) -> Room:
        return Room(free, promised, sum(fetch.expected() for fetch in self._reserved), self._floor)


def _short(wanted: int, room: Room) -> str:
    told = f"{_mib(wanted)} are needed and {_mib(room.left)} are left: {_mib(room.free)} free, less {_mib(room.promised)} for holds"
    return f"{told}, {_mib(room.expected)} for requests that are being fetched and {_mib(room.floor)} kept back."


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
