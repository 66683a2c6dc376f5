"""An incident as its events tell of it: what a message to a person is made of, complete by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.domain.severity import Severity

NAMED = 20
"""Members that are kept by name; `devices` counts all."""
LISTED = 50
"""Groups, cells, districts and vendors that an incident tells of, at most."""
OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"


@dataclass(frozen=True, slots=True)
class Victim:
    """One device that an incident takes: the root of it, or one whose silence it explains."""

    id: str
    name: str
    kind: str
    root: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An incident at one moment.

    `resolved_by` is empty when all was seen back; a person may close what is still ill. `devices` and `kinds` count all that it takes;
    `victims` are the first of them. `unrecorded`: cameras that see and are not recorded.
    """

    id: str
    state: str
    severity: Severity
    title_zh: str
    title_en: str
    opened_at: datetime
    reason: str = ""
    cause: Mapping[str, str] = field(default_factory=dict)
    acknowledged_by: str = ""
    acknowledger: str = ""
    assignee: str = ""
    snoozed_until: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: str = ""
    escalation_level: int = 0
    devices: int = 0
    unrecorded: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    districts: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    victims: tuple[Victim, ...] = ()

    @property
    def over(self) -> bool:
        return self.state == RESOLVED

    @property
    def acknowledged(self) -> bool:
        return self.state == ACKNOWLEDGED

    @property
    def known_by(self) -> str:
        """Who acknowledged it, by name where that is known."""
        return self.acknowledger or self.acknowledged_by

    def snoozed(self, now: datetime) -> bool:
        return self.snoozed_until is not None and now < self.snoozed_until


def trouble_of(told: Mapping[str, Any]) -> Trouble:
    """The incident in an event's `data["incident"]`, or one that `trouble_json` gave. Raises ValueError when it is none."""
    try:
        title = told.get("title") or {}
        return Trouble(
            id=str(told["id"]),
            state=str(told["state"]),
            severity=Severity(told["severity"]),
            title_zh=str(title.get("zh") or title.get("en") or told["id"]),
            title_en=str(title.get("en") or title.get("zh") or told["id"]),
            opened_at=_moment(told["opened_at"]),
            reason=str(told.get("reason") or ""),
            cause={name: str(value) for name, value in (told.get("cause") or {}).items() if value},
            acknowledged_by=str(told.get("acknowledged_by") or ""),
            acknowledger=str(told.get("acknowledger") or ""),
            assignee=str(told.get("assignee") or ""),
            snoozed_until=_maybe(told.get("snoozed_until")),
            resolved_at=_maybe(told.get("resolved_at")),
            resolved_by=str(told.get("resolved_by") or ""),
            escalation_level=int(told.get("escalation_level") or 0),
            devices=int(told.get("devices") or 0),
            unrecorded=int((told.get("blind_cameras") or {}).get("count") or 0),
            kinds={str(kind): int(count) for kind, count in (told.get("kinds") or {}).items()},
            victims=tuple(_victim(one) for one in (told.get("members") or ())[:NAMED]),
            **{name: _ids(told.get(name)) for name in ("groups", "cells", "districts", "vendors")},
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no incident: {error}") from error


def trouble_json(trouble: Trouble) -> dict[str, Any]:
    """`trouble` as `trouble_of` reads it."""
    return {
        "id": trouble.id,
        "state": trouble.state,
        "severity": trouble.severity.value,
        "title": {"zh": trouble.title_zh, "en": trouble.title_en},
        "opened_at": trouble.opened_at.isoformat(),
        "reason": trouble.reason,
        "cause": dict(trouble.cause),
        "acknowledged_by": trouble.acknowledged_by,
        "acknowledger": trouble.acknowledger,
        "assignee": trouble.assignee,
        "snoozed_until": trouble.snoozed_until and trouble.snoozed_until.isoformat(),
        "resolved_at": trouble.resolved_at and trouble.resolved_at.isoformat(),
        "resolved_by": trouble.resolved_by,
        "escalation_level": trouble.escalation_level,
        "devices": trouble.devices,
        "blind_cameras": {"count": trouble.unrecorded},
        "kinds": dict(trouble.kinds),
        "groups": list(trouble.groups),
        "cells": list(trouble.cells),
        "districts": list(trouble.districts),
        "vendors": list(trouble.vendors),
        "members": [
            {"id": one.id, "name": one.name, "kind": one.kind, "role": "root" if one.root else "explained"} for one in trouble.victims
        ],
    }


def _victim(told: Mapping[str, Any]) -> Victim:
    return Victim(str(told["id"]), str(told.get("name") or told["id"]), str(told.get("kind") or ""), told.get("role") == "root")


def _ids(told: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(str(one) for one in (told or ())[:LISTED])


def _maybe(told: Any) -> datetime | None:
    return _moment(told) if told else None


def _moment(told: Any) -> datetime:
    moment = told if isinstance(told, datetime) else datetime.fromisoformat(str(told).replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC)
