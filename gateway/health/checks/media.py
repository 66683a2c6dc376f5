"""Media: does the camera's stream show a picture soon, and is it the one that the camera says it streams?"""

from collections.abc import Sequence
from typing import Any

from gateway.domain.health import CheckResult, Outcome
from gateway.errors import AuthenticationFailed, DeviceError, NotSupported
from gateway.health.checks.subject import SlowTools, Subject
from gateway.health.streams import Sighting

MEDIA = "media"
LATE = "picture-late"
OTHER_SIZE = "resolution-differs"
OTHER_RATE = "frame-rate-differs"
_FRAMES = 8
_CANNOT = frozenset({"not-supported", "no-codec"})
_RATE_AT_LEAST = 0.45  # of the configured rate: cameras halve it at night on purpose


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """DESCRIBE, SETUP and PLAY up to the first key picture, its size by its own parameter sets, and the rate by the frames' times.

    What is configured is what the camera's media profile says; where that has changed since it was read, it is read anew.
    """
    device, until = subject.device.id, tools.clock.monotonic() + tools.timeout_s
    try:
        sighting = await tools.streams.look(device, timeout_s=tools.timeout_s, frames=_FRAMES)
        left_s = until - tools.clock.monotonic()
        if not _as_told(sighting) and left_s > tools.timeout_s / 2:
            tools.streams.forget(device)
            sighting = await tools.streams.look(device, timeout_s=left_s, frames=_FRAMES)
    except NotSupported as absence:  # it has no such service, or a codec of its own
        return [subject.result(tools, MEDIA, Outcome.UNKNOWN if absence.code in _CANNOT else Outcome.FAIL, absence.code)]
    except AuthenticationFailed as error:
        return [subject.result(tools, MEDIA, Outcome.FAIL, error.code, {"hint": error.hint} if error.hint else {})]
    except DeviceError as error:
        return [subject.result(tools, MEDIA, Outcome.FAIL, error.code)]
    return [judged(subject, tools, sighting)]


def judged(subject: Subject, tools: SlowTools, sighting: Sighting) -> CheckResult:
    """A late picture is worse than one of another size, and that is worse than one of another rate."""
    facts = _facts(sighting)
    if sighting.after_s > tools.picture_within_s:
        return subject.result(tools, MEDIA, Outcome.WARN, LATE, facts)
    if not _size_as_told(sighting):
        return subject.result(tools, MEDIA, Outcome.WARN, OTHER_SIZE, facts)
    if not _rate_as_told(sighting):
        return subject.result(tools, MEDIA, Outcome.WARN, OTHER_RATE, facts)
    return subject.result(tools, MEDIA, Outcome.OK, "", facts)


def _as_told(sighting: Sighting) -> bool:
    return _size_as_told(sighting) and _rate_as_told(sighting)


def _size_as_told(sighting: Sighting) -> bool:
    """Sizes that nobody told are not compared."""
    seen, told = sighting.glance, sighting.profile
    return not (seen.width and told.width) or (seen.width, seen.height) == (told.width, told.height)


def _rate_as_told(sighting: Sighting) -> bool:
    seen, told = sighting.glance.frame_rate, sighting.profile.frame_rate
    return not (seen and told) or seen >= _RATE_AT_LEAST * told


def _facts(sighting: Sighting) -> dict[str, Any]:
    seen, told = sighting.glance, sighting.profile
    facts: dict[str, Any] = {"first_picture_s": round(sighting.after_s, 3), "encoding": seen.encoding}
    if seen.width:
        facts["resolution"] = f"{seen.width}x{seen.height}"
    if seen.frame_rate:
        facts["frame_rate"] = round(seen.frame_rate, 1)
    if told.width:
        facts["configured"] = f"{told.width}x{told.height}"
    if told.frame_rate:
        facts["configured_rate"] = told.frame_rate
    return facts
