"""Reach: does the device answer? What follows from an error, and whether its port takes connections at all."""

import asyncio

from gateway.domain.health import CheckResult, Outcome
from gateway.domain.policy import REACH
from gateway.drivers.base import Target
from gateway.errors import DeadlineExceeded, DeviceError, Unreachable
from gateway.health.checks.subject import Subject, Tools

SERVICE_SILENT = "service-silent"
SLOW = "slow"
TRUNCATED = "truncated"


def answered(subject: Subject, tools: Tools) -> CheckResult:
    """It answered: what, is for other checks to say."""
    return subject.result(tools, REACH, Outcome.OK, "", {"rtt_ms": subject.took_ms(tools)})


def failed(subject: Subject, tools: Tools, error: DeviceError) -> CheckResult:
    return subject.result(tools, REACH, Outcome.FAIL, error.code)


def is_silence(error: DeviceError) -> bool:
    """Whether `error` means that nothing came back; all others prove that something is alive there."""
    return isinstance(error, Unreachable | DeadlineExceeded) and error.code not in (SLOW, TRUNCATED)


async def silent_service(target: Target, error: DeviceError, *, timeout_s: float) -> bool:
    """Whether the port of a device that kept silent still takes connections: then it hangs, and neither power nor cable is to blame."""
    if not isinstance(error, DeadlineExceeded):
        return False
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(target.address, target.ports.onvif)
    except OSError:  # TimeoutError included
        return False
    writer.close()
    return True
