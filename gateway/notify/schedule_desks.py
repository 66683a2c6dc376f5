"""Telling desks of schedules that wait for a second person, as of broadcasts that do; a message has all that is to be decided on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, Final

from gateway.domain.alerting import Kind
from gateway.domain.broadcast import ClipContent, Speech
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event
from gateway.domain.schedules import Days, Schedule, ScheduleId, ScheduleState
from gateway.domain.severity import Severity
from gateway.notify.broadcast_desks import ROUTE, WAITS, BroadcastDesk, channels_of
from gateway.notify.letters import Letter, Tongue, written
from gateway.notify.wording import Notice, plain
from gateway.storage.store import Tx

SCHEDULE: Final = "schedule."
KEY: Final = "schedule"
"""Where the content of a message stands in the store."""
_SHOWN: Final = 20  # loudspeakers and cameras that are named
_DAYS: Final = {
    Days.WORKING: ("仅工作日", "working days only"),
    Days.FREE: ("仅休息日", "free days only"),
    Days.HOLIDAYS: ("仅节假日", "holidays only"),
}

PlaceOf = Callable[[str], str]
"""Where and what a device is, in words."""


def waits(event: Event) -> bool:
    """Whether an event says that a schedule waits for a second person."""
    return event.type == "schedule.changed" and event.data.get("state") == ScheduleState.AWAITING_APPROVAL


async def letters(tx: Tx, events: Sequence[Event], desks: Sequence[BroadcastDesk], *, now: datetime, place_of: PlaceOf) -> list[Letter]:
    """What these events of schedules tell whom asks for broadcasts that wait; nothing of what is decided, or too late."""
    channels, found = channels_of(desks, WAITS), []
    for event in filter(waits, events) if channels else ():
        schedule = await tx.schedules.get(ScheduleId(event.subject))
        if schedule.state is not ScheduleState.AWAITING_APPROVAL or (not schedule.rule and schedule.start + schedule.within <= now):
            continue
        content = schedule.programme.content
        clip = content.clip if isinstance(content, ClipContent) else None
        names = await tx.clips.names([clip]) if clip else {}
        made = content_of(schedule, event, place_of=place_of, clip=names.get(clip, clip) if clip else "")
        found.append(_letter(event, made, channels))
    return found


def _letter(event: Event, content: Mapping[str, Any], channels: Sequence[str]) -> Letter:
    return Letter(
        id=f"S-{event.cursor}",
        key=KEY,
        route=ROUTE,
        kind=Kind.PROBLEM,
        severity=Severity.MAJOR,
        about=(event.subject,),
        content=content,
        channels=channels,
        at=event.at,
    )


def content_of(schedule: Schedule, event: Event, *, place_of: PlaceOf, clip: str) -> dict[str, Any]:
    """What the message is made of, and what programs get; plain JSON. `clip`: what the sound is called that is to be heard, or ""."""
    said, speakers = schedule.programme.content, [str(speaker) for speaker in event.data.get("speakers", ())]
    return {
        "step": WAITS,
        "at": event.at.isoformat(),
        "severity": Severity.MAJOR.value,
        "schedule": schedule.id,
        "name": schedule.name,
        "name_en": schedule.name_en,
        "sender": schedule.sender,
        "reason": schedule.reason,
        "words": said.text if isinstance(said, Speech) else "",
        "clip": clip,
        "start": schedule.start.isoformat(),
        "rrule": schedule.rule,
        "timezone": schedule.timezone,
        "days": schedule.days.value,
        "speakers": speakers,
        "places": [{"speaker": speaker, "place": place_of(speaker)} for speaker in speakers[:_SHOWN]],
        "cameras": [{"camera": view.camera, "place": place_of(DeviceId(view.camera))} for view in schedule.targets.views[:_SHOWN]],
    }


def notice(content: Mapping[str, Any], message: str, language: str, zone: tzinfo) -> Notice:
    """The message `message` of what `content_of` made."""
    return written(
        message,
        {"kind": "schedule", **content},
        kind=Kind.PROBLEM,
        severity=content["severity"],
        language=language,
        zone=zone,
        title=partial(_title, content),
        lines=partial(_lines, content),
    )


def _named(content: Mapping[str, Any], tongue: Tongue) -> str:
    return plain(tongue.either(content["name"], content["name_en"] or content["name"]))


def _title(content: Mapping[str, Any], tongue: Tongue) -> str:
    severity, name = tongue.severity(content["severity"]), _named(content, tongue)
    return tongue.either(f"【定时播报·{severity}】待第二人批准:{name}", f"[Schedule, {severity}] {name}: waits for a second person")


def _lines(content: Mapping[str, Any], tongue: Tongue) -> Iterator[str]:
    line = tongue.line
    yield line("时间", "At", tongue.moment(content["at"]))
    yield line("首次", "First", tongue.moment(content["start"]))
    if content["rrule"]:
        days = [tongue.either(*_DAYS[Days(content["days"])])] if Days(content["days"]) in _DAYS else []
        yield line("重复", "Again", tongue.either("，", ", ").join([content["rrule"], content["timezone"], *days]))
    for zh, en, key in (("制定人", "Made by", "sender"), ("事由", "Why", "reason"), ("文字", "Text", "words"), ("音频", "Clip", "clip")):
        if content[key]:
            yield line(zh, en, content[key])
    for place in content["places"]:
        yield line("音柱", "Loudspeaker", place["place"])
    if len(content["speakers"]) > len(content["places"]):
        yield line("音柱总数", "Loudspeakers in all", str(len(content["speakers"])))
    for place in content["cameras"]:
        yield line("画面所及音柱", "Loudspeakers heard where this camera looks", place["place"])
    yield line("计划", "Schedule", content["schedule"])
    yield line(
        "下一步",
        "Next",
        tongue.either(
            "由制定人以外的人批准或撤销(控制台定时播报页，或 gatewayctl schedules approve / withdraw)；批准之前不播",
            "somebody else than who made it approves or withdraws it (console, gatewayctl schedules approve / withdraw); silent until then",
        ),
    )
