"""The tables of all checks and of who gets which."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.domain.devices import DeviceKind
from gateway.domain.health import CheckResult
from gateway.health.checks import coverage, disk, events, media, onvif, picture, ports, recording, snmp, speaker
from gateway.health.checks.subject import SlowTools, Subject, Tools

Check = Callable[[Subject, Tools], Awaitable[Sequence[CheckResult]]]
"""Looks at one device over the wire. A failed check is a result; it raises only when we erred, and the deadline is `Tools.timeout_s`."""

CHECKS: Mapping[str, Check] = {
    "onvif": onvif.check,  # reach, clock and identity in one go
    "speaker": speaker.check,  # the same of a loudspeaker, over ONVIF or SIP
    "snmp": snmp.check,  # sensors, beside another check
    "snmp-reach": snmp.check_reach,  # sensors, and by them reach
}

VISITS: Mapping[DeviceKind, Sequence[str]] = {
    DeviceKind.CAMERA: ("onvif",),
    DeviceKind.RECORDER: ("onvif",),
    DeviceKind.SPEAKER: ("speaker", "snmp"),
    DeviceKind.SWITCH: ("snmp-reach",),
}
"""The checks of a visit, in order; the first says whether the device answered, and what follows is left out when it did not."""


SlowCheck = Callable[[Subject, SlowTools], Awaitable[Sequence[CheckResult]]]
"""As `Check`, beside the visits and without `reach`: its results may be about other devices, too."""


@dataclass(frozen=True, slots=True)
class Slow:
    """A check with rounds of its own: each device of `kinds` once in `interval_s`, within `timeout_s`, `slots` of them at once."""

    check: SlowCheck
    kinds: frozenset[DeviceKind]
    interval_s: float
    timeout_s: float
    slots: int
    enabled: bool = True


SLOW: Mapping[str, Slow] = {
    "media": Slow(media.check, frozenset({DeviceKind.CAMERA}), interval_s=14_400, timeout_s=10, slots=4),
    "picture": Slow(picture.check, frozenset({DeviceKind.CAMERA}), interval_s=14_400, timeout_s=10, slots=2),
    "recording": Slow(recording.check, frozenset({DeviceKind.RECORDER}), interval_s=3_600, timeout_s=20, slots=2),
    "coverage": Slow(coverage.check, frozenset({DeviceKind.RECORDER}), interval_s=21_600, timeout_s=60, slots=1),
    "disk": Slow(disk.check, frozenset({DeviceKind.RECORDER}), interval_s=600, timeout_s=5, slots=4),
    "events": Slow(events.check, frozenset({DeviceKind.CAMERA, DeviceKind.RECORDER}), interval_s=900, timeout_s=1, slots=64),
    "ports": Slow(ports.check, frozenset({DeviceKind.SWITCH}), interval_s=120, timeout_s=1, slots=64),
}
"""The checks beside the visits, and how they go unless `health.checks.NAME` of the configuration says otherwise."""


def paced(slow: Slow, changed: Mapping[str, Any]) -> Slow:
    """`slow` at another pace: the fields that `changed` names are as it says."""
    return replace(slow, **changed)
