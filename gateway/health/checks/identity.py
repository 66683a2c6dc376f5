"""Identity: do our credentials open it, and is it the device that the inventory means?"""

from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import Identity
from gateway.errors import DeviceError
from gateway.health.checks.subject import Subject, Tools

IDENTITY = "identity"
SWAPPED = "wrong-device"


def judged(subject: Subject, tools: Tools, identity: Identity) -> CheckResult:
    """It told us who it is. Another serial number than the inventory's, where that has one, is another device."""
    facts = {
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "firmware": identity.firmware,
        "serial": identity.serial,
    }
    expected = subject.device.serial
    if expected and identity.serial and identity.serial.strip().casefold() != expected.strip().casefold():
        return subject.result(tools, IDENTITY, Outcome.FAIL, SWAPPED, {**facts, "expected_serial": expected})
    return subject.result(tools, IDENTITY, Outcome.OK, "", facts)


def failed(subject: Subject, tools: Tools, error: DeviceError) -> CheckResult:
    """It did not tell: it refuses our credentials (`bad-credentials`, `locked-out`…), or its answer is none."""
    return subject.result(tools, IDENTITY, Outcome.FAIL, error.code, {"hint": error.hint} if error.hint else {})
