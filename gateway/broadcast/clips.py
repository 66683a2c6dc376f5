"""Clips on the shelf: files named by their hash, durable before they are known, and made ready for loudspeakers when needed."""

import asyncio
import contextlib
import hashlib
import os
from collections import OrderedDict
from pathlib import Path

from gateway.clock import Clock
from gateway.domain.broadcast import Clip, ClipId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.errors import Fault, InvalidInput, StorageFailed
from gateway.media.clips import ClipPreparer, PreparedClip
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

NAME_LIMIT = 200
_READY_BYTES = 64 << 20  # prepared clips kept in memory; the least recently used goes first


class ClipShelf:
    """All clips. `folder` is made where it is missing."""

    def __init__(self, store: Store, folder: Path, preparer: ClipPreparer, clock: Clock) -> None:
        self._store = store
        self._folder = folder
        self._preparer = preparer
        self._clock = clock
        self._ready: OrderedDict[ClipId, PreparedClip] = OrderedDict()

    async def add(self, data: bytes, *, name: str, actor: Actor) -> Clip:
        """Keep a clip (WAV or MP3) and return it; the same sound is kept once. Raises InvalidInput for one that cannot be played."""
        if not 1 <= len(name) <= NAME_LIMIT or not name.isprintable():
            why = f"must be 1 to {NAME_LIMIT} printable characters"
            raise InvalidInput("this is no name for a clip", faults=[Fault("name", why)])
        prepared = await self._preparer.prepare(data)
        clip_id = ClipId(await asyncio.to_thread(_keep, self._folder, data))
        clip = Clip(clip_id, name, len(data), max(1, round(prepared.duration_s * 1000)), self._clock.now(), actor)

        async def change(tx: Tx) -> Clip:
            kept = await tx.broadcasts.add_clip(clip)
            details = {"name": name, "size": clip.size, "duration_ms": clip.duration_ms}
            tx.emit(NewEvent("broadcast.clip-added", clip_id, clip.created_at, details))
            tx.record(AuditEntry(actor, "clip.add", clip_id, clip.created_at, details))
            return kept

        kept = await self._store.writer.write(change, lane=Lane.BROADCAST)
        self._remember(clip_id, prepared)
        return kept

    async def get(self, clip: ClipId) -> Clip:
        """Raises NotFound."""
        async with self._store.read() as tx:
            return await tx.broadcasts.clip(clip)

    async def page(self, *, after: ClipId | None = None, limit: int) -> list[Clip]:
        """Up to `limit` clips in the order of their ids."""
        async with self._store.read() as tx:
            return await tx.broadcasts.clips(after=after, limit=limit)

    async def read(self, clip: ClipId) -> bytes:
        """The clip as it came. Raises NotFound, StorageFailed (clip-damaged) when the file is not what its name says."""
        await self.get(clip)
        return await asyncio.to_thread(_read, self._folder, clip)

    async def prepared(self, clip: ClipId) -> PreparedClip:
        """The clip as loudspeakers take it; at once when it was used lately."""
        ready = self._ready.get(clip)
        if ready is None:
            ready = await self._preparer.prepare(await self.read(clip))
        self._remember(clip, ready)
        return ready

    def _remember(self, clip: ClipId, prepared: PreparedClip) -> None:
        self._ready[clip] = prepared
        self._ready.move_to_end(clip)
        while sum(2 * len(kept.pcm) for kept in self._ready.values()) > _READY_BYTES and len(self._ready) > 1:
            self._ready.popitem(last=False)


def _keep(folder: Path, data: bytes) -> str:
    """Write `data` under its hash: file, name and folder are on the disk when this returns (rule 2)."""
    name = hashlib.sha256(data).hexdigest()
    path, part = folder / name, folder / f".{name}.{os.getpid()}.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size == len(data):
            return name
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StorageFailed(f"the clip could not be stored: {error.strerror}") from error
    return name


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path, clip: ClipId) -> bytes:
    try:
        data = (folder / clip).read_bytes()
    except OSError as error:
        raise StorageFailed(f"the clip's file cannot be read: {error.strerror}", code="clip-damaged") from error
    if hashlib.sha256(data).hexdigest() != clip:
        raise StorageFailed("the clip's file is not what was stored", code="clip-damaged", hint="Upload the clip again.")
    return data
