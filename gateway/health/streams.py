"""Glances at cameras' live streams: which stream is looked at is learnt once a day."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.drivers.base import MediaProfile, MediaSource, Target, TrackDescription
from gateway.drivers.refusals import Door, Refusals
from gateway.drivers.rtsp.connection import deadline
from gateway.drivers.rtsp.live import look
from gateway.errors import DeadlineExceeded, DeviceFault, NotSupported
from gateway.media.glance import Glance, GlanceEye

FRESH_S = 86_400.0
"""What a camera says of its profiles is asked so seldom: it is dear, and changes when somebody works on the camera."""
NO_STREAM, NO_PICTURE = "no-stream", "no-picture"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One glance: what was seen, how many seconds after the connection began, and what the camera says that it streams.

    `movable`: it can be panned, tilted or zoomed.
    """

    glance: Glance
    after_s: float
    profile: MediaProfile
    movable: bool = False


@dataclass(frozen=True, slots=True)
class _Stream:
    target: Target
    profile: MediaProfile
    path: str
    movable: bool
    learnt_at: float


class Streams:
    """Looks at one stream of a camera, its largest. Everything that it remembers of a camera is forgotten when the inventory changes it."""

    def __init__(
        self,
        *,
        camera_of: Callable[[DeviceId], MediaSource],
        target_of: Callable[[DeviceId], Target],
        refusals_of: Callable[[DeviceId], Refusals],
        clock: Clock,
    ) -> None:
        self._camera_of = camera_of
        self._target_of = target_of
        self._refusals_of = refusals_of
        self._clock = clock
        self._streams: dict[DeviceId, _Stream] = {}
        self._learning: dict[DeviceId, asyncio.Lock] = {}

    async def look(self, camera: DeviceId, *, timeout_s: float, frames: int) -> Sighting:
        """A key picture and `frames` frames, or fewer when the time is over: `timeout_s` for all of it. Raises the DeviceErrors.

        `no-stream`: nothing came in time; `no-picture`: packets, and no key picture among them.
        """
        target = self._target_of(camera)
        try:
            began = self._clock.monotonic()
            async with deadline(target, timeout_s), self._learning.setdefault(camera, asyncio.Lock()):  # two checks may ask at once
                stream = await self._stream_of(target, timeout_s)
            self._learning.pop(camera, None)
            return await self._seen(stream, max(0.0, timeout_s - (self._clock.monotonic() - began)), frames)
        except DeviceFault:
            self._streams.pop(camera, None)  # its path has changed
            raise

    def forget(self, camera: DeviceId) -> None:
        """Learn its stream anew."""
        self._streams.pop(camera, None)

    def keep_only(self, known: Callable[[DeviceId], bool]) -> None:
        """Drop what is remembered of cameras that are gone."""
        for kept in (self._streams, self._learning):
            for camera in [one for one in kept if not known(one)]:
                del kept[camera]

    async def _stream_of(self, target: Target, timeout_s: float) -> _Stream:
        known, now = self._streams.get(target.device), self._clock.monotonic()
        if known is not None and known.target == target and now - known.learnt_at < FRESH_S:
            return known
        driver = self._camera_of(target.device)
        profiles = await driver.profiles(timeout_s=timeout_s)
        profile, movable = largest(profiles), any(one.ptz for one in profiles)
        path = await driver.stream_path(profile.token, timeout_s=timeout_s)
        stream = self._streams[target.device] = _Stream(target, profile, path, movable, now)
        return stream

    async def _seen(self, stream: _Stream, timeout_s: float, frames: int) -> Sighting:
        began, eye = self._clock.monotonic(), _Eye(self._clock, frames)
        try:
            with self._refusals_of(stream.target.device).minded(stream.target, Door.STREAM) as attempt:
                glance = await look(attempt.target, stream.path, eye.on, timeout_s=timeout_s, let_in=attempt.let_in)
        except DeadlineExceeded as error:
            glance_so_far = eye.glance
            if glance_so_far is None:
                raise DeadlineExceeded(str(error), code=NO_PICTURE if eye.packets else NO_STREAM) from None
            glance = glance_so_far
        return Sighting(glance, glance.at - began, stream.profile, stream.movable)


class _Eye:
    """What was seen, for whom the deadline interrupts."""

    def __init__(self, clock: Clock, frames: int) -> None:
        self._clock = clock
        self._frames = frames
        self._eye: GlanceEye | None = None

    def on(self, track: TrackDescription) -> GlanceEye:
        self._eye = GlanceEye(track, now=self._clock.monotonic, frames=self._frames)
        return self._eye

    @property
    def packets(self) -> int:
        return self._eye.packets if self._eye else 0

    @property
    def glance(self) -> Glance | None:
        return self._eye.glance if self._eye else None


def largest(profiles: Sequence[MediaProfile]) -> MediaProfile:
    """The profile with the most pixels; of several, the first. NotSupported for none."""
    found = max(profiles, key=lambda profile: profile.width * profile.height, default=None)
    if found is None:
        raise NotSupported("the camera has no profile", code="no-track")
    return found
