"""An ONVIF device in one go: reach, clock and identity from two requests on one connection."""

from collections.abc import Sequence

from gateway.domain.health import CheckResult
from gateway.errors import DeviceError
from gateway.health.checks import clock, identity, reach
from gateway.health.checks.subject import Subject, Tools


async def check(subject: Subject, tools: Tools) -> Sequence[CheckResult]:
    """Whatever the device answers proves that it is alive; a login that it refuses leaves its clock, which needs none, to be read."""
    try:
        told_clock, told_identity = await tools.onvif_of(subject.device.id).check(timeout_s=tools.timeout_s)
    except DeviceError as error:
        return await _without_identity(subject, tools, error)
    tools.recognise(subject.device.id, told_identity)
    return [
        reach.answered(subject, tools),
        clock.judged(subject, tools, told_clock),
        await identity.check(subject, tools, told_identity),
    ]


async def _without_identity(subject: Subject, tools: Tools, error: DeviceError) -> Sequence[CheckResult]:
    if reach.is_silence(error):
        return [await reach.silent(subject, tools, error, port=True)]
    results = [reach.answered(subject, tools), identity.failed(subject, tools, error)]
    if error.code == reach.SLOW:  # it has had its one deadline
        return results
    try:
        told_clock = await tools.onvif_of(subject.device.id).read_clock(timeout_s=tools.timeout_s)
    except DeviceError:
        return results
    return [*results, clock.judged(subject, tools, told_clock)]
