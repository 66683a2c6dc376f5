"""Which picture and which piece of sound goes into which file: cut at key frames, by the recorder's time."""

import os
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.domain.footage import CLOCK_SET, LEAST_GAP, TimeSource
from gateway.drivers.base import TrackDescription
from gateway.errors import NotSupported
from gateway.media.depacketize import AccessUnit
from gateway.media.mp4 import Mp4Writer
from gateway.media.sound import SoundTrack, SoundUnit
from gateway.storage.shelf import sync_folder

PART: Final = ".part"
"""Suffix of a file that is not finished: never handed out, removed before the next attempt."""
_RTP_CLOCK_HZ: Final = 90_000
_USUAL_FRAME: Final = timedelta(milliseconds=40)
_LATE_SOUND: Final = timedelta(seconds=10)
"""So much footage a file stays open for sound that comes after its pictures: recorders that send as fast as they can keep no step."""
_TIMELY: Final = timedelta(seconds=2)
"""Sound comes with the pictures of its time when it is no more behind them."""
_EARLY_SOUND_BYTES: Final = 1 << 20
"""So much sound may wait for its pictures, two minutes of G.711; beyond that the oldest goes where it came."""
_NO_TIME: Final = timedelta(0)
_SAME_MOMENT: Final = timedelta(milliseconds=60)
"""The recorder's word about the time of a piece of sound that differs from the sample count by less is jitter."""
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
        self._file: _File | None = None
        self._closing: _File | None = None
        self._boundary = self._after(stretch.start)
        self._clock = _PictureClock(stretch.start)
        self._backward = _Backward()
        self._set_backs = 0
        self._doubted: tuple[AccessUnit, datetime] | None = None  # the next picture tells
        self._lead = _Lead(stretch.start, stretch.after)
        self._past_end = 0
        self._taken = 0
        self._room: float = _MOST_BYTES  # as of the latest picture when it was last reached
        self._furthest = stretch.start
        self._sounds = _Sounds(sound.format.rate) if sound else None

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
            self._file = _File(self._stretch.folder, name, self._number - 1, self._track, self._sound, set_backs=self._set_backs)
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

    def _place(self, sounds: "list[_Heard]") -> None:
        for heard in sounds:
            if heard.at >= self._stretch.end:
                continue
            file = self._file_of(heard)
            if file is not None:
                if file is self._file and file.holds(heard.at):
                    self._close()
                file.add_sound(heard)

    def _file_of(self, heard: "_Heard") -> "_File | None":
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


class _PictureClock:
    """When a picture was taken: the recorder's word, or by the RTP clock from the start where it gives none.

    `told`: whether the recorder has given its word for the latest picture or one before.
    """

    def __init__(self, start: datetime) -> None:
        self.latest = start
        self.told = False
        self._timestamp: int | None = None

    @property
    def begun(self) -> bool:
        """Whether a picture has come."""
        return self._timestamp is not None

    def moment(self, unit: AccessUnit) -> datetime:
        if unit.ntp is not None:
            self.latest, self.told = unit.ntp, True
        elif self._timestamp is not None:
            self.latest += timedelta(seconds=_step(unit.timestamp, self._timestamp) / _RTP_CLOCK_HZ)
        self._timestamp = unit.timestamp
        return self.latest


class _Backward:
    """Whether a recorder's clock went back, by more than pictures are out of order. A single picture of a wrong time is nothing.

    `before`: the latest time before the step back, None when there is none since the last `settle`.
    """

    def __init__(self) -> None:
        self._last: datetime | None = None
        self._earlier: datetime | None = None  # of the latest two, when there are two
        self.before: datetime | None = None

    def see(self, at: datetime) -> bool:
        """Whether the next picture, of `at`, and those since the last `settle` come after a step back."""
        last, earlier = self._last, self._earlier
        if self.before is None:
            self.before = earlier if earlier is not None and at < earlier - CLOCK_SET else None
        elif at >= self.before - CLOCK_SET and last is not None and at > last + CLOCK_SET:
            self.before = None
        self._last, self._earlier = at, at if last is not None and at < last else last
        return self.before is not None

    def settle(self) -> datetime:
        """From now on the earlier times count; the latest one before them. Only after a step back."""
        before, self.before = self.before, None
        self._last = self._earlier = None
        assert before is not None
        return before


def _step(timestamp: int, before: int) -> int:
    """How far an RTP timestamp is from another, which it may have wrapped around (RFC 3550, 5.1)."""
    return ((timestamp - before + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _nearer(at: datetime, one: datetime, other: datetime) -> bool:
    """Whether `at` is nearer to `one` than to `other`."""
    return abs(at - one) < abs(at - other)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A piece of sound. `timely`: it came with the pictures of its time or before.

    `ahead`: it is the first after a step back; should the pictures not follow, they have passed it at this time. `late`: it was heard with
    the pictures before a step back that have come already.
    """

    at: datetime
    unit: SoundUnit
    timely: bool
    ahead: datetime | None = None
    late: bool = False

    def counted(self, unit: SoundUnit, rate: int) -> datetime:
        """When `unit`, which came after this, began by the count of samples."""
        return self.at + timedelta(seconds=_step(unit.timestamp, self.unit.timestamp) / rate)

    def ends(self, rate: int) -> datetime:
        return self.at + timedelta(seconds=self.unit.duration / rate)


class _Sounds:
    """When sound was heard, and what of it waits for the pictures of its time.

    Whether the clock went back the pictures decide. Sound may step back before them and waits then, or after them, or not at all.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._told = False
        self._last: _Heard | None = None
        self._before: datetime | None = None  # the last picture before a step back that sound has not followed yet
        self._waiting: deque[_Heard] = deque()  # bounded in bytes, see `take`
        self._bytes = 0

    @property
    def ahead(self) -> bool:
        """Whether sound that has stepped back is next, and waits for pictures to do so."""
        return bool(self._waiting) and self._waiting[0].ahead is not None

    def take(self, unit: SoundUnit, pictures: _PictureClock) -> list[_Heard]:
        """A piece that has come; those that are due by the pictures that there are."""
        at, last = self._moment(unit, pictures.latest), self._last
        self._told = self._told or unit.ntp is not None
        self._last = heard = _Heard(at, unit, timely=at >= pictures.latest - _TIMELY)
        back = last is not None and at < last.ends(self._rate) - CLOCK_SET
        if self._before is not None and not back and _nearer(at, self._before, pictures.latest):
            return [replace(heard, late=True)]
        if last is not None and back and self._before is None:
            heard = replace(heard, ahead=last.ends(self._rate) + _TIMELY)
        self._before = None
        self._waiting.append(heard)
        self._bytes += len(unit.data)
        due = self.until(pictures.latest) if pictures.begun else []
        return due if due or self._bytes <= _EARLY_SOUND_BYTES else [self._next()]

    def until(self, shown: datetime) -> list[_Heard]:
        """What was heard when the picture of `shown` was taken, and before."""
        due: list[_Heard] = []
        while self._waiting and (self._waiting[0].ahead or self._waiting[0].at) <= shown:
            due.append(self._next())
        return due

    def turn_back(self, before: datetime, shown: datetime) -> list[_Heard]:
        """The pictures' clock went back from `before` to `shown`: what was heard by then. Sound without times goes on with theirs."""
        if not self._told:
            self._last = None
            return self.rest()
        stepped = next((index for index, heard in enumerate(self._waiting) if heard.ahead is not None), None)
        if stepped is not None:
            due = [self._next() for _ in range(stepped)]
            self._waiting[0] = replace(self._waiting[0], ahead=None)
            return due
        self._before, due = before, []
        while self._waiting and self._waiting[0].at <= before + CLOCK_SET and _nearer(self._waiting[0].at, before, shown):
            due.append(self._next())
        return due

    def rest(self) -> list[_Heard]:
        return [self._next() for _ in range(len(self._waiting))]

    def _next(self) -> _Heard:
        heard = self._waiting.popleft()
        self._bytes -= len(heard.unit.data)
        return heard

    def _moment(self, unit: SoundUnit, shown: datetime) -> datetime:
        """The recorder's word, or by the count of samples since the piece before."""
        return unit.ntp or (self._last.counted(unit, self._rate) if self._last else shown)


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


class _File:
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
        self._heard: _Heard | None = None
        self._runs: _Runs | None = None
        self._begin: datetime | None = None
        self._time_source = TimeSource.DEVICE
        self.goes_back = False
        """Whether a picture in it is earlier than its first."""
        self.size = 0

    def add(self, unit: AccessUnit, at: datetime, *, told: bool) -> None:
        """A picture of `at`; `told`: by the recorder's word."""
        if not self._writer.add(unit):
            return
        if not told:
            self._time_source = TimeSource.RECKONED
        if self._runs is None:
            self._runs, self._begin = _Runs(at), at
        self._runs.add(at)
        if not self.holds(at):
            self.goes_back = True

    def holds(self, at: datetime) -> bool:
        """Whether `at` is not before the file's first picture."""
        return self._begin is not None and at >= self._begin

    def add_sound(self, heard: _Heard) -> None:
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
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]
        self.size += len(data)
