"""Footage requests through the door: two people, every step on record, the bytes as the recorder gave them."""

import asyncio
import base64
import hashlib
from datetime import timedelta
from pathlib import Path

from gateway.domain.access import Role
from gateway.evidence.verifying import verify
from tests.api.house import CAMERA, House, open_street


def filing(house: House, camera: str = CAMERA, **changes) -> dict:
    start = house.clock.now().replace(microsecond=0) - timedelta(hours=1)
    return {
        "requester": "王建国",
        "unit": "东昌府分局治安大队",
        "badge": "371502-0417",
        "second_officer": "李敏",
        "case_number": "聊公（治）字〔2026〕0001号",
        "case_kind": "public-order",
        "legal_basis": "criminal-procedure-evidence",
        "authorising_document": "调取证据通知书〔2026〕0001号",
        "purpose": "查明经过",
        "destination": "入卷",
        "cameras": [camera],
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=1)).isoformat(),
        **changes,
    }


async def submitted(house: House, **changes) -> dict:
    status, request = await house.json("POST", "/v1/footage-requests", json=filing(house, **changes), role=Role.LIAISON)
    assert status == 201, request
    return request


async def test_a_request_is_filed_listed_and_refused_by_a_second_person(house: House):
    request = await submitted(house)
    assert (request["state"], request["cameras"], request["submitted_by"]["name"]) == ("submitted", [CAMERA], "liaison key")
    path = f"/v1/footage-requests/{request['id']}"
    status, problem = await house.json("POST", f"{path}/reject", json={}, role=Role.APPROVER)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/note")
    status, refused = await house.json("POST", f"{path}/reject", json={"note": "文书不符"}, role=Role.APPROVER)
    assert (status, refused["state"], refused["note"], refused["decided_by"]["name"]) == (200, "rejected", "文书不符", "approver key")
    status, problem = await house.json("POST", f"{path}/approve", json={}, role=Role.APPROVER)
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:wrong-state")
    _, dossier = await house.json("GET", path, role=Role.APPROVER)
    assert [entry["step"] for entry in dossier["custody"]] == ["submitted", "rejected"]


async def test_one_who_asks_does_not_approve_whatever_the_key(house: House):
    request = await submitted(house)
    body = {"name": "x", "username": "李 敏", "roles": ["approver"]}
    _, key = await house.json("POST", "/v1/keys", json=body)
    headers = {"Authorization": f"Bearer {key['key']}"}
    status, problem = await house.json("POST", f"/v1/footage-requests/{request['id']}/approve", json={}, headers=headers)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:second-person")


async def test_every_fault_of_a_request_is_named(house: House):
    body = filing(house, camera="nowhere", requester="", case_kind="murder", end="2026-01-01T00:00:00")
    status, problem = await house.json("POST", "/v1/footage-requests", json=body, role=Role.LIAISON)
    assert (status, {fault["pointer"] for fault in problem["errors"]}) == (422, {"/requester", "/end"})
    body = filing(house, camera="nowhere", case_kind="murder")
    status, problem = await house.json("POST", "/v1/footage-requests", json=body, role=Role.LIAISON)
    assert (status, {fault["pointer"]: fault["code"] for fault in problem["errors"]}) == (
        422,
        {"/cameras/0": "unknown", "/case_kind": "not-listed"},
    )
    assert {"name": "nowhere"} in [fault.get("values") for fault in problem["errors"]]


async def test_requests_page_newest_first_and_narrow_by_state_and_case(house: House):
    ids = []
    for number in range(5):
        ids.append((await submitted(house, case_number=f"case {number % 2}"))["id"])
        await house.advance(1)
    await house.json("POST", f"/v1/footage-requests/{ids[0]}/cancel", json={"note": "x"}, role=Role.LIAISON)
    seen, cursor = [], ""
    while cursor is not None:
        _, page = await house.json("GET", "/v1/footage-requests?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == ids[::-1]
    _, page = await house.json("GET", "/v1/footage-requests?state=cancelled")
    assert [item["id"] for item in page["items"]] == ids[:1]
    _, page = await house.json("GET", "/v1/footage-requests?case_number=case%201")
    assert [item["id"] for item in page["items"]] == [ids[3], ids[1]]
    assert (await house.json("GET", "/v1/footage-requests?cursor=WyJub3ciLCJ4Il0"))[0] == 422


async def test_a_preview_tells_which_cameras_and_when_and_what_is_wrong(house: House):
    body = {name: told for name, told in filing(house).items() if name in {"start", "end", "cameras"}}
    status, seen = await house.json("POST", "/v1/footage-requests/preview", json=body | {"tolerance_s": 600}, role=Role.LIAISON)
    assert (status, seen["faults"], [one["camera"] for one in seen["cameras"]]) == (200, [], [CAMERA])
    assert (seen["cameras"][0]["recorded"], seen["cameras"][0]["within_reach"]) == (True, True)
    assert seen["cameras"][0]["start"] < body["start"]
    empty = {"start": body["start"], "end": body["end"], "circle": {"centre": {"latitude": 0.0, "longitude": 0.0}, "radius_m": 5.0}}
    _, seen = await house.json("POST", "/v1/footage-requests/preview", json=empty, role=Role.LIAISON)
    assert (seen["cameras"], seen["faults"][0]["pointer"]) == ([], "/cameras")
    assert (await house.json("GET", "/v1/footage-requests", role=Role.LIAISON))[1]["items"] == []


async def test_a_route_is_filed_kept_and_shown_camera_by_camera(house: House):
    position = house.services.city.place_of(house.services.city.devices[CAMERA])
    corners = [{"latitude": position.latitude, "longitude": position.longitude + step} for step in (-0.001, 0.001)]
    route = {"points": corners, "direction": "forward", "slowest_kmh": 4.0, "fastest_kmh": 20.0, "corridor_m": 60.0}
    request = await submitted(house, cameras=[], route=route, address="东昌路")
    assert CAMERA in request["cameras"]
    mine = next(one for one in request["windows"] if one["camera"] == CAMERA)
    assert mine["end"] > request["end"]
    _, dossier = await house.json("GET", f"/v1/footage-requests/{request['id']}", role=Role.LIAISON)
    assert (dossier["windows"], dossier["address"]) == (request["windows"], "东昌路")


async def test_a_key_asks_for_its_own_cameras_and_no_longer_than_it_may(house: House):
    other = next(device.id for device in house.services.city.devices.values() if device.kind == "camera" and device.id != CAMERA)
    body = {"name": "narrow", "roles": ["liaison"], "scopes": [CAMERA], "footage_hours": 0.1}
    _, key = await house.json("POST", "/v1/keys", json=body)
    headers = {"Authorization": f"Bearer {key['key']}"}
    asked = {"json": filing(house), "headers": headers}
    assert (await house.json("POST", "/v1/footage-requests", **asked))[0] == 201
    status, problem = await house.json("POST", "/v1/footage-requests", json=filing(house, camera=other), headers=headers)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:out-of-scope")
    status, problem = await house.json("POST", "/v1/footage-requests", json=filing(house, tolerance_s=400), headers=headers)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/end")
    assert (await house.json("GET", "/v1/session", headers=headers))[1]["footage_hours"] == 0.1


async def test_past_requests_are_searched_and_counted(house: House):
    for unit in ("=1+1", "东昌府分局", "东昌府分局"):
        await submitted(house, unit=unit)
    _, page = await house.json("GET", f"/v1/footage-requests?unit=昌府&camera={CAMERA}&q=查明&person=李敏", role=Role.LIAISON)
    assert len(page["items"]) == 2
    assert (await house.json("GET", "/v1/footage-requests?camera=elsewhere"))[1]["items"] == []
    assert (await house.json("GET", "/v1/footage-requests?since=2026-01-01T00:00:00Z"))[0] == 422
    _, rows = await house.json("GET", "/v1/footage-statistics?by=unit", role=Role.APPROVER)
    assert [(row["key"], row["requests"], row["outcomes"]) for row in rows["items"]] == [
        ("东昌府分局", 2, {"submitted": 2}),
        ("=1+1", 1, {"submitted": 1}),
    ]
    async with house.call("GET", "/v1/footage-statistics/export?by=unit", role=Role.APPROVER) as answer:
        text = (await answer.read()).decode("utf-8-sig")
    assert text.splitlines()[0].startswith("项目 row,申请 requests,")
    assert text.splitlines()[2].startswith("'=1+1,1,0,0,1,")


async def test_the_register_tells_its_codes(house: House):
    _, register = await house.json("GET", "/v1/footage-register", role=Role.LIAISON)
    assert "public-order" in register["case_kinds"]
    assert "criminal-procedure-evidence" in register["legal_bases"]
    assert (register["case_kinds"]["traffic"], register["case_kinds_en"]["traffic"]) == ("道路交通事故", "road accident")


async def test_footage_is_fetched_and_goes_whole_or_in_part_to_who_asked_for_it_alone(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        recorder = next(device for device in city.of_kind("recorder") if device.channels)
        channel = next(channel for channel in recorder.channels if not channel.gappy)
        request = await submitted(house, camera=channel.camera)
        path = f"/v1/footage-requests/{request['id']}"
        await house.json("POST", f"{path}/approve", json={}, role=Role.APPROVER)
        async with asyncio.timeout(60):
            async for event in house.services.store.events.follow(after=0):
                if event.subject == request["id"] and event.data.get("state") in {"ready", "partial", "unavailable", "failed"}:
                    break
        _, dossier = await house.json("GET", path, role=Role.LIAISON)
        assert dossier["state"] == "ready", dossier
        assert dossier["coverage"][0]["gaps"] == []
        file = dossier["files"][0]
        async with house.call("GET", f"{path}/files/{file['name']}", role=Role.LIAISON) as answer:
            data = await answer.read()
            digest = answer.headers["Repr-Digest"]
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        assert digest == f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
        async with house.call("GET", f"{path}/files/{file['name']}", role=Role.LIAISON, headers={"Range": "bytes=100-199"}) as answer:
            assert (answer.status, await answer.read()) == (206, data[100:200])
        _, manifest = await house.json("GET", f"{path}/manifest", role=Role.LIAISON)
        assert manifest["cameras"][0]["files"][0]["sha256"] == file["sha256"]
        async with house.call("GET", f"{path}/package", role=Role.LIAISON) as answer:
            whole = tmp_path / "whole.zip"
            whole.write_bytes(await answer.read())
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{request["id"]}.zip"'
        assert verify(whole, trusted=manifest["certificate_sha256"]).altered == ()
        body = {"name": "colleague", "roles": ["liaison"]}
        _, key = await house.json("POST", "/v1/keys", json=body)
        other = {"Authorization": f"Bearer {key['key']}"}
        status, problem = await house.json("GET", f"{path}/files/{file['name']}", headers=other)
        assert (status, problem["type"]) == (403, "urn:city-gateway:problem:not-yours")
        assert (await house.json("GET", f"{path}/package", headers=other))[0] == 403
        assert (await house.json("GET", f"{path}/files/..%2F..%2Fgateway.db", role=Role.LIAISON))[0] == 404
        _, evidence = await house.json("GET", "/v1/evidence", role=Role.LIAISON)
        assert [(item["name"], item["request"], item["downloads"]) for item in evidence["items"]] == [(file["name"], request["id"], 3)]
        status, done = await house.json("POST", f"{path}/hand-over", json={"receiver": "王建国"}, role=Role.LIAISON)
        assert (status, done["state"]) == (200, "handed-over")
        _, dossier = await house.json("GET", path, role=Role.LIAISON)
        steps = [entry["step"] for entry in dossier["custody"]]
        opening, rest = ["submitted", "approved", "located", "exported", "concluded"], ["downloaded"] * 4 + ["denied"] * 2
        assert steps == [*opening, *rest, "handed-over"]
