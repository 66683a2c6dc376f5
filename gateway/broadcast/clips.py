"""Clips on the shelf: files named by their hash, durable before they are known, and made ready for loudspeakers when needed."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from gateway.clock import Clock
from gateway.domain.broadcast import Clip, ClipId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.errors import Conflict, Fault, InvalidInput
from gateway.media.clips import ClipPreparer, PreparedClip
from gateway.storage import shelf
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

NAME_LIMIT = 200
TAGS_LIMIT, TAG_LIMIT = 16, 50
FOLDER_BYTES = 2 << 30
_READY_BYTES = 64 << 20  # prepared clips kept in memory; the least recently used goes first

ADDED_EVENT = "broadcast.clip-added"
CHANGED_EVENT = "broadcast.clip-changed"
REMOVED_EVENT = "broadcast.clip-removed"


@dataclass(frozen=True, slots=True)
class Labels:
    """How people find a clip. `name`: as it is called in the city, or its only name; `name_en`: what English screens show, or ""."""

    name: str
    name_en: str = ""
    tags: tuple[str, ...] = ()


Uses = Callable[[Tx, ClipId], Awaitable[Sequence[str]]]
"""What else needs a clip, in words (`schedule S-1`): it is not removed then."""


async def _nobody(_tx: Tx, _clip: ClipId) -> Sequence[str]:
    return ()


class ClipShelf:
    """All clips. `folder` is made where it is missing, and holds at most `most_bytes` of them; `uses` says who else needs a clip."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        preparer: ClipPreparer,
        clock: Clock,
        *,
        most_bytes: int = FOLDER_BYTES,
        uses: Uses = _nobody,
    ) -> None:
        self._store = store
        self._folder = folder
        self._preparer = preparer
        self._clock = clock
        self._most_bytes = most_bytes
        self._uses = uses
        self._changing = asyncio.Lock()  # files and rows go together, and the bound on the folder is kept
        self._ready: OrderedDict[ClipId, PreparedClip] = OrderedDict()

    async def load(self) -> None:
        """Take away the files of clips that were removed when the gateway ended."""
        async with self._store.read() as tx:
            removed = await tx.clips.removed()
        await asyncio.to_thread(_discard, self._folder, removed)

    async def add(self, data: bytes, *, name: str, actor: Actor, name_en: str = "", tags: Sequence[str] = (), level: bool = False) -> Clip:
        """Keep a clip and return it; the same sound is kept once, as it was when it came first. `level`: make it as loud as others.

        Raises InvalidInput for one that cannot be played, Conflict (clips-full), StorageFailed.
        """
        labels = _checked(Labels(name, name_en, tuple(tags)))
        prepared = await self._preparer.prepare(data, level=level, urgent=False)
        if await asyncio.to_thread(prepared.silent):
            why = "the clip is silent from its beginning to its end"
            raise InvalidInput(why, code="clip-empty", hint="Listen to the file; record it again with the microphone on.")
        async with self._changing:
            await self._check_room(len(data))
            clip_id = ClipId(await asyncio.to_thread(shelf.keep, self._folder, data, what="clip"))
            clip = _measured(
                Clip(
                    id=clip_id,
                    name=labels.name,
                    size=len(data),
                    duration_ms=1,
                    created_at=self._clock.now(),
                    created_by=actor,
                    name_en=labels.name_en,
                    tags=labels.tags,
                    level=level,
                ),
                prepared,
            )

            async def change(tx: Tx) -> Clip:
                kept = await tx.clips.add(clip)
                details = _told(clip) | {"size": clip.size, "duration_ms": clip.duration_ms}
                tx.emit(NewEvent(ADDED_EVENT, clip_id, clip.created_at, details))
                tx.record(AuditEntry(actor, "clip.add", clip_id, clip.created_at, details))
                return kept

            kept = await self._store.writer.write(change, lane=Lane.BROADCAST)
        if kept.level == level:
            self._remember(clip_id, prepared)
        return kept

    async def change(self, clip: ClipId, labels: Labels, *, level: bool, actor: Actor) -> Clip:
        """Give a clip other names and tags, and have it levelled or not. Raises InvalidInput, NotFound, StorageFailed."""
        labels = _checked(labels)
        async with self._changing:
            before = await self.get(clip)
            after = replace(before, name=labels.name, name_en=labels.name_en, tags=labels.tags, level=level)
            if level != before.level:
                prepared = await self._preparer.prepare(await self.read(clip), level=level)
                after = _measured(after, prepared)
                self._ready.pop(clip, None)

            async def change(tx: Tx) -> None:
                await tx.clips.get(clip)
                await tx.clips.change(after)
                tx.emit(NewEvent(CHANGED_EVENT, clip, self._clock.now(), _told(after)))
                tx.record(AuditEntry(actor, "clip.change", clip, self._clock.now(), {"before": _told(before), "after": _told(after)}))

            await self._store.writer.write(change, lane=Lane.BROADCAST)
        return after

    async def remove(self, clip: ClipId, actor: Actor) -> None:
        """Take a clip out of the library; broadcasts keep their record. Raises NotFound, Conflict (clip-in-use), StorageFailed."""
        async with self._changing:

            async def change(tx: Tx) -> None:
                found = await tx.clips.get(clip)
                users = [*(f"broadcast {one}" for one in await tx.clips.open_broadcasts(clip)), *await self._uses(tx, clip)]
                if users:
                    hint = "Wait for its end, or change what uses it."
                    raise Conflict(f"the clip is used by {', '.join(users[:5])}", code="clip-in-use", hint=hint)
                now = self._clock.now()
                await tx.clips.remove(clip, at=now)
                tx.emit(NewEvent(REMOVED_EVENT, clip, now, _told(found)))
                tx.record(AuditEntry(actor, "clip.remove", clip, now, _told(found)))

            await self._store.writer.write(change, lane=Lane.BROADCAST)
            self._ready.pop(clip, None)
            await asyncio.to_thread(_discard, self._folder, [clip])

    async def get(self, clip: ClipId) -> Clip:
        """Raises NotFound."""
        async with self._store.read() as tx:
            return await tx.clips.get(clip)

    async def page(self, *, after: ClipId | None = None, limit: int, search: str = "", tag: str = "") -> list[Clip]:
        """Up to `limit` clips in the order of their ids: those with `search` in a name or tag, and with this tag."""
        async with self._store.read() as tx:
            return await tx.clips.page(after=after, limit=limit, search=search, tag=tag)

    async def read(self, clip: ClipId) -> bytes:
        """The clip as it came. Raises NotFound, StorageFailed (clip-damaged) when the file is not what its name says."""
        await self.get(clip)
        return await asyncio.to_thread(shelf.read, self._folder, clip, what="clip", code="clip-damaged", hint="Upload the clip again.")

    async def prepared(self, clip: ClipId) -> PreparedClip:
        """The clip as loudspeakers take it; at once when it was used lately. Raises what `read` raises, and Overloaded."""
        ready = self._ready.get(clip)
        if ready is None:
            level = (await self.get(clip)).level
            ready = await self._preparer.prepare(await self.read(clip), level=level)
            await self.get(clip)  # it may have been removed meanwhile
        self._remember(clip, ready)
        return ready

    async def _check_room(self, size: int) -> None:
        async with self._store.read() as tx:
            kept = await tx.clips.bytes_kept()
        if kept + size > self._most_bytes:
            why = f"the library holds {kept >> 20} MiB of clips and may hold {self._most_bytes >> 20}"
            raise Conflict(why, code="clips-full", hint="Delete clips that nobody needs, or raise broadcast.clips_mib.")

    def _remember(self, clip: ClipId, prepared: PreparedClip) -> None:
        self._ready[clip] = prepared
        self._ready.move_to_end(clip)
        while sum(kept.size for kept in self._ready.values()) > _READY_BYTES and len(self._ready) > 1:
            self._ready.popitem(last=False)


def _checked(labels: Labels) -> Labels:
    """The labels without repeated tags, when people can read them. InvalidInput with every fault."""
    faults = []
    if not 1 <= len(labels.name) <= NAME_LIMIT or not labels.name.isprintable():
        faults.append(Fault("name", f"must be 1 to {NAME_LIMIT} printable characters"))
    if len(labels.name_en) > NAME_LIMIT or not labels.name_en.isprintable():
        faults.append(Fault("name_en", f"must be at most {NAME_LIMIT} printable characters"))
    if len(labels.tags) > TAGS_LIMIT or not all(1 <= len(tag) <= TAG_LIMIT and tag.isprintable() for tag in labels.tags):
        faults.append(Fault("tags", f"must be at most {TAGS_LIMIT} of 1 to {TAG_LIMIT} printable characters"))
    if faults:
        raise InvalidInput("a clip cannot be labelled so", faults=faults)
    return replace(labels, tags=tuple(dict.fromkeys(labels.tags)))


def _measured(clip: Clip, prepared: PreparedClip) -> Clip:
    loudness = prepared.loudness
    before, after = (loudness.before, loudness.after) if loudness else (None, None)
    return replace(clip, duration_ms=max(1, round(prepared.duration_s * 1000)), lufs_before=before, lufs_after=after)


def _told(clip: Clip) -> dict[str, object]:
    return {"name": clip.name, "name_en": clip.name_en, "tags": list(clip.tags), "level": clip.level}


def _discard(folder: Path, clips: Sequence[ClipId]) -> None:
    """Take files away; one that stays for an error of the disk goes at the next start."""
    for clip in clips:
        try:
            (folder / clip).unlink(missing_ok=True)
        except OSError as error:
            log.warning("broadcast.clip_not_deleted", clip=clip, why=error.strerror)
