"""The right loudspeaker: nothing is said through a device before it has shown that it is the one that the inventory means."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from gateway.clock import Clock
from gateway.domain import identity as rules
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId
from gateway.domain.health import Board, Introduction, Standing
from gateway.domain.quirks import Quirks
from gateway.domain.remarks import Remark, RemarkKind
from gateway.drivers.base import Identity, IdentitySource
from gateway.errors import DeviceFault, NotFound, NotSupported, WrongDevice

FRESH_S: Final = 60.0
_SHOWN: Final = 64
TIMEOUT_S: Final = 3.0


class Verify(Protocol):
    async def __call__(self, speaker: DeviceId) -> Remark | None: ...


def verification(
    *,
    city: City,
    board: Board,
    clock: Clock,
    identity_of: Callable[[DeviceId], IdentitySource],
    quirks_of: Callable[[DeviceId], Quirks],
    is_telephone: Callable[[DeviceId], bool] = lambda _speaker: False,
) -> Verify:
    """A function that raises WrongDevice when another device than the inventory's answers at a speaker's address (`domain.identity`).

    What a health check asked within the last `FRESH_S`, where the inventory has the speaker now, counts; otherwise the speaker is asked,
    signed, within `TIMEOUT_S`, and may raise what drivers raise. Where nothing can be compared, because the inventory has nothing to know
    it by or the device tells nothing, it passes, known by its address alone; why is what the function gives, None for one that has shown
    who it is. A telephone has no serial number to tell, only its hardware.
    """

    async def by_hardware(device: Device) -> Remark | None:
        if not rules.known_hardware(device):
            return Remark(RemarkKind.HARDWARE_UNLISTED)
        told = _seen_hardware(board, device, clock) or await _hardware(identity_of(device.id))
        if rules.has_other_hardware(device, told):
            raise _wrong(device.id, f"hardware address {_printable(', '.join(told))}", rules.known_hardware(device))
        return None if rules.tells_hardware(told) else Remark(RemarkKind.HARDWARE_UNTOLD)

    async def verify(speaker: DeviceId) -> Remark | None:
        device = city.devices.get(speaker)
        if device is None:
            raise NotFound(f"there is no speaker {speaker!r}")
        if not device.serial and not device.mac:
            return Remark(RemarkKind.IDENTITY_UNLISTED)
        if is_telephone(speaker) or not device.serial:
            return await by_hardware(device)
        told = _seen(board, device, clock) or await identity_of(speaker).identity(timeout_s=TIMEOUT_S)
        if not rules.serial_tells(device, quirks_of(speaker), manufacturer=told.manufacturer, model=told.model):
            return await by_hardware(device)
        if not told.serial or rules.has_other_serial(device, told.serial):
            raise _wrong(speaker, f"serial number {_printable(told.serial)}", device.serial)
        return None

    return verify


def _wrong(speaker: DeviceId, told: str, known: str) -> WrongDevice:
    why = f"another device answers at the address of {speaker}: {told}, where the inventory has {known}"
    return WrongDevice(why, hint="correct the inventory, or the cabling")


def _printable(told: str) -> str:
    """What a device says of itself, as far as people should see it."""
    shown = "".join(sign for sign in told if sign.isprintable())[:_SHOWN]
    return shown or "none"


def _seen_hardware(board: Board, device: Device, clock: Clock) -> Sequence[str]:
    """The hardware addresses that a health check was told a moment ago; none when there is no such check."""
    standing = board[device.id]
    known = standing.introduction
    if known is None or known.hardware_asked_at is None or not _counts(known, known.hardware_asked_at, device, clock):
        return ()
    told = str(_words(standing).get("hardware", ""))
    return told.split(", ") if told else ()


def _seen(board: Board, device: Device, clock: Clock) -> Identity | None:
    """Who a health check found a moment ago; None when there is no such check, or it was told no serial number."""
    standing = board[device.id]
    known = standing.introduction
    if known is None or not _counts(known, known.asked_at, device, clock):
        return None
    found = _words(standing)
    told = Identity(*(str(found.get(name, "")) for name in ("manufacturer", "model", "firmware", "serial")))
    return told if told.serial else None


def _counts(known: Introduction, asked_at: float, device: Device, clock: Clock) -> bool:
    """Whether what was asked at `asked_at` still says who answers. That the device has answered anything else since makes it no fresher."""
    return known.counts_for(device) and clock.monotonic() - asked_at <= FRESH_S


def _words(standing: Standing) -> Mapping[str, Any]:
    """What the device said of itself."""
    told: Mapping[str, Any] = standing.facts.get("identity", {})
    return told


async def _hardware(speaker: IdentitySource) -> Sequence[str]:
    """The hardware addresses that it tells; none where it cannot."""
    try:
        return (await speaker.hardware(fresh_s=FRESH_S, timeout_s=TIMEOUT_S)).addresses
    except (NotSupported, DeviceFault):
        return ()
