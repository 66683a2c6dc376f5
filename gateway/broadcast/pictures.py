"""Pictures beside broadcasts: what the cameras of a view saw before it was heard and a while after its end, kept for so long."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.broadcast import Broadcast, BroadcastId
from gateway.domain.broadcast_ledger import MissingPicture, Moment, StreetPicture, of_before
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, Event, NewEvent
from gateway.errors import DeadlineExceeded, GatewayError, InvalidInput, Overloaded
from gateway.storage import shelf
from gateway.storage.events import CursorTooOld
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

PICTURE_EVENT = "broadcast.picture"
MISSING_EVENT = "broadcast.picture-missing"
CAMERAS_AT_MOST: Final = 4  # of one broadcast
UNDER_WAY_AT_MOST: Final = 64  # pictures that are waited for or being taken; more are not taken
AT_ONCE: Final = 4
TAKE_WITHIN_S: Final = 30.0  # a camera is asked for less long; nothing keeps the next one waiting for ever
LARGEST: Final = 5 << 20
SWEEP_S = 3_600.0
_BEGINS: Final = frozenset({"broadcast.accepted", "broadcast.approved"})
_ENDED: Final = "broadcast.ended"
_SWEPT_AT_ONCE: Final = 200
_FORMER: Final = timedelta(hours=1)  # how far back a start looks for pictures that were still to be taken
_JPEG: Final = (b"\xff\xd8\xff", b"\xff\xd9")

TakePicture = Callable[[DeviceId, str, Actor], Awaitable[bytes]]
"""A JPEG of what a camera sees now, for a case, on behalf of somebody. Raises GatewayErrors."""
Shown = Callable[[DeviceId, timedelta], tuple[bytes, datetime] | None]
"""The JPEG that a camera gave somebody last, and when; None when that is longer ago."""


@dataclass(frozen=True, slots=True)
class PictureRules:
    """`before`: how old a picture of before may be that somebody has looked at; `after`: how long after the end the second picture is
    taken; `keep_for`: how long pictures are kept."""

    before: timedelta = timedelta(seconds=60)
    after: timedelta = timedelta(seconds=20)
    keep_for: timedelta = timedelta(days=90)


class PictureDesk:
    """Takes and keeps pictures of the views that broadcasts are meant for. `folder` is made where it is missing.

    It follows what broadcasts tell of themselves and is never waited for: a picture that cannot be taken is missing, and the record says
    why. What somebody has just looked at is the picture of before; else one is taken, which is one of DURING when the voice had begun as
    it came.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        folder: Path,
        take: TakePicture,
        shown: Shown = lambda _camera, _within: None,
        rules: PictureRules = PictureRules(),
    ) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._take = take
        self._shown = shown
        self._rules = rules
        self._begun_at = clock.now()
        self._under_way = 0
        self._hands = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Take pictures, and drop those whose time is over, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_for_ever(), name="pictures sweep")
            group.create_task(self._account_for_former_life(), name="pictures of a former life")
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
        if self._under_way >= 2 * UNDER_WAY_AT_MOST:
            log.warning("broadcast.picture_not_taken", broadcast=event.subject, moment=moment, reason="too many at once")
            return
        crowded = self._under_way >= UNDER_WAY_AT_MOST
        self._under_way += 1
        work = self._picture(BroadcastId(event.subject), moment, due, crowded=crowded)
        group.create_task(work, name=f"picture {moment} {event.subject}")

    async def _picture(self, broadcast: BroadcastId, moment: Moment, due: datetime, *, crowded: bool) -> None:
        try:
            if crowded:
                await self._miss_all(broadcast, [moment], Overloaded.code)
            else:
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
        cameras = _cameras(found)
        if not cameras:
            return
        wait = min(due - self._clock.now(), self._rules.after)  # a clock that was set back does not put the picture off
        await self._clock.sleep(max(0.0, wait / timedelta(seconds=1)))
        async with asyncio.TaskGroup() as group:
            for camera in cameras:
                group.create_task(self._of_one(broadcast, camera, moment, found.case, found.actor), name=f"picture {camera}")

    async def _of_one(self, broadcast: BroadcastId, camera: DeviceId, moment: Moment, case: str, actor: Actor) -> None:
        try:
            just_shown = self._shown(camera, self._rules.before) if moment is Moment.BEFORE else None
            data, at = just_shown or await self._taken(camera, case, actor)
            _must_be_jpeg(data)
            name = await asyncio.to_thread(shelf.keep, self._folder, data, what="picture")
            kept = StreetPicture(
                broadcast=broadcast,
                camera=camera,
                moment=moment,
                sha256=name,
                media_type="image/jpeg",
                size=len(data),
                at=at,
                keep_until=at + self._rules.keep_for,
            )
            await self._store.writer.write(lambda tx: _put_down(tx, kept), lane=Lane.FOOTAGE)
        except TimeoutError:
            await self._miss(broadcast, camera, moment, DeadlineExceeded.code)
        except GatewayError as error:
            await self._miss(broadcast, camera, moment, error.code, str(error))
        except Exception:  # a defect here must not end the desk: pictures are an extra
            log.exception("broadcast.picture_broke", broadcast=broadcast, camera=camera, moment=moment)
            await self._miss(broadcast, camera, moment, "internal-error")

    async def _taken(self, camera: DeviceId, case: str, actor: Actor) -> tuple[bytes, datetime]:
        """A picture of now, and when it came. TimeoutError."""
        async with self._hands, asyncio.timeout(TAKE_WITHIN_S):
            return await self._take(camera, case, actor), self._clock.now()

    async def _miss(self, broadcast: BroadcastId, camera: DeviceId, moment: Moment, reason: str, detail: str = "") -> None:
        """Put down why there is none. GatewayError."""
        log.info("broadcast.picture_not_taken", broadcast=broadcast, camera=camera, moment=moment, reason=reason, detail=detail)
        missing = MissingPicture(broadcast, camera, moment, reason, self._clock.now(), "".join(filter(str.isprintable, detail))[:300])
        await self._store.writer.write(lambda tx: _put_down_missing(tx, missing), lane=Lane.FOOTAGE)

    async def _miss_all(self, broadcast: BroadcastId, moments: Sequence[Moment], reason: str) -> None:
        """Put down of each camera why it has no picture of these moments, where nothing is known of it."""
        async with self._store.read() as tx:
            found = await tx.broadcasts.get(broadcast)
            taken, missing = await tx.ledger.pictures([broadcast])
        known = {(one.camera, one.moment) for one in taken[broadcast]} | {(one.camera, one.moment) for one in missing[broadcast]}
        known |= {(camera, Moment.BEFORE) for camera, moment in known if moment is Moment.DURING}
        for camera, moment in itertools.product(_cameras(found), moments):
            if (camera, moment) not in known:
                await self._miss(broadcast, camera, moment, reason)

    async def _account_for_former_life(self) -> None:
        """Say of the pictures that were waited for when a former life of the gateway ended why they are missing."""
        try:
            async with self._store.read() as tx:
                left = await tx.ledger.with_views(since=self._begun_at - _FORMER, before=self._begun_at)
            for broadcast in left:
                await self._miss_all(broadcast, (Moment.BEFORE, Moment.AFTER), "gateway-stopped")
        except GatewayError as error:
            log.warning("broadcast.pictures_not_accounted", code=error.code, reason=str(error))

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except GatewayError as error:
                log.warning("broadcast.pictures_not_swept", code=error.code, reason=str(error))
            await self._clock.sleep(SWEEP_S)


def _cameras(of: Broadcast) -> list[DeviceId]:
    return list(dict.fromkeys(view.camera for view in of.targets.views))[:CAMERAS_AT_MOST]


async def _put_down_missing(tx: Tx, missing: MissingPicture) -> None:
    await tx.ledger.miss_picture(missing)
    data = {"camera": missing.camera, "moment": missing.moment.value, "reason": missing.reason, "detail": missing.detail}
    tx.emit(NewEvent(MISSING_EVENT, missing.broadcast, missing.at, data))


async def _put_down(tx: Tx, picture: StreetPicture) -> None:
    if picture.moment is Moment.BEFORE:  # that a voice begins is on the disk before its first packet
        picture = replace(picture, moment=of_before(picture.at, await tx.broadcasts.deliveries(picture.broadcast)))
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
