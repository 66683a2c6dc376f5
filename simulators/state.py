"""What changes while the city runs: counters, faults, and what each loudspeaker heard."""

import time
from collections import Counter
from collections.abc import Callable

from simulators.city import SimDevice
from simulators.faults import HEALTHY, Fault
from simulators.heard import Heard


class State:
    """Shared by all servers of one process. `now` gives seconds since the epoch; tests set it."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.counters: Counter[str] = Counter()
        self.faults: dict[str, Fault] = {}
        self.heard: dict[str, Heard] = {}
        self.logins: Counter[tuple[str, str]] = Counter()

    def count(self, protocol: str, what: str, kind: str) -> None:
        """Add one to `protocol.what.kind`, for example `http.digest_bad.camera`."""
        self.counters[f"{protocol}.{what}.{kind}"] += 1

    def logged_in(self, protocol: str, device: SimDevice) -> None:
        """Note that somebody proved to know the device's secret: a good digest, the right community, a valid SNMPv3 message."""
        self.logins[device.id, protocol] += 1
        self.count(protocol, "digest_good" if protocol != "snmp" else "authentic", device.kind)

    def is_verified(self, device: SimDevice) -> bool:
        """Whether anybody logged in where the device's identity is read: by SNMP for a switch, by HTTP for all others."""
        return self.logins[device.id, "snmp" if device.kind == "switch" else "http"] > 0

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
