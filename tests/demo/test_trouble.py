"""The judgement of incidents: what ought to be told of a dead switch and of a power cut, and what it calls wrong."""

from typing import Any

from demo.trouble import POWER_CUT_MOST, Loss, told

UPLINKS = {"agg": "", "sw-1": "agg", "cam-1": "sw-1", "sw-2": "agg", "cam-2": "sw-2"}


def incident(number: int, cause: str, *, trouble: str = "down", state: str = "resolved") -> dict[str, Any]:
    kept = {"severity": "major", "devices_most": 1, "reopened": 0, "opened_at": "", "resolved_at": ""}
    return {"id": f"I-{number}", "trouble": trouble, "state": state, "cause": {"device": cause}, "title": {"en": cause}, **kept}


def judged(scenario: str, dark: set[str], *found: tuple[dict[str, Any], set[str]]) -> list[str]:
    members = {one["id"]: frozenset(devices) for one, devices in found}
    wrong: list[str] = told([one for one, _ in found], members, Loss.of(dark, UPLINKS), scenario)["wrong"]
    return wrong


def test_one_incident_that_names_the_switch_and_lists_all_behind_it_is_right() -> None:
    dark = {"agg", "sw-1", "cam-1", "sw-2", "cam-2"}
    assert judged("switch-down", dark, (incident(1, "agg"), dark)) == []
    assert judged("switch-down", dark, (incident(1, "sw-1"), dark))
    assert judged("switch-down", dark, (incident(1, "agg"), dark - {"cam-2"}))
    assert judged("switch-down", dark, (incident(1, "agg"), dark), (incident(2, "cam-9"), {"cam-9"}))
    assert judged("switch-down", dark, (incident(1, "agg", state="open"), dark))


def test_two_switches_that_die_are_two_incidents() -> None:
    dark = {"sw-1", "cam-1", "sw-2", "cam-2"}
    assert judged("switch-down", dark, (incident(1, "sw-1"), {"sw-1", "cam-1"}), (incident(2, "sw-2"), {"sw-2", "cam-2"})) == []


def test_a_power_cut_may_be_told_by_a_few_incidents_that_leave_nobody_out() -> None:
    dark = {"sw-1", "cam-1", "sw-2", "cam-2"}
    assert judged("power-cut", dark, (incident(1, ""), dark)) == []
    assert judged("power-cut", dark, (incident(1, ""), dark - {"cam-2"}))
    many = [(incident(number, ""), dark if not number else set[str]()) for number in range(POWER_CUT_MOST + 1)]
    assert judged("power-cut", dark, *many)
