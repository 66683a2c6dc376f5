"""What was said live, kept for the record: a sound file under its hash, linked to its broadcast, and dropped when its time is over."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import structlog

from gateway.broadcast.microphone import SPOKEN_RATE
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.errors import GatewayError
from gateway.media.clips import wav_of
from gateway.storage import shelf
from gateway.storage.recordings import Recording
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

RECORDED_EVENT = "broadcast.recorded"
SWEEP_S = 3_600.0
_SWEPT_AT_ONCE = 500


class RecordingShelf:
    """All recordings. `folder` is made where it is missing; `keep_for`: how long each is kept."""

    def __init__(self, store: Store, folder: Path, clock: Clock, *, keep_for: timedelta) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._keep_for = keep_for

    async def keep(self, broadcast: BroadcastId, pcm: bytes) -> Recording:
        """Keep 8 kHz mono PCM as the recording of `broadcast`; it is on the disk when this returns. Raises StorageFailed."""
        data = wav_of(pcm, rate=SPOKEN_RATE)
        name = await asyncio.to_thread(shelf.keep, self._folder, data, what="recording")
        now = self._clock.now()
        recording = Recording(broadcast, name, len(data), round(len(pcm) / 2 / SPOKEN_RATE * 1000), now, now + self._keep_for)

        async def change(tx: Tx) -> None:
            await tx.recordings.add(recording)
            details = {"sha256": name, "size": len(data), "duration_ms": recording.duration_ms}
            tx.emit(NewEvent(RECORDED_EVENT, broadcast, now, details))

        await self._store.writer.write(change, lane=Lane.BROADCAST)
        return recording

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
        """Drop what is too old, at the start and every hour, until cancelled."""
        while True:
            try:
                await self.sweep()
            except GatewayError as error:
                log.warning("broadcast.recordings_not_swept", code=error.code, reason=str(error))
            await self._clock.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Drop the recordings whose time is over: the row says that it is gone, then the file goes. How many."""
        now, swept = self._clock.now(), 0
        while gone := await self._store.writer.write(lambda tx: tx.recordings.drop(before=now, limit=_SWEPT_AT_ONCE), lane=Lane.HEALTH):
            await asyncio.to_thread(_unlink, self._folder, gone)
            swept += len(gone)
        return swept


def _unlink(folder: Path, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
