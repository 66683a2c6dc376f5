"""What was said live, kept for the record: a sound file under its hash, linked to its broadcast, and dropped when its time is over.

What becomes of a recording is part of its broadcast's record: that there shall be one is written with the order, what came of it at the
end, and where the store does not take that, again until it does.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from gateway.broadcast.microphone import SPOKEN_RATE
from gateway.clock import Clock, sleep_unless
from gateway.domain.broadcast import BroadcastId
from gateway.domain.broadcast_ledger import RECORDING_LOST, Recording, RecordingState
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.errors import GatewayError, Overloaded, StorageFailed
from gateway.media.clips import wav_of
from gateway.storage import shelf
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

RECORDED_EVENT = "broadcast.recorded"
FAILED_EVENT = "broadcast.recording-failed"
SWEEP_S = 3_600.0
AGAIN_S = 5.0
_SWEPT_AT_ONCE = 500


@dataclass(slots=True)
class Tape:
    """What was sent of one talk, as it was said, before any loudspeaker's encoding: 8 kHz, mono, signed 16 bit, little endian.

    It needs no bound of its own: a talk ends after its longest time, and nobody gets more than two seconds ahead of the clock.
    """

    clock: Clock
    pcm: bytearray = field(default_factory=bytearray)
    began_at: datetime | None = None

    def take(self, pcm: bytes) -> None:
        """This is being sent now."""
        if self.began_at is None:
            self.began_at = self.clock.now()
        self.pcm += pcm

    @property
    def duration_ms(self) -> int:
        return round(len(self.pcm) / 2 / SPOKEN_RATE * 1000)


class RecordingShelf:
    """All recordings. `folder` is made where it is missing; `keep_for`: how long each is kept. `run` must be running."""

    def __init__(self, store: Store, folder: Path, clock: Clock, *, keep_for: timedelta) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._keep_for = keep_for
        self._begun_at = clock.now()
        self._untold: dict[BroadcastId, Recording] = {}  # bounded: while the store fails, no talk begins
        self._stirred = asyncio.Event()

    def tape(self) -> Tape:
        """An empty one."""
        return Tape(self._clock)

    async def settle(self, broadcast: BroadcastId, tape: Tape) -> Recording:
        """Keep what is on `tape`; what became of it is on the disk when this returns, or as soon as the store takes it."""
        recording = await self._kept(broadcast, tape)
        self._untold[broadcast] = recording
        await self._tell()
        return recording

    def settle_later(self, broadcast: BroadcastId) -> None:
        """The talk came to nothing: say soon that there is nothing to keep."""
        self._untold[broadcast] = Recording(broadcast, RecordingState.EMPTY, settled_at=self._clock.now())
        self._stirred.set()

    async def read(self, broadcast: BroadcastId, actor: Actor) -> tuple[Recording, bytes]:
        """The recording as a WAV; that `actor` had it is on record when this returns. NotFound (`no-recording`), StorageFailed."""
        async with self._store.read() as tx:
            recording = await tx.recordings.of(broadcast)
        hint = "Restore it from a backup."
        data = await asyncio.to_thread(shelf.read, self._folder, recording.sha256, what="recording", code="recording-damaged", hint=hint)

        async def change(tx: Tx) -> None:
            tx.record(AuditEntry(actor, "broadcast.listen", broadcast, self._clock.now(), {"sha256": recording.sha256}))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        return recording, data

    async def run(self) -> None:
        """Give up what a former life left, tell what the store did not take, and drop what is too old, until cancelled."""
        found = False
        while True:
            try:
                found = found or await self._give_up_left()
                await self.sweep()
            except GatewayError as error:
                log.warning("broadcast.recordings_not_swept", code=error.code, reason=str(error))
            await self._tell()
            self._stirred.clear()
            await sleep_unless(self._stirred, self._clock, AGAIN_S if self._untold else SWEEP_S)

    async def sweep(self) -> int:
        """Drop the recordings whose time is over: the row says that it is gone, then the file goes. How many."""
        now, swept = self._clock.now(), 0
        while gone := await self._store.writer.write(lambda tx: tx.recordings.drop(before=now, limit=_SWEPT_AT_ONCE), lane=Lane.HEALTH):
            await asyncio.to_thread(_unlink, self._folder, gone)
            swept += len(gone)
        return swept

    async def _kept(self, broadcast: BroadcastId, tape: Tape) -> Recording:
        if not tape.pcm:
            return Recording(broadcast, RecordingState.EMPTY, settled_at=self._clock.now())
        lost = Recording(broadcast, RecordingState.FAILED, duration_ms=tape.duration_ms, began_at=tape.began_at)
        try:
            data = wav_of(bytes(tape.pcm), rate=SPOKEN_RATE)
            name = await asyncio.to_thread(shelf.keep, self._folder, data, what="recording")
        except GatewayError as error:
            log.warning("broadcast.talk_not_recorded", broadcast=broadcast, code=error.code, reason=str(error))
            reason = error.code
        except Exception:  # a defect of ours: that there is no recording belongs to the record all the same
            log.exception("broadcast.recording_broke", broadcast=broadcast)
            reason = "internal-error"
        else:
            now = self._clock.now()
            until = now + self._keep_for
            return replace(lost, state=RecordingState.KEPT, sha256=name, size=len(data), settled_at=now, keep_until=until)
        return replace(lost, reason=reason, settled_at=self._clock.now())

    async def _tell(self) -> None:
        """Write down what became of those of which the store does not know."""
        for broadcast, recording in list(self._untold.items()):
            try:
                await self._store.writer.write(partial(_put_down, recording=recording), lane=Lane.BROADCAST)
            except (StorageFailed, Overloaded) as error:
                log.warning("broadcast.recording_waits", broadcast=broadcast, code=error.code, reason=str(error))
                self._stirred.set()
                return
            except GatewayError:
                log.exception("broadcast.recording_refused", broadcast=broadcast)
            self._untold.pop(broadcast, None)

    async def _give_up_left(self) -> bool:
        """Say of what was being recorded when a former life of the gateway ended that it is lost."""
        async with self._store.read() as tx:
            left = await tx.recordings.left(before=self._begun_at)
        now = self._clock.now()
        self._untold |= {
            broadcast: Recording(broadcast, RecordingState.FAILED, RECORDING_LOST, settled_at=now)
            for broadcast in left
            if broadcast not in self._untold
        }
        return True


async def _put_down(tx: Tx, recording: Recording) -> None:
    if not await tx.recordings.settle(recording) or recording.settled_at is None:
        return
    if recording.state is RecordingState.KEPT:
        details = {"sha256": recording.sha256, "size": recording.size, "duration_ms": recording.duration_ms}
        tx.emit(NewEvent(RECORDED_EVENT, recording.broadcast, recording.settled_at, details))
    elif recording.state is RecordingState.FAILED:
        failed = {"reason": recording.reason, "duration_ms": recording.duration_ms}
        tx.emit(NewEvent(FAILED_EVENT, recording.broadcast, recording.settled_at, failed))


def _unlink(folder: Path, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
