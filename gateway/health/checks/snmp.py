"""SNMP: the sensors that the device's profile declares; for a switch, which speaks nothing else, also whether it answers."""

from collections.abc import Iterator, Sequence

from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.snmp.reader import Reading
from gateway.errors import DeviceError
from gateway.health.checks import reach
from gateway.health.checks.subject import Subject, Tools

SNMP = "snmp"
UPTIME = "uptime"
ENGINE_CHANGED = "engine-id-changed"
RESTARTED = "restarted"
BOOTS_STUCK = "engine-boots-stuck"


async def check(subject: Subject, tools: Tools) -> Sequence[CheckResult]:
    """The sensors of a device that is reached some other way; nothing for one without SNMP credentials."""
    target = tools.target_of(subject.device.id)
    if target.credentials.snmp is None:
        return []
    try:
        return await _sensors(subject, tools)
    except DeviceError as error:
        return [_failed(subject, tools, error)]


async def check_reach(subject: Subject, tools: Tools) -> Sequence[CheckResult]:
    """The sensors, and with them reach: every answer, a refusal of our credentials included, proves that the device is alive."""
    if tools.target_of(subject.device.id).credentials.snmp is None:
        return [subject.result(tools, SNMP, Outcome.UNKNOWN, "no-snmp-credentials")]
    try:
        sensors = await _sensors(subject, tools)
    except DeviceError as error:
        if reach.is_silence(error):
            return [await reach.silent(subject, tools, error, port=False)]
        return [reach.answered(subject, tools), _failed(subject, tools, error)]
    return [reach.answered(subject, tools), *sensors]


async def _sensors(subject: Subject, tools: Tools) -> Sequence[CheckResult]:
    """The verdict of the profile, and notices. A v3 agent that came back as another engine is well, and worth one."""
    reading = await tools.sensors.read(tools.target_of(subject.device.id), timeout_s=tools.timeout_s)
    verdict = reading.readings
    reason = ENGINE_CHANGED if reading.engine_id_changed and verdict.outcome is Outcome.OK else verdict.reason
    return [subject.result(tools, SNMP, verdict.outcome, reason, verdict.facts), *_uptime(subject, tools, reading)]


def _uptime(subject: Subject, tools: Tools, reading: Reading) -> Iterator[CheckResult]:
    """Told once: that the device started anew, and that its SNMP engine did not count it."""
    if reading.restarted is not None:
        yield subject.result(tools, UPTIME, Outcome.OK, RESTARTED, {"restarted": reading.restarted.isoformat(timespec="seconds")})
    if reading.boots_stuck:
        yield subject.result(tools, UPTIME, Outcome.OK, BOOTS_STUCK)


def _failed(subject: Subject, tools: Tools, error: DeviceError) -> CheckResult:
    return subject.result(tools, SNMP, Outcome.FAIL, error.code, {"hint": error.hint} if error.hint else {})
