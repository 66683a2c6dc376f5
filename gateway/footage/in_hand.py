"""Whoever comes for footage that is just being fetched lets the other finish, to take it over: the recorder replays it once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from gateway.clock import Clock, sleep_unless
from gateway.domain.footage import clipped
from gateway.footage.adopting import fits
from gateway.footage.camera_fetch import CameraFetch
from gateway.footage.turns import Rank

_PATIENCE: Final = timedelta(minutes=10)
"""So long, and as long again as the footage is, others are waited for: some recorders replay no faster than they record."""


class InHand:
    """What is being fetched now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: dict[CameraFetch, asyncio.Event] = {}

    @asynccontextmanager
    async def after_others(self, fetch: CameraFetch) -> AsyncIterator[None]:
        """Have `fetch` in hand, once those that came before it and bring what it lacks have ended, however they do.

        Not for ever: `_PATIENCE`.
        """
        before = [ended for other, ended in self._ended.items() if _brings(other, fetch)]
        self._ended[fetch] = asyncio.Event()
        try:
            await self._end_of(before, (_PATIENCE + fetch.window.length).total_seconds())
            yield
        finally:
            self._ended.pop(fetch).set()

    async def _end_of(self, others: list[asyncio.Event], within_s: float) -> None:
        until = self._clock.monotonic() + within_s
        for ended in others:
            await sleep_unless(ended, self._clock, until - self._clock.monotonic())


def _brings(other: CameraFetch, fetch: CameraFetch) -> bool:
    """Whether `other`, no less urgent, fetches of the same recording what `fetch` lacks, and nothing beyond what it wants.

    An emergency waits for nobody: a recorder that bears it replays to both.
    """
    same = (other.export.recorder, other.export.recording) == (fetch.export.recorder, fetch.export.recording)
    brings = fits(other.window, fetch.window) and any(clipped(fetch.lacking(), other.window))
    return same and brings and Rank.EMERGENCY < fetch.claim.rank >= other.claim.rank
