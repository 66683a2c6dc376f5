"""Coverage: how much of yesterday a recorder has of each camera, once a day: what recording completeness (录像完整率) is reckoned from.

A day is one of the site's calendar (`timezone` of the configuration). What is found is a row in `recording_days` (expected and recorded
seconds of a camera's day, `tx.availability.put_recorded`) and, of the last day, `facts["coverage"]` of the recorder on the board:
`{"day": "2026-01-01", "percent": 99.3, "cameras": {camera: percent}}`. It never complains: gaps are for the report.
A recorder that could not be asked is asked again at its next turn, and for earlier days at those that follow, until three days have
passed.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from gateway.domain.devices import Channel, DeviceId
from gateway.domain.footage import Period, clipped, total
from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import Span
from gateway.errors import DeviceError, Overloaded
from gateway.health.checks.subject import RecorderSearch, SlowTools, Subject

COVERAGE = "coverage"
_DAYS_BACK = 3


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """One day a turn, which is dear: the latest of which something is not known yet. All channels share one deadline."""
    channels = [channel for channel in subject.device.channels if channel.recording_token]
    for day in _days(tools):
        lacking = await tools.diary.lacking([channel.camera for channel in channels], day)
        if lacking:
            return await _ask(subject, tools, day, [channel for channel in channels if channel.camera in lacking])
    return []


async def _ask(subject: Subject, tools: SlowTools, day: date, channels: Sequence[Channel]) -> Sequence[CheckResult]:
    recorder, deadline = tools.recorder_of(subject.device.id), tools.clock.monotonic() + tools.timeout_s
    found: dict[DeviceId, int] = {}
    for channel in channels:
        seconds = await _recorded_s(recorder, channel, day, tools, deadline)
        if seconds is not None:
            found[channel.camera] = seconds
    if not found:
        return []
    expected_s = round(_period(day, tools).length.total_seconds())
    await tools.diary.enter(subject.device.id, day, found, expected_s=expected_s)
    return [_told(subject, tools, day, found, expected_s)] if day == _days(tools)[0] else []


def _days(tools: SlowTools) -> Sequence[date]:
    today = tools.clock.now().astimezone(tools.zone).date()
    return [today - timedelta(days=back) for back in range(1, _DAYS_BACK + 1)]


def _period(day: date, tools: SlowTools) -> Period:
    """From midnight to midnight of the site's calendar."""
    midnights = (datetime(one.year, one.month, one.day, tzinfo=tools.zone) for one in (day, day + timedelta(days=1)))
    start, end = (at.astimezone(tools.clock.now().tzinfo) for at in midnights)
    return Period(start, end)


async def _recorded_s(recorder: RecorderSearch, channel: Channel, day: date, tools: SlowTools, deadline: float) -> int | None:
    """Seconds of the day that are recorded; None when the recorder does not say."""
    left_s = deadline - tools.clock.monotonic()
    if left_s <= 0:
        return None
    ahead = recorder.now() - tools.clock.now()
    window = _period(day, tools).shifted(ahead)
    try:
        spans = await recorder.coverage(channel.recording_token, Span(window.start, window.end), timeout_s=left_s)
    except (DeviceError, Overloaded):
        return None
    return round(total(clipped((Period(span.start, span.end) for span in spans), window)).total_seconds())


def _told(subject: Subject, tools: SlowTools, day: date, found: dict[DeviceId, int], expected_s: int) -> CheckResult:
    shares = {camera: round(100 * seconds / expected_s, 2) for camera, seconds in found.items()}
    facts = {"day": day.isoformat(), "percent": round(sum(shares.values()) / len(shares), 2), "cameras": shares}
    return subject.result(tools, COVERAGE, Outcome.OK, "", facts)
