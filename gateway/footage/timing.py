"""When pictures were taken and sound was heard: the recorder's word, or its clocks' ticks; also where its time goes back."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.footage import CLOCK_SET
from gateway.media.depacketize import AccessUnit
from gateway.media.sound import SoundUnit

_RTP_CLOCK_HZ: Final = 90_000
_TIMELY: Final = timedelta(seconds=2)
"""Sound comes with the pictures of its time when it is no more behind them."""
_EARLY_SOUND_BYTES: Final = 1 << 20
"""So much sound may wait for its pictures, two minutes of G.711; beyond that the oldest goes where it came."""


class PictureClock:
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


class Backward:
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
class Heard:
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


class Sounds:
    """When sound was heard, and what of it waits for the pictures of its time.

    Whether the clock went back the pictures decide. Sound may step back before them and waits then, or after them, or not at all.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._told = False
        self._last: Heard | None = None
        self._before: datetime | None = None  # the last picture before a step back that sound has not followed yet
        self._waiting: deque[Heard] = deque()  # bounded in bytes, see `take`
        self._bytes = 0

    @property
    def ahead(self) -> bool:
        """Whether sound that has stepped back is next, and waits for pictures to do so."""
        return bool(self._waiting) and self._waiting[0].ahead is not None

    def take(self, unit: SoundUnit, pictures: PictureClock) -> list[Heard]:
        """A piece that has come; those that are due by the pictures that there are."""
        at, last = self._moment(unit, pictures.latest), self._last
        self._told = self._told or unit.ntp is not None
        self._last = heard = Heard(at, unit, timely=at >= pictures.latest - _TIMELY)
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

    def until(self, shown: datetime) -> list[Heard]:
        """What was heard when the picture of `shown` was taken, and before."""
        due: list[Heard] = []
        while self._waiting and (self._waiting[0].ahead or self._waiting[0].at) <= shown:
            due.append(self._next())
        return due

    def turn_back(self, before: datetime, shown: datetime) -> list[Heard]:
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

    def rest(self) -> list[Heard]:
        return [self._next() for _ in range(len(self._waiting))]

    def _next(self) -> Heard:
        heard = self._waiting.popleft()
        self._bytes -= len(heard.unit.data)
        return heard

    def _moment(self, unit: SoundUnit, shown: datetime) -> datetime:
        """The recorder's word, or by the count of samples since the piece before."""
        return unit.ntp or (self._last.counted(unit, self._rate) if self._last else shown)
