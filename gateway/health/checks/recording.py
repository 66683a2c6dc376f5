"""Recording: does a recorder still record every camera up to now, and does it keep what it recorded for as long as it must?

One search a recorder tells the first and the last moment of each of its recordings. Those of a camera that is down itself are not judged.
A recorder that keeps too little is told from one that is still filling its disk by this: its first moment moves on.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.domain.devices import Channel
from gateway.domain.health import CheckResult, HealthState, Outcome
from gateway.drivers.base import Recording
from gateway.errors import DeviceError, NotSupported
from gateway.health.checks.subject import SlowTools, Subject

RECORDING = "recording"
STOPPED = "recording-stopped"
MISSING = "recording-missing"
SHORT = "retention-short"
_DAY_S = 86_400.0
_A_FILE = timedelta(days=1)
"""Recorders drop whole files or days at a time: so much less than what must be kept is no lack."""
_NAMED = 20


async def check(subject: Subject, tools: SlowTools) -> Sequence[CheckResult]:
    """Nothing for a recorder whose channels the inventory does not know. Facts by channel number."""
    channels = [channel for channel in subject.device.channels if channel.recording_token]
    if not channels:
        return []
    recorder = tools.recorder_of(subject.device.id)
    try:
        found = {one.token: one for one in await recorder.recordings(timeout_s=tools.timeout_s)}
    except NotSupported as absence:
        return [subject.result(tools, RECORDING, Outcome.UNKNOWN, absence.code)]
    except DeviceError as error:
        return [subject.result(tools, RECORDING, Outcome.FAIL, error.code)]
    now, before = recorder.now(), tools.board[subject.device.id].facts.get(RECORDING, {}).get("channels", {})
    told = {str(channel.number): _channel(channel, found.get(channel.recording_token), now, before) for channel in channels}
    return [judged(subject, tools, told, lists=bool(found) and not _hides(subject, tools))]


def judged(subject: Subject, tools: SlowTools, channels: Mapping[str, Mapping[str, Any]], *, lists: bool) -> CheckResult:
    """What stands still is worse than what is not listed, and that is worse than what is not kept for long enough."""
    alive = {number: one for number, one in channels.items() if tools.board[one["camera"]].state is not HealthState.DOWN}
    limit_s, least = tools.recording_lag_s, tools.retention_days - _A_FILE / timedelta(days=1)
    ills = (
        (Outcome.FAIL, STOPPED, [one for one in alive.values() if one.get("lag_s", 0.0) > limit_s]),
        (Outcome.WARN, MISSING, [one for one in alive.values() if lists and not one["listed"]]),
        (Outcome.WARN, SHORT, [one for one in channels.values() if one.get("moves_on") and one["days"] < least]),
    )
    facts: dict[str, Any] = {"channels": channels}
    for outcome, reason, ill in ills:
        if ill:
            return subject.result(tools, RECORDING, outcome, reason, {"cameras": [one["camera"] for one in ill[:_NAMED]], **facts})
    return subject.result(tools, RECORDING, Outcome.OK, "", facts)


def _channel(channel: Channel, found: Recording | None, now: datetime, before: Mapping[str, Any]) -> dict[str, Any]:
    """`lag_s`: how far its last moment is behind; `days`: how long it reaches back; `moves_on`: its first moment was seen to move on."""
    facts: dict[str, Any] = {"camera": channel.camera, "listed": found is not None}
    if found is not None and found.latest is not None:
        facts["lag_s"] = round(max(0.0, (now - found.latest).total_seconds()), 1)
    if found is not None and found.earliest is not None:
        known = before.get(str(channel.number), {})
        facts["days"] = round((now - found.earliest).total_seconds() / _DAY_S, 2)
        facts["earliest"] = found.earliest.isoformat(timespec="seconds")
        moved = known.get("earliest", facts["earliest"]) < facts["earliest"]
        facts["moves_on"] = moved or bool(known.get("moves_on"))
    return facts


def _hides(subject: Subject, tools: SlowTools) -> bool:
    """Whether its list is known to leave out what was not made through ONVIF (quirk Q23)."""
    return "hides-recordings" in tools.target_of(subject.device.id).quirks
