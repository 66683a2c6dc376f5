"""Loudspeakers made as quiet as the hour wants for the time of one broadcast, and given back as they were, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.remarks import Remark, RemarkKind, remark_on
from gateway.drivers.base import Volume, VolumeControl
from gateway.errors import DeviceError, GatewayError, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane

TIMEOUT_S: Final = 2.0  # for each question: a voice in the street does not wait longer for its volume
AGAIN_S: Final = 30.0
LONGEST_PAUSE_S: Final = 600.0
GIVEN_UP_S: Final = 86_400.0
"""So long it is tried to give a volume back, by growing pauses; then a person is told. It is tried once more after the next broadcast
there, and at the next start."""

log = structlog.get_logger()


class Notes(Protocol):
    """What outlives this process: how loud the loudspeakers were that are quieter now. Raises what the store raises."""

    async def lowered(self) -> Mapping[DeviceId, Volume]: ...

    async def lower(self, speaker: DeviceId, before: Volume) -> None: ...

    async def restored(self, speaker: DeviceId) -> None: ...


class StoredNotes:
    """`Notes` in the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def lowered(self) -> Mapping[DeviceId, Volume]:
        async with self._store.read() as tx:
            return {speaker: Volume(levels) for speaker, levels in (await tx.volumes.lowered()).items()}

    async def lower(self, speaker: DeviceId, before: Volume) -> None:
        now = self._clock.now()
        await self._store.writer.write(lambda tx: tx.volumes.lower(speaker, before.percent, at=now), lane=Lane.BROADCAST)

    async def restored(self, speaker: DeviceId) -> None:
        await self._store.writer.write(lambda tx: tx.volumes.restore(speaker), lane=Lane.BROADCAST)


@dataclass(slots=True)
class _Tries:
    """When a volume is tried to be given back next; times are of our monotonic clock."""

    since: float
    again_at: float = 0.0
    pause_s: float = AGAIN_S
    over: bool = False

    def put_off(self, now: float) -> None:
        """It failed."""
        self.again_at, self.pause_s = now + self.pause_s, min(LONGEST_PAUSE_S, self.pause_s * 2)
        self.over = now - self.since >= GIVEN_UP_S


@dataclass(frozen=True, slots=True)
class _Left:
    """A loudspeaker that did not take its volume back, tried since then."""

    since: float
    before: Volume


class Loudness:
    """Sets volumes where devices let them be set. `volume_of`: who sets a device's; None: nobody can. `notes`: None: they are in memory."""

    def __init__(
        self,
        volume_of: Callable[[DeviceId], VolumeControl | None],
        notes: Notes | None = None,
        clock: Clock | None = None,
        *,
        tell: Callable[[DeviceId, Volume], None] = lambda _speaker, _before: None,
    ) -> None:
        self._volume_of = volume_of
        self._notes = notes
        self._clock = clock
        self._tell = tell
        self._owed: dict[DeviceId, Volume] = {}  # how loud those were that are quieter now; bounded by the loudspeakers
        self._tries: dict[DeviceId, _Tries] = {}  # of those that are owed and idle
        self._left: dict[DeviceId, _Left] = {}  # given up, and to be told of
        self._in_use: set[DeviceId] = set()
        self._sounding: dict[asyncio.Future[None], DeviceId] = {}  # clips that may still be heard; each ends with its length
        self._stirred = asyncio.Event()

    async def load(self) -> None:
        """Take up what a former life has left quieter."""
        self._owed = dict(await self._notes.lowered()) if self._notes is not None else {}
        self._stirred.set()

    async def run(self) -> None:
        """Make as loud as before what could not be made so at once, until cancelled."""
        assert self._clock is not None
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            now = self._clock.monotonic()
            for speaker in self._idle():
                tries = self._tries.setdefault(speaker, _Tries(now))
                if now >= tries.again_at:
                    await self._give_back(speaker)
                    self._put_off(speaker, tries, now)
            self._tell_together()
            if self._idle() or self._left:
                await self._clock.sleep(AGAIN_S)
                self._stirred.set()

    def _put_off(self, speaker: DeviceId, tries: "_Tries", now: float) -> None:
        """What was not given back is tried again later, or given up."""
        if (before := self._owed.get(speaker)) is None:
            return
        tries.put_off(now)
        if tries.over:
            log.error("broadcast.volume_given_up", speaker=speaker, was=dict(before.percent))
            self._left[speaker] = _Left(tries.since, before)

    def _tell_together(self) -> None:
        """Tell of those that were given up, once nobody is tried any more since about the same time, as those of one broadcast are."""
        until = min((left.since for left in self._left.values()), default=0.0) + LONGEST_PAUSE_S
        if any(tries.since <= until and not tries.over for tries in self._tries.values()):
            return
        for speaker, left in self._left.items():
            self._tell(speaker, left.before)
        self._left.clear()

    def _idle(self) -> list[DeviceId]:
        """Those that are quieter than they were, neither spoken through nor still to be silenced, and not given up."""
        return [speaker for speaker in self._owed if not self._is_heard(speaker) and not self._is_given_up(speaker)]

    def _is_given_up(self, speaker: DeviceId) -> bool:
        return speaker in self._tries and self._tries[speaker].over

    def _is_heard(self, speaker: DeviceId) -> bool:
        return speaker in self._in_use or speaker in self._sounding.values()

    def keep_until(self, speaker: DeviceId, silent: asyncio.Future[None]) -> None:
        """Leave `speaker` as quiet as it is until `silent` is done: what it plays by itself may be heard so long."""
        self._sounding[silent] = speaker
        silent.add_done_callback(self._fell_silent)

    def _fell_silent(self, silent: asyncio.Future[None]) -> None:
        del self._sounding[silent]
        self._stirred.set()

    @asynccontextmanager
    async def at_most(self, speaker: DeviceId, percent: int | None) -> AsyncIterator[Remark | None]:
        """For the block, `speaker` is not louder than `percent` of its range (None: as it is). Gives why it may be louder, if so.

        A broadcast is not given up for its volume: it is limited where the device allows it.
        """
        if percent is None and speaker not in self._owed:
            yield None
            return
        control = self._volume_of(speaker)
        if control is None:
            yield None if percent is None else Remark(RemarkKind.VOLUME_FIXED, {"percent": percent})
            return
        self._in_use.add(speaker)
        self._tries.pop(speaker, None)
        try:
            yield await self._limit(control, speaker, percent)
        finally:
            self._in_use.discard(speaker)
            await self._give_back(speaker)
            if speaker in self._owed:
                self._stirred.set()

    async def _limit(self, control: VolumeControl, speaker: DeviceId, percent: int | None) -> Remark | None:
        """Make it as loud as it may be: never louder than it was before anybody made it quieter. Why that failed, None when it did not."""
        most = 100 if percent is None else percent
        try:
            now = await control.volume(timeout_s=TIMEOUT_S)
            owed = self._owed[speaker].percent if speaker in self._owed else {}
            before = {**now.percent, **owed}
            louder = {token: set_to for token, set_to in before.items() if set_to > most}
            if louder.keys() - owed.keys():
                await self._note(speaker, Volume({**louder, **owed}))
            wanted = {token: min(set_to, most) for token, set_to in before.items()}
            changes = Volume({token: set_to for token, set_to in wanted.items() if now.percent.get(token) != set_to})
            if changes.percent:
                await control.set_volume(changes, timeout_s=TIMEOUT_S)
        except DeviceError as error:
            log.warning("broadcast.volume_not_limited", speaker=speaker, percent=most, reason=error.code)
            return None if percent is None else remark_on(error, RemarkKind.VOLUME_NOT_LIMITED, percent=percent)
        return None

    async def _note(self, speaker: DeviceId, before: Volume) -> None:
        """On the disk before the device is told; where the store fails, in memory alone."""
        self._owed[speaker] = before
        try:
            if self._notes is not None:
                await self._notes.lower(speaker, before)
        except GatewayError as error:
            log.warning("broadcast.volume_not_noted", speaker=speaker, was=dict(before.percent), reason=str(error))

    async def _give_back(self, speaker: DeviceId) -> None:
        """Make it as loud as it was; what fails is tried again by `run`."""
        before = self._owed.get(speaker)
        if before is None or self._is_heard(speaker):
            return
        try:
            control = self._volume_of(speaker)
            if control is not None:
                await control.set_volume(before, timeout_s=TIMEOUT_S)
        except NotFound:
            pass  # it is not in the inventory any more
        except DeviceError as error:
            log.warning("broadcast.volume_not_restored", speaker=speaker, was=dict(before.percent), reason=error.code)
            return
        if speaker in self._in_use or self._owed.get(speaker) is not before:
            return
        del self._owed[speaker]
        self._tries.pop(speaker, None)
        self._left.pop(speaker, None)
        try:
            if self._notes is not None:
                await self._notes.restored(speaker)
        except GatewayError as error:
            log.warning("broadcast.volume_not_noted", speaker=speaker, reason=str(error))  # told once more at the next start: no harm
