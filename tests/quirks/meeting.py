"""The gateway and one simulated device, with one clock between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.clock import SimulatedClock
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import CheckResult
from gateway.domain.quirks import NONE, Quirk, Quirks
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.health.checks import onvif
from gateway.health.checks.subject import Subject, Tools
from simulators.city import SimDevice
from simulators.quirks import QuirkBook
from tests.simulators.street import Street

BOOK = QuirkBook.load()


@dataclass
class Meeting:
    """`device`: the simulated one; `ours`: the gateway's side of it."""

    street: Street
    clock: SimulatedClock
    device: SimDevice
    ours: OnvifDevice

    def quirk(self, switch: str, **parameters: bool | float | str) -> None:
        """Switch a quirk on in the device."""
        self.street.state.switch_quirk(self.device, switch, BOOK.switched_on(switch, parameters))

    def without(self, switch: str) -> None:
        self.street.state.switch_quirk(self.device, switch, None)

    def know(self, switch: str, **parameters: bool | float | str) -> None:
        """Let the gateway know of a quirk by the device's profile."""
        found = Quirk("Q0", switch, BOOK.switched_on(switch, parameters))
        self.ours.retarget(replace(self.ours.target, quirks=Quirks({switch: found})))

    def count(self, what: str) -> int:
        """How often something happened in the device's HTTP: digest_bad, locked_out…"""
        return self.street.state.counters[f"http.{what}.{self.device.kind}"]

    async def serial(self) -> str:
        """What a health check finds."""
        return (await self.ours.check(timeout_s=5))[1].serial

    async def judged(self, check: str) -> CheckResult:
        """What a visit says of one check."""
        return next(result for result in await self.visited() if result.check == check)

    async def visited(self, *, timeout_s: float = 5.0) -> Sequence[CheckResult]:
        device = Device(DeviceId(self.device.id), DeviceKind(self.device.kind), self.device.name, address=self.device.address)
        nothing: Any = None
        tools = Tools(lambda _: self.ours, lambda _: self.ours.target, nothing, self.clock, timeout_s=timeout_s)
        return await onvif.check(Subject(device, self.clock.monotonic()), tools)


def meet(street: Street, clock: SimulatedClock, device: SimDevice, *, password: str = "") -> Meeting:
    """A device that nobody has spoken to yet; the city's clock is the gateway's."""
    street.state.now = lambda: clock.now().timestamp()
    login = Credentials(device.username, password or device.password)
    target = Target(DeviceId(device.id), device.address, Ports(onvif=street.city.http_port, rtsp=street.city.rtsp_port), login, quirks=NONE)
    return Meeting(street, clock, device, OnvifDevice(target, Http(), clock))
