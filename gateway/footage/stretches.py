"""Fetching what is missing of a recording, stretch by stretch, for requests and for holds alike."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.domain.footage import LEAST_GAP, FootageFile, Period
from gateway.domain.holds import HeldFile
from gateway.drivers.base import Target
from gateway.errors import DeviceFault
from gateway.footage.cut_file import Finished
from gateway.footage.cutting import Stretch
from gateway.footage.worker import Job, Reached
from gateway.storage.shelf import sync_folder

NOTHING_THERE: Final = "rtsp-457"
"""Invalid Range: nothing of this stretch is recorded, whatever the search said; what is missing is judged by what came."""
_PLAYS_LIMIT: Final = 200
"""How often one stretch is asked for: a recorder ends with each file of its own, of some minutes."""
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

    `goes_on`: a file ends where it begins. A device that ends early, as one does at the end of a file of its own, is asked for the rest as
    long as that gets it further. Returns as well when the device has nothing of it after all. Raises what `worker` raises.
    """
    end, number = stretch.start, first

    async def note(finished: Finished) -> None:
        nonlocal end, number
        await take(finished)
        end, number = max(end, finished.runs[-1][1]), finished.number + 1

    for _ in range(_PLAYS_LIMIT):
        begin = end
        wanted = Stretch(
            start=begin,
            end=stretch.end,
            segment=replay.segment,
            folder=replay.folder,
            prefix=replay.prefix,
            first=number,
            after=begin - _OVERLAP if goes_on or begin > stretch.start else None,
            grid=replay.grid,
        )
        try:
            await worker(Job(replay.target, replay.path, wanted, heed), note)
        except DeviceFault as fault:
            if fault.code != NOTHING_THERE:
                raise
            return
        if end - begin < LEAST_GAP or stretch.end - end < LEAST_GAP:
            return


def may_give_way(file: FootageFile | HeldFile, files: Iterable[FootageFile] | Iterable[HeldFile]) -> bool:
    """Whether what follows `file` can be asked for later, when `files` are there.

    Not amid what a device shows twice because its clock was set back: by its times the rest of it is there already.
    """
    return not file.set_backs or all(one.period.end <= file.period.end for one in files if one.device == file.device)


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
