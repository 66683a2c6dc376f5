"""Reach: does the device answer? What follows from an error, and whether its port takes connections at all."""

import asyncio

from gateway.domain.health import CheckResult, Outcome
from gateway.domain.policy import REACH
from gateway.drivers.base import Target
from gateway.errors import DeadlineExceeded, DeviceError, Unreachable
from gateway.health.checks.subject import Subject, Tools

SERVICE_SILENT = "service-silent"
HOST_ALIVE = "host-alive"
SLOW = "slow"
TRUNCATED = "truncated"
_NO_WAY = frozenset({"no-route", "unreachable"})
_LOOK_AGAIN_S = 1.0


def answered(subject: Subject, tools: Tools) -> CheckResult:
    """It answered: what, is for other checks to say."""
    return subject.result(tools, REACH, Outcome.OK, "", {"rtt_ms": subject.took_ms(tools)})


def failed(subject: Subject, tools: Tools, error: DeviceError) -> CheckResult:
    return subject.result(tools, REACH, Outcome.FAIL, error.code)


def is_silence(error: DeviceError) -> bool:
    """Whether `error` means that nothing came back; all others prove that something is alive there."""
    return isinstance(error, Unreachable | DeadlineExceeded) and error.code not in (SLOW, TRUNCATED)


async def silent(subject: Subject, tools: Tools, error: DeviceError, *, port: bool) -> CheckResult:
    """It kept silent, and stays so: but is its host there? Then power and cable are good, and it is its service that hangs or is shut.

    Asked at the same time whether its port takes connections (if `port`) and whether it answers an echo, where we may send one. A host
    that refuses (`refused`, `reset`) has told that it is there.
    """
    target = tools.target_of(subject.device.id)
    if not isinstance(error, DeadlineExceeded) and error.code not in _NO_WAY:
        return failed(subject, tools, error)
    takes, alive = await asyncio.gather(_takes_connections(target, error, port=port), tools.echo(target.address, _LOOK_AGAIN_S))
    facts = {"found": error.code} if takes or alive else {}
    reason = SERVICE_SILENT if takes else HOST_ALIVE if alive else error.code
    return subject.result(tools, REACH, Outcome.FAIL, reason, facts)


async def _takes_connections(target: Target, error: DeviceError, *, port: bool) -> bool:
    if not port or not isinstance(error, DeadlineExceeded):
        return False
    try:
        async with asyncio.timeout(_LOOK_AGAIN_S):
            _, writer = await asyncio.open_connection(target.address, target.ports.onvif)
    except OSError:  # TimeoutError included
        return False
    writer.close()
    return True
