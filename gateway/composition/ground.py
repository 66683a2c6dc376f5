"""What every part of the daemon stands on."""

import secrets
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from gateway.clock import Clock
from gateway.config import Config
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.health import Board
from gateway.drivers.registry import Drivers
from gateway.storage.store import Store


@dataclass(frozen=True, slots=True)
class Ground:
    """The settings, time, the store, the devices with the ways to them, and what is known of each now."""

    config: Config
    clock: Clock
    store: Store
    city: City
    drivers: Drivers
    board: Board = field(default_factory=Board)
    circumstances: Circumstances = field(default_factory=Circumstances)

    @property
    def zone(self) -> ZoneInfo:
        """In which the city's days begin."""
        return ZoneInfo(self.config.timezone)


def fresh(letter: str) -> str:
    """An id that nothing had before, such as I-0123456789ab."""
    return f"{letter}-{secrets.token_hex(6)}"
