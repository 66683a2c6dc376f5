"""Disk: what a recorder tells of its disks and itself by SNMP, as far as its profile knows how to read it."""

from collections.abc import Sequence

from gateway.domain.health import CheckResult, Outcome
from gateway.errors import DeviceError
from gateway.health.checks.subject import SlowTools, Subject

DISK = "disk"


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """The verdict of the profile's sensors; nothing for a recorder without SNMP credentials."""
    target = tools.target_of(subject.device.id)
    if target.credentials.snmp is None:
        return []
    try:
        verdict = (await tools.sensors.read(target, timeout_s=tools.timeout_s)).readings
    except DeviceError as error:
        return [subject.result(tools, DISK, Outcome.WARN, error.code, {"hint": error.hint} if error.hint else {})]
    return [subject.result(tools, DISK, verdict.outcome, verdict.reason, verdict.facts)]
