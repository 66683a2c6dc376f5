"""Telling desks of footage requests: whoever approves hears of each that waits, whoever asks hears what came of theirs.

A message is complete without a link: which case of which unit, where and when, what it waits for, until when. It names no officer, no
badge and no purpose; those stand in the register.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, Final

from gateway.domain.alerting import Kind
from gateway.domain.events import Event
from gateway.domain.footage import FootageRequest, FootageState, RequestId, Urgency
from gateway.domain.severity import Severity
from gateway.notify.letters import Letter, Tongue, of_step
from gateway.notify.wording import Notice, plain
from gateway.storage.store import Tx

FOOTAGE: Final = "footage."
ROUTE: Final = "footage"
"""What stands for a route in the delivery log."""
KEY: Final = "footage"
"""Where the content of a message stands in the store."""
UNCLAIMED: Final = frozenset({FootageState.READY, FootageState.PARTIAL})
"""States in which footage waits to be fetched."""
_SHOWN: Final = 6  # cameras that are named


class Desk(StrEnum):
    """Whose desk hears of a request."""

    APPROVERS = "approvers"
    REQUESTERS = "requesters"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Telling:
    """What a step of a request is called, what a message about it is for, and what is to be done next."""

    desk: Desk
    kind: Kind
    zh: str
    en: str
    next_zh: str = ""
    next_en: str = ""


_ASK, _TELL, _OVER = Kind.PROBLEM, Kind.UPDATE, Kind.RECOVERY
_FETCH: Final = ("下载并移交；期限过后须重新申请", "download it and hand it over; after that it has to be filed anew")
STEPS: Final[Mapping[str, Telling]] = {
    "submit": Telling(
        *(Desk.APPROVERS, _ASK, "待审批", "awaits a decision"),
        *("由第二人批准或驳回", "a second person approves or refuses it"),
    ),
    "unheld": Telling(
        *(Desk.APPROVERS, _ASK, "待审批，录像可能被覆盖且未能锁定", "awaits a decision, and its footage may be overwritten unheld"),
        *("尽快审批；磁盘空间不足时先腾出空间", "decide on it soon; where the disk is full, make room"),
    ),
    "go-ahead": Telling(
        *(Desk.APPROVERS, _ASK, "未经审批，紧急先行调取", "goes ahead in an emergency, unapproved"),
        *("由第二人确认或撤销；手续须在期限内补办", "a second person confirms or revokes it; its papers have to follow in time"),
    ),
    "approve": Telling(Desk.REQUESTERS, _TELL, "已批准，正在调取", "approved, being fetched"),
    "reject": Telling(Desk.REQUESTERS, _OVER, "已驳回", "refused", "改正后重新申请", "mend what is said there, and file it anew"),
    "confirm": Telling(Desk.REQUESTERS, _TELL, "紧急调取已确认", "confirmed after it went ahead"),
    "revoke": Telling(Desk.REQUESTERS, _OVER, "已撤销，录像已删除", "revoked, its footage is removed"),
    "papers-supplied": Telling(Desk.APPROVERS, _TELL, "补办手续已完成", "its papers were supplied"),
    "papers-overdue": Telling(
        *(Desk.BOTH, _ASK, "补办手续超时", "its papers are overdue"),
        *("补齐登记与文书并经第二人确认，否则撤销", "complete the register, upload the papers and let it be confirmed, or revoke it"),
    ),
    "complete": Telling(Desk.REQUESTERS, _TELL, "已备妥", "ready", *_FETCH),
    "complete-in-part": Telling(Desk.REQUESTERS, _TELL, "部分备妥", "ready in part", *_FETCH),
    "find-nothing": Telling(Desk.REQUESTERS, _OVER, "无录像", "not available"),
    "fail": Telling(
        Desk.REQUESTERS, _ASK, "调取失败", "failed", "排除原因后重试，或撤回", "try again when the reason is mended, or withdraw it"
    ),
    "expiring": Telling(Desk.REQUESTERS, _ASK, "下载期限将至", "its time for downloads ends soon", *_FETCH),
    "give-up": Telling(Desk.REQUESTERS, _OVER, "无法取得", "not to be had"),
    "send-delayed": Telling(
        *(Desk.REQUESTERS, _ASK, "送达受阻，仍在每小时重试", "could not be sent yet, and is tried again each hour"),
        *("查看受阻原因并排除；排除后重新发送即立刻重试", "see on its page why and mend it; sent again, it is tried at once"),
    ),
    "send-failed": Telling(
        *(Desk.REQUESTERS, _ASK, "送达失败，未移交", "could not be sent, and is not handed over"),
        *("查看送达失败原因，排除后重新发送", "see on its page why, mend it and send it again"),
    ),
    "damaged": Telling(
        *(Desk.BOTH, _ASK, "证据文件已损坏", "a file that is stored for it is damaged"),
        *("检查磁盘，从备份恢复该文件；在此之前勿移交", "look after the disk, bring the file back from a backup; hand nothing over before"),
    ),
    "found-whole": Telling(Desk.BOTH, _OVER, "受损的证据文件已恢复完好", "a file that was damaged is found whole again"),
    "hand-over": Telling(Desk.REQUESTERS, _OVER, "已移交", "handed over"),
    "close-nothing-found": Telling(Desk.REQUESTERS, _OVER, "已查看，未发现", "viewed, nothing found"),
    "close-no-copy": Telling(Desk.REQUESTERS, _OVER, "已查看，未取复制件", "viewed, no copy taken"),
    "expire": Telling(Desk.REQUESTERS, _OVER, "到期，录像已删除", "expired, its footage is removed"),
}
"""What is told. A step that is missing is told to nobody."""


@dataclass(frozen=True, slots=True)
class FootageDesk:
    """Who of `tell` is reached by `channels`: of requests of these `units` (none: of all), by these `steps` (none: all of the desk's).

    `urgent`: only of urgent ones.
    """

    channels: tuple[str, ...]
    tell: Desk
    units: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    urgent: bool = False

    def takes(self, step: str, request: FootageRequest) -> bool:
        telling = STEPS.get(step)
        if telling is None or (self.steps and step not in self.steps):
            return False
        if Desk.BOTH not in (telling.desk, self.tell) and telling.desk is not self.tell:
            return False
        fits = not self.units or request.filing.unit in self.units
        return fits and (not self.urgent or request.filing.urgency is Urgency.URGENT)


def step_of(event: str, data: Mapping[str, Any]) -> str:
    """Which step of a request an event of this type tells of; "" for none that is told."""
    if event == "footage.hold":  # its subject is no request
        return ""
    step = f"papers-{data['papers']}" if "papers" in data else str(data.get("act") or event.removeprefix(FOOTAGE))
    return step if step in STEPS else ""


def still(step: str, data: Mapping[str, Any], request: FootageRequest) -> bool:
    """Whether what an event told is worth telling of the request as it is now: what asks for something is not, once that is done."""
    if step in {"go-ahead", "papers-overdue"}:
        return request.owing
    return not STEPS[step].next_en or data.get("state") in (None, request.state)


def warned_before(download_for: timedelta) -> timedelta:
    """How long before the end of the time for downloads that is told: a day, or a third of it where it is short."""
    return min(timedelta(days=1), download_for / 3)


def channels_of(desks: Sequence[FootageDesk], step: str, request: FootageRequest) -> Sequence[str]:
    """The channels by which `step` of `request` is told; each once."""
    return list(dict.fromkeys(channel for desk in desks if desk.takes(step, request) for channel in desk.channels))


def severity_of(step: str, request: FootageRequest) -> Severity:
    """How it is marked: an urgent one that waits for somebody as critical."""
    waits = STEPS[step].kind is Kind.PROBLEM
    if request.filing.urgency is Urgency.URGENT and waits:
        return Severity.CRITICAL
    return Severity.MAJOR if waits else Severity.WARNING


async def letters(
    tx: Tx, events: Sequence[Event], desks: Sequence[FootageDesk], *, name_of: Callable[[str], str], download_for: timedelta
) -> list[Letter]:
    """What these events of footage requests tell, for whom each concerns, as the requests are now. NotFound."""
    found = []
    for event in events:
        step = step_of(event.type, event.data)
        if not step or not desks:
            continue
        request = await tx.footage.get(RequestId(event.subject))
        if still(step, event.data, request):
            message, file = f"F-{event.cursor}", _file_of(event.data, name_of)
            found.append(letter(message, step, request, event.at, desks, name_of=name_of, download_for=download_for, file=file))
    return [one for one in found if one is not None]


def letter(
    message: str,
    step: str,
    request: FootageRequest,
    at: datetime,
    desks: Sequence[FootageDesk],
    *,
    name_of: Callable[[str], str],
    download_for: timedelta,
    file: Mapping[str, str] | None = None,
) -> Letter | None:
    """The message of this id about `step` of `request`, or of a stored `file` of it; None where nobody hears of it."""
    channels = channels_of(desks, step, request)
    if not channels:
        return None
    return Letter(
        id=message,
        key=KEY,
        route=ROUTE,
        kind=STEPS[step].kind,
        severity=severity_of(step, request),
        about=(request.id,),
        content=content_of(step, request, at, name_of=name_of, download_for=download_for, file=file),
        channels=channels,
        at=at,
    )


def content_of(
    step: str,
    request: FootageRequest,
    at: datetime,
    *,
    name_of: Callable[[str], str],
    download_for: timedelta,
    file: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a message about `step` is made of, and what programs get; plain JSON. `file`: which stored one it tells of, if it does."""
    filing = request.filing
    until = request.ready_at + download_for if request.ready_at and step in {"complete", "complete-in-part", "expiring"} else None
    return {
        "step": step,
        "at": at.isoformat(),
        "severity": severity_of(step, request).value,
        "request": request.id,
        "state": request.state,
        "case_number": filing.case_number,
        "unit": filing.unit,
        "urgency": filing.urgency,
        "start": filing.window.start.isoformat(),
        "end": filing.window.end.isoformat(),
        "cameras": list(request.cameras),
        "places": [name_of(camera) for camera in request.cameras[:_SHOWN]],
        "file": file,
        "reason": request.reason,
        "emergency": filing.emergency,
        "papers_due_at": request.papers_due_at.isoformat() if request.owing and request.papers_due_at else None,
        "download_until": until.isoformat() if until else None,
    }


def _file_of(data: Mapping[str, Any], name_of: Callable[[str], str]) -> dict[str, str] | None:
    """The stored file that an event tells of, with the camera whose footage it is, if one is known; None where it tells of none."""
    if "file" not in data:
        return None
    camera = data.get("camera", "")
    return {"name": data["file"], "camera": camera, "place": name_of(camera) if camera else ""}


def notice(content: Mapping[str, Any], message: str, language: str, zone: tzinfo) -> Notice:
    """The message `message` of what `content_of` made."""
    kind = STEPS[content["step"]].kind
    return of_step(content, message, language, zone, noun="footage-request", kind=kind, title=_title, lines=_lines)


def _title(content: Mapping[str, Any], tongue: Tongue) -> str:
    telling, case = STEPS[content["step"]], plain(content["case_number"])
    urgent = content["urgency"] == Urgency.URGENT
    severity = tongue.severity(content["severity"])
    if tongue.chinese:
        return f"【{'紧急' if urgent else ''}录像调取·{severity}】{telling.zh}:{case}"
    return f"[{'Urgent footage' if urgent else 'Footage'}, {severity}] {case} {telling.en}"


def _lines(content: Mapping[str, Any], tongue: Tongue) -> Iterator[str]:
    telling, line = STEPS[content["step"]], tongue.line
    yield line("申请", "Request", content["request"])
    if content["unit"]:
        yield line("单位", "Unit", content["unit"])
    yield line("时段", "From", f"{tongue.moment(content['start'])} → {tongue.moment(content['end'])}")
    count = len(content["cameras"])
    rest = tongue.either(f" 等 {count} 路摄像机", f" and others, {count} cameras") if count > len(content["places"]) else ""
    yield line("地点", "Where", tongue.listed(content["places"]) + rest)
    if file := content.get("file"):  # no letter of an earlier version has one
        yield line("文件", "File", tongue.listed([told for told in (file["name"], file["place"]) if told]))
    if content["reason"]:
        yield line("说明", "Why", content["reason"])
    if content["papers_due_at"]:
        yield line("补办手续期限", "Papers due", tongue.moment(content["papers_due_at"]))
    if content["download_until"]:
        yield line("下载期限", "Download until", tongue.moment(content["download_until"]))
    if telling.next_zh:
        yield line("下一步", "Next", tongue.either(telling.next_zh, telling.next_en))
