"""What became of every message, and of every incident that was not told: the answer to "why was I not told?"."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from gateway.domain.words import KINDS, SEVERITIES


class Fate(StrEnum):
    """Of a message on a channel; HELD is an incident that a route did not tell, or not then."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One entry of the log. `times`: how often the same was noted, the last time at `ended_at`."""

    number: int
    message: str
    incidents: tuple[str, ...]
    route: str
    channel: str
    people: tuple[str, ...]
    kind: str
    severity: str
    outcome: Fate
    reason: str
    detail: str
    attempts: int
    times: int
    at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the answer, in both languages. `told`: a message did go out."""

    at: datetime
    told: bool
    reason: str
    zh: str
    en: str


WORDS: Mapping[str, tuple[str, str]] = {
    "sent": ("{kind}通知已发到 {channel}(路由 {route},消息 {message})", "the {kind} went to {channel} (route {route}, message {message})"),
    "queued": ("{kind}通知正在等待发送到 {channel}:{detail}", "the {kind} waits to be sent to {channel}: {detail}"),
    "failed": ("{kind}通知发送到 {channel} 失败:{detail}", "the {kind} could not be sent to {channel}: {detail}"),
    "no-route": ("没有路由匹配:{detail}", "no route matched: {detail}"),
    "not-matched": ("路由 {route} 不匹配:{detail}", "the route {route} did not match: {detail}"),
    "earlier-route": ("路由 {route} 未轮到:{detail}", "the route {route} was not asked: {detail}"),
    "quiet-hours": ("路由 {route} 处于免打扰时段,{detail}", "quiet hours of the route {route}, {detail}"),
    "snoozed": ("已被暂停提醒,{detail}", "it is snoozed, {detail}"),
    "acknowledged": ("已有人确认,不再提醒:{detail}", "{detail}"),
    "grouped": ("合并通知:{detail}", "it goes out together {detail}"),
    "over-before-told": ("通知发出之前已恢复:{detail}", "{detail}"),
    "muted": ("维护期内静默:{detail}", "it was muted {detail}"),
    "suppressed": ("上联故障已另行通知:{detail}", "it was suppressed {detail}"),
    "no-incident": ("没有涉及该设备的故障{detail}", "there is no incident of this device{detail}"),
    "not-on-duty": (
        "{kind}通知由路由 {route} 发给当时的值班人 {people}({channel})",
        "the {kind} of the route {route} was for those on duty then: {people} ({channel})",
    ),
    "nothing-worse": ("已通知过且没有变得更严重:{detail}", "{detail}"),
    "route-gone": ("路由 {route} 已从配置中删除", "the route {route} is no more in the alerts file"),
    "bundle-full": ("故障过多,仅计数:{detail}", "too many at once, {detail}"),
}

_CHINESE: Mapping[str, str] = {
    **{severity.value: word.zh for severity, word in SEVERITIES.items()},
    **{kind: word.zh for kind, word in KINDS.items()},
    **{"problem": "故障", "update": "更新", "reminder": "提醒", "escalation": "升级"},
    **{"summary": "汇总", "recovery": "恢复", "test": "测试"},
    **{"kinds": "设备类型", "districts": "区", "cells": "单元网格", "groups": "监控组", "vendors": "厂商", "none": "无"},
    **dict(zip(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), ("周一", "周二", "周三", "周四", "周五", "周六", "周日"), strict=True)),
}
_DETAILS: Sequence[tuple[str, str]] = (  # what the log has for a detail, and the same in Chinese
    (r"until (.+)", "至 {}"),
    (r"with others in (\S+)", "与其他故障并入 {}"),
    (r"counted in (\S+)", "计入 {}"),
    (r"no reminders: acknowledged by somebody", "确认人不详"),
    (r"no reminders: acknowledged by (.+)", "{}"),
    (r"told already; more members are no news, a higher severity is", "设备增多不再通知,级别升高才通知"),
    (r"it was over before (\S+) was told", "{}"),
    (r"by the maintenance window (\S+)", "维护窗口 {}"),
    (r"by the incident (\S+) of (.+), which it hangs behind", "事件 {},上联设备 {}"),
    (r"there are no routes", "没有路由"),
    (r"the route (.+) took it and does not continue", "已由路由 {} 处理"),
    (r"its severity (\S+) is below (\S+)", "级别{}低于{}"),
    (r"its (\S+) \((.*)\) are not among (.+)", "{}({})不在 {} 之列"),
    (r"(\S+) (\S+) is outside the hours of the route", "{} {} 不在路由的时段内"),
    (r"at most so many a minute; goes on in (\d+) s", "每分钟条数已满,{} 秒后继续"),
    (r"more than (\d+) messages wait for this channel", "该通道待发消息超过 {} 条"),
    (r"the channel is no more in the alerts file", "该通道已从配置中删除"),
)

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d")


def answers(
    log: Iterable[Delivery], *, channel: str = "", person: str = "", by_channel: Mapping[str, Sequence[str]], zone: tzinfo
) -> Sequence[Answer]:
    """The log of one incident in sentences, oldest first, as far as it concerns a channel or a person.

    `by_channel`: the routes of each. Times within a sentence are those of `zone`, to the second.
    """
    routes = frozenset(by_channel.get(channel, ()))
    concerning = [one for one in log if _concerns(one, channel, routes)]
    return list(_sentences(sorted(concerning, key=lambda one: one.number), person, zone))


def beside(*, muted_by: str = "", suppressed_by: str = "", incident: str = "", now: datetime) -> Sequence[Answer]:
    """Why there is nothing to tell of a device by itself: the window that mutes it, the dead device in front of it."""
    found = []
    if muted_by:
        found.append(("muted", f"by the maintenance window {muted_by}"))
    if suppressed_by:
        found.append(("suppressed", f"by the incident {incident or '-'} of {suppressed_by}, which it hangs behind"))
    if not (found or incident):
        found.append(("no-incident", ""))
    return [
        Answer(now, told=False, reason=reason, zh=WORDS[reason][0].format(detail=_in_chinese(why)), en=WORDS[reason][1].format(detail=why))
        for reason, why in found
    ]


def _concerns(one: Delivery, channel: str, routes: frozenset[str]) -> bool:
    if one.outcome is Fate.HELD:
        return not channel or not one.route or one.route in routes
    return not channel or one.channel == channel


def _sentences(log: Iterable[Delivery], person: str, zone: tzinfo) -> Iterator[Answer]:
    for one in log:
        others = bool(person) and one.outcome is not Fate.HELD and person not in one.people
        code = "not-on-duty" if others else one.reason if one.outcome is Fate.HELD else one.outcome.value
        zh, en = WORDS.get(code, ("{reason}:{detail}", "{reason}: {detail}"))
        values = {"kind": one.kind, "channel": one.channel, "route": one.route, "message": one.message, "reason": one.reason}
        values["detail"] = _there(one.detail, zone) or one.reason or "-"
        values["people"] = ", ".join(one.people) or "-"
        told = one.outcome is Fate.SENT and not others
        reason = code if others else one.reason or code
        detail = _of_routes(values["detail"]) if code == "no-route" else _in_chinese(values["detail"])
        chinese = values | {"kind": _CHINESE.get(one.kind, one.kind), "detail": detail}
        yield Answer(one.ended_at or one.at, told, reason, zh.format(**chinese), en.format(**values))


def _there(detail: str, zone: tzinfo) -> str:
    """A detail of the log with its moments in the time of `zone`, written as messages write them."""
    return _MOMENT.sub(lambda moment: f"{datetime.fromisoformat(moment[0]).astimezone(zone):%Y-%m-%d %H:%M:%S}", detail)


def _in_chinese(detail: str) -> str:
    """A detail of the log in Chinese; what a channel said stays as it is."""
    for pattern, chinese in _DETAILS:
        if found := re.fullmatch(pattern, detail):
            return chinese.format(*(", ".join(_CHINESE.get(one, one) for one in part.split(", ")) for part in found.groups()))
    return detail


def _of_routes(detail: str) -> str:
    """What each of several routes said, in Chinese."""
    said = (part.partition(": ") for part in detail.split("; "))
    return ";".join(f"{route}:{_in_chinese(why)}" if colon else _in_chinese(route) for route, colon, why in said)
