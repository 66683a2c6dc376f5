"""Room for footage on the disk: what is free, what is promised already, and an honest refusal when that is not enough."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Room:
    """`free`: on the disk; `promised`: of that, to holds; `floor`: of that, what always stays free."""

    free: int
    promised: int
    floor: int

    @property
    def left(self) -> int:
        """What may be promised now."""
        return max(0, self.free - self.promised - self.floor)


class Space:
    """The disk that footage lies on."""

    def __init__(self, folder: Path, *, floor: int, free_of: Callable[[Path], int] = free_bytes) -> None:
        self._folder = folder
        self._floor = floor
        self._free_of = free_of

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
        room = Room(free, promised, self._floor)
        if wanted > room.left:
            told = f"{_mib(wanted)} are needed and {_mib(room.left)} are left: {_mib(room.free)} free"
            hint = "Free some space, hold fewer cameras or a shorter window, or release another hold."
            raise Conflict(
                f"{told}, less {_mib(room.promised)} for other holds and {_mib(room.floor)} kept back.", code=NO_SPACE, hint=hint
            )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
