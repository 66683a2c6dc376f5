"""A loudspeaker, asked in the language that it speaks: ONVIF, or SIP when it is a telephone and nothing else."""

from collections.abc import Sequence

from gateway.domain.health import CheckResult
from gateway.health.checks import onvif, sip
from gateway.health.checks.subject import Subject, Tools


async def check(subject: Subject, tools: Tools) -> Sequence[CheckResult]:
    telephone = tools.telephone_of(subject.device.id)
    return await (onvif.check(subject, tools) if telephone is None else sip.check(subject, tools, telephone))
