"""The lives of devices in a window, put together from the log and from what does not count."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gateway.domain.availability import CLOCK, PICTURE, Life, Span, microseconds
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState
from gateway.reports.exclusions import Exclusions
from gateway.storage.availability import Past
from gateway.storage.complaints import OUT_OF_SERVICE

CHECKS: Mapping[str, str] = {"clock": CLOCK, "picture": PICTURE, "media": PICTURE, OUT_OF_SERVICE: OUT_OF_SERVICE}
"""Checks whose complaints count, and as what: a stream that gives no picture is a bad picture, too."""

_FOREVER = 1 << 62


def lives(past: Past, devices: Iterable[DeviceId], exclusions: Exclusions) -> Mapping[DeviceId, Life]:
    """One life for each of `devices`, also of one that the log does not know."""
    changes: defaultdict[DeviceId, list[tuple[int, HealthState]]] = defaultdict(list)
    for device, _, at, state in past.changes:
        changes[device].append((microseconds(at), state))
    complaints: defaultdict[DeviceId, defaultdict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for device, check, since, until in past.complaints:
        span = (microseconds(since), _FOREVER if until is None else microseconds(until))
        complaints[device][CHECKS[check]].append(span)
    checked: defaultdict[DeviceId, dict[str, int]] = defaultdict(dict)
    for device, check, since in past.checked:
        known = checked[device].get(CHECKS[check], _FOREVER)
        checked[device][CHECKS[check]] = min(known, microseconds(since))
    return {
        device: Life(
            past.before.get(device, HealthState.UNKNOWN),
            changes.get(device, ()),
            maintenance=exclusions.maintained(device),
            blind=[*exclusions.blind, *complaints[device][OUT_OF_SERVICE]],
            excused=exclusions.excused(device),
            complaints=complaints[device],
            checked=checked.get(device, {}),
        )
        for device in devices
    }
