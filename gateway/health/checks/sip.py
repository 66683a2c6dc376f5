"""A loudspeaker that is a telephone: reach and identity from one OPTIONS (RFC 3261, 11)."""

from collections.abc import Sequence

from gateway.domain import identity as rules
from gateway.domain.health import CheckResult, Outcome
from gateway.errors import DeviceError
from gateway.health.checks import identity, reach
from gateway.health.checks.subject import Subject, TelephoneChecks, Tools


async def check(subject: Subject, tools: Tools, telephone: TelephoneChecks) -> Sequence[CheckResult]:
    """Any answer proves that it is alive. Who it is, it tells in words of its own: identity rests on a hardware address in them where there
    is one, else on its address alone, and the facts say on which."""
    try:
        told = await telephone.ask(timeout_s=tools.timeout_s)
    except DeviceError as error:
        if reach.is_silence(error):
            return [await reach.silent(subject, tools, error, port=False)]
        return [reach.answered(subject, tools), identity.failed(subject, tools, error)]
    answered = reach.answered(subject, tools)
    if told.refused is not None:
        return [answered, identity.failed(subject, tools, told.refused)]
    hardware = told.hardware.addresses
    facts = {
        "manufacturer": told.identity.manufacturer,
        "model": told.identity.model,
        "firmware": told.identity.firmware,
        "hardware": ", ".join(hardware),
        "rests_on": "hardware" if hardware and rules.known_hardware(subject.device) else "address",
    }
    if rules.has_other_hardware(subject.device, hardware):
        expected = {"expected_hardware": rules.known_hardware(subject.device)}
        found = subject.result(tools, identity.IDENTITY, Outcome.FAIL, identity.SWAPPED, {**facts, **expected})
    else:
        found = subject.result(tools, identity.IDENTITY, Outcome.OK, "", facts)
    return [answered, subject.introduced(found, hardware_asked_at=told.hardware.asked_at)]
