"""Securing what is held: by urgency, from its device into the evidence store, over crashes; and removing what no hold needs any more."""

import asyncio
import contextlib
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.coverage import Told
from gateway.domain.devices import DeviceId
from gateway.domain.footage import LEAST_GAP, ClockReading, OnDeviceClock, Period, clipped, joined
from gateway.domain.holds import HeldFile, Hold, HoldId, Keep, KeepState, expected_bytes, is_safe, keeps, kept_by, settled, urgency
from gateway.drivers.base import RecordingLock, Span, Target
from gateway.errors import Busy, Conflict, DeviceError, GatewayError, NotFound, NotSupported, Overloaded, StorageFailed
from gateway.footage.coverage import CoverageDesk
from gateway.footage.cut_file import Finished
from gateway.footage.filework import to_the_end
from gateway.footage.holds import HoldDesk
from gateway.footage.ledger import GATEWAY
from gateway.footage.space import Space
from gateway.footage.stretches import Replay, Worker, fetch_stretch, may_give_way, next_number, prepare
from gateway.footage.turns import GaveWay, Turn, Wanted, claim_on
from gateway.footage.worker import run_worker, unheeded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

_AT_ONCE: Final = 8
"""Who is about to be secured; the turns of the recorders decide who is."""
_LOOKED_AT: Final = 200
_TICK_S: Final = 30.0
_ASK_S: Final = 30.0
_LOCK_S: Final = 10.0
_SAFE_FOR: Final = timedelta(hours=1)
_BUSY_FOR: Final = timedelta(seconds=30)
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_REMOVED_AT_ONCE: Final = 100

_Key = tuple[HoldId, DeviceId, DeviceId]


class ReplaySource(Protocol):
    """A device that replays what it keeps."""

    async def replay_path(self, recording: str, *, timeout_s: float) -> str: ...


@dataclass(frozen=True, slots=True)
class EvidenceStore:
    """Where what is held lies: a folder a hold. `segment`: how long a file is."""

    folder: Path
    segment: timedelta = timedelta(minutes=5)

    def path_of(self, file: HeldFile) -> Path:
        return self.folder / file.hold / file.name


class Securing:
    """Works for all holds. `stir` tells it that there may be something to do."""

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        coverage: CoverageDesk,
        space: Space,
        evidence: EvidenceStore,
        turn: Turn,
        source_of: Callable[[DeviceId], ReplaySource],
        target_of: Callable[[DeviceId], Target],
        lock_of: Callable[[DeviceId], RecordingLock | None] = lambda _: None,
        bytes_per_s: float = 4_000_000 / 8,
        worker: Worker = run_worker,
    ) -> None:
        """`turn`: held while a device replays, shared with the exports of requests. `lock_of`: a device's own lock, if any."""
        self._store = store
        self._city = city
        self._clock = clock
        self._coverage = coverage
        self._space = space
        self._evidence = evidence
        self._turn = turn
        self._source_of = source_of
        self._target_of = target_of
        self._lock_of = lock_of
        self._bytes_per_s = bytes_per_s
        self._worker = worker
        self._stirred = asyncio.Event()
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._locking: defaultdict[DeviceId, asyncio.Lock] = defaultdict(asyncio.Lock)  # one a device
        self._log = structlog.get_logger()

    def stir(self) -> None:
        """There may be something to do."""
        self._stirred.set()

    async def run(self, desk: HoldDesk) -> None:
        """Secure what is held, end what has run out, remove what no hold needs, until cancelled. StorageFailed when the store does."""
        await self._store.writer.settle(Lane.FOOTAGE)  # the row of a file, given by a run before this one that was cut off
        await to_the_end(_sweep, self._evidence.folder, await self._known())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick(), name="holds tick")
            while True:
                self._stirred.clear()
                await self._end_due(desk)
                await self._remove()
                for hold, keep in await self._waiting():
                    key = (keep.hold, keep.camera, keep.device)
                    if len(self._tasks) < _AT_ONCE and key not in self._tasks:
                        self._tasks[key] = group.create_task(self._work_on(hold, keep), name=f"hold {hold.id} {keep.camera}")
                await self._stirred.wait()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK_S)
            self.stir()

    async def _waiting(self) -> list[tuple[Hold, Keep]]:
        """What has something to be done now: what is lost first comes first."""
        now = self._clock.now()
        async with self._store.read() as tx:
            found = await tx.holds.unsettled(now, limit=_LOOKED_AT)
        return sorted(found, key=lambda pair: urgency(pair[1], now))

    # -- one device's part ----------------------------------------------------------------------------------------------

    async def _work_on(self, hold: Hold, keep: Keep) -> None:
        """Bring one keep a step on. What goes wrong is its own outcome, tried again later; only the store's failure is ours."""
        key = (keep.hold, keep.camera, keep.device)
        try:
            await self._secure(hold, keep)
        except StorageFailed:
            raise
        except GatewayError as error:
            await self._later(keep, error)
        finally:
            del self._tasks[key]
            self.stir()

    async def _secure(self, hold: Hold, keep: Keep) -> None:
        (told,) = await self._coverage.of([keep.camera], hold.window)
        fresh = keeps(hold, told)
        await self._store.writer.write(lambda tx: _add_missing(tx, hold.id, fresh), lane=Lane.FOOTAGE)
        holding = next((one for one in told.holdings if one.device == keep.device), None)
        if holding is None or holding.told is Told.NOTHING:
            reason = holding.reason if holding else told.reason or "no-recorder"
            await self._put(self._paused(keep, reason))
            return
        needed = joined(period for one in (keep, *fresh) if one.device == keep.device for period in one.needed)
        keep = await self._locked(hold, replace(kept_by(keep, holding), needed=needed, serial=self._serial(keep.device)))
        if is_safe(keep, hold, holding.recorded):
            await self._put(replace(keep, state=KeepState.SAFE, reserved=0, attempts=0, next_at=self._clock.now() + _SAFE_FOR))
            return
        keep = await self._reserved(replace(keep, state=KeepState.WAITING, next_at=None))
        now = self._clock.now()
        try:
            async with self._turn(keep.device, claim_on(urgency(keep, now), now=now)) as wanted:
                keep = await self._fetch(hold, keep, holding.clock, wanted)
        except GaveWay:
            return  # the rest waits for its turn anew
        await self._put(settled(keep, holding))

    async def _reserved(self, keep: Keep) -> Keep:
        """Write `keep` down, with room set aside for it where that was not done before. Conflict (`no-space`) with the figures."""

        free = await self._space.free()

        async def change(tx: Tx) -> Keep:
            wanted = keep.reserved
            if not wanted:
                rate = (await tx.holds.bytes_per_s([keep.camera])).get(keep.camera, self._bytes_per_s)
                wanted = expected_bytes(keep.missing, rate)
                self._space.check(wanted, free=free, promised=await tx.holds.outstanding_bytes())
            after = replace(keep, reserved=wanted)
            await tx.holds.put_keep(after)
            return after

        return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _locked(self, hold: Hold, keep: Keep) -> Keep:
        """With the device's own lock on, where it has one that works."""
        lock = self._lock_of(keep.device)
        if lock is None or keep.locked:
            return keep
        period = keep.device_period(hold.window)
        try:
            async with self._locking[keep.device]:
                await lock.lock(keep.recording, Span(period.start, period.end), timeout_s=_LOCK_S)
        except (DeviceError, Overloaded) as failure:
            self._log.info("hold.not_locked", hold=hold.id, device=keep.device, reason=failure.code)
            return keep
        return replace(keep, locked=True)

    async def _fetch(self, hold: Hold, keep: Keep, clock: ClockReading | None, wanted: Wanted) -> Keep:
        """Replay what is needed and not there, each part of it by its own offset; the keep with what is there then.

        GaveWay after a file when the turn is wanted.
        """
        files = [file for file in await self._files(hold.id) if (file.camera, file.device) == (keep.camera, keep.device)]
        folder, prefix = self._evidence.folder / hold.id, _prefix(keep)
        await to_the_end(prepare, folder, {file.name for file in files}, prefix=prefix)
        path = await self._source_of(keep.device).replay_path(keep.recording, timeout_s=_ASK_S)
        ends = {run.end for file in files for run in file.runs}
        replay = Replay(self._target_of(keep.device), path, folder, prefix, self._evidence.segment, keep.device_period(hold.window).start)

        async def take(finished: Finished) -> None:
            nonlocal keep
            file = _held(replace(keep, offset=part.offset), finished, self._clock)
            files.append(file)
            keep = replace(keep, obtained=joined([*keep.obtained, *file.runs], within=LEAST_GAP))
            await self._add(file, keep)
            if keep.missing:
                await asyncio.to_thread(self._space.keep_floor)
                if wanted() and may_give_way(file, files):
                    raise GaveWay

        for part, hole in _holes(keep, clock):
            await asyncio.to_thread(self._space.keep_floor)
            first, period = next_number(file.number for file in files), part.device_period(hole)
            await fetch_stretch(self._worker, replay, period, first=first, goes_on=hole.start in ends, take=take, heed=unheeded)
        return keep

    async def _later(self, keep: Keep, error: GatewayError) -> None:
        """It did not work out this time: with what was obtained meanwhile, tried again."""
        self._log.info("hold.not_secured", hold=keep.hold, camera=keep.camera, device=keep.device, reason=error.code, detail=str(error))

        async def change(tx: Tx) -> None:
            known = next(one for one in await tx.holds.keeps(keep.hold) if (one.camera, one.device) == (keep.camera, keep.device))
            if isinstance(error, NotSupported):
                await tx.holds.put_keep(replace(known, state=KeepState.PARTIAL, reason=error.code, next_at=None))
                return
            pause = _BUSY_FOR if isinstance(error, Busy) else None
            await tx.holds.put_keep(self._paused(known, error.code, pause))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    def _paused(self, keep: Keep, reason: str, pause: timedelta | None = None) -> Keep:
        wait = pause or min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(keep.attempts, 10))
        return replace(keep, state=KeepState.WAITING, reason=reason, attempts=keep.attempts + 1, next_at=self._clock.now() + wait)

    def _serial(self, device: DeviceId) -> str:
        known = self._city.devices.get(device)
        return known.serial if known else ""

    async def _files(self, hold: HoldId) -> tuple[HeldFile, ...]:
        async with self._store.read() as tx:
            return await tx.holds.files(hold)

    async def _put(self, keep: Keep) -> None:
        await self._store.writer.write(lambda tx: tx.holds.put_keep(keep), lane=Lane.FOOTAGE)

    async def _add(self, file: HeldFile, keep: Keep) -> None:
        async def change(tx: Tx) -> None:
            await tx.holds.add_file(file)
            await tx.holds.put_keep(keep)

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    # -- ending ---------------------------------------------------------------------------------------------------------

    async def _end_due(self, desk: HoldDesk) -> None:
        async with self._store.read() as tx:
            due = await tx.holds.due(self._clock.now(), limit=_LOOKED_AT)
        for hold in due:
            with contextlib.suppress(Conflict):  # somebody has ended or extended it meanwhile
                await desk.expire(hold.id, by=GATEWAY)
        async with self._store.read() as tx:
            locked = await tx.holds.still_locked(limit=_REMOVED_AT_ONCE)
        for hold, keep in locked:
            await self._unlock(hold, keep)

    async def _unlock(self, hold: Hold, keep: Keep) -> None:
        """Take off the device's own lock of a hold that has ended; a device that does not answer is asked again.

        Not while another hold needs what it locks; one that is placed meanwhile locks anew, after this.
        """
        lock, period = self._lock_of(keep.device), keep.device_period(hold.window)
        async with self._locking[keep.device]:
            async with self._store.read() as tx:
                if await tx.holds.relied_on(keep):
                    return
            try:
                if lock is not None:
                    await lock.unlock(keep.recording, Span(period.start, period.end), timeout_s=_LOCK_S)
            except (DeviceError, Overloaded) as failure:
                self._log.warning("hold.not_unlocked", hold=hold.id, device=keep.device, reason=failure.code)
                return
        await self._put(replace(keep, locked=False))

    async def _remove(self) -> None:
        """Remove the files that no active hold covers: the row first, which the schema refuses while one does, then the file."""
        async with self._store.read() as tx:
            found = await tx.holds.removable(limit=_REMOVED_AT_ONCE)
        for file in found:
            if any(key[0] == file.hold for key in self._tasks):
                continue
            await self._remove_one(file)

    async def _remove_one(self, file: HeldFile) -> None:
        try:
            await self._store.writer.write(lambda tx: tx.holds.mark_removed(file), lane=Lane.FOOTAGE)
        except Conflict:  # somebody holds it meanwhile
            return
        await to_the_end(_unlink, self._evidence.path_of(file))
        self._log.info("hold.file_removed", hold=file.hold, file=file.name)

    async def _known(self) -> frozenset[str]:
        """`hold/name` of every file that is kept."""
        known: set[str] = set()
        for name in await asyncio.to_thread(_folders, self._evidence.folder):
            try:
                known |= {f"{file.hold}/{file.name}" for file in await self._files(HoldId(name)) if not file.removed}
            except NotFound:
                continue
        return frozenset(known)


async def _add_missing(tx: Tx, hold: HoldId, found: Iterable[Keep]) -> None:
    """Devices that turned out to have something, too: a card, or a recorder that was silent before."""
    known = {(one.camera, one.device) for one in await tx.holds.keeps(hold)}
    for keep in found:
        if keep.device and (keep.camera, keep.device) not in known:
            await tx.holds.put_keep(keep)


def _holes(keep: Keep, clock: ClockReading | None) -> list[tuple[OnDeviceClock, Period]]:
    """What is missing (true time), each with how the device's clock was then."""
    if clock is None or not clock.stepped:
        return [(keep, hole) for hole in keep.missing]
    return [(part, hole) for part in clock.parts for hole in clipped(keep.missing, part.period)]


def _held(keep: Keep, finished: Finished, clock: Clock) -> HeldFile:
    """The row of a finished file, its times brought to the true clock."""
    runs = tuple(keep.true_period(Period(start, end)) for start, end in finished.runs)
    return HeldFile(
        hold=keep.hold,
        camera=keep.camera,
        device=keep.device,
        number=finished.number,
        name=finished.name,
        sha256=finished.sha256,
        size=finished.size,
        frames=finished.frames,
        damaged=finished.damaged,
        period=Period(runs[0].start, runs[-1].end),
        runs=runs,
        created_at=clock.now(),
        offset=keep.offset,
        serial=keep.serial,
        recording=keep.recording,
        sound_left_out=finished.sound_left_out,
        time_source=finished.time_source,
        sound_refused=finished.sound_refused,
        set_backs=finished.set_backs,
    )


def _prefix(keep: Keep) -> str:
    """Of file names: one of its own for each camera and device, however alike their ids are."""
    told = re.sub(r"[^A-Za-z0-9-]+", "_", keep.camera)[:48]
    return f"{told}_{hashlib.sha256(f'{keep.camera}|{keep.device}'.encode()).hexdigest()[:8]}_"


def _folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _sweep(folder: Path, known: frozenset[str]) -> None:
    """Remove what no row keeps: files of ended holds and unfinished ones, left behind by a crash."""
    for name in _folders(folder):
        for path in (folder / name).iterdir():
            if f"{name}/{path.name}" not in known:
                path.unlink()
        if not any((folder / name).iterdir()):
            (folder / name).rmdir()


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()
