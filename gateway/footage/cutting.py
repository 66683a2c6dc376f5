"""Which picture and which piece of sound goes into which file: cut at key frames, by the recorder's time."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.drivers.base import TrackDescription
from gateway.errors import NotSupported
from gateway.footage.cut_file import CutFile, Finished
from gateway.footage.timing import Backward, Heard, PictureClock, Sounds
from gateway.media.depacketize import AccessUnit
from gateway.media.sound import SoundTrack, SoundUnit

_LATE_SOUND: Final = timedelta(seconds=10)
"""So much footage a file stays open for sound that comes after its pictures: recorders that send as fast as they can keep no step."""
_TICK: Final = timedelta(microseconds=1)
_LEAD: Final = timedelta(seconds=10)
"""A recorder may begin at a key frame so much before the start; of what is earlier only what is needed to decode the rest is taken."""
_LEAD_BYTES: Final = 8 << 20
"""So much of what is earlier waits for whether it is needed."""
_FAR_EARLY: Final = timedelta(hours=1)
"""Longer than recorders make their own files, at whose beginning some replays begin."""
_FAR_EARLY_PICTURES: Final = 250
"""So many of them are no mistake of a clock: the recorder plays from its beginning, whatever it is asked."""
_PAST_END: Final = 50
"""So many pictures in a row at the end or later are no mistake of a clock: the recorder plays on. Sound of two seconds before is there."""
_MOST_BYTES_PER_S: Final = 16 << 20
_MOST_BYTES: Final = 256 << 20
"""What a stretch may take beside `_MOST_BYTES_PER_S`, twice the bitrate of any camera: a clock that stands still fills no disk."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What to fetch: `start` to `end`, cut into files of about `segment`, into `folder` as `{prefix}{number:03d}.mp4` from `first` on.

    `after`: pictures up to and including this moment are there already; of them those alone are taken without which what follows is not
    decoded. `grid`: a moment from which the lengths of files are counted; with the same one, whoever fetches the rest cuts as whoever
    fetched the whole would have. None: the start.
    """

    start: datetime
    end: datetime
    segment: timedelta
    folder: Path
    prefix: str
    first: int = 1
    after: datetime | None = None
    grid: datetime | None = None


class Cutter:
    """Writes the files of one stretch; those that are safe wait in `finished`. `sound`: None when there is none to keep.

    What is outside the stretch is left out, but for up to ten seconds before it, from a key frame on; where a file ends right before it,
    for no more than that key frame and what follows it. Where the recorder's clock went back, another file begins.
    """

    def __init__(self, stretch: Stretch, track: TrackDescription, sound: SoundTrack | None) -> None:
        self._stretch = stretch
        self._track = track
        self._sound = sound
        self.finished: deque[Finished] = deque()  # two at the most, taken after each picture
        self._safe = 0
        self._number = stretch.first
        self._file: CutFile | None = None
        self._closing: CutFile | None = None
        self._boundary = self._after(stretch.start)
        self._clock = PictureClock(stretch.start)
        self._backward = Backward()
        self._set_backs = 0
        self._doubted: tuple[AccessUnit, datetime] | None = None  # the next picture tells
        self._lead = _Lead(stretch.start, stretch.after)
        self._past_end = 0
        self._taken = 0
        self._room: float = _MOST_BYTES  # as of the latest picture when it was last reached
        self._furthest = stretch.start
        self._sounds = Sounds(sound.format.rate) if sound else None

    @property
    def latest(self) -> datetime:
        """The time of the latest picture, or the start."""
        return self._clock.latest

    @property
    def over(self) -> bool:
        """Whether the recorder plays on beyond the end: nothing of the stretch is still to come."""
        return self._past_end >= _PAST_END or self._lead.away

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._safe + sum(file.size for file in (self._closing, self._file) if file is not None)

    def add(self, unit: AccessUnit) -> None:
        """Put a picture where it belongs: a file begins with a key frame, and ends before the first one after its time.

        NotSupported (`range-ignored`, `too-many-bytes`) when what comes cannot be the stretch that was asked for.
        """
        at = self._clock.moment(unit)
        if at >= self._stretch.end:
            self._past_end += 1
            return
        self._past_end = 0
        for passed, moment in self._lead.passed(unit, at, inside=self._file is not None):
            self._put(passed, moment)

    def _put(self, unit: AccessUnit, at: datetime) -> None:
        """A key picture that is the first to be earlier waits for the next one: alone it is one of a wrong time."""
        self._taken += unit.size
        self._furthest = max(self._furthest, at)
        if self._taken > self._room:
            self._make_room()
        known_back = self._backward.before is not None
        back = self._clock.told and self._backward.see(at)
        if self._doubted is not None:
            doubted, self._doubted = self._doubted, None
            self._write(*doubted, back=back)
            self._write(unit, at, back=False)
        elif unit.key and back and not known_back:
            self._doubted = (unit, at)
        else:
            self._write(unit, at, back=back)

    def _write(self, unit: AccessUnit, at: datetime, *, back: bool) -> None:
        """`back`: it comes after the recorder's clock went back, and no file has begun since."""
        if unit.key and back:
            self._turn_back(at)
        if unit.key and (back or at >= self._boundary):
            self._cut()
            self._boundary = self._after(at)
        if self._file is None:
            if not unit.key:
                return
            name = f"{self._stretch.prefix}{self._number:03d}.mp4"
            self._number += 1
            self._file = CutFile(self._stretch.folder, name, self._number - 1, self._track, self._sound, set_backs=self._set_backs)
        self._file.add(unit, at, told=self._clock.told)
        if self._sounds is not None:
            self._place(self._sounds.until(at))
            if self._file.holds(at - _LATE_SOUND) and not self._sounds.ahead:
                self._close()

    def _turn_back(self, at: datetime) -> None:
        """The recorder's clock went back to `at`: what was heard by then belongs to what was seen by then."""
        before = self._backward.settle()
        if self._sounds is not None:
            self._place(self._sounds.turn_back(before, at))
        self._set_backs += 1

    def add_sound(self, unit: SoundUnit) -> None:
        """Put a piece of sound with the pictures of its time."""
        if self._sounds is not None:
            self._place(self._sounds.take(unit, self._clock))

    def finish(self) -> None:
        """Complete the files in hand, if there are any."""
        if self._doubted is not None:
            self._write(*self._doubted, back=False)
        if self._sounds is not None:
            self._place(self._sounds.rest())
        self._cut()
        self._close()

    def drop(self) -> None:
        """Remove the files in hand, if there are any."""
        for file in (self._closing, self._file):
            if file is not None:
                file.drop()
        self._closing = self._file = None

    def _make_room(self) -> None:
        """As much as the stretch may take by the latest of its pictures. NotSupported when what was taken is more."""
        seconds = (self._furthest - self._stretch.start).total_seconds()
        self._room = _MOST_BYTES + seconds * _MOST_BYTES_PER_S
        if self._taken > self._room:
            told = f"the recorder sent {self._taken >> 20} MiB for {seconds:.0f} s of footage"
            raise NotSupported(told, code="too-many-bytes")

    def _after(self, at: datetime) -> datetime:
        """The first moment after `at` at which a file shall end."""
        grid, segment = self._stretch.grid or self._stretch.start, self._stretch.segment
        return grid + (1 + (at - grid) // segment) * segment

    def _cut(self) -> None:
        """No more pictures for the file in hand; where there is sound, some may still come late."""
        self._close()
        self._closing, self._file = self._file, None
        if self._sounds is None:
            self._close()

    def _close(self) -> None:
        file, self._closing = self._closing, None
        finished = file.finish() if file is not None else None
        if finished is not None:
            self._safe += finished.size
            self.finished.append(finished)

    def _place(self, sounds: list[Heard]) -> None:
        for heard in sounds:
            if heard.at >= self._stretch.end:
                continue
            file = self._file_of(heard)
            if file is not None:
                if file is self._file and file.holds(heard.at):
                    self._close()
                file.add_sound(heard)

    def _file_of(self, heard: Heard) -> CutFile | None:
        """None for what is too late, or comes before the first picture."""
        file, closing = self._file, self._closing
        before = closing is not None and closing.set_backs < self._set_backs
        if before and (heard.late or file is None or not file.holds(heard.at)):
            return closing
        if file is not None and file.holds(heard.at):
            return file
        if closing is not None and closing.holds(heard.at):
            return closing
        begun = self._number > self._stretch.first + 1 or (file is not None and file.goes_back)
        return file if begun and heard.timely else None  # as the pictures that come with it


class _Lead:
    """What a recorder replays from before the range: left out, but for the pictures without which those of the range are not decoded.

    `away`: its clock went so far back, after pictures of the range, that no more of them are to be expected.
    """

    def __init__(self, start: datetime, after: datetime | None) -> None:
        """`after`: what is there already ends with this moment."""
        self._begin = start - _LEAD if after is None else after + _TICK
        self._far = start - _FAR_EARLY
        self._far_early = 0
        self._begun = False
        self.away = False
        self._kept: list[tuple[AccessUnit, datetime]] = []  # from the latest key frame on; bounded in bytes
        self._bytes = 0

    def passed(self, unit: AccessUnit, at: datetime, *, inside: bool) -> list[tuple[AccessUnit, datetime]]:
        """The pictures that are to be written now that `unit` of `at` has come. `inside`: a file is open, which needs what follows."""
        if at < self._begin and (unit.key or self._kept or not inside):
            self._keep(unit, at)
            return []
        kept, self._kept, self._bytes, self._begun = self._kept, [], 0, True
        return [(unit, at)] if unit.key else [*kept, (unit, at)]

    def _keep(self, unit: AccessUnit, at: datetime) -> None:
        self._far_early += at < self._far
        if self._far_early > _FAR_EARLY_PICTURES and self._begun:
            self.away = True
        elif self._far_early > _FAR_EARLY_PICTURES:
            told = f"the recorder replays from {at.isoformat()} on, long before the range that was asked for"
            raise NotSupported(told, code="range-ignored")
        if unit.key:
            self._kept, self._bytes = [], 0
        self._bytes += unit.size
        if self._bytes > _LEAD_BYTES:
            self._kept = []
        elif unit.key or self._kept:
            self._kept.append((unit, at))
