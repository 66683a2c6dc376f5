"""Clock: how far is the device's clock from ours? A wrong one spoils the times of its footage."""

from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import DeviceClock
from gateway.drivers.onvif.times import whole_zones
from gateway.health.checks.subject import Subject, Tools

CLOCK = "clock"
DRIFT = "clock-drift"
WRONG_ZONE = "wrong-time-zone"
ZONE_LIE = "clock-zone-lie"
IMPOSSIBLE = "impossible-time"


def judged(subject: Subject, tools: Tools, clock: DeviceClock | None) -> CheckResult:
    """By the clock that the device signs and records with: one that it merely tells wrongly by its zone is well, and worth a notice."""
    if clock is None:
        return subject.result(tools, CLOCK, Outcome.WARN, IMPOSSIBLE)
    offset_s, lie_s = clock.offset.total_seconds(), clock.zone_lie.total_seconds()
    facts = {"offset_s": round(offset_s, 3), "source": clock.source, "timezone": clock.timezone}
    if lie_s:
        facts["zone_lie_s"] = lie_s
    if abs(offset_s) <= tools.clock_limit_s:
        return subject.result(tools, CLOCK, Outcome.OK, ZONE_LIE if lie_s else "", facts)
    reason = WRONG_ZONE if whole_zones(offset_s, within_s=tools.clock_limit_s) else DRIFT
    return subject.result(tools, CLOCK, Outcome.WARN, reason, facts)
