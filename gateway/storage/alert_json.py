"""Bundles and messages as the store keeps them, in JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.domain.alerting import Bundle, Kind, Line, Message
from gateway.domain.duty import Shift, ShiftId
from gateway.domain.severity import Severity
from gateway.domain.trouble import trouble_json, trouble_of

_MOMENTS = ("due", "over_due", "last_sent")


def bundle_json(bundle: Bundle) -> dict[str, Any]:
    return {
        "began": bundle.began.isoformat(),
        "lines": [
            {"trouble": trouble_json(line.trouble), "told": line.told and line.told.value, "kept": line.kept, "level": line.level}
            for line in bundle.lines.values()
        ],
        **{name: (moment := getattr(bundle, name)) and moment.isoformat() for name in _MOMENTS},
        "sent": bundle.sent,
        "night": bundle.night,
        "more": bundle.more,
    }


def bundle_of(id_: str, route: str, told: Mapping[str, Any]) -> Bundle:
    lines = (
        Line(trouble_of(one["trouble"]), one["told"] and Severity(one["told"]), kept=one["kept"], level=one["level"])
        for one in told["lines"]
    )
    return Bundle(
        id=id_,
        route=route,
        began=datetime.fromisoformat(told["began"]),
        lines={line.trouble.id: line for line in lines},
        **{name: _moment(told[name]) for name in _MOMENTS},
        sent=told["sent"],
        night=told["night"],
        more=told["more"],
    )


def message_json(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "bundle": message.bundle,
        "route": message.route,
        "kind": message.kind.value,
        "at": message.at.isoformat(),
        "severity": message.severity.value,
        "troubles": [trouble_json(one) for one in message.troubles],
        "over": [trouble_json(one) for one in message.over],
        "incidents": list(message.incidents),
        "others": message.others,
        "more": message.more,
        "level": message.level,
    }


def message_of(told: Mapping[str, Any]) -> Message:
    return Message(
        id=told["id"],
        bundle=told["bundle"],
        route=told["route"],
        kind=Kind(told["kind"]),
        at=datetime.fromisoformat(told["at"]),
        severity=Severity(told["severity"]),
        troubles=tuple(map(trouble_of, told["troubles"])),
        over=tuple(map(trouble_of, told["over"])),
        incidents=tuple(told["incidents"]),
        others=told["others"],
        more=told["more"],
        level=told["level"],
    )


def shift_json(shift: Shift) -> dict[str, Any]:
    return {
        "id": shift.id,
        "person": shift.person,
        "start": shift.start.isoformat(),
        "end": shift.end.isoformat(),
        "level": shift.level,
        "contacts": dict(shift.contacts),
    }


def shift_of(told: Mapping[str, Any]) -> Shift:
    return Shift(
        id=ShiftId(told["id"]),
        person=told["person"],
        start=datetime.fromisoformat(told["start"]),
        end=datetime.fromisoformat(told["end"]),
        level=told["level"],
        contacts=told["contacts"],
    )


def _moment(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)
