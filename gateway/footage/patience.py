"""Asking a recorder again: some more times when it fails, and for long when it is busy."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from gateway.clock import Clock
from gateway.errors import AuthenticationFailed, Busy, DeviceError, NotSupported, Overloaded

T = TypeVar("T")
_ATTEMPTS: Final = 3
"""Failures behind each other without any progress."""
_ATTEMPTS_LIMIT: Final = 100
_PAUSE_S: Final = 5.0
_BUSY_WAITS: Final = 60
_BUSY_PAUSE_S: Final = 30.0

log = structlog.get_logger()


async def patiently(act: Callable[[], Awaitable[T]], clock: Clock, *, done: Callable[[], int] = int, **about: object) -> T:
    """Do `act`, some more times when the recorder fails it. It must be safe to repeat: asking is, and fetching the rest is.

    `done`: how much of it there is by now; an attempt that failed and got on with it all the same is forgotten. A recorder that plays to
    others already is waited for: their replays end (quirk Q23).
    """
    failures = waits = 0
    for attempt in itertools.count(1):
        before = done()
        try:
            return await act()
        except (AuthenticationFailed, NotSupported):
            raise
        except (DeviceError, Overloaded) as failure:
            busy = isinstance(failure, Busy)
            if done() > before:
                failures = waits = 0
            waits, failures = waits + busy, failures + (not busy)
            if waits > _BUSY_WAITS or failures >= _ATTEMPTS or attempt >= _ATTEMPTS_LIMIT:
                raise
            log.info("footage.recorder_busy" if busy else "footage.attempt_failed", reason=str(failure), **about)
            await clock.sleep(_BUSY_PAUSE_S if busy else _PAUSE_S)
    raise AssertionError("unreachable")
