"""Clock: how far is the device's clock from ours? A wrong one spoils the times of its footage."""

from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import DeviceClock
from gateway.health.checks.subject import Subject, Tools

CLOCK = "clock"
DRIFT = "clock-drift"


def judged(subject: Subject, tools: Tools, clock: DeviceClock) -> CheckResult:
    offset_s = clock.offset.total_seconds()
    facts = {"offset_s": round(offset_s, 3), "source": clock.source, "timezone": clock.timezone}
    if abs(offset_s) > tools.clock_limit_s:
        return subject.result(tools, CLOCK, Outcome.WARN, DRIFT, facts)
    return subject.result(tools, CLOCK, Outcome.OK, "", facts)
