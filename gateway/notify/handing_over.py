"""Handing work orders over to maintainers: which channel gets which, and how an order reads. Programs get the whole order as `data`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import Any, Final

from gateway.domain.alerting import Kind
from gateway.domain.events import Event
from gateway.domain.severity import Severity
from gateway.notify.letters import Letter, Tongue, written
from gateway.notify.wording import Notice, plain

WORK_ORDER: Final = "work-order."
ROUTE: Final = "work-orders"
"""What stands for a route in the delivery log."""
KEY: Final = "work_order"
"""Where the content of a message stands in the store."""
_DEVICES: Final = 20
_STEPS: Final[Mapping[str, tuple[str, str]]] = {
    "opened": ("新工单", "New work order"),
    "accepted": ("已接单", "Work order accepted"),
    "on-site": ("已到场", "Work order: on site"),
    "repaired": ("已修复", "Work order: repaired"),
    "sent-back": ("退回重修", "Work order sent back"),
    "closed": ("已办结", "Work order closed"),
    "cancelled": ("已取消", "Work order cancelled"),
    "paused": ("已挂起", "Work order paused"),
    "resumed": ("已恢复", "Work order resumed"),
    "commented": ("备注", "Work order: comment"),
    "picture": ("新图片", "Work order: picture"),
    "overdue": ("超时", "Work order overdue"),
}
_ENDS: Final = frozenset({"closed", "cancelled"})
_BEGINS: Final = frozenset({"opened", "overdue"})


@dataclass(frozen=True, slots=True)
class Handover:
    """Orders to these `maintainers` (none: to all), as bad as `severity` at least, go by `channels`."""

    channels: tuple[str, ...]
    maintainers: frozenset[str] = frozenset()
    severity: Severity = Severity.WARNING

    def takes(self, order: Mapping[str, Any]) -> bool:
        return Severity(order["severity"]).at_least(self.severity) and (not self.maintainers or order["maintainer"] in self.maintainers)


def channels_of(handovers: Sequence[Handover], order: Mapping[str, Any]) -> Sequence[str]:
    """The channels by which `order`, as it is told, goes; each once."""
    return list(dict.fromkeys(channel for one in handovers if one.takes(order) for channel in one.channels))


def kind_of(event: str) -> Kind:
    """What a message about an event of this type is for."""
    step = event.removeprefix(WORK_ORDER)
    return Kind.PROBLEM if step in _BEGINS else Kind.RECOVERY if step in _ENDS else Kind.UPDATE


def letters(events: Sequence[Event], handovers: Sequence[Handover]) -> list[Letter]:
    """What these events of work orders tell, for whom each concerns."""
    return [letter for event in events if (letter := _letter(event, handovers))]


def _letter(event: Event, handovers: Sequence[Handover]) -> Letter | None:
    order = event.data["work_order"]
    channels = channels_of(handovers, order)
    if not channels:
        return None
    return Letter(
        id=f"W-{event.cursor}",
        key=KEY,
        route=ROUTE,
        kind=kind_of(event.type),
        severity=Severity(order["severity"]),
        about=(event.subject,),
        content={"type": event.type, "at": event.at.isoformat(), "data": dict(event.data)},
        channels=channels,
        at=event.at,
    )


def notice(content: Mapping[str, Any], message: str, language: str, zone: tzinfo) -> Notice:
    """The message `message` about a work order. `content`: the event's type, time and data."""
    return written(
        message,
        {"kind": "work-order", "event": content["type"], "at": content["at"], **content["data"]},
        kind=kind_of(content["type"]),
        severity=content["data"]["work_order"]["severity"],
        language=language,
        zone=zone,
        title=partial(_title, content),
        lines=partial(_lines, content),
    )


def _title(content: Mapping[str, Any], tongue: Tongue) -> str:
    order = content["data"]["work_order"]
    zh, en = _STEPS.get(content["type"].removeprefix(WORK_ORDER), ("工单", "Work order"))
    severity, what = tongue.severity(order["severity"]), plain(order["what"])
    return tongue.either(f"【{zh}·{severity}】{order['id']} {what}", f"[{en}, {severity}] {order['id']} {what}")


def _lines(content: Mapping[str, Any], tongue: Tongue) -> Iterator[str]:
    order, line = content["data"]["work_order"], tongue.line
    yield line("维护单位", "Maintainer", order["maintainer"])
    if order["technician"]:
        yield line("维修人员", "Technician", order["technician"])
    yield line("内容", "What", order["what"])
    for device in order["devices"][:_DEVICES]:
        place = device["position"]
        where = f"{place['latitude']:.6f},{place['longitude']:.6f}" if place else ""
        named = " ".join(filter(None, (device["id"], device["name"], device["address"], device["district"], device["group"], where)))
        yield line("设备", "Device", named)
    if order["device_count"] > _DEVICES:
        yield line("设备总数", "Devices in all", str(order["device_count"]))
    for name, zh, en in (("response", "响应时限", "Response due"), ("repair", "修复时限", "Repair due")):
        clock = order["clocks"][name]
        if clock["stopped_at"] is None and clock["due_at"]:
            yield line(zh, en, tongue.moment(clock["due_at"]))
    if content["data"].get("comment") and content["data"]["comment"] != order["what"]:
        yield line("说明", "Comment", content["data"]["comment"])
    if order["incident"]:
        yield line("告警", "Incident", order["incident"])
