"""What became of every message, and of every incident that was not told: the answer to "why was I not told?"."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
    "sent": ("已发送 {kind} 到 {channel}(路由 {route},消息 {message})", "the {kind} went to {channel} (route {route}, message {message})"),
    "queued": ("{kind} 正在等待发送到 {channel}:{detail}", "the {kind} waits to be sent to {channel}: {detail}"),
    "failed": ("{kind} 发送到 {channel} 失败:{detail}", "the {kind} could not be sent to {channel}: {detail}"),
    "no-route": ("没有路由匹配:{detail}", "no route matched: {detail}"),
    "not-matched": ("路由 {route} 不匹配:{detail}", "the route {route} did not match: {detail}"),
    "earlier-route": ("路由 {route} 未轮到:{detail}", "the route {route} was not asked: {detail}"),
    "quiet-hours": ("路由 {route} 处于免打扰时段,{detail}", "quiet hours of the route {route}, {detail}"),
    "snoozed": ("已被暂停提醒,{detail}", "it is snoozed, {detail}"),
    "acknowledged": ("已有人确认,不再提醒:{detail}", "{detail}"),
    "grouped": ("已合并通知:{detail}", "it was told together {detail}"),
    "over-before-told": ("通知发出之前已恢复:{detail}", "{detail}"),
    "muted": ("维护期内静默:{detail}", "it was muted {detail}"),
    "suppressed": ("上联故障已另行通知:{detail}", "it was suppressed {detail}"),
    "no-incident": ("没有涉及该设备的故障{detail}", "there is no incident of this device{detail}"),
    "not-on-duty": (
        "{kind} 由路由 {route} 发给当时的值班人 {people}({channel})",
        "the {kind} of the route {route} was for those on duty then: {people} ({channel})",
    ),
    "nothing-worse": ("已通知过且没有变得更严重:{detail}", "{detail}"),
    "route-gone": ("路由 {route} 已从配置中删除", "the route {route} is no more in the alerts file"),
    "bundle-full": ("故障过多,仅计数:{detail}", "too many at once, {detail}"),
}


def answers(log: Iterable[Delivery], *, channel: str = "", person: str = "", by_channel: Mapping[str, Sequence[str]]) -> Sequence[Answer]:
    """The log of one incident in sentences, oldest first, as far as it concerns a channel or a person. `by_channel`: the routes of each."""
    routes = frozenset(by_channel.get(channel, ()))
    concerning = [one for one in log if _concerns(one, channel, routes)]
    return list(_sentences(sorted(concerning, key=lambda one: one.number), person))


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
        Answer(now, told=False, reason=reason, zh=WORDS[reason][0].format(detail=why), en=WORDS[reason][1].format(detail=why))
        for reason, why in found
    ]


def _concerns(one: Delivery, channel: str, routes: frozenset[str]) -> bool:
    if one.outcome is Fate.HELD:
        return not channel or not one.route or one.route in routes
    return not channel or one.channel == channel


def _sentences(log: Iterable[Delivery], person: str) -> Iterator[Answer]:
    for one in log:
        others = bool(person) and one.outcome is not Fate.HELD and person not in one.people
        code = "not-on-duty" if others else one.reason if one.outcome is Fate.HELD else one.outcome.value
        zh, en = WORDS.get(code, ("{reason}:{detail}", "{reason}: {detail}"))
        values = {"kind": one.kind, "channel": one.channel, "route": one.route, "message": one.message, "reason": one.reason}
        values["detail"] = one.detail or one.reason or "-"
        values["people"] = ", ".join(one.people) or "-"
        told = one.outcome is Fate.SENT and not others
        reason = code if others else one.reason or code
        yield Answer(one.ended_at or one.at, told, reason, zh.format(**values), en.format(**values))
