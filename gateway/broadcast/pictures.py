"""Pictures beside broadcasts: what the cameras of a view saw before it was heard and a while after its end, kept for so long."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId
from gateway.domain.broadcast_ledger import Moment, StreetPicture
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, Event, NewEvent
from gateway.errors import GatewayError, InvalidInput
from gateway.storage import shelf
from gateway.storage.events import CursorTooOld
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

PICTURE_EVENT = "broadcast.picture"
CAMERAS_AT_MOST: Final = 4  # of one broadcast
UNDER_WAY_AT_MOST: Final = 64  # pictures that are waited for or being taken; more are not taken
AT_ONCE: Final = 4
LARGEST: Final = 5 << 20
SWEEP_S = 3_600.0
_BEGINS: Final = frozenset({"broadcast.accepted", "broadcast.approved"})
_ENDED: Final = "broadcast.ended"
_SWEPT_AT_ONCE: Final = 200
_JPEG: Final = (b"\xff\xd8\xff", b"\xff\xd9")

TakePicture = Callable[[DeviceId, str, Actor], Awaitable[bytes]]
"""A JPEG of what a camera sees now, for a case, on behalf of somebody. Raises GatewayErrors."""


@dataclass(frozen=True, slots=True)
class PictureRules:
    """`after`: how long after the end the second picture is taken; `keep_for`: how long pictures are kept."""

    after: timedelta = timedelta(seconds=20)
    keep_for: timedelta = timedelta(days=90)


class PictureDesk:
    """Takes and keeps pictures of the views that broadcasts are meant for. `folder` is made where it is missing.

    It follows what broadcasts tell of themselves and is never waited for: a picture that cannot be taken is missing, and that is all.
    """

    def __init__(self, *, store: Store, clock: Clock, folder: Path, take: TakePicture, rules: PictureRules = PictureRules()) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._take = take
        self._rules = rules
        self._under_way = 0
        self._hands = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Take pictures, and drop those whose time is over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_for_ever(), name="pictures sweep")
            seen = self._store.events.latest
            while True:
                try:
                    async for event in self._store.events.follow(after=seen):
                        seen = event.cursor
                        self._hear(event, group)
                except CursorTooOld as gap:
                    seen = gap.oldest

    async def read(self, broadcast: BroadcastId, sha256: str, actor: Actor) -> tuple[StreetPicture, bytes]:
        """A picture as it came; that `actor` had it is on record when this returns. NotFound (`no-picture-on-record`), StorageFailed."""
        async with self._store.read() as tx:
            picture = await tx.ledger.picture(broadcast, sha256)
        data = await asyncio.to_thread(shelf.read, self._folder, picture.sha256, what="picture", code="picture-damaged")

        async def change(tx: Tx) -> None:
            tx.record(AuditEntry(actor, "broadcast.look", broadcast, self._clock.now(), {"sha256": sha256, "camera": picture.camera}))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        return picture, data

    async def sweep(self) -> int:
        """Drop the pictures whose time is over: the row says that it is gone, then the file goes. How many files."""
        now, swept = self._clock.now(), 0
        while True:
            files, rows = await self._store.writer.write(
                lambda tx: tx.ledger.drop_pictures(before=now, limit=_SWEPT_AT_ONCE), lane=Lane.HEALTH
            )
            if not rows:
                return swept
            await asyncio.to_thread(_unlink, self._folder, files)
            swept += len(files)

    def _hear(self, event: Event, group: asyncio.TaskGroup) -> None:
        if event.type in _BEGINS and not event.data.get("needs_approval"):
            moment, due = Moment.BEFORE, event.at
        elif event.type == _ENDED:
            moment, due = Moment.AFTER, event.at + self._rules.after
        else:
            return
        if self._under_way >= UNDER_WAY_AT_MOST:
            log.warning("broadcast.picture_not_taken", broadcast=event.subject, moment=moment, reason="too many at once")
            return
        self._under_way += 1
        group.create_task(self._picture(BroadcastId(event.subject), moment, due), name=f"picture {moment} {event.subject}")

    async def _picture(self, broadcast: BroadcastId, moment: Moment, due: datetime) -> None:
        try:
            await self._of_all(broadcast, moment, due)
        except GatewayError as error:
            log.info("broadcast.picture_not_taken", broadcast=broadcast, moment=moment, code=error.code, reason=str(error))
        except Exception:  # a defect here must not end the desk: pictures are an extra
            log.exception("broadcast.picture_broke", broadcast=broadcast, moment=moment)
        finally:
            self._under_way -= 1

    async def _of_all(self, broadcast: BroadcastId, moment: Moment, due: datetime) -> None:
        async with self._store.read() as tx:
            found = await tx.broadcasts.get(broadcast)
        cameras = list(dict.fromkeys(view.camera for view in found.targets.views))[:CAMERAS_AT_MOST]
        if not cameras:
            return
        wait = min(due - self._clock.now(), self._rules.after)  # a clock that was set back does not put the picture off
        await self._clock.sleep(max(0.0, wait / timedelta(seconds=1)))
        async with asyncio.TaskGroup() as group:
            for camera in cameras:
                group.create_task(self._of_one(broadcast, camera, moment, found.case, found.actor), name=f"picture {camera}")

    async def _of_one(self, broadcast: BroadcastId, camera: DeviceId, moment: Moment, case: str, actor: Actor) -> None:
        try:
            async with self._hands:
                data = await self._take(camera, case, actor)
            at = self._clock.now()
            _must_be_jpeg(data)
            name = await asyncio.to_thread(shelf.keep, self._folder, data, what="picture")
            kept = StreetPicture(broadcast, camera, moment, name, "image/jpeg", len(data), at, at + self._rules.keep_for)
            await self._store.writer.write(lambda tx: _put_down(tx, kept), lane=Lane.FOOTAGE)
        except GatewayError as error:
            reason = {"code": error.code, "reason": str(error)}
            log.info("broadcast.picture_not_taken", broadcast=broadcast, camera=camera, moment=moment, **reason)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except GatewayError as error:
                log.warning("broadcast.pictures_not_swept", code=error.code, reason=str(error))
            await self._clock.sleep(SWEEP_S)


async def _put_down(tx: Tx, picture: StreetPicture) -> None:
    await tx.ledger.add_picture(picture)
    data = {"camera": picture.camera, "moment": picture.moment.value, "sha256": picture.sha256, "size": picture.size}
    tx.emit(NewEvent(PICTURE_EVENT, picture.broadcast, picture.at, data))


def _must_be_jpeg(data: bytes) -> None:
    begin, end = _JPEG
    if len(data) > LARGEST or not data.startswith(begin) or not data.rstrip(b"\x00").endswith(end):
        raise InvalidInput("The camera gave no whole JPEG of a bearable size.", code="picture-format")


def _unlink(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
