"""An incident as everybody is told of it: complete, in Chinese and English, so that a message made of it needs no link."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.domain.causes import blinded_by
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.incidents import CauseKind, Incident, Member, Role, Scope, kinds_of
from gateway.domain.maintenance import Span, Window, district_of
from gateway.domain.reasons import phrase
from gateway.domain.words import STATES, noun

MOST: Final = 50
"""Of any list in what is told."""
_RANKS: Final[Mapping[DeviceKind | None, int]] = {
    kind: rank for rank, kind in enumerate((DeviceKind.SWITCH, DeviceKind.RECORDER, DeviceKind.CAMERA, DeviceKind.SPEAKER))
}
_SCOPES: Final = {
    Scope.POLE: ("监控组", "camera group"),
    Scope.CELL: ("单元网格", "grid cell"),
    Scope.UPLINK: ("上联设备", "behind"),
    Scope.SUBNET: ("网段", "subnet"),
    Scope.MODEL: ("型号", "model"),
    Scope.STREET: ("街道", "street"),
    Scope.DISTRICT: ("区域", "district"),
    Scope.CITY: ("全市", "the whole city"),
}


def told(incident: Incident, city: City) -> dict[str, Any]:
    """The JSON of `incident`. `devices` and `kinds` count who is ill in it now, of a resolved one all that it had."""
    members = shown_members(incident)
    devices = [city.devices[one.device] for one in members if one.device in city.devices]
    blind = blinded_by((one.device for one in members if one.kind is DeviceKind.RECORDER), city)
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "trouble": incident.trouble.value,
        "cause": _cause(incident),
        "reason": incident.reason,
        "title": title(incident),
        "opened_at": _moment(incident.opened_at),
        "acknowledged_at": _moment(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by,
        "acknowledger": incident.acknowledger,
        "assignee": incident.assignee,
        "snoozed_until": _moment(incident.snoozed_until),
        "resolved_at": _moment(incident.resolved_at),
        "resolved_by": incident.resolved_by,
        "escalation_level": incident.escalation_level,
        "reopened": incident.reopened,
        "devices": len(members) if members else incident.devices,
        "devices_most": incident.devices,
        "kinds": {kind.value: count for kind, count in sorted(kinds_of(members).items())},
        **_places(devices, city),
        "blind_cameras": {"count": len(blind), "ids": list(blind[:MOST])},
        "members": [told_member(one, city) for one in members[:MOST]],
    }


def shown_members(incident: Incident) -> Sequence[Member]:
    """Who is ill in it, of a resolved one whoever was: the cause first, then the other roots, then what much hangs on."""
    members = list(incident.ill) if incident.live else []
    members = members or list(incident.members.values())
    return sorted(
        members,
        key=lambda one: (one.device != incident.cause.device, one.role is not Role.ROOT, _RANKS.get(one.kind, len(_RANKS)), one.device),
    )


def told_member(member: Member, city: City) -> dict[str, Any]:
    device = city.devices.get(member.device)
    return {
        "id": member.device,
        "name": device.name if device else "",
        "kind": member.kind and member.kind.value,
        "role": member.role.value,
        "state": member.state.value,
        "reason": member.reason,
        "since": _moment(member.since),
        "until": _moment(member.until),
    }


def title(incident: Incident) -> dict[str, str]:
    """One line in each language."""
    cause, count = incident.cause, max(1, len(shown_members(incident)))
    if cause.kind is CauseKind.GATEWAY:
        seen = incident.devices
        return {
            "zh": f"网关自身失明：{seen} 台设备状态未知",
            "en": f"The gateway itself is blind: {seen} devices are unknown",
        }
    said = phrase(incident.reason)
    why, because = (f"（{said.zh}）", f" ({said.en})") if incident.reason else ("", "")
    state = STATES[incident.trouble]
    if cause.kind is CauseKind.COMMON and cause.scope is not None:
        zh, en = _SCOPES[cause.scope]
        reason_zh, reason_en = ("", "") if incident.trouble is HealthState.DOWN else (why, because)
        return {
            "zh": f"疑似共同原因：{zh}{cause.name and ' ' + cause.name}，{count} 台设备{state.zh}{reason_zh}",
            "en": f"Suspected common cause: {en}{cause.name and ' ' + cause.name}, {count} devices {state.en}{reason_en}",
        }
    root = incident.members.get(cause.device) if cause.device else None
    kind = noun(root.kind if root else None)
    name = cause.name or cause.device
    more = count - 1
    more_zh, more_en = (f"，影响另外 {more} 台设备", f", {more} more device{'' if more == 1 else 's'} behind it") if more else ("", "")
    return {
        "zh": f"{kind.zh} {name} {state.zh}{why}{more_zh}",
        "en": f"{kind.en.capitalize()} {name} is {state.en}{because}{more_en}",
    }


def told_window(window: Window, span: Span | None) -> dict[str, Any]:
    """The JSON of a maintenance window; `span`: the one that it is in, or was in last."""
    places = window.places
    return {
        "id": window.id,
        "devices": sorted(places.devices),
        "groups": sorted(places.groups),
        "cells": sorted(places.cells),
        "districts": sorted(places.districts),
        "vendors": sorted(places.vendors),
        "everything": places.everything,
        "start": _moment(window.start),
        "end": _moment(window.end),
        "rrule": window.rule or None,
        "duration_minutes": window.duration.total_seconds() / 60 if window.rule else None,
        "timezone": window.timezone,
        "reason": window.reason,
        "created_by": window.created_by,
        "creator": window.creator,
        "created_at": _moment(window.created_at),
        "cancelled_at": _moment(window.cancelled_at),
        "in_force": window.in_force,
        "span": {"start": _moment(span.start), "end": _moment(span.end)} if span else None,
    }


def _cause(incident: Incident) -> Mapping[str, Any]:
    cause = incident.cause
    return {
        "kind": cause.kind.value,
        "device": cause.device,
        "scope": cause.scope and cause.scope.value,
        "key": cause.key or cause.device or "",
        "name": cause.name,
    }


def _places(devices: Sequence[Device], city: City) -> Mapping[str, Any]:
    return {
        "groups": _commonest(device.group for device in devices),
        "cells": _commonest(device.cell for device in devices),
        "districts": _commonest(district_of(device, city) for device in devices),
        "vendors": _commonest(device.vendor for device in devices),
    }


def _commonest(names: Iterable[str | None]) -> list[str]:
    """Each once, those of most devices first, at most `MOST`."""
    return [name for name, _ in Counter(name for name in names if name).most_common(MOST)]


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def ids(devices: Iterable[DeviceId]) -> list[str]:
    """At most `MOST` of them, by id."""
    return [str(device) for device in sorted(devices)[:MOST]]
