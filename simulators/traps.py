"""Where the city's devices send their SNMP notifications, and which there are (RFC 3418, snmpTraps)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from simulators.city import SimDevice
from simulators.http import is_loopback


class Trap(IntEnum):
    """The generic notifications by their v1 number; snmpTrapOID ends in one more."""

    COLD_START = 0
    LINK_DOWN = 2
    LINK_UP = 3
    AUTHENTICATION_FAILURE = 4


NAMES = {
    "coldStart": Trap.COLD_START,
    "linkDown": Trap.LINK_DOWN,
    "linkUp": Trap.LINK_UP,
    "authenticationFailure": Trap.AUTHENTICATION_FAILURE,
}
"""By the names that SNMPv2-MIB and IF-MIB give them."""


@dataclass(frozen=True, slots=True)
class Sink:
    """Who hears them, on loopback. `informs`: by InformRequest (v2c and v3), repeated until it is acknowledged, and not by trap."""

    host: str
    port: int
    informs: bool = False

    @classmethod
    def parse(cls, text: str, *, informs: bool = False) -> Self:
        """Read HOST:PORT. Raises ValueError when it is none, or not on loopback."""
        host, _, port = text.rpartition(":")
        if not is_loopback(host) or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"{text!r} is no address of loopback with a port, such as 127.0.0.1:18162")
        return cls(host, int(port), informs)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Sender = Callable[[SimDevice, Trap, int], None]


@dataclass(slots=True)
class Traps:
    """`sink`: None while nobody wants to hear. `senders`: those that put a notification on the wire."""

    sink: Sink | None = None
    senders: list[Sender] = field(default_factory=list)

    def send(self, device: SimDevice, trap: Trap, port: int = 0) -> None:
        """Let a device tell what befell it; `port` for link notifications."""
        if self.sink is not None:
            for sender in self.senders:
                sender(device, trap, port)
