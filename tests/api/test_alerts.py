"""Alerts and the duty roster through the API: the log, its answers, the test button, and the roster in and out as CSV."""

from datetime import timedelta
from typing import Any

from gateway.domain.access import Role
from gateway.domain.alerting import Kind, Note
from gateway.domain.circumstances import Circumstance
from gateway.domain.devices import DeviceId
from gateway.domain.duty import Shift, ShiftId, on_duty
from gateway.domain.events import NewEvent
from gateway.domain.incidents import IncidentId
from gateway.domain.maintenance import WindowId
from gateway.storage.alerts import Addressed
from gateway.storage.writer import Lane
from tests.api.house import House
from tests.domain.troubles import START

SHIFT = {
    "person": "王建国",
    "start": "2026-01-01T08:00:00+08:00",
    "end": "2026-01-01T20:00:00+08:00",
    "contacts": {"email": "wang@example.com", "phone": "13800000000"},
}


async def test_the_log_answers_why_somebody_was_not_told(house: House) -> None:
    now = house.clock.now()
    to = [Addressed("all", "hook", Kind.PROBLEM, "critical", (), ("I-1",))]

    async def change(tx: Any) -> None:
        await tx.alerts.note([Note("I-1", "", "no-route", now, "all: its severity warning is below major")])
        await tx.alerts.enqueue("A-1.1", {}, to, at=now)

    await house.services.store.writer.write(change, lane=Lane.HEALTH)
    status, page = await house.json("GET", "/v1/alert-deliveries?limit=1", role=Role.VIEWER)
    assert (status, page["items"][0]["outcome"]) == (200, "queued")
    status, rest = await house.json("GET", f"/v1/alert-deliveries?limit=1&cursor={page['next']}", role=Role.VIEWER)
    assert (rest["items"][0]["reason"], rest["next"]) == ("no-route", None)
    status, held = await house.json("GET", "/v1/alert-deliveries?outcome=held&incident=I-1", role=Role.VIEWER)
    assert len(held["items"]) == 1
    status, why = await house.json("GET", "/v1/alert-deliveries/why?incident=I-1", role=Role.VIEWER)
    assert (status, why["told"]) == (200, False)
    assert "没有路由匹配" in why["answers"][0]["zh"] and "no route matched" in why["answers"][0]["en"]


async def test_of_a_device_it_says_what_mutes_or_suppresses_it(house: House) -> None:
    beside = {
        DeviceId("cam-1"): Circumstance(suppressed_by=DeviceId("sw-1"), incident=IncidentId("I-9")),
        DeviceId("cam-2"): Circumstance(muted=WindowId("M-7")),
    }
    house.services.circumstances.replace(beside)
    found = {}
    for device in ("cam-1", "cam-2", "cam-3"):
        found[device] = (await house.json("GET", f"/v1/alert-deliveries/why?device={device}"))[1]["answers"][0]
    assert [one["reason"] for one in found.values()] == ["suppressed", "muted", "no-incident"]
    assert "I-9 of sw-1" in found["cam-1"]["en"] and "M-7" in found["cam-2"]["zh"]
    assert (await house.json("GET", "/v1/alert-deliveries/why?device=nobody"))[0] == 404
    assert (await house.json("GET", "/v1/alert-deliveries/why"))[0] == 422


async def test_without_an_alerts_file_there_is_no_channel_and_nothing_to_reload(house: House) -> None:
    assert (await house.json("GET", "/v1/alert-channels"))[1]["items"] == []
    assert (await house.json("POST", "/v1/alert-channels/hook/test"))[0] == 404
    status, problem = await house.json("POST", "/v1/alerts/reload")
    assert (status, problem["type"].rpartition(":")[2]) == (409, "no-alerts-file")


async def test_a_viewer_reads_and_changes_nothing(house: House) -> None:
    for method, path, body in (
        ("POST", "/v1/alert-channels/hook/test", None),
        ("POST", "/v1/alerts/reload", None),
        ("POST", "/v1/duty-roster", SHIFT),
        ("DELETE", "/v1/duty-roster/S-1", None),
    ):
        assert (await house.json(method, path, role=Role.VIEWER, **({"json": body} if body else {})))[0] == 403


async def test_a_key_of_one_place_changes_nothing_that_concerns_the_whole_city(house: House) -> None:
    for role, method, path, body in (
        ("engineer", "POST", "/v1/alert-channels/hook/test", None),
        ("engineer", "POST", "/v1/duty-roster", SHIFT),
        ("engineer", "DELETE", "/v1/duty-roster/S-1", None),
        ("engineer", "POST", "/v1/alerts/reload", None),
        ("engineer", "POST", "/v1/inventory/imports?name=a.csv&prune=true", {}),
    ):
        _, made = await house.json("POST", "/v1/keys", json={"name": "post", "roles": [role], "scopes": ["历下"]})
        said = {"headers": {"Authorization": f"Bearer {made['key']}"}, **({"json": body} if body else {})}
        status, problem = await house.json(method, path, **said)
        assert (status, problem["type"].rpartition(":")[2]) == (403, "out-of-scope")


async def test_a_shift_is_put_on_the_roster_changed_and_taken_off(house: House) -> None:
    status, shift = await house.json("POST", "/v1/duty-roster", json=SHIFT)
    assert (status, shift["start"]) == (201, "2026-01-01T00:00:00Z")
    path = f"/v1/duty-roster/{shift['id']}"
    assert (await house.json("PUT", path, json={**SHIFT, "level": 1}))[1]["level"] == 1
    assert (await house.json("GET", "/v1/duty-roster/now?level=1"))[1]["items"][0]["person"] == "王建国"
    assert (await house.json("PUT", "/v1/duty-roster/S-none", json=SHIFT))[0] == 404
    assert (await house.json("POST", "/v1/duty-roster", json={**SHIFT, "end": SHIFT["start"]}))[0] == 422
    assert (await house.json("POST", "/v1/duty-roster", json={**SHIFT, "contacts": {"email": "a@b\r\nBcc: x"}}))[0] == 422
    assert (await house.json("DELETE", path))[0] == 200
    assert (await house.json("GET", "/v1/duty-roster"))[1]["items"] == []
    actions = {row["action"] for row in (await house.json("GET", "/v1/audit", role=Role.ADMIN))[1]["items"]}
    assert "duty.changed" in actions


async def test_only_those_who_keep_the_roster_see_how_people_are_reached(house: House) -> None:
    await house.json("POST", "/v1/duty-roster", json=SHIFT)
    for path in ("/v1/duty-roster?start=2026-01-01T00:00:00Z", "/v1/duty-roster/now?at=2026-01-01T01:00:00Z"):
        for role, contacts in ((Role.VIEWER, {}), (Role.PLATFORM, {}), (Role.ENGINEER, SHIFT["contacts"])):
            _, page = await house.json("GET", path, role=role)
            assert [(one["person"], one["contacts"]) for one in page["items"]] == [("王建国", contacts)]
    assert (await house.json("GET", "/v1/duty-roster/export", role=Role.VIEWER))[0] == 403


async def test_the_roster_goes_out_as_csv_and_comes_in_again_unchanged(house: House) -> None:
    for level in range(3):
        await house.json("POST", "/v1/duty-roster", json={**SHIFT, "level": level, "note": ("=1+1", "＝1+1", "'30")[level]})
    before = (await house.json("GET", "/v1/duty-roster"))[1]
    async with house.call("GET", "/v1/duty-roster/export") as answer:
        content = await answer.read()
    assert b"'=1+1" in content and "'＝1+1".encode() in content  # no spreadsheet takes it for a formula
    status, done = await house.json("POST", "/v1/duty-roster/import", data=content, headers={"Content-Type": "text/csv"})
    assert (status, done["shifts"]) == (200, 3)
    assert (await house.json("GET", "/v1/duty-roster"))[1] == before


async def test_a_roster_with_one_wrong_row_changes_nothing_and_names_its_line(house: House) -> None:
    good = "李敏,2026-01-01T08:00:00+08:00,2026-01-01T20:00:00+08:00,0,phone=139\n"
    content = f"person,start,end,level,contacts\n{good}{good.replace('+08:00', '', 1)}{good.replace('phone=', '')}".encode()
    status, problem = await house.json("POST", "/v1/duty-roster/import", data=content, headers={"Content-Type": "text/csv"})
    assert status == 422
    assert [fault["pointer"] for fault in problem["errors"]] == ["line 3", "line 4"]
    assert (await house.json("GET", "/v1/duty-roster"))[1]["items"] == []


async def test_an_event_of_a_delivery_can_be_followed(house: House) -> None:
    await house.emit(NewEvent("alert.delivery", "A-1.1", house.clock.now(), {"outcome": "sent"}))
    async with house.call("GET", "/v1/events?after=0&types=alert.*") as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                assert b'"A-1.1"' in line
                break


def test_who_is_on_duty_at_a_level_falls_back_to_the_nearest_below_then_above() -> None:
    shifts = [
        Shift(id=ShiftId(f"S-{level}"), person=f"P{level}", start=START, end=START + timedelta(hours=8), level=level) for level in (1, 3)
    ]
    asked = {level: [one.person for one in on_duty(shifts, START, level=level)] for level in (0, 1, 2, 3, 9)}
    assert asked == {0: ["P1"], 1: ["P1"], 2: ["P1"], 3: ["P3"], 9: ["P3"]}
    assert on_duty(shifts, START + timedelta(hours=8), level=0) == ()
