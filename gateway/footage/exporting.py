"""Fetching one stretch of footage: replayed packets become pictures, pictures become MP4 files, cut at key frames and hashed on the way.

Runs in the worker process (`worker`). All times here are the recorder's own.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.domain.footage import LEAST_GAP
from gateway.drivers.base import ReplaySession, TrackDescription
from gateway.errors import GatewayError, NotSupported
from gateway.media.depacketize import AccessUnit, Depacketizer
from gateway.media.mp4 import Mp4Writer

PART: Final = ".part"
"""Suffix of a file that is not finished: never handed out, removed before the next attempt."""
_RTP_CLOCK_HZ: Final = 90_000
_USUAL_FRAME: Final = timedelta(milliseconds=40)


class DiskFull(GatewayError):
    """The disk does not take the footage: make room, then retry."""

    code = "disk"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What to fetch: `start` to `end`, cut into files of about `segment`, into `folder` as `{prefix}{number:03d}.mp4` from `first` on.

    `after`: pictures up to and including this moment are there already and are dropped.
    """

    start: datetime
    end: datetime
    segment: timedelta
    folder: Path
    prefix: str
    first: int = 1
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that is complete and safe on the disk. `runs`: its unbroken stretches, the last picture of each included."""

    name: str
    number: int
    sha256: str
    size: int
    frames: int
    damaged: int
    runs: tuple[tuple[datetime, datetime], ...]


async def fetch(session: ReplaySession, stretch: Stretch, report: Callable[[Finished], None]) -> None:
    """Write what `session` replays of `stretch`; `report` each file when it is safe. Closes the session.

    Raises DeviceErrors and OSError; the file in hand is then dropped, those that were reported stay.
    """
    try:
        index, track = _video(session.tracks)
        depacketizer = Depacketizer(track.encoding)
        cutter = _Cutter(stretch, track, report)
        try:
            async for which, packet in session.packets():
                if which == index:
                    for unit in depacketizer.push(packet):
                        cutter.add(unit)
            for unit in depacketizer.flush():
                cutter.add(unit)
            cutter.finish()
        finally:
            cutter.drop()
    finally:
        await session.close()


def _video(tracks: Sequence[TrackDescription]) -> tuple[int, TrackDescription]:
    for index, track in enumerate(tracks):
        if track.kind == "video":
            return index, track
    raise NotSupported("the recording holds no video", code="no-track")


class _Cutter:
    """Decides which picture goes into which file."""

    def __init__(self, stretch: Stretch, track: TrackDescription, report: Callable[[Finished], None]) -> None:
        self._stretch = stretch
        self._track = track
        self._report = report
        self._number = stretch.first
        self._file: _File | None = None
        self._boundary = stretch.start + stretch.segment
        self._clock = _PictureClock(stretch.start)

    def add(self, unit: AccessUnit) -> None:
        """Put a picture where it belongs: a file begins with a key frame, and ends before the first one after its time."""
        at = self._clock.moment(unit)
        if at >= self._stretch.end or (self._stretch.after is not None and at <= self._stretch.after):
            return
        if unit.key and at >= self._boundary:
            self.finish()
            self._boundary += (1 + (at - self._boundary) // self._stretch.segment) * self._stretch.segment
        if self._file is None:
            if not unit.key:
                return
            name = f"{self._stretch.prefix}{self._number:03d}.mp4"
            self._file = _File(self._stretch.folder, name, self._track, _Runs(at))
        self._file.add(unit, at)

    def finish(self) -> None:
        """Complete the file in hand, if there is one, and report it."""
        file, self._file = self._file, None
        if file is None:
            return
        finished = file.finish(self._number)
        if finished is not None:
            self._number += 1
            self._report(finished)

    def drop(self) -> None:
        """Remove the file in hand, if there is one."""
        if self._file is not None:
            self._file.drop()
            self._file = None


class _PictureClock:
    """When a picture was taken: the recorder's word, or by the RTP clock from the start where it gives none."""

    def __init__(self, start: datetime) -> None:
        self._latest = start
        self._timestamp: int | None = None

    def moment(self, unit: AccessUnit) -> datetime:
        if unit.ntp is not None:
            self._latest = unit.ntp
        elif self._timestamp is not None:
            step = ((unit.timestamp - self._timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            self._latest += timedelta(seconds=step / _RTP_CLOCK_HZ)
        self._timestamp = unit.timestamp
        return self._latest


class _Runs:
    """The unbroken stretches of a file."""

    def __init__(self, start: datetime) -> None:
        self._done: list[tuple[datetime, datetime]] = []
        self._from = self._last = start
        self._usual = _USUAL_FRAME

    def add(self, at: datetime) -> None:
        step = at - self._last
        if step > LEAST_GAP:
            self._done.append((self._from, self._last + self._usual))
            self._from = at
        elif step > timedelta(0):
            self._usual = step
        self._last = max(self._last, at)

    def all(self) -> tuple[tuple[datetime, datetime], ...]:
        return (*self._done, (self._from, self._last + self._usual))


class _File:
    """One file on its way: written under another name, which it loses when every byte is on the disk."""

    def __init__(self, folder: Path, name: str, track: TrackDescription, runs: _Runs) -> None:
        self.runs = runs
        self._path = folder / name
        self._part = folder / f"{name}.{os.getpid()}{PART}"
        self._stream = self._part.open("xb", buffering=0)
        self._writer = Mp4Writer(self._write, track)

    def add(self, unit: AccessUnit, at: datetime) -> None:
        self._writer.add(unit)
        self.runs.add(at)

    def finish(self, number: int) -> Finished | None:
        """Make it durable and give it its name; None, and no file, when no picture could be written."""
        written = self._writer.close()
        if not written.frames:
            self.drop()
            return None
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.rename(self._path)
        sync_folder(self._path.parent)
        return Finished(
            name=self._path.name,
            number=number,
            sha256=written.sha256,
            size=written.size,
            frames=written.frames,
            damaged=written.damaged,
            runs=self.runs.all(),
        )

    def drop(self) -> None:
        self._stream.close()
        self._part.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
