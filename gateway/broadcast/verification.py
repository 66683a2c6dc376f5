"""The right loudspeaker: nothing is said through a device before it has shown that it is the one that the inventory means."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.health import Board
from gateway.drivers.base import IdentitySource
from gateway.errors import NotFound, WrongDevice

FRESH: Final = timedelta(seconds=60)
TIMEOUT_S: Final = 3.0


class Verify(Protocol):
    async def __call__(self, speaker: DeviceId) -> None: ...


def verification(*, city: City, board: Board, clock: Clock, identity_of: Callable[[DeviceId], IdentitySource]) -> Verify:
    """A function that raises WrongDevice when another serial number than the inventory's answers at a speaker's address.

    What a health check found within the last `FRESH` counts; otherwise the speaker is asked, signed, within `TIMEOUT_S`, and may
    raise what drivers raise. A speaker without a serial number in the inventory cannot be told from another: it passes.
    """

    async def verify(speaker: DeviceId) -> None:
        device = city.devices.get(speaker)
        if device is None:
            raise NotFound(f"there is no speaker {speaker!r}")
        if not device.serial:
            return
        serial = _seen(board, speaker, clock) or (await identity_of(speaker).identity(timeout_s=TIMEOUT_S)).serial
        if serial.strip().casefold() != device.serial.strip().casefold():
            raise WrongDevice(f"another device answers at the address of {speaker}", hint="correct the inventory, or the cabling")

    return verify


def _seen(board: Board, speaker: DeviceId, clock: Clock) -> str:
    """The serial number of a fresh health check; "" when there is none."""
    standing = board[speaker]
    if standing.last_seen is None or clock.now() - standing.last_seen > FRESH:
        return ""
    return str(standing.facts.get("identity", {}).get("serial", ""))
