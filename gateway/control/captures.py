"""抓拍: a picture of what a camera sees now, with its hash, its case and who took it on record."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.clock import Clock
from gateway.control.stills import StreamStills
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.drivers.base import MediaProfile, MediaSource
from gateway.errors import NotSupported
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

TIMEOUT_S: Final = 10.0
_KEPT_AT_MOST: Final = 16  # captures in memory, of as many cameras
_KEPT_BYTES: Final = 2 << 20  # a larger one is not kept


@dataclass(frozen=True, slots=True)
class Capture:
    """One JPEG as the camera gave it, or made of its stream by us. `sha256` in hexadecimal; `at` by our clock."""

    picture: bytes
    sha256: str
    at: datetime


class CaptureDesk:
    """Takes pictures. What it returns is on the record already; the picture itself is kept nowhere, but for a while in memory."""

    def __init__(self, *, store: Store, clock: Clock, camera_of: Callable[[DeviceId], MediaSource], stills: StreamStills) -> None:
        self._store = store
        self._clock = clock
        self._camera_of = camera_of
        self._stills = stills
        self._taken: OrderedDict[DeviceId, Capture] = OrderedDict()

    def latest(self, camera: DeviceId, *, within: timedelta) -> Capture | None:
        """What was taken of a camera last, unless that is longer ago."""
        last = self._taken.get(camera)
        return last if last is not None and timedelta(0) <= self._clock.now() - last.at <= within else None

    def forget(self, camera: DeviceId) -> None:
        """The camera looks elsewhere now: what was taken of it shows another place."""
        self._taken.pop(camera, None)

    async def take(self, camera: DeviceId, *, profile: str | None, case: str, actor: Actor, looked_at: bool = True) -> Capture:
        """A picture by `profile`, or by the camera's first. Raises the DeviceErrors, NotSupported for a camera without a stream.

        `looked_at`: a person sees it, so that it may be the `latest`; what another profile shows, perhaps of a second lens, may not.
        """
        driver = self._camera_of(camera)
        chosen = profile or first_profile(await driver.profiles(timeout_s=TIMEOUT_S))
        picture, source = await self._picture(camera, driver, chosen)
        capture = Capture(picture, hashlib.sha256(picture).hexdigest(), self._clock.now())
        details = {"sha256": capture.sha256, "size": len(picture), "case": case, "profile": chosen, "source": source}

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent("camera.capture", camera, capture.at, details))
            tx.record(AuditEntry(actor, "camera.capture", camera, capture.at, details))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        if looked_at and not profile:
            self._remember(camera, capture)
        return capture

    def _remember(self, camera: DeviceId, capture: Capture) -> None:
        self._taken.pop(camera, None)
        if len(capture.picture) <= _KEPT_BYTES:
            self._taken[camera] = capture
        while len(self._taken) > _KEPT_AT_MOST:
            self._taken.popitem(last=False)

    async def _picture(self, camera: DeviceId, driver: MediaSource, profile: str) -> tuple[bytes, str]:
        """The picture and where it comes from: the camera's own, or a key picture of its stream where it has none (quirk Q20)."""
        try:
            return await driver.snapshot(profile, timeout_s=TIMEOUT_S), "snapshot"
        except NotSupported:
            return await self._stills.take(camera, driver, profile), "stream"


def first_profile(profiles: Sequence[MediaProfile], *, movable: bool = False) -> str:
    """The token of the first profile, of one that can be moved if there is one and `movable`. NotSupported for none."""
    if not profiles:
        raise NotSupported("The camera names no stream.")
    return next((profile.token for profile in profiles if profile.ptz or not movable), profiles[0].token)
