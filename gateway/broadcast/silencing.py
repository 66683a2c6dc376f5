"""Clips that loudspeakers play by themselves, silenced for certain: each stop is owed, on the disk, until the clip is known to be over."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog

from gateway.broadcast.journal import Journal
from gateway.broadcast.kept import STOP_S, KeptTurn, may_have_heard
from gateway.clock import Clock
from gateway.domain.broadcast import UNTIMED, BroadcastId, ClipTimes, Delivery, OwedStop
from gateway.domain.devices import DeviceId
from gateway.domain.events import NewEvent
from gateway.drivers.base import ClipPlayer
from gateway.errors import DeviceError, NotFound

log = structlog.get_logger()

MAY_STILL_SOUND_EVENT: Final = "broadcast.may-still-sound"
FELL_SILENT_EVENT: Final = "broadcast.fell-silent"
MARGIN_S: Final = 15.0
"""So much longer than its length a clip is believed to sound: it begins after it is written down, and devices have their own clocks."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 30.0
_LOOK_S: Final = 1.0  # how often it is looked whom to ask again, while a stop is owed


@dataclass(slots=True, eq=False)
class Debt:
    """A stop that is owed. `turn`: while it is played; None once it should be silent. `ends_at`: of our monotonic clock. `silent`: done
    once it is known to be silent."""

    stop: OwedStop
    ends_at: float
    silent: asyncio.Future[None]
    turn: KeptTurn | None = None
    tries: int = 0
    again_at: float = 0.0
    told: bool = False
    times: ClipTimes = UNTIMED  # as far as this life of the gateway knows

    @property
    def may_sound(self) -> bool:
        return self.turn is None or self.turn.began_at is not None

    def is_of_the_clip_of(self, other: "Debt") -> bool:
        return (self.stop.speaker, self.stop.token) == (other.stop.speaker, other.stop.token)


class Silencing:
    """Stops on their way to devices: each is carried through, whether or not who wanted it is cancelled meanwhile.

    `player_of` gives what silences a loudspeaker's clips, None where it keeps none. `run` asks those again that did not answer.
    """

    def __init__(self, journal: Journal, clock: Clock, player_of: Callable[[DeviceId], ClipPlayer | None]) -> None:
        self._journal = journal
        self._clock = clock
        self._player_of = player_of
        self._debts: dict[tuple[BroadcastId, DeviceId], Debt] = {}  # bounded: each ends with its clip's length
        self._going: dict[asyncio.Task[None], Debt] = {}  # bounded by the debts
        self._stirred = asyncio.Event()
        self._answered = asyncio.Event()

    def recall(self, left: Iterable[OwedStop]) -> Sequence[Debt]:
        """Take up what a former life of the gateway still owes, and give it; a clock that was set back makes no clip longer."""
        recalled = []
        for stop in left:
            if (stop.broadcast, stop.speaker) in self._debts:
                continue  # this life's own
            left_s = min(stop.until - stop.since, stop.until - self._clock.now()) / timedelta(seconds=1)
            debt = self._debts[stop.broadcast, stop.speaker] = Debt(stop, self._clock.monotonic() + left_s, _pending())
            self._tell(debt)
            recalled.append(debt)
        return recalled

    def owe(self, delivery: Delivery, turn: KeptTurn) -> Debt:
        """A turn is about to begin: from now on the device is owed a stop. It is written down before the delivery is said to play."""
        now, lasts_s = self._clock.now(), turn.whole_s + MARGIN_S
        stop = OwedStop(delivery.broadcast, delivery.speaker, turn.loaded.token, now, now + timedelta(seconds=lasts_s))
        debt = self._debts[stop.broadcast, stop.speaker] = Debt(stop, self._clock.monotonic() + lasts_s, _pending(), turn)
        turn.tell = partial(self._time, debt)
        self._journal.owe(stop)
        return debt

    async def clear(self, debt: Debt) -> None:
        """Return once no stop of the same clip is on its way to the device: it would silence this playing."""
        await _all_of(task for task, other in self._going.items() if other.is_of_the_clip_of(debt))

    def begin(self, debt: Debt) -> "asyncio.Task[None]":
        """Have a turn silenced, unless it is known to be over; who comes next waits for that a quarter of a second at the most."""
        turn, debt.turn = debt.turn, None
        assert turn is not None
        if turn.over or turn.began_at is None:
            self._settle(debt)
        return self._carry(self._silence(debt, turn), debt)

    def insist(self) -> None:
        """Ask everyone again, now."""
        for debt in self._waiting():
            self._carry(self._ask_again(debt), debt)

    def may_sound(self, delivery: Delivery) -> bool:
        """Whether a device may go on playing by itself what it should not."""
        debt = self._debts.get((delivery.broadcast, delivery.speaker))
        return debt is not None and debt.may_sound and (debt.turn is None or not delivery.open)

    @property
    def sounding(self) -> Sequence[DeviceId]:
        """The loudspeakers that may play a clip by themselves."""
        return sorted({debt.stop.speaker for debt in self._debts.values() if debt.may_sound})

    async def silent(self, *, within_s: float) -> Sequence[DeviceId]:
        """Wait so long for all of them to fall silent; those of which that is not known then."""
        try:
            async with asyncio.timeout(within_s):
                while self.sounding:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            pass
        return self.sounding

    async def finished(self) -> None:
        """Return once nothing is on its way."""
        await _all_of(self._going)

    async def run(self) -> None:
        """Ask those again that did not answer, with growing pauses, until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            for debt in self._waiting():
                if debt.again_at <= self._clock.monotonic():
                    self._carry(self._ask_again(debt), debt)
            if any(debt.turn is None for debt in self._debts.values()):
                await self._clock.sleep(_LOOK_S)
                self._stirred.set()

    def _waiting(self) -> list[Debt]:
        """The debts of which no stop is on its way, and whose clip is not rightly played once more."""
        debts, asked = list(self._debts.values()), set(self._going.values())
        played = [debt for debt in debts if debt.turn is not None]
        return [
            debt for debt in debts if debt.turn is None and debt not in asked and not any(debt.is_of_the_clip_of(other) for other in played)
        ]

    def _carry(self, asking: Coroutine[Any, Any, None], debt: Debt) -> "asyncio.Task[None]":
        task = asyncio.create_task(asking, name=f"silence {debt.stop.speaker} {debt.stop.token}")  # owned here: see `finished`
        self._going[task] = debt
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        del self._going[task]
        self._answered.set()
        self._stirred.set()

    async def _silence(self, debt: Debt, turn: KeptTurn) -> None:
        await turn.silence()
        self._judge(debt, silent=turn.over)

    async def _ask_again(self, debt: Debt) -> None:
        self._judge(debt, silent=await self._is_silent(debt))

    async def _is_silent(self, debt: Debt) -> bool:
        """Ask the device for silence. Known to be silent is what it has answered, and what has ended and it does not say to play."""
        over, token, asked_at = self._clock.monotonic() >= debt.ends_at, debt.stop.token, self._clock.now()
        try:
            player = self._player_of(debt.stop.speaker)
        except NotFound:
            player = None  # it is not in the inventory any more
        if player is None:
            return over
        try:
            await player.stop(token, timeout_s=STOP_S)
        except DeviceError as error:
            log.warning("broadcast.clip_not_silenced", speaker=debt.stop.speaker, clip=token, reason=error.code)
            if may_have_heard(error):
                self._time(debt, replace(debt.times, stop_asked_at=debt.times.stop_asked_at or asked_at))
            return over and not await _plays(player, token)
        asked_at = debt.times.stop_asked_at or asked_at
        self._time(debt, replace(debt.times, stop_asked_at=asked_at, silent_at=self._clock.now()))
        return True

    def _judge(self, debt: Debt, *, silent: bool) -> None:
        if silent:
            for other in [other for other in self._debts.values() if other.turn is None and other.is_of_the_clip_of(debt)]:
                if other is not debt and debt.times.silent_at is not None:
                    self._time(other, replace(other.times, silent_at=debt.times.silent_at))
                self._settle(other)
            return
        debt.again_at = self._clock.monotonic() + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**debt.tries)
        debt.tries += 1
        self._tell(debt)

    def _time(self, debt: Debt, times: ClipTimes) -> None:
        debt.times = times
        self._journal.time(debt.stop.broadcast, debt.stop.speaker, times)

    def _tell(self, debt: Debt) -> None:
        if not debt.told:
            debt.told = True
            log.warning("broadcast.may_still_sound", broadcast=debt.stop.broadcast, speaker=debt.stop.speaker)
            self._note(MAY_STILL_SOUND_EVENT, debt)
        self._stirred.set()

    def _settle(self, debt: Debt) -> None:
        key = debt.stop.broadcast, debt.stop.speaker
        if self._debts.get(key) is not debt:
            return
        del self._debts[key]
        debt.silent.set_result(None)
        self._journal.settle(*key)
        if debt.told:
            log.info("broadcast.fell_silent", broadcast=debt.stop.broadcast, speaker=debt.stop.speaker)
            self._note(FELL_SILENT_EVENT, debt)

    def _note(self, kind: str, debt: Debt) -> None:
        self._journal.note(event=NewEvent(kind, debt.stop.broadcast, self._clock.now(), {"speaker": debt.stop.speaker}))


def _pending() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def _plays(player: ClipPlayer, token: str) -> bool:
    try:
        return token in await player.playing(timeout_s=STOP_S)
    except DeviceError:
        return False


async def _all_of(tasks: Iterable["asyncio.Task[None]"]) -> None:
    if waiting := list(tasks):
        await asyncio.wait(waiting)
