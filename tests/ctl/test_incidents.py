"""Incidents, work orders and maintenance windows by gatewayctl, and the spans of time that people write."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.ctl.failure import Failed
from gateway.ctl.spans import ago, span
from gateway.domain.access import Role
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Standing
from tests.api.house import CAMERA, House
from tests.ctl.running import gatewayctl


async def trouble(house: House, *devices: str) -> list[str]:
    """Let devices fall, and wait until there is an incident of each; the ids, the latest first."""
    for device in devices:
        house.services.board.put(Standing(DeviceId(device), HealthState.DOWN, house.clock.now(), "timeout", "reach"))
    for _ in range(100):
        await house.advance(5)
        await house.services.incidents.idle()
        live = house.services.incidents.live
        if {member for one in live for member in one.members} >= set(devices):
            return [one.id for one in live]
    raise AssertionError(house.services.incidents.live)


async def test_incidents_are_listed_acknowledged_assigned_snoozed_and_resolved(house: House):
    first, *_ = await trouble(house, "cam-3", "nvr-1")
    listed = await gatewayctl(house, "incidents", role=Role.VIEWER)
    assert (listed.code, first in listed.out, " open " in listed.out) == (0, True, True)
    done = await gatewayctl(house, "ack", first, "-m", "on my way", role=Role.ENGINEER)
    assert (done.code, done.err.strip()) == (0, "acknowledge: 1 of 1 incidents")
    assert "  engineer key" in (await gatewayctl(house, "incidents")).out
    assert "  engineer key" in (await gatewayctl(house, "top", "--once")).out
    assert (await gatewayctl(house, "assign", first, "--to", "li")).code == 0
    assert (await gatewayctl(house, "snooze", first, "--for", "2h")).code == 0
    shown = json.loads((await gatewayctl(house, "describe", "incidents", first, "-o", "json")).out)
    assert (shown["state"], shown["assignee"], shown["snoozed_until"] is not None) == ("acknowledged", "li", True)
    assert [(one["what"], one["comment"]) for one in shown["history"]][1] == ("acknowledge", "on my way")
    assert (shown["acknowledger"], shown["history"][1]["name"]) == ("engineer key", "engineer key")
    assert "on my way" in (await gatewayctl(house, "describe", "incidents", first)).out
    assert (await gatewayctl(house, "resolve", first)).code == 0
    gone = await gatewayctl(house, "get", "incidents", "--state", "resolved", "-o", "json")
    assert [one["id"] for one in json.loads(gone.out)] == [first]
    picture = (await gatewayctl(house, "top", "--once")).out
    assert f"{len(house.services.incidents.live)} open incidents" in picture


async def test_several_are_acknowledged_at_once_and_each_refusal_is_named(house: House):
    ids = await trouble(house, "cam-3", "nvr-1")
    assert len(ids) == 2
    part = await gatewayctl(house, "ack", ids[0], "I-nowhere", role=Role.ENGINEER)
    assert (part.code, "I-nowhere: " in part.err) == (5, True)
    refused = await gatewayctl(house, "ack", ids[0], role=Role.ENGINEER)
    assert (refused.code, f"describe incidents {ids[0]}" in refused.err) == (1, True)
    assert (await gatewayctl(house, "ack", "I-nowhere", role=Role.ENGINEER)).code == 4
    assert (await gatewayctl(house, "ack", ids[0], role=Role.VIEWER)).code == 4
    rest = await gatewayctl(house, "ack", "--all", "-m", "seen", "-o", "json", role=Role.ENGINEER)
    assert [one["id"] for one in json.loads(rest.out)] == [ids[1]]
    nothing = await gatewayctl(house, "ack", "--all", "--severity", "critical", role=Role.ENGINEER)
    assert (nothing.code, nothing.err.strip()) == (0, "acknowledge: 0 of 0 incidents")


async def test_maintenance_begins_in_one_line_is_listed_and_ends_early(house: House):
    made = await gatewayctl(house, "maintain", CAMERA, "--for", "2h", "--reason", "new lens", "-o", "json", role=Role.ENGINEER)
    assert made.code == 0, made.err
    window = json.loads(made.out)
    assert f"maintain --end {window['id']}" in made.err
    assert (await gatewayctl(house, "maintain", "--district", "历下", "--for", "1h", role=Role.ENGINEER)).code == 0
    listed = (await gatewayctl(house, "maintain", "list", role=Role.VIEWER)).out.splitlines()
    assert (len(listed), [line for line in listed if window["id"] in line and "devices cam-1" in line and "new lens" in line] != []) == (
        3,
        True,
    )
    assert [line.count("engineer key") for line in listed] == [0, 1, 1]
    ended = await gatewayctl(house, "maintain", "--end", window["id"], role=Role.ENGINEER)
    assert (ended.code, ended.err.strip()) == (0, f"{window['id']} has ended")
    weekly = await gatewayctl(
        house, "maintain", "--vendor", "Acme", "--rrule", "FREQ=WEEKLY;BYDAY=TU", "--for", "90m", "--timezone", "Asia/Shanghai",
        "--from", "2026-01-06T02:00+08:00", "-o", "json", role=Role.ENGINEER,
    )  # fmt: skip
    assert weekly.code == 0, weekly.err
    assert json.loads(weekly.out)["duration_minutes"] == 90


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["ack"], 2, "--all"),
        (["ack", "I-1", "--all"], 2, "gatewayctl incidents"),
        (["ack", "I-1", "--severity", "major"], 2, "--all"),
        (["snooze", "I-1", "--for", "soon"], 2, "2h"),
        (["maintain", "--for", "2h"], 2, "--group"),
        (["maintain", "cam-1"], 2, "--for 30m"),
        (["maintain", "cam-1", "--for", "ever"], 2, "1h30m"),
        (["maintain", "cam-1", "--for", "1h", "--timezone", "Asia/Shanghai"], 2, "--from"),
        (["maintain", "--end", "M-nowhere"], 4, ""),
    ],
)
async def test_wrong_wishes_are_refused_with_the_next_thing_to_do(house: House, arguments: list[str], code: int, hint: str):
    done = await gatewayctl(house, *arguments)
    assert (done.code, done.out) == (code, "")
    assert hint in done.err
    assert "Traceback" not in done.err


def test_spans_of_time_are_read_as_people_write_them():
    assert span("1d2h30m") == timedelta(days=1, hours=2, minutes=30)
    assert ago("2026-01-01T00:00:00Z", datetime(2026, 1, 3, 4, 5, tzinfo=UTC)) == "2d 4h"
    for wrong in ("", "2", "-2h", "400d", "0m", "2h3d"):
        with pytest.raises(Failed):
            span(wrong)
