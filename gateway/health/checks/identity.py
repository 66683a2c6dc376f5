"""Identity: do our credentials open it, and is it the device that the inventory means?"""

from collections.abc import Sequence

from gateway.domain import identity as rules
from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import Identity
from gateway.errors import DeviceError
from gateway.health.checks.subject import Subject, Tools

IDENTITY = "identity"
SWAPPED = "wrong-device"
HARDWARE_FRESH_S = 600.0
"""Hardware addresses are asked seldom: an answer may be that old."""


async def check(subject: Subject, tools: Tools, identity: Identity) -> CheckResult:
    """It told us who it is. Where its serial number tells nothing, its hardware is asked for if the inventory can tell it by that."""
    device, quirks = subject.device, tools.target_of(subject.device.id).quirks
    if rules.serial_tells(device, quirks, manufacturer=identity.manufacturer, model=identity.model):
        return judged(subject, tools, identity)
    hardware: Sequence[str] = ()
    if device.mac:
        try:
            hardware = await tools.onvif_of(device.id).hardware_addresses(fresh_s=HARDWARE_FRESH_S, timeout_s=tools.timeout_s)
        except DeviceError:
            hardware = ()
    return judged_by_hardware(subject, tools, identity, hardware)


def judged(subject: Subject, tools: Tools, identity: Identity) -> CheckResult:
    """Another serial number than the inventory's, where that has one, is another device."""
    facts = _facts(identity)
    if rules.has_other_serial(subject.device, identity.serial):
        return subject.result(tools, IDENTITY, Outcome.FAIL, SWAPPED, {**facts, "expected_serial": subject.device.serial})
    return subject.result(tools, IDENTITY, Outcome.OK, "", facts)


def judged_by_hardware(subject: Subject, tools: Tools, identity: Identity, hardware: Sequence[str]) -> CheckResult:
    """Another hardware address than the inventory's is another device. Without one, its address and model are all that is known of it."""
    facts = {**_facts(identity), "hardware": ", ".join(hardware), "rests_on": "hardware" if hardware else "address and model"}
    if rules.has_other_hardware(subject.device, hardware):
        return subject.result(tools, IDENTITY, Outcome.FAIL, SWAPPED, {**facts, "expected_hardware": subject.device.mac})
    return subject.result(tools, IDENTITY, Outcome.OK, "", facts)


def _facts(identity: Identity) -> dict[str, str]:
    return {
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "firmware": identity.firmware,
        "serial": identity.serial,
    }


def told(result: CheckResult) -> bool:
    """Whether a device said who it is, be it the right one or another."""
    return result.check == IDENTITY and (result.outcome is Outcome.OK or result.reason == SWAPPED)


def failed(subject: Subject, tools: Tools, error: DeviceError) -> CheckResult:
    """It did not tell: it refuses our credentials (`bad-credentials`, `locked-out`…), or its answer is none."""
    return subject.result(tools, IDENTITY, Outcome.FAIL, error.code, {"hint": error.hint} if error.hint else {})
