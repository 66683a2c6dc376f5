"""Pan, tilt and zoom: presets and moves (ONVIF PTZ). A move is sent at most once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from gateway.drivers.base import Preset
from gateway.drivers.onvif.answers import TEXT_LIMIT
from gateway.drivers.onvif.caller import Caller, deadline
from gateway.drivers.onvif.soap import PTZ
from gateway.errors import DeviceFault

PRESETS_LIMIT = 4096


async def presets(device: Caller, profile: str, *, timeout_s: float) -> Sequence[Preset]:
    """The presets that the device stores, in its own order (PTZ, 5.4.2)."""
    async with deadline(timeout_s):
        return await device.invoke(PTZ, "GetPresets", read_presets, timeout_s=timeout_s, large=True, ProfileToken=profile)


async def goto_preset(device: Caller, profile: str, preset: str, *, timeout_s: float) -> None:
    """Start moving to a preset (PTZ, 5.4.3)."""
    await _move(device, "GotoPreset", timeout_s, ProfileToken=profile, PresetToken=preset)


class Movement:
    """What is known of how a camera takes to being moved: learnt from its refusals, and forgotten with the camera."""

    __slots__ = ("takes_stop", "takes_timeout")

    def __init__(self) -> None:
        self.takes_timeout = True
        self.takes_stop = True


async def move(
    device: Caller, movement: Movement, profile: str, *, pan: float, tilt: float, zoom: float, run_s: float, timeout_s: float
) -> None:
    """Start moving at these speeds, each from -1 to 1 (PTZ, 5.3.3); the device is asked to stop by itself after `run_s`.

    Some devices ignore that: the caller must `stop`, too. Some refuse to be asked: then the move is started without it.
    """
    velocity = {"PanTilt": {"x": _speed(pan), "y": _speed(tilt)}, "Zoom": {"x": _speed(zoom)}}
    if movement.takes_timeout and "ptz-rejects-timeout" not in device.target.quirks:
        try:
            await _move(device, "ContinuousMove", timeout_s, ProfileToken=profile, Velocity=velocity, Timeout=timedelta(seconds=run_s))
        except DeviceFault as refusal:
            if not blames_timeout(refusal):
                raise
        else:
            return
    await _move(device, "ContinuousMove", timeout_s, ProfileToken=profile, Velocity=velocity)
    movement.takes_timeout = False


async def stop(device: Caller, movement: Movement, profile: str, *, timeout_s: float) -> None:
    """Stop all movement (PTZ, 5.3.5); where the device refuses that, by a speed of zero."""
    if movement.takes_stop and "ptz-rejects-stop" not in device.target.quirks:
        try:
            await device.invoke(PTZ, "Stop", _nothing, timeout_s=timeout_s, ProfileToken=profile, PanTilt=True, Zoom=True)
        except DeviceFault:
            pass  # however it puts it
        else:
            return
    still = {"PanTilt": {"x": 0.0, "y": 0.0}, "Zoom": {"x": 0.0}}
    await device.invoke(PTZ, "ContinuousMove", _nothing, timeout_s=timeout_s, ProfileToken=profile, Velocity=still)
    movement.takes_stop = False


def blames_timeout(refusal: DeviceFault) -> bool:
    """Whether a refused move may go without its timeout: the device found an argument wrong. It did not move."""
    return "InvalidArg" in refusal.detail or "Timeout" in refusal.detail


def read_presets(value: Any) -> Sequence[Preset]:
    """What zeep makes of GetPresetsResponse. A preset without a token cannot be called and is left out."""
    return tuple(Preset(str(one.token)[:TEXT_LIMIT], str(one.Name or "")[:TEXT_LIMIT]) for one in value.Preset[:PRESETS_LIMIT] if one.token)


async def _move(device: Caller, name: str, timeout_s: float, **arguments: Any) -> None:
    await device.invoke(PTZ, name, _nothing, timeout_s=timeout_s, repeatable=False, **arguments)


def _nothing(_value: Any) -> None:
    return None


def _speed(wanted: float) -> float:
    return max(-1.0, min(1.0, wanted))
