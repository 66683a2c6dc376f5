"""Picture: is what the camera shows worth anything: not black, white, covered, frozen, blurred, or of another place than it should be?

A key picture of its stream is decoded in a process of its own and judged by `domain/pictures.py`. Of a camera that can be moved it is not
judged where it looks.
"""

from collections.abc import Sequence

from gateway.domain.health import CheckResult, Outcome
from gateway.errors import DeviceError
from gateway.health.checks.subject import SlowTools, Subject

PICTURE = "picture"


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """A stream that shows nothing is for the check `media` to complain of; a picture that cannot be decoded is for this one."""
    try:
        sighting = await tools.streams.look(subject.device.id, timeout_s=tools.timeout_s, frames=1)
    except DeviceError as error:
        return [subject.result(tools, PICTURE, Outcome.UNKNOWN, error.code)]
    try:
        picture = await tools.pictures.read(sighting.glance.encoding, sighting.glance.stream)
    except DeviceError as error:
        return [subject.result(tools, PICTURE, Outcome.FAIL, error.code)]
    opinion = await tools.album.judge(subject.device.id, picture, movable=sighting.movable)
    return [subject.result(tools, PICTURE, Outcome.WARN if opinion.reason else Outcome.OK, opinion.reason, opinion.facts)]
