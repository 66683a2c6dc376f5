"""The tables of all checks and of who gets which."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.domain.devices import DeviceKind
from gateway.domain.health import CheckResult
from gateway.health.checks import onvif, snmp
from gateway.health.checks.subject import Subject, Tools

Check = Callable[[Subject, Tools], Awaitable[Sequence[CheckResult]]]
"""Looks at one device over the wire. A failed check is a result; it raises only when we erred, and the deadline is `Tools.timeout_s`."""

CHECKS: Mapping[str, Check] = {
    "onvif": onvif.check,  # reach, clock and identity in one go
    "snmp": snmp.check,  # sensors, beside another check
    "snmp-reach": snmp.check_reach,  # sensors, and by them reach
}

VISITS: Mapping[DeviceKind, Sequence[str]] = {
    DeviceKind.CAMERA: ("onvif",),
    DeviceKind.RECORDER: ("onvif",),
    DeviceKind.SPEAKER: ("onvif", "snmp"),
    DeviceKind.SWITCH: ("snmp-reach",),
}
"""The checks of a visit, in order; the first says whether the device answered, and what follows is left out when it did not."""
