"""One file that is cut out of a replay, until every byte of it is on the disk."""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.domain.footage import LEAST_GAP, TimeSource
from gateway.drivers.base import TrackDescription
from gateway.footage.timing import Heard
from gateway.media.depacketize import AccessUnit
from gateway.media.mp4 import Mp4Writer
from gateway.media.sound import SoundTrack
from gateway.storage.shelf import sync_folder

PART: Final = ".part"
"""Suffix of a file that is not finished: never handed out, removed before the next attempt."""
_AHEAD: Final = 4 << 20
"""Room is taken on the disk for so much more at once: a fetch takes some 7 % less CPU than where each write takes its own."""
_USUAL_FRAME: Final = timedelta(milliseconds=40)
_NO_TIME: Final = timedelta(0)
_SAME_MOMENT: Final = timedelta(milliseconds=60)
"""The recorder's word about the time of a piece of sound that differs from the sample count by less is jitter."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A file that is complete and safe on the disk. `runs`: its unbroken stretches, the last picture of each included.

    `sound_left_out`: the encodings of the sound that was recorded and has no place in the file; "" when there was none such.
    `sound_refused`: those of the sound that the recorder lists and would not give. `set_backs`: how often the recorder's clock went back
    before it, so that files before may show the same times. `time_source`: whose word `runs` are.
    """

    name: str
    number: int
    sha256: str
    size: int
    frames: int
    damaged: int
    runs: tuple[tuple[datetime, datetime], ...]
    sound_left_out: str = ""
    time_source: TimeSource = TimeSource.UNKNOWN
    sound_refused: str = ""
    set_backs: int = 0


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
        elif step > _NO_TIME:
            self._usual = step
        else:
            return
        self._last = at

    def all(self) -> tuple[tuple[datetime, datetime], ...]:
        return (*self._done, (self._from, self._last + self._usual))


class CutFile:
    """One file on its way: written under another name, which it loses when every byte is on the disk."""

    def __init__(
        self, folder: Path, name: str, number: int, track: TrackDescription, sound: SoundTrack | None, *, set_backs: int = 0
    ) -> None:
        self._number = number
        self.set_backs = set_backs
        self._path = folder / name
        self._part = folder / f"{name}.{os.getpid()}{PART}"
        self._stream = self._part.open("xb", buffering=0)
        self._writer = Mp4Writer(self._write, track, sound.format if sound else None)
        self._sound = sound
        self._heard: Heard | None = None
        self._runs: _Runs | None = None
        self._begin: datetime | None = None
        self._time_source = TimeSource.DEVICE
        self.goes_back = False
        """Whether a picture in it is earlier than its first."""
        self.size = 0
        self._room = 0

    def add(self, unit: AccessUnit, at: datetime, *, told: bool) -> None:
        """A picture of `at`; `told`: by the recorder's word."""
        if not self._writer.add(unit):
            return
        if not told:
            self._time_source = TimeSource.RECKONED
        if self._runs is None or self._begin is None:
            self._runs, self._begin = _Runs(at), at
        self._runs.add(at)
        if at < self._begin:
            self.goes_back = True

    def holds(self, at: datetime) -> bool:
        """Whether `at` is not before the file's first picture."""
        return self._begin is not None and at >= self._begin

    def add_sound(self, heard: Heard) -> None:
        """Samples are counted from the file's first piece, unless the recorder says that something is missing."""
        if self._begin is None or self._sound is None:
            return
        counted = self._heard.counted(heard.unit, self._sound.format.rate) if self._heard else heard.at
        self._heard = heard if abs(counted - heard.at) > _SAME_MOMENT else replace(heard, at=counted)
        self._writer.add_sound(heard.unit.data, self._heard.at - self._begin, heard.unit.duration)

    def finish(self) -> Finished | None:
        """Make it durable and give it its name; None, and no file, when no picture could be written."""
        written = self._writer.close()
        if self._runs is None:
            self.drop()
            return None
        self._stream.truncate(self.size)
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.rename(self._path)
        sync_folder(self._path.parent)
        return Finished(
            name=self._path.name,
            number=self._number,
            sha256=written.sha256,
            size=written.size,
            frames=written.frames,
            damaged=written.damaged,
            runs=self._runs.all(),
            time_source=self._time_source,
            set_backs=self.set_backs,
        )

    def drop(self) -> None:
        self._stream.close()
        self._part.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        if self.size + len(data) > self._room:
            self._take_room(len(data) + _AHEAD)
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]
        self.size += len(data)

    def _take_room(self, size: int) -> None:
        """Take so many bytes of the disk. Where that cannot be had the writing tells."""
        with suppress(OSError):
            os.posix_fallocate(self._stream.fileno(), self.size, size)
            self._room = self.size + size
