"""A broadcast that a loudspeaker plays out of its own memory: what it is given to keep, begun once, watched, and silenced."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

import structlog

from gateway.broadcast.clips import ClipShelf
from gateway.clock import Clock
from gateway.domain.broadcast import UNTIMED, ClipContent, ClipTimes, Programme
from gateway.drivers.base import DeviceClip, Loaded
from gateway.errors import AuthenticationFailed, DeviceError, DeviceFault, NotSupported, Unreachable
from gateway.media.clips import CLOCK_RATE, PreparedClip

log = structlog.get_logger()

PLAY_S: Final = 3.0
STOP_S: Final = 2.0
LOOK_S: Final = 2.0
"""How often a device is asked what it plays."""
AHEAD: Final = "preload"
"""The tag of clips that are brought to devices before they are wanted."""
AHEAD_LIMIT: Final = 10
_PAGE: Final = 200
_GRACE_S: Final = 3.0  # so much longer than it should a clip may play: devices begin late, and their clocks are theirs
LET_IN_S: Final = 0.25
"""So long whoever comes next at the speaker waits for the device to answer that it is silent."""
_STOPS: Final = (0.0, 0.3, 1.0)  # seconds before each try to silence it
_NOT_ASKED: Final = frozenset({"refused", "no-route"})


def may_have_heard(error: DeviceError) -> bool:
    """Whether a question that ended with `error` may have come to the device, and been taken for ours."""
    return not isinstance(error, AuthenticationFailed) and not (isinstance(error, Unreachable) and error.code in _NOT_ASKED)


class Unanswered(Exception):
    """Nobody knows whether the device took the wish to play: it is not asked again."""


class Keepable:
    """A programme as a device would keep it: its content once, where the device can repeat it by itself, else all of it."""

    def __init__(self, programme: Programme, whole: PreparedClip) -> None:
        self._programme = programme
        self._whole = whole

    @property
    def clip(self) -> DeviceClip:
        return self._made[0]

    @property
    def repeats(self) -> int:
        """How often the clip is to be played beside the first time."""
        return self._made[1]

    @cached_property
    def _made(self) -> tuple[DeviceClip, int]:
        samples, repeats = _once(self._programme, self._whole)
        pcm, mulaw = self._whole.pcm[: 2 * samples], self._whole.encodings["PCMU"][:samples]
        interval_s, lasting = round(self._programme.pause_s) if repeats else 0, isinstance(self._programme.content, ClipContent)
        return DeviceClip(hashlib.sha256(pcm).hexdigest(), pcm, mulaw, interval_s, lasting=lasting), repeats


def _once(programme: Programme, whole: PreparedClip) -> tuple[int, int]:
    """How many samples of the programme to keep, and how often to repeat them: devices know whole seconds of pause, and no chime before."""
    count, pause_s = programme.repeats, programme.pause_s
    total, pause = len(whole.pcm) // 2, round(pause_s * CLOCK_RATE)
    samples, odd = divmod(total - (count - 1) * pause, count)
    if programme.chime or count < 2 or odd or samples <= 0 or not float(pause_s).is_integer():
        return total, 0
    step = 2 * (samples + pause)
    first = whole.pcm[: 2 * samples]
    same = all(whole.pcm[at : at + 2 * samples] == first for at in range(step, count * step, step))
    return (samples, count - 1) if same else (total, 0)


async def clips_ahead(shelf: ClipShelf) -> Sequence[DeviceClip]:
    """The library's clips that loudspeakers with a memory shall have before they are wanted: of those with the tag `AHEAD`, the latest."""
    tagged = sorted(await shelf.page(limit=_PAGE, tag=AHEAD), key=lambda clip: clip.created_at, reverse=True)
    return [Keepable(Programme(ClipContent(clip.id)), await shelf.prepared(clip.id)).clip for clip in tagged[:AHEAD_LIMIT]]


@dataclass(slots=True)
class KeptTurn:
    """One playing of a clip that a device keeps. `begin`, then `last`; `silence` whatever happened in between.

    `tell` hears of its `times` whenever there is more to know of them.
    """

    loaded: Loaded
    repeats: int
    clock: Clock
    began_at: float | None = None
    over: bool = False
    unheard: bool | None = None  # whether the device has answered none of the looks at what it plays; None before the first
    times: ClipTimes = UNTIMED
    tell: Callable[[ClipTimes], None] = lambda _times: None

    @property
    def played_s(self) -> float:
        """How much of the programme's time has gone by since it began."""
        return 0.0 if self.began_at is None else min(self.whole_s, self.clock.monotonic() - self.began_at)

    @property
    def whole_s(self) -> float:
        clip = self.loaded.clip
        return (self.repeats + 1) * clip.duration_s + self.repeats * clip.interval_s

    async def begin(self) -> None:
        """Have it played, asked once. Raises DeviceError where it was not asked or will not, Unanswered where nobody knows."""
        self.began_at = self.clock.monotonic()  # from now on it may sound
        asked = ClipTimes(asked_at=self.clock.now())
        try:
            await self.loaded.player.play(self.loaded.token, repeats=self.repeats, timeout_s=PLAY_S)
        except asyncio.CancelledError:
            self._note(asked)
            raise
        except DeviceError as error:
            if may_have_heard(error):
                self._note(asked)
            if isinstance(error, DeviceFault) or not may_have_heard(error):
                self.over = True
                raise
            if not await self._plays():
                raise Unanswered from error
        self._note(replace(asked, confirmed_at=self.clock.now()))

    async def last(self) -> str:
        """Wait until it has been played to its end; "" when it was, else the reason. Raises Unanswered where every look failed."""
        assert self.began_at is not None
        self.unheard = None
        end, missed = self.began_at + self.whole_s, 0
        while (left_s := end - self.clock.monotonic()) > 0:
            await self.clock.sleep(min(left_s, self._look_s))
            if end - self.clock.monotonic() > self._look_s:
                missed = missed + 1 if await self._plays() is False else 0
            if missed == 2:
                self.over = True
                self._note_silent()
                return "clip-cut-short"
        while (plays := await self._plays()) and self.clock.monotonic() < end + _GRACE_S:
            await self.clock.sleep(_GRACE_S / 6)
        if self.unheard:
            raise Unanswered
        if plays is False:
            self._note_silent()
        self.over = self.clock.monotonic() < end + _GRACE_S
        return ""

    async def silence(self) -> None:
        """Silence it, unless it is known not to sound. Never raises for what the device does."""
        if self.began_at is None or self.over:
            return
        for pause_s in _STOPS:
            await self.clock.sleep(pause_s)
            asked_at = self.clock.now()
            try:
                await self.loaded.player.stop(self.loaded.token, timeout_s=STOP_S)
            except DeviceError as error:
                log.warning("broadcast.clip_not_silenced", clip=self.loaded.token, reason=error.code)
                if may_have_heard(error):
                    self._note_stop(asked_at)
            else:
                self.over = True
                self._note_stop(asked_at)
                self._note_silent()
                return

    def _note(self, times: ClipTimes) -> None:
        self.times = times
        self.tell(times)

    def _note_stop(self, asked_at: datetime) -> None:
        """Told to be silent; the first time counts."""
        self._note(replace(self.times, stop_asked_at=self.times.stop_asked_at or asked_at))

    def _note_silent(self) -> None:
        """The device has just said that it does not play it."""
        self._note(replace(self.times, silent_at=self.clock.now()))

    @property
    def _look_s(self) -> float:
        """Longer than a pause between two repetitions, in which some devices say that they play nothing."""
        return max(LOOK_S, self.loaded.clip.interval_s + 1.0)

    async def _plays(self) -> bool | None:
        """Whether the device says that it plays the clip; None when it does not tell."""
        try:
            plays: bool | None = self.loaded.token in await self.loaded.player.playing(timeout_s=STOP_S)
        except NotSupported:
            plays = None
        except DeviceError:
            self.unheard = self.unheard is not False  # one answer was enough
            return None
        self.unheard = False
        return plays
