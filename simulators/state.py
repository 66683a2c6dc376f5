"""What changes while the city runs: counters, faults, and what each loudspeaker heard."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulators.city import SimDevice
from simulators.faults import HEALTHY, Fault

HEARD_BYTES: Final = 10 * 1024 * 1024
"""Payload kept of one loudspeaker: more than 20 minutes of G.711. What comes later is counted and not kept."""
SESSIONS_KEPT: Final = 100


@dataclass(slots=True)
class HeardSession:
    """One backchannel session; arrival times are the kernel's, in ns since the epoch. `transport`: "udp" or "tcp"."""

    peer: str
    transport: str
    encoding: str
    started_ns: int
    ended_ns: int | None = None
    packets: int = 0
    first_ns: int | None = None
    last_ns: int | None = None


@dataclass(slots=True)
class Heard:
    """All that one loudspeaker heard since the start or since it was last cleared."""

    packets: int = 0
    octets: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    encoding: str = ""
    payload: bytearray = field(default_factory=bytearray)
    sessions: deque[HeardSession] = field(default_factory=lambda: deque(maxlen=SESSIONS_KEPT))

    def take(self, session: HeardSession, payload: bytes, arrival_ns: int) -> None:
        """Note one RTP packet's payload."""
        for part in (self, session):
            part.packets += 1
            part.first_ns = arrival_ns if part.first_ns is None else part.first_ns
            part.last_ns = arrival_ns
        self.encoding = session.encoding
        self.octets += len(payload)
        self.payload += payload[: HEARD_BYTES - len(self.payload)]


class State:
    """Shared by all servers of one process. `now` gives seconds since the epoch; tests set it."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.counters: Counter[str] = Counter()
        self.faults: dict[str, Fault] = {}
        self.heard: dict[str, Heard] = {}

    def count(self, protocol: str, what: str, kind: str) -> None:
        """Add one to `protocol.what.kind`, for example `http.digest_bad.camera`."""
        self.counters[f"{protocol}.{what}.{kind}"] += 1

    def fault(self, device: SimDevice) -> Fault:
        return self.faults.get(device.id, HEALTHY)

    def device_time(self, device: SimDevice) -> float:
        """What the device's own clock shows, in seconds since the epoch."""
        return self.now() + device.clock_offset_s + self.fault(device).clock_offset_s

    def password(self, device: SimDevice) -> str:
        return self.fault(device).password or device.password

    def serial(self, device: SimDevice) -> str:
        return self.fault(device).serial or device.serial

    def heard_by(self, device: SimDevice) -> Heard:
        return self.heard.setdefault(device.id, Heard())
