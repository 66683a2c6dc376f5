"""Incidents over the API: listed, read, acted on one by one and in bulk, within a key's scopes, once however often asked."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.access import Role
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.health import HealthState, Standing
from gateway.domain.incidents import Cause, CauseKind, Incident, IncidentId, IncidentState
from gateway.domain.severity import Severity
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, SWITCH, House


async def fall(house: House, *ids: str, state: HealthState = HealthState.DOWN) -> None:
    """Let devices change state, and the service see it."""
    now = house.clock.now()
    for device in map(DeviceId, ids):
        house.services.board.put(Standing(device, state, now, "timeout" if state is HealthState.DOWN else "", "reach", now))
    for _ in range(12):
        await house.advance(1)
        await house.services.incidents.idle()


async def one_incident(house: House) -> dict[str, Any]:
    await fall(house, SWITCH, CAMERA, "cam-2")
    status, page = await house.json("GET", "/v1/incidents?live=true", role=Role.VIEWER)
    assert (status, len(page["items"]), page["next"]) == (200, 1, None)
    incident: dict[str, Any] = page["items"][0]
    return incident


async def test_an_incident_is_read_whole_with_its_members_and_history(house: House) -> None:
    incident = await one_incident(house)
    assert (incident["cause"]["device"], incident["devices"], incident["severity"]) == (SWITCH, 3, "critical")
    path = f"/v1/incidents/{incident['id']}"
    assert (await house.json("GET", path, role=Role.VIEWER)) == (200, incident)
    _, first = await house.json("GET", f"{path}/members?limit=2")
    _, rest = await house.json("GET", f"{path}/members?limit=2&cursor={first['next']}")
    assert [one["id"] for one in (*first["items"], *rest["items"])] == ["cam-1", "cam-2", "sw-1"]
    assert {one["id"]: one["role"] for one in first["items"]} == {"cam-1": "explained", "cam-2": "explained"}
    _, history = await house.json("GET", f"{path}/history")
    assert [one["what"] for one in history["items"]] == ["opened"]
    status, problem = await house.json("GET", "/v1/incidents/I-none")
    assert (status, problem["type"]) == (404, "urn:city-gateway:problem:no-incident")


async def test_devices_show_what_suppresses_and_which_incident_they_are_in(house: House) -> None:
    incident = await one_incident(house)
    _, device = await house.json("GET", f"/v1/devices/{CAMERA}")
    assert (device["suppressed_by"], device["incident"], device["muted"], device["state"]) == (SWITCH, incident["id"], False, "down")
    _, page = await house.json("GET", f"/v1/devices?incident={incident['id']}")
    assert [one["id"] for one in page["items"]] == ["cam-1", "cam-2", "sw-1"]
    _, page = await house.json("GET", f"/v1/devices?suppressed_by={SWITCH}")
    assert [one["id"] for one in page["items"]] == ["cam-1", "cam-2"]


async def test_people_act_and_what_the_state_does_not_allow_is_a_conflict(house: House) -> None:
    incident = await one_incident(house)
    path = f"/v1/incidents/{incident['id']}"
    for act, body, expected in (
        ("acknowledge", {"comment": "在路上"}, "acknowledged"),
        ("comment", {"comment": "保险丝"}, "acknowledged"),
        ("assign", {"assignee": "王"}, "acknowledged"),
        ("snooze", {"until": (house.clock.now() + timedelta(hours=1)).isoformat()}, "acknowledged"),
        ("unacknowledge", {}, "open"),
        ("resolve", {"comment": "replaced"}, "resolved"),
        ("reopen", {}, "open"),
    ):
        status, answer = await house.json("POST", f"{path}/{act}", role=Role.ENGINEER, json=body)
        assert (status, answer["state"]) == (200, expected), act
    status, problem = await house.json("POST", f"{path}/unacknowledge", json={})
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:wrong-incident-state")
    for act, body in (("comment", {"comment": ""}), ("snooze", {"until": "2020-01-01T00:00:00Z"}), ("assign", {}), ("resolve", {"x": 1})):
        assert (await house.json("POST", f"{path}/{act}", json=body))[0] == 422 or act
    assert (await house.json("POST", f"{path}/acknowledge", role=Role.VIEWER, json={}))[0] == 403
    _, audit = await house.json("GET", f"/v1/audit?subject={incident['id']}")
    assert len(audit["items"]) == 7


async def test_the_same_key_acts_once(house: House) -> None:
    incident = await one_incident(house)
    headers = {"Idempotency-Key": "k-1"}
    for _ in range(2):
        status, _ = await house.json("POST", f"/v1/incidents/{incident['id']}/comment", json={"comment": "once"}, headers=headers)
        assert status == 200
    _, history = await house.json("GET", f"/v1/incidents/{incident['id']}/history")
    assert [one["what"] for one in history["items"]] == ["opened", "comment"]


async def test_who_acknowledged_or_made_a_window_is_told_by_name_in_answers_and_events(house: House) -> None:
    incident = await one_incident(house)
    _, made = await house.json("POST", "/v1/keys", json={"name": "night shift", "username": "王工", "roles": ["engineer"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    path = f"/v1/incidents/{incident['id']}"
    _, answer = await house.json("POST", f"{path}/acknowledge", role=None, headers=headers, json={})
    assert (answer["acknowledged_by"], answer["acknowledger"]) == (f"api-key:{made['id']}", "王工")
    _, history = await house.json("GET", f"{path}/history")
    assert [(one["what"], one["name"]) for one in history["items"]] == [("opened", ""), ("acknowledge", "王工")]
    _, window = await house.json("POST", "/v1/maintenance-windows", role=None, headers=headers, json={"devices": [CAMERA], "minutes": 5})
    assert (window["created_by"], window["creator"]) == (f"api-key:{made['id']}", "王工")
    told = {event.type: event.data for event in await house.services.store.events.read_after(0, limit=1_000)}
    assert told["incident.acknowledged"]["incident"]["acknowledger"] == told["maintenance.changed"]["window"]["creator"] == "王工"
    _, undone = await house.json("POST", f"{path}/unacknowledge", json={})
    assert (undone["acknowledged_by"], undone["acknowledger"]) == ("", "")


async def test_many_are_acknowledged_at_once_and_each_is_answered_for_itself(house: House) -> None:
    incident = await one_incident(house)
    body = {"ids": [incident["id"], "I-none", incident["id"]], "act": "acknowledge", "comment": "all mine"}
    status, answer = await house.json("POST", "/v1/incidents/bulk", json=body)
    assert status == 200
    assert [(one["id"], one["done"], one["problem"]) for one in answer["items"]] == [
        (incident["id"], True, ""),
        ("I-none", False, "no-incident"),
    ]
    assert (await house.json("POST", "/v1/incidents/bulk", json={**body, "act": "recover"}))[0] in (400, 422)


async def test_a_key_with_scopes_acts_only_on_what_lies_in_them(house: House) -> None:
    incident = await one_incident(house)
    _, made = await house.json("POST", "/v1/keys", json={"name": "east", "roles": ["engineer"], "scopes": ["g-2"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    path = f"/v1/incidents/{incident['id']}"
    assert (await house.json("POST", f"{path}/acknowledge", role=None, headers=headers, json={}))[0] == 403
    window = {"devices": [CAMERA], "minutes": 5}
    assert (await house.json("POST", "/v1/maintenance-windows", role=None, headers=headers, json=window))[0] == 403
    assert (await house.json("POST", "/v1/maintenance-windows", role=None, headers=headers, json={**window, "devices": ["cam-3"]}))[
        0
    ] == 201


async def test_a_key_with_scopes_leaves_the_gateways_own_blindness_alone(house: House) -> None:
    now = house.clock.now()
    blind = Incident(
        IncidentId("I-blind"),
        IncidentState.RESOLVED,
        Severity.CRITICAL,
        HealthState.UNKNOWN,
        Cause(CauseKind.GATEWAY, name="gateway"),
        "gateway-blind",
        *(now, now, now),
        resolved_at=now,
    )

    async def change(tx: Tx) -> None:
        await tx.incidents.save(blind)

    await house.services.store.writer.write(change, lane=Lane.HEALTH)
    _, made = await house.json("POST", "/v1/keys", json={"name": "east", "roles": ["engineer"], "scopes": ["g-2"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    body = {"ids": ["I-blind"], "act": "comment", "comment": "x"}
    path = "/v1/incidents/I-blind/comment"
    assert (await house.json("POST", path, role=None, headers=headers, json={"comment": "x"}))[0] == 403
    _, answer = await house.json("POST", "/v1/incidents/bulk", role=None, headers=headers, json=body)
    assert [one["done"] for one in answer["items"]] == [False]
    assert (await house.json("POST", path, json={"comment": "x"}))[0] == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("state=open", 1),
        ("state=open&state=resolved", 1),
        ("state=resolved", 0),
        ("live=false", 0),
        ("live=true&state=resolved", 0),
        ("live=true&state=open", 1),
        ("severity=critical", 1),
        ("severity=minor", 0),
        (f"device={CAMERA}", 1),
        ("device=cam-3", 0),
        ("assignee=nobody", 0),
        ("since=2030-01-01T00:00:00Z", 1),
        ("until=2020-01-01T00:00:00Z", 0),
    ],
)
async def test_incidents_are_filtered(house: House, query: str, count: int) -> None:
    await one_incident(house)
    status, page = await house.json("GET", f"/v1/incidents?{query}")
    assert (status, len(page["items"])) == (200, count)


async def test_one_click_mutes_and_the_end_is_told(house: House) -> None:
    status, window = await house.json("POST", "/v1/maintenance-windows", json={"devices": [SWITCH], "minutes": 120, "reason": "新交换机"})
    assert (status, window["in_force"], window["reason"]) == (201, True, "新交换机")
    await fall(house, SWITCH, CAMERA)
    _, page = await house.json("GET", "/v1/incidents?live=true")
    assert not page["items"]
    _, device = await house.json("GET", f"/v1/devices/{SWITCH}")
    assert (device["muted"], device["maintenance"], device["state"]) == (True, window["id"], "down")
    _, page = await house.json("GET", "/v1/devices?muted=true")
    assert [one["id"] for one in page["items"]] == [SWITCH]
    path = f"/v1/maintenance-windows/{window['id']}"
    status, ended = await house.json("POST", f"{path}/end", json={})
    assert (status, ended["in_force"]) == (200, False)
    assert (await house.json("POST", f"{path}/end", json={}))[0] == 409
    await fall(house)
    _, page = await house.json("GET", "/v1/incidents?live=true")
    assert page["items"][0]["cause"]["device"] == SWITCH
    span = "since=2020-01-01T00:00:00Z&until=2020-06-01T00:00:00Z"
    assert (await house.json("GET", f"{path}/spans?{span}")) == (200, {"spans": []})


async def test_a_window_that_comes_again_is_started_early_and_deleted_and_stays_on_record(house: House) -> None:
    wish = {"everything": True, "rrule": "FREQ=DAILY", "duration_minutes": 60, "timezone": "Asia/Shanghai"}
    start = house.clock.now() + timedelta(hours=6)
    status, window = await house.json("POST", "/v1/maintenance-windows", json={**wish, "start": start.isoformat()})
    assert (status, window["in_force"]) == (201, False)
    path = f"/v1/maintenance-windows/{window['id']}"
    _, started = await house.json("POST", f"{path}/start", json={})
    assert started["in_force"]
    _, ahead = await house.json("GET", "/v1/maintenance-windows?ahead=true")
    assert [one["id"] for one in ahead["items"]] == [window["id"]]
    await house.advance(30)
    _, gone = await house.json("DELETE", path)
    assert (gone["in_force"], gone["cancelled_at"] is not None) == (False, True)
    assert (await house.json("DELETE", path))[0] == 409
    _, every = await house.json("GET", "/v1/maintenance-windows")
    assert [one["id"] for one in every["items"]] == [window["id"]]
    since, until = house.clock.now() - timedelta(days=1), house.clock.now() + timedelta(days=1)
    _, spans = await house.json("GET", f"{path}/spans", params={"since": since.isoformat(), "until": until.isoformat()})
    assert len(spans["spans"]) == 1


@pytest.mark.parametrize(
    "wish",
    [
        {"minutes": 5},
        {"devices": ["cam-none"], "minutes": 5},
        {"districts": ["Atlantis"], "minutes": 5},
        {"everything": True},
        {"everything": True, "minutes": 5, "rrule": "FREQ=DAILY"},
        {"everything": True, "rrule": "FREQ=DAILY"},
        {"everything": True, "rrule": "FREQ=SECONDLY", "duration_minutes": 5},
        {"everything": True, "minutes": 5, "start": "2020-01-01T00:00:00Z"},
        {"everything": True, "minutes": 5, "timezone": "x\x00"},
    ],
)
async def test_a_window_that_cannot_be_kept_is_refused(house: House, wish: dict[str, Any]) -> None:
    status, problem = await house.json("POST", "/v1/maintenance-windows", json=wish)
    assert status in (400, 422), problem
    assert problem["errors"]


async def test_events_of_windows_name_who_did_it(house: House) -> None:
    await house.json("POST", "/v1/maintenance-windows", role=Role.ENGINEER, json={"groups": ["g-1"], "minutes": 1})
    await fall(house)
    await house.advance(60)
    await fall(house)
    events = [one for one in await house.services.store.events.read_after(0, limit=99) if one.type.startswith("maintenance.")]
    assert [one.type for one in events] == ["maintenance.changed", "maintenance.started", "maintenance.ended"]
    assert events[0].data["actor"].startswith("api-key:")
    assert events[2].data["actor"] == str(Actor(ActorKind.SYSTEM, "gateway"))


async def test_a_window_that_begins_at_the_end_of_time_is_refused(house: House) -> None:
    window = {"devices": [SWITCH], "start": "9999-12-31T23:00:00Z", "minutes": 4_000_000, "reason": "x"}
    status, problem = await house.json("POST", "/v1/maintenance-windows", json=window)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/start")


@pytest.mark.parametrize("minutes", [True, "5"])
async def test_minutes_of_a_window_are_a_number_and_nothing_like_one(house: House, minutes: object) -> None:
    status, problem = await house.json("POST", "/v1/maintenance-windows", json={"devices": [SWITCH], "minutes": minutes})
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["/minutes"])
