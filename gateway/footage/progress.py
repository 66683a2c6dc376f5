"""How far the fetching of one camera's footage is, how fast it goes, and when it will be done: measured, and unknown until it is."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.footage import Period

_MEASURED: Final = 20
"""So many reports, one a second or so, are what the speed is measured over."""
_LEAST_S: Final = 2.0
"""Speeds measured over less are none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `whole` is on the disk, in footage; `size` bytes so far. `bytes_per_s`, `left_s`: None while nothing is known of them."""

    done: timedelta
    whole: timedelta
    size: int
    bytes_per_s: float | None = None
    left_s: float | None = None


class Gauge:
    """Watches the fetching of one camera's footage, `whole` long, of which `done` and `size` bytes were there already."""

    def __init__(self, whole: timedelta, done: timedelta, size: int) -> None:
        self._whole = whole
        self._base = self._done = done
        self._size_before = self._size = size
        self._points: deque[tuple[float, float, int]] = deque(maxlen=_MEASURED)

    def begin(self, done: timedelta, size: int) -> None:
        """A stretch begins with so much on the disk."""
        self._base = self._done = done
        self._size_before = self._size = size

    def heed(self, stretch: Period, at: datetime, size: int, now: float) -> None:
        """The worker has come to `at` in `stretch`, both on the recorder's clock, with `size` bytes of it; `now` is monotonic."""
        within = min(max(at - stretch.start, timedelta(0)), stretch.length)
        self._done = min(self._whole, self._base + within)
        self._size = self._size_before + size
        self._points.append((now, self._done.total_seconds(), self._size))

    def read(self) -> Progress:
        """What is known now."""
        if len(self._points) < 2 or (lasted := self._points[-1][0] - self._points[0][0]) < _LEAST_S:
            return Progress(self._done, self._whole, self._size)
        (_, done_then, size_then), (_, done_now, size_now) = self._points[0], self._points[-1]
        speed, rate = (done_now - done_then) / lasted, max(0.0, (size_now - size_then) / lasted)
        left = (self._whole - self._done).total_seconds() / speed if speed > 0 else None
        return Progress(self._done, self._whole, self._size, rate, left)
