"""Fetching what is missing of a recording, stretch by stretch, for requests and for holds alike."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.domain.footage import Period
from gateway.drivers.base import Target
from gateway.errors import DeviceFault
from gateway.footage.cutting import Finished, Stretch
from gateway.footage.worker import Job, Reached
from gateway.storage.shelf import sync_folder

NOTHING_THERE: Final = "rtsp-457"
"""Invalid Range: nothing of this stretch is recorded, whatever the search said; what is missing is judged by what came."""
_OVERLAP: Final = timedelta(milliseconds=20)
"""Less than one picture lasts: after a file that ends at E, pictures up to E - _OVERLAP are there already."""

Take = Callable[[Finished], Awaitable[None]]
Worker = Callable[[Job, Take], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Replay:
    """One recording of one device, and where its files go. `path`: of the replay URI; `grid`: the device's time from which they are cut."""

    target: Target
    path: str
    folder: Path
    prefix: str
    segment: timedelta
    grid: datetime


async def fetch_stretch(
    worker: Worker, replay: Replay, stretch: Period, *, first: int, goes_on: bool, take: Take, heed: Callable[[Reached], None]
) -> None:
    """Have `worker` fetch `stretch`, on the device's clock, into files numbered from `first` on; `take` is awaited for each.

    `goes_on`: a file ends where it begins. Returns as well when the device has nothing of it after all. Raises what `worker` raises.
    """
    wanted = Stretch(
        start=stretch.start,
        end=stretch.end,
        segment=replay.segment,
        folder=replay.folder,
        prefix=replay.prefix,
        first=first,
        after=stretch.start - _OVERLAP if goes_on else None,
        grid=replay.grid,
    )
    try:
        await worker(Job(replay.target, replay.path, wanted, heed), take)
    except DeviceFault as fault:
        if fault.code != NOTHING_THERE:
            raise


def next_number(numbers: Iterable[int]) -> int:
    """Of the file after those numbered so."""
    return 1 + max(numbers, default=0)


def prepare(folder: Path, known: Collection[str], *, prefix: str = "") -> None:
    """Make the folder, and remove from it what begins with `prefix` and no row knows: what was not finished or not acknowledged."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name.startswith(prefix) and path.name not in known:
            path.unlink()
    sync_folder(folder.parent)
