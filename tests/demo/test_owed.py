"""What the observer of scenarios calls owed, missed and false."""

import json
from typing import Any

from demo.owed import WRONG_CLOCK, Injection, Saying, injections, judge, touched

SURE_S = 70.0


def entry(at: float, what: str, device: str = "CAM-1", detail: Any = "") -> dict[str, Any]:
    return {"at": at, "what": what, "device": device, "detail": detail if isinstance(detail, str) else json.dumps(detail)}


def owed(*journal: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.what, one.state, one.reasons) for one in injections(journal, sure_s=SURE_S)]


def test_a_device_that_is_dark_long_enough_is_owed_as_down_and_a_short_moment_is_not() -> None:
    assert owed(entry(0, "dark"), entry(100, "lit")) == [("dark", "down", ())]
    assert owed(entry(0, "dark"), entry(20, "lit")) == []


def test_a_device_that_comes_and_goes_is_owed_as_flapping() -> None:
    journal = [entry(30.0 * number + 15 * lit, "lit" if lit else "dark") for number in range(4) for lit in (0, 1)]
    assert owed(*journal) == [("comes and goes", "degraded", ("flapping",))]


def test_each_part_of_a_fault_is_owed_for_itself() -> None:
    fault = {"clock_offset_s": 7200.0, "firmware": "V2", "delay_s": 0.2}
    assert owed(entry(0, "fault", detail=fault), entry(90, "healed")) == [
        ("clock", "degraded", WRONG_CLOCK),
        ("firmware", "", ("firmware-changed",)),
    ]


def test_a_clock_that_a_reboot_reset_is_owed_as_drift() -> None:
    assert owed(entry(0, "clock", detail="-99.0"), entry(90, "clock", detail="0")) == [("clock", "degraded", WRONG_CLOCK)]
    assert owed(entry(0, "clock", detail="2.5"), entry(90, "clock", detail="0")) == []


def test_slowness_within_the_deadline_owes_nothing() -> None:
    assert owed(entry(0, "fault", detail={"delay_s": 0.3}), entry(90, "healed")) == []


def test_what_was_said_in_time_and_rightly_is_reported_and_all_else_is_missed() -> None:
    due = [Injection("CAM-1", "dark", 0, 100, "down"), Injection("CAM-2", "dtd", 0, 100, "degraded", ("dtd",))]
    said = [Saying("CAM-1", 70.0, "down", "timeout"), Saying("CAM-2", 60.0, "degraded", "malformed")]
    verdict = judge(due, said, touched={"CAM-1": True, "CAM-2": False}, near=set())
    assert [one["device"] for one in verdict.reported] == ["CAM-1"] and verdict.reported[0]["after_s"] == 70.0
    assert [one["device"] for one in verdict.missed] == ["CAM-2"]
    assert verdict.seconds == {"dark": {"count": 1, "median": 70.0, "most": 70.0}}
    late = judge(due[:1], [Saying("CAM-1", 130.0, "down", "timeout")], touched={"CAM-1": True}, near=set())
    assert len(late.missed) == 1


def test_a_change_of_a_device_that_nothing_was_done_to_is_false_unless_it_is_a_neighbour() -> None:
    said = [Saying("CAM-9", 1.0, "degraded", "clock-drift"), Saying("SW-1", 1.0, "degraded", "sensor-port_state")]
    verdict = judge([], said, touched={"CAM-1": True}, near={"SW-1"})
    assert [one["device"] for one in verdict.false] == ["CAM-9"]
    assert len(judge([], [Saying("SW-1", 1.0, "down", "timeout")], touched={}, near={"SW-1"}).false) == 1


def test_a_device_called_down_that_had_a_voice_throughout_is_false() -> None:
    journal = [entry(0, "fault", detail={"clock_offset_s": 99.0}), entry(0, "dark", "CAM-2")]
    assert touched(journal) == {"CAM-1": False, "CAM-2": True}
    said = [Saying("CAM-1", 1.0, "down", "timeout"), Saying("CAM-2", 1.0, "down", "timeout")]
    assert [one["device"] for one in judge([], said, touched=touched(journal), near=set()).false] == ["CAM-1"]
