"""Getting to know a device: everything that it tells of itself, where the absence of an optional part is normal."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.drivers.base import DeviceClock, Identity, MediaProfile, Preset, Recording
from gateway.drivers.onvif.caller import deadline
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.soap import PTZ, RECORDING, SEARCH
from gateway.errors import DeviceFault, ProtocolError

STREAMS_LIMIT = 64
"""Profiles whose URIs are asked for; a recorder may list hundreds."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One profile and where it is had: paths with query, "" for what the device does not offer."""

    profile: MediaProfile
    stream_path: str
    snapshot_path: str


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """What a device is and can do. `services`: paths by namespace. `troubles`: parts that it offers and then failed to tell."""

    identity: Identity
    clock: DeviceClock | None
    services: dict[str, str]
    streams: Sequence[Stream]
    presets: Sequence[Preset]
    recordings: Sequence[Recording]
    troubles: Sequence[str] = ()

    @property
    def has_ptz(self) -> bool:
        return PTZ in self.services


async def onboard(device: OnvifDevice, *, timeout_s: float) -> DeviceDescription:
    """Ask a device for all of it. Raises what `OnvifDevice.check` raises; nothing that comes after identity is required."""
    async with deadline(timeout_s):
        clock, identity = await device.check(timeout_s=timeout_s)
        troubles: list[str] = []
        services = await _optional(device.in_turn(device.services(), timeout_s=timeout_s), {}, "services", troubles)
        profiles = await _optional(device.profiles(timeout_s=timeout_s), (), "profiles", troubles)
        streams = [await _stream(device, profile, timeout_s, troubles) for profile in profiles[:STREAMS_LIMIT]]
        presets = await _presets(device, services, profiles, timeout_s, troubles)
        recordings: Sequence[Recording] = ()
        if SEARCH in services or RECORDING in services:
            recordings = await _optional(device.recordings(timeout_s=timeout_s), (), "recordings", troubles)
        return DeviceDescription(identity, clock, services, streams, presets, recordings, tuple(troubles))


T = TypeVar("T")


async def _optional(asked: Awaitable[T], absent: T, part: str, troubles: list[str]) -> T:
    """What the device tells, or `absent`: a fault is how it says that it has none, and a broken answer is written down."""
    try:
        return await asked
    except DeviceFault as error:
        if error.code == "not-permitted":
            troubles.append(f"{part}: {error.code}")
        return absent
    except ProtocolError as error:
        troubles.append(f"{part}: {error.code}")
        return absent


async def _stream(device: OnvifDevice, profile: MediaProfile, timeout_s: float, troubles: list[str]) -> Stream:
    stream = await _optional(device.stream_path(profile.token, timeout_s=timeout_s), "", "stream", troubles)
    snapshot = await _optional(device.snapshot_path(profile.token, timeout_s=timeout_s), "", "snapshot", troubles)
    return Stream(profile, stream, snapshot)


async def _presets(
    device: OnvifDevice, services: dict[str, str], profiles: Sequence[MediaProfile], timeout_s: float, troubles: list[str]
) -> Sequence[Preset]:
    """Presets belong to the dome and not to a profile: one profile, best one with a PTZ configuration, tells them all."""
    if PTZ not in services or not profiles:
        return ()
    chosen = next((profile for profile in profiles if profile.ptz), profiles[0])
    return await _optional(device.presets(chosen.token, timeout_s=timeout_s), (), "presets", troubles)
