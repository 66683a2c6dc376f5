"""Identity: do our credentials open it, and is it the device that the inventory means?"""

from gateway.domain import identity as rules
from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import Hardware, Identity
from gateway.errors import DeviceError
from gateway.health.checks.subject import Subject, Tools

IDENTITY = "identity"
SWAPPED = "wrong-device"
HARDWARE_FRESH_S = 600.0
"""Hardware addresses are asked seldom: an answer may be that old, and the result says how old (`Introduction`)."""


async def check(subject: Subject, tools: Tools, identity: Identity) -> CheckResult:
    """It told us who it is. Where its serial number tells nothing, its hardware is asked for if the inventory can tell it by that."""
    device, quirks = subject.device, tools.target_of(subject.device.id).quirks
    if rules.serial_tells(device, quirks, manufacturer=identity.manufacturer, model=identity.model):
        return subject.introduced(judged(subject, tools, identity))
    told = await _hardware(subject, tools) if device.mac else None
    return subject.introduced(judged_by_hardware(subject, tools, identity, told), hardware_asked_at=told.asked_at if told else None)


async def _hardware(subject: Subject, tools: Tools) -> Hardware | None:
    """What the device tells of its hardware; None where it does not."""
    try:
        return await tools.onvif_of(subject.device.id).hardware(fresh_s=HARDWARE_FRESH_S, timeout_s=tools.timeout_s)
    except DeviceError:
        return None


def judged(subject: Subject, tools: Tools, identity: Identity) -> CheckResult:
    """Another serial number than the inventory's, where that has one, is another device."""
    facts = _facts(identity)
    if rules.has_other_serial(subject.device, identity.serial):
        return subject.result(tools, IDENTITY, Outcome.FAIL, SWAPPED, {**facts, "expected_serial": subject.device.serial})
    return subject.result(tools, IDENTITY, Outcome.OK, "", facts)


def judged_by_hardware(subject: Subject, tools: Tools, identity: Identity, told: Hardware | None) -> CheckResult:
    """Another hardware address than the inventory's is another device. Without one, its address and model are all that is known of it."""
    hardware = told.addresses if told else ()
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


def failed(subject: Subject, tools: Tools, error: DeviceError) -> CheckResult:
    """It did not tell: it refuses our credentials (`bad-credentials`, `locked-out`…), or its answer is none."""
    return subject.result(tools, IDENTITY, Outcome.FAIL, error.code, {"hint": error.hint} if error.hint else {})
