"""When everything was silenced the last time, by whichever life of the gateway, and what was ordered before that."""

import asyncio
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.errors import Conflict


class Stops:
    """The mark that stop-all leaves. `longest_s`: for how long an order can be valid that does not say when it was given."""

    def __init__(self, clock: Clock, *, longest_s: float) -> None:
        self._clock = clock
        self._longest = timedelta(seconds=longest_s)
        self._last: datetime | None = None
        self._doubt_until = 0.0
        self._begun = asyncio.Event()
        self.epoch = 0  # how often this life has stopped all

    def begin(self) -> None:
        """Everything is about to be silenced: what is on its way into the store will not play."""
        self.epoch += 1
        self._begun.set()
        self._begun = asyncio.Event()

    async def later(self, epoch: int) -> None:
        """Return as soon as everything has been stopped more often than `epoch`."""
        while self.epoch <= epoch:
            await self._begun.wait()

    def mark(self) -> datetime:
        """Everything has been silenced; when that is, before which nothing ordered plays any more."""
        self._last = self._clock.now()
        return self._last

    def remember(self, last: datetime | None) -> None:
        """What a former life of the gateway wrote down."""
        self._last = last
        if last is not None:
            doubt = min(self._longest, last + self._longest - self._clock.now())  # no longer, should the clock have been set back
            self._doubt_until = self._clock.monotonic() + doubt.total_seconds()

    def check(self, issued_at: datetime | None) -> None:
        """Raise Conflict (`stop-all`) for what was ordered before everything was silenced the last time.

        Who does not say when it was ordered may have ordered it before a stop that a former life obeyed, for as long as such an order
        can be valid.
        """
        if self._last is None:
            return
        if issued_at is None and self._clock.monotonic() < self._doubt_until:
            raise _stopped()
        if issued_at is not None and issued_at <= self._last <= self._clock.now():  # a clock that was set back tells nothing
            raise _stopped()


def _stopped() -> Conflict:
    hint = "If it is still wanted, order it again under a new id, and say when in `issued_at`."
    return Conflict("Everything was silenced after this was ordered, or may have been.", code="stop-all", hint=hint)
