"""Telling desks of broadcasts: what may still sound, what the gateway cannot put right by itself, and what waits for a second person.

A message is complete without a link: which loudspeakers in which streets, since when, and what to do. Only where a person is to decide on
it does it say what is to be spoken.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice
from typing import Any, Final

from gateway.domain.alerting import Kind
from gateway.domain.broadcast import BroadcastId, ClipId, DeliveryState, OwedStop, Priority
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event
from gateway.domain.reasons import phrase
from gateway.domain.severity import Severity
from gateway.notify.letters import Letter, Tongue, of_step
from gateway.notify.wording import Notice, plain
from gateway.storage.store import Tx

BROADCAST: Final = "broadcast."
ROUTE: Final = "broadcasts"
"""What stands for a route in the delivery log."""
KEY: Final = "broadcast"
"""Where the content of a message stands in the store."""
_SHOWN: Final = 20  # loudspeakers that are named
_LISTED: Final = 6  # broadcasts, reasons

SOUNDS, SILENT, DIED, WAITS = "may-still-sound", "fell-silent", "pacer-died", "awaiting-approval"
PlaceOf = Callable[[str], str]
"""Where and what a loudspeaker is, in words."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What a step is called, what a message about it is for, how bad it is, and what is to be done next."""

    kind: Kind
    severity: Severity
    zh: str
    en: str
    next_zh: str = ""
    next_en: str = ""


STEPS: Final[Mapping[str, Telling]] = {
    SOUNDS: Telling(
        *(Kind.PROBLEM, Severity.CRITICAL, "停播后可能仍在发声", "may still sound though it was stopped"),
        "网关会一直重试，静音后另行通知；急需静音时到现场断电",
        "the gateway goes on asking, and tells when it is silent; where that cannot wait, cut its power on the spot",
    ),
    SILENT: Telling(Kind.RECOVERY, Severity.WARNING, "已确认静音", "is silent now"),
    "volume-not-restored": Telling(
        *(Kind.PROBLEM, Severity.MINOR, "音量未能恢复，已重试一天", "stays quieter than it was, after a day of tries"),
        "在设备上手动调回；该音柱下次广播后及网关重启时会再试",
        "set it by hand at the device; after the next broadcast there and at the next start it is tried once more",
    ),
    DIED: Telling(
        *(Kind.PROBLEM, Severity.MAJOR, "发声进程中断，已自动重启", "the process that sends the sound ended, and was started again"),
        "查看以 pacer-died 结束的广播，仍有必要的重新发出；原因见日志 broadcast.pacer_died",
        "look at the broadcasts that ended as pacer-died, repeat what still matters; the log says more at broadcast.pacer_died",
    ),
    "recording-failed": Telling(
        *(Kind.PROBLEM, Severity.MAJOR, "喊话录音未存", "the recording of a talk is lost"),
        "检查数据目录所在磁盘；该次喊话没有录音，需另行记录",
        "look after the disk of the data folder; write down by hand what was said, where that is needed",
    ),
    WAITS: Telling(
        *(Kind.PROBLEM, Severity.MAJOR, "待第二人批准", "waits for a second person"),
        "由下达人以外的人在期限前批准或拒绝(控制台广播页，或 gatewayctl approve / decline)；过期不播",
        "somebody else than who ordered it approves or declines it in time (console, gatewayctl approve / decline), else it expires",
    ),
}
"""What is told. A step that is missing is told to nobody."""


@dataclass(frozen=True, slots=True)
class BroadcastDesk:
    """Who is reached by `channels` hears of these `steps` (none: of all)."""

    channels: tuple[str, ...]
    steps: frozenset[str] = frozenset()

    def takes(self, step: str) -> bool:
        return step in STEPS and (not self.steps or step in self.steps)


def step_of(event: str, data: Mapping[str, Any]) -> str:
    """Which step an event of this type tells of; "" for none that is told."""
    if event == "broadcast.accepted":
        return WAITS if data.get("needs_approval") else ""
    step = event.removeprefix(BROADCAST)
    return step if step in STEPS else ""


def shares(event: Event) -> bool:
    """Whether an event is told in one message with others of its step."""
    return step_of(event.type, event.data) not in {"", WAITS}


def channels_of(desks: Sequence[BroadcastDesk], step: str) -> Sequence[str]:
    """The channels by which `step` is told; each once."""
    return list(dict.fromkeys(channel for desk in desks if desk.takes(step) for channel in desk.channels))


def gathered(events: Sequence[Event]) -> list[tuple[str, Sequence[Event]]]:
    """What came at the same time, as it is told: by step, and by itself what is to be decided on.

    Of a loudspeaker that has fallen silent meanwhile only that is told; of one that is told of twice, what came first.
    """
    alike: dict[str, dict[tuple[str, ...], Event]] = {}
    for event in events:
        step = step_of(event.type, event.data)
        about = (event.subject, str(event.data.get("speaker", "")))
        if step == SILENT:
            alike.get(SOUNDS, {}).pop(about, None)
        if step == WAITS:
            alike[f"{step} {event.cursor}"] = {about: event}
        elif step:
            key = (str(event.cursor),) if step == DIED else about
            alike.setdefault(step, {}).setdefault(key, event)
    return [(name.partition(" ")[0], list(found.values())) for name, found in alike.items() if found]


async def letters(tx: Tx, events: Sequence[Event], desks: Sequence[BroadcastDesk], *, now: datetime, place_of: PlaceOf) -> list[Letter]:
    """What these events of broadcasts tell, for whom each concerns."""
    found = []
    for step, alike in gathered(events):
        channels = channels_of(desks, step)
        content = await _content(tx, step, alike, now=now, place_of=place_of) if channels else None
        if content is not None:
            found.append(_letter(step, alike, content, channels))
    return found


def _letter(step: str, events: Sequence[Event], content: Mapping[str, Any], channels: Sequence[str]) -> Letter:
    first = events[0]
    harmless = step == DIED and not content["deliveries"]
    return Letter(
        id=f"B-{DIED}-{first.at:%Y%m%d%H}" if harmless else f"B-{first.cursor}",  # deaths that broke nothing off are told once an hour
        key=KEY,
        route=ROUTE,
        kind=STEPS[step].kind,
        severity=Severity(content["severity"]),
        about=tuple(content["broadcasts"] or content["speakers"] or ("pacer",)),
        content=content,
        channels=channels,
        at=first.at,
    )


async def _content(tx: Tx, step: str, events: Sequence[Event], *, now: datetime, place_of: PlaceOf) -> dict[str, Any] | None:
    """What a message about `events` is made of; None where what they ask for is done, or too late."""
    if step == WAITS:
        return await _asked(tx, events[0], now=now, place_of=place_of)
    if step != SOUNDS:
        return content_of(step, events, place_of=place_of)
    owed = {(one.broadcast, one.speaker): one for one in await tx.owed_stops.all()}
    sounding = [event for event in events if _what(event) in owed]
    return content_of(step, sounding, place_of=place_of, owed=owed) if sounding else None


def _what(event: Event) -> tuple[BroadcastId, DeviceId]:
    return BroadcastId(event.subject), DeviceId(str(event.data["speaker"]))


async def _asked(tx: Tx, event: Event, *, now: datetime, place_of: PlaceOf) -> dict[str, Any] | None:
    deliveries = await tx.broadcasts.deliveries(BroadcastId(event.subject))
    waiting = [one.speaker for one in deliveries if one.state is DeliveryState.AWAITING_APPROVAL]
    if not waiting or datetime.fromisoformat(event.data["not_after"]) <= now:
        return None
    clip = event.data.get("clip", "")
    names = await tx.clips.names([ClipId(clip)]) if clip else {}
    return content_of(WAITS, [event], place_of=place_of, speakers=waiting, clip=names.get(ClipId(clip), clip))


def content_of(
    step: str,
    events: Sequence[Event],
    *,
    place_of: PlaceOf,
    owed: Mapping[tuple[BroadcastId, DeviceId], OwedStop] | None = None,
    speakers: Sequence[str] = (),
    clip: str = "",
) -> dict[str, Any]:
    """What a message about `step` is made of, and what programs get; plain JSON. `owed`: the stops that are still owed; `speakers`: those
    that wait for a second person, as all else does that is told of by itself; `clip`: what the sound is called that is to be heard."""
    told: dict[str, list[Event]] = {}
    for event in events:
        if "speaker" in event.data:
            told.setdefault(str(event.data["speaker"]), []).append(event)
    places = [_place(of_it, speaker, place_of(speaker), owed or {}) for speaker, of_it in islice(told.items(), _SHOWN)]
    places += [{"speaker": speaker, "place": place_of(speaker)} for speaker in speakers[:_SHOWN]]
    data = events[0].data
    return {
        "step": step,
        "at": events[0].at.isoformat(),
        "severity": _severity_of(step, data).value,
        "broadcasts": list(dict.fromkeys(event.subject for event in events if event.subject)),
        "speakers": list(told) or list(speakers),
        "places": places,
        "reasons": list(dict.fromkeys(str(event.data["reason"]) for event in events if step != WAITS and event.data.get("reason"))),
        "deliveries": sum(event.data.get("deliveries", 0) for event in events),
        "order": _order(data, clip) if step == WAITS else None,
    }


def _severity_of(step: str, data: Mapping[str, Any]) -> Severity:
    urgent = step == WAITS and data.get("priority") == Priority.EMERGENCY.name.lower()
    return Severity.CRITICAL if urgent else STEPS[step].severity


def _place(events: Sequence[Event], speaker: str, place: str, owed: Mapping[tuple[BroadcastId, DeviceId], OwedStop]) -> dict[str, Any]:
    """What is known of one loudspeaker; of several broadcasts there, from the first one's beginning to the last one's end."""
    found: dict[str, Any] = {"speaker": speaker, "place": place}
    if stops := [owed[_what(event)] for event in events if _what(event) in owed]:
        found |= {"since": min(stop.since for stop in stops).isoformat(), "until": max(stop.until for stop in stops).isoformat()}
    if was := next((event.data["was"] for event in events if event.data.get("was")), None):
        found["was"] = dict(was)
    return found


def _order(data: Mapping[str, Any], clip: str) -> dict[str, Any]:
    """What somebody is to decide on."""
    return {
        "sender": data.get("sender", ""),
        "case": data.get("case", ""),
        "reason": data.get("reason", ""),
        "priority": data.get("priority", ""),
        "words": data.get("text", ""),
        "clip": clip,
        "reach": data.get("reach", 0),
        "not_after": data["not_after"],
    }


def notice(content: Mapping[str, Any], message: str, language: str, zone: tzinfo) -> Notice:
    """The message `message` of what `content_of` made."""
    kind = STEPS[content["step"]].kind
    return of_step(content, message, language, zone, noun="broadcast", kind=kind, title=_title, lines=_lines)


def _title(content: Mapping[str, Any], tongue: Tongue) -> str:
    telling, severity = STEPS[content["step"]], tongue.severity(content["severity"])
    count, places = len(content["speakers"]), content["places"]
    more = tongue.either(f" 等 {count} 个音柱", f" and others, {count} in all") if count > 1 else ""
    where = plain(places[0]["place"]) + more if places else ""
    if tongue.chinese:
        return f"【广播·{severity}】{telling.zh}{where and f':{where}'}"
    return f"[Broadcast, {severity}] {where and f'{where}: '}{telling.en}"


def _lines(content: Mapping[str, Any], tongue: Tongue) -> Iterator[str]:
    telling, line = STEPS[content["step"]], tongue.line
    yield line("时间", "At", tongue.moment(content["at"]))
    if content["order"]:
        yield from _ordered(content["order"], tongue)
    for place in content["places"]:
        yield line("音柱", "Loudspeaker", tongue.either("，", ", ").join([place["place"], *_more_of(place, tongue)]))
    if len(content["speakers"]) > len(content["places"]):
        yield line("音柱总数", "Loudspeakers in all", str(len(content["speakers"])))
    for reason in content["reasons"][:_LISTED]:
        yield line("原因", "Reason", f"{tongue.either(phrase(reason).zh, phrase(reason).en)} ({reason})")
    if content["step"] == DIED:
        yield line("中断的播出", "Deliveries that ended", str(content["deliveries"]))
    if broadcasts := content["broadcasts"]:
        rest = tongue.either(" 等", " and others") if len(broadcasts) > _LISTED else ""
        yield line("广播", "Broadcast", tongue.listed(broadcasts[:_LISTED]) + rest)
    if telling.next_zh:
        yield line("下一步", "Next", tongue.either(telling.next_zh, telling.next_en))


def _ordered(order: Mapping[str, Any], tongue: Tongue) -> Iterator[str]:
    line = tongue.line
    yield line("期限", "Until", tongue.moment(order["not_after"]))
    for zh, en, key in (("下达人", "Ordered by", "sender"), ("案件", "Case", "case"), ("事由", "Why", "reason"), ("文字", "Text", "words")):
        if order[key]:
            yield line(zh, en, order[key])
    if order["clip"]:
        yield line("音频", "Clip", order["clip"])
    if not (order["words"] or order["clip"]):
        yield line("内容", "What", tongue.either("现场喊话", "somebody speaks live"))


def _more_of(place: Mapping[str, Any], tongue: Tongue) -> Iterator[str]:
    """What is known of one loudspeaker beside where it is."""
    if "since" in place:
        since, until = (tongue.moment(place[name], "%H:%M:%S") for name in ("since", "until"))
        yield tongue.either(f"{since} 起播放", f"told to play at {since}")
        yield tongue.either(f"最迟 {until} 自行结束", f"ends by itself at {until} at the latest")
    if "was" in place:
        yield tongue.either("原音量 ", "was at ") + tongue.listed([f"{percent:g}%" for percent in place["was"].values()])
