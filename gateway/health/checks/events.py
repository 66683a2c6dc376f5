"""Events: is the subscription to the device's events alive? For those devices alone that the gateway listens to."""

from collections.abc import Sequence

from gateway.domain.health import CheckResult, Outcome
from gateway.health.alarms import ALARMS
from gateway.health.checks.subject import SlowTools, Subject

EVENTS = "events"
NO_EVENTS = "no-events"


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """A subscription is alive while its pulls are answered, with events or without. Asks nobody.

    Of a device that is not listened to any more, nothing stands that it or its subscription was last known to ail from.
    """
    silent_s = tools.silent_s(subject.device.id)
    if silent_s is None:
        told = (EVENTS, *sorted({f"alarm-{reason}" for _, reason in ALARMS.values()}))
        return [subject.result(tools, check, Outcome.OK) for check in told if tools.complains(subject.device.id, check)]
    facts = {"silent_s": round(silent_s)}
    if silent_s > tools.events_within_s:
        return [subject.result(tools, EVENTS, Outcome.WARN, NO_EVENTS, facts)]
    return [subject.result(tools, EVENTS, Outcome.OK, "", facts)]
