"""Ports: what the switch says of the port that a silent device hangs on, so that the cause of its silence is known more closely.

It asks nobody: a switch is asked for all its ports at its own visits (`facts["snmp"]["sensors"]` on the board). What it says of a port is
a fact about the device behind: `facts["port"]` on the board, with `reason` `port-down` or `poe-fault` when the device is silent, and the
event `device.notice` when that begins. It is never a complaint: a device whose port is down is down already, and one that answers has a
port, whatever the inventory says of its number (`mismatch`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain.devices import Device
from gateway.domain.health import CheckResult, HealthState, Outcome
from gateway.health.checks.subject import SlowTools, Subject

PORT = "port"
DOWN = "port-down"
POE_FAULT = "poe-fault"
_LINK_DOWN = frozenset({"down", "not_present", "lower_layer_down"})
_POE_FAULTS = frozenset({"fault", "other_fault"})


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """One result for each device that hangs on a known port of this switch, where what the switch tells of that port is news."""
    sensors = tools.board[subject.device.id].facts.get("snmp", {}).get("sensors", {})
    found = (_judged(subject, tools, device, sensors) for device in tools.city.behind(subject.device.id))
    return [result for result in found if result is not None]


def _judged(subject: Subject, tools: SlowTools, device: Device, sensors: Mapping[str, Any]) -> CheckResult | None:
    if device.uplink_port is None or not device.enabled:
        return None
    link, power = _state(sensors, "port_state", device.uplink_port), _state(sensors, "poe_port", device.uplink_port)
    if not link and not power:
        return None
    silent = tools.board[device.id].state is HealthState.DOWN
    reason = POE_FAULT if power in _POE_FAULTS else DOWN if link in _LINK_DOWN else ""
    facts: dict[str, Any] = {"switch": subject.device.id, "port": device.uplink_port, "link": link, "poe": power}
    if silent:
        facts["reason"] = reason
    elif reason:
        facts["mismatch"] = True
    before = tools.board[device.id].facts.get(PORT)
    if before == facts or (before is None and not reason):
        return None
    told = facts.get("reason", "")
    return CheckResult(device.id, PORT, Outcome.OK, tools.clock.now(), told if told != (before or {}).get("reason") else "", facts)


def _state(sensors: Mapping[str, Any], name: str, port: int) -> str:
    """What the switch says of a port, "" for nothing. PoE ports are numbered within groups, of which small switches have one."""
    rows = sensors.get(name, {})
    found = rows.get(str(port)) or rows.get(f"group=1,port={port}") if isinstance(rows, Mapping) else None
    return found if isinstance(found, str) else ""
