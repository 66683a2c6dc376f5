"""Incidents as their events tell of them, for tests that need some."""

from datetime import UTC, datetime
from typing import Any

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday, noon in Jinan


def incident_json(id_: str = "I-1", **changes: Any) -> dict[str, Any]:
    """`data["incident"]` of an event, of a switch that takes two poles with it."""
    return {
        "id": id_,
        "state": "open",
        "severity": "critical",
        "cause": {"kind": "device", "device": "sw-1", "scope": "", "key": "sw-1", "name": "舜耕路汇聚交换机"},
        "reason": "timeout",
        "title": {"zh": "交换机 舜耕路汇聚交换机 断线,12 台设备不可用", "en": "Switch 舜耕路汇聚交换机 is down; 12 devices are cut off"},
        "opened_at": START.isoformat(),
        "acknowledged_at": None,
        "acknowledged_by": "",
        "assignee": "",
        "snoozed_until": None,
        "resolved_at": None,
        "escalation_level": 0,
        "devices": 13,
        "kinds": {"switch": 3, "camera": 9, "speaker": 1},
        "blind_cameras": {"count": 17, "ids": ["cam-20"]},
        "groups": ["g-1", "g-2"],
        "cells": ["370102001"],
        "districts": ["历下"],
        "vendors": ["Acme"],
        "members": [
            {"id": "sw-1", "name": "舜耕路汇聚交换机", "kind": "switch", "role": "root", "state": "down", "reason": "timeout"},
            *({"id": f"cam-{n}", "name": f"东门枪机{n}", "kind": "camera", "role": "explained", "state": "down"} for n in range(1, 10)),
        ],
    } | changes
