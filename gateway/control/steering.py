"""Pan, tilt and zoom by hand: a camera moves only with our own stop armed, because some never stop by themselves."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.control.captures import first_profile
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.drivers.base import MediaProfile
from gateway.errors import Conflict, DeviceError, DeviceFault, Overloaded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

TIMEOUT_S: Final = 10.0
STOP_S: Final = 3.0
TRIES: Final = 4
PAUSE_S: Final = 1.0
"""Between the tries of a stop."""
MOVING_LIMIT: Final = 64
"""Cameras that are moved at a time; one more is refused."""


class Movable(Protocol):
    """What is asked of a camera that moves."""

    async def profiles(self, *, timeout_s: float) -> Sequence[MediaProfile]: ...

    async def move(self, profile: str, *, pan: float, tilt: float, zoom: float, run_s: float, timeout_s: float) -> None: ...

    async def stop(self, profile: str, *, timeout_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Velocity:
    """Each from -1 to 1; all zero means: stop now."""

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0

    @property
    def is_still(self) -> bool:
        return not (self.pan or self.tilt or self.zoom)


class SteeringDesk:
    """Moves cameras. Stops are tasks of `run`, not of who asked: they come whatever becomes of the caller, at the latest when it ends."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        camera_of: Callable[[DeviceId], Movable],
        moved: Callable[[DeviceId], None] = lambda _camera: None,
    ) -> None:
        """`moved` is told of a camera whenever it was told to look elsewhere."""
        self._store = store
        self._clock = clock
        self._camera_of = camera_of
        self._moved = moved
        self._tasks: asyncio.TaskGroup | None = None
        self._armed: dict[DeviceId, tuple[str, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Keep the stops that are armed, until cancelled; then stop everything that still moves."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None
            moving, self._armed = self._armed, {}
            await asyncio.gather(*(self._stop(camera, profile) for camera, (profile, _) in moving.items()))

    async def steer(self, camera: DeviceId, velocity: Velocity, *, for_s: float, profile: str | None, case: str, actor: Actor) -> None:
        """Move for some seconds, or stop. On the record before the camera is asked; a newer order takes the place of an older one.

        Raises the DeviceErrors, Overloaded, and Conflict while the desk is not at work: nothing moves that nobody would stop.
        """
        if self._tasks is None:
            raise Conflict("Cameras cannot be moved while the gateway starts or ends.")
        driver = self._camera_of(camera)
        chosen = profile or first_profile(await driver.profiles(timeout_s=TIMEOUT_S), movable=True)
        await self._record(camera, velocity, for_s=for_s, profile=chosen, case=case, actor=actor)
        if velocity.is_still:
            await driver.stop(chosen, timeout_s=TIMEOUT_S)
            self._disarm(camera)
            return
        self._arm(camera, chosen, for_s)
        try:
            await driver.move(
                chosen, pan=velocity.pan, tilt=velocity.tilt, zoom=velocity.zoom, run_s=for_s, timeout_s=min(TIMEOUT_S, for_s + STOP_S)
            )
        except DeviceFault:
            self._disarm(camera)  # it said that it will not: whatever moves there is not ours
            raise
        except DeviceError:
            self._arm(camera, chosen, 0.0)  # it may have heard us, and late
            raise

    # -- stops ---------------------------------------------------------------------------------------------------------

    def _arm(self, camera: DeviceId, profile: str, for_s: float) -> None:
        if self._tasks is None or (camera not in self._armed and len(self._armed) >= MOVING_LIMIT):
            raise Overloaded("too many cameras are moving")
        self._disarm(camera)
        self._moved(camera)
        self._armed[camera] = profile, self._tasks.create_task(self._stop_after(camera, profile, for_s), name=f"stop {camera}")

    def _disarm(self, camera: DeviceId) -> None:
        _, task = self._armed.pop(camera, ("", None))
        if task is not None:
            task.cancel()

    async def _stop_after(self, camera: DeviceId, profile: str, for_s: float) -> None:
        await self._clock.sleep(for_s)
        await self._stop(camera, profile)
        if self._armed.get(camera, ("", None))[1] is asyncio.current_task():
            del self._armed[camera]

    async def _stop(self, camera: DeviceId, profile: str) -> None:
        self._moved(camera)
        for attempt in range(TRIES):
            try:
                await self._camera_of(camera).stop(profile, timeout_s=STOP_S)
            except (DeviceError, Overloaded) as error:
                log.warning("camera.stop-failed", device=camera, reason=error.code, attempt=attempt + 1)
                await self._clock.sleep(PAUSE_S if attempt + 1 < TRIES else 0)
            else:
                return

    async def _record(self, camera: DeviceId, velocity: Velocity, *, for_s: float, profile: str, case: str, actor: Actor) -> None:
        now = self._clock.now()
        details = {
            "pan": velocity.pan,
            "tilt": velocity.tilt,
            "zoom": velocity.zoom,
            "seconds": 0.0 if velocity.is_still else for_s,
            "profile": profile,
            "case": case,
        }

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent("camera.steer", camera, now, details))
            tx.record(AuditEntry(actor, "camera.steer", camera, now, details))

        await self._store.writer.write(change, lane=Lane.STOP if velocity.is_still else Lane.FOOTAGE)
