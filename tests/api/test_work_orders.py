"""Work orders over the API: from an incident to the closing picture, their clocks, who may do what, and what is handed over."""

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind, Event, Person
from gateway.domain.health import HealthState
from gateway.domain.incidents import Cause, CauseKind, Incident, IncidentId, IncidentState, Member
from gateway.domain.incidents import Role as MemberRole
from gateway.domain.severity import Severity
from gateway.domain.work_orders import Deed, WorkAct, WorkOrderId
from gateway.incidents.work_orders import LOOK_S
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, SWITCH, House, open_house, open_street, small_city

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20 + b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 20 + b"IEND\xaeB`\x82"
TO = {"what": "换镜头", "devices": ["cam-1"], "maintainer": "水城智安"}


def maintained() -> City:
    city = small_city()
    devices = [replace(one, maintainer="水城智安" if one.group == "g-1" else "鲁西弱电") for one in city.devices.values()]
    city.replace(devices=devices, groups=list(city.groups.values()), zones=list(city.zones.values()))
    return city


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, template, city=maintained()) as opened:
        yield opened


async def ordered(house: House, **changed: Any) -> dict[str, Any]:
    status, order = await house.json("POST", "/v1/work-orders", json=TO | changed)
    assert status == 201, order
    return dict(order)


async def done(house: House, order: dict[str, Any], step: str, **body: Any) -> dict[str, Any]:
    status, answer = await house.json("POST", f"/v1/work-orders/{order['id']}/{step}", json=body)
    assert status == 200, answer
    return dict(answer)


async def incident(house: House) -> Incident:
    now = house.clock.now()
    members = {
        one: Member(one, HealthState.DOWN, "timeout", now, role, now)
        for one, role in ((SWITCH, MemberRole.ROOT), (CAMERA, MemberRole.EXPLAINED))
    }
    cause = Cause(CauseKind.DEVICE, SWITCH, name="交换机")
    made = Incident(
        IncidentId("I-9"), IncidentState.OPEN, Severity.CRITICAL, HealthState.DOWN, cause, "timeout", now, now, now, members, len(members)
    )

    async def change(tx: Tx) -> None:
        await tx.incidents.save(made, members.values())

    await house.services.store.writer.write(change, lane=Lane.HEALTH)
    return made


async def test_an_order_from_an_incident_names_what_is_to_be_mended_and_by_whom(house: House) -> None:
    await incident(house)
    status, order = await house.json("POST", "/v1/work-orders", json={"what": "没电", "incident": "I-9"})
    assert status == 201
    assert [one["id"] for one in order["devices"]] == ["sw-1"], "what hangs on it comes back by itself"
    assert (order["maintainer"], order["severity"], order["state"], order["incident"]) == ("水城智安", "critical", "open", "I-9")
    assert order["clocks"]["response"]["target_s"] == 3600
    assert order["devices"][0]["district"] == "历下"


async def test_the_whole_way_is_audited_told_and_kept(house: House) -> None:
    order = await ordered(house, severity="major")
    await house.advance(600)
    assert (await done(house, order, "accept", technician="老王"))["technician"] == "老王"
    await done(house, order, "pause", comment="等高空车")
    await house.advance(3600)
    assert (await done(house, order, "on-site"))["paused"] is False
    async with house.call("POST", f"/v1/work-orders/{order['id']}/pictures", data=JPEG, headers={"Content-Type": "image/jpeg"}) as answer:
        assert answer.status == 200, await answer.text()
    await done(house, order, "repaired", comment="已换镜头")
    await done(house, order, "send-back", comment="仍模糊")
    await house.advance(60)
    await done(house, order, "repaired", comment="已重新对焦")
    closed = await done(house, order, "close")
    assert (closed["state"], closed["closing_note"], closed["sent_back"]) == ("closed", "已重新对焦", 1)
    assert closed["clocks"]["response"]["used_s"] == 600
    assert closed["clocks"]["repair"]["used_s"] == 660
    _, history = await house.json("GET", f"/v1/work-orders/{order['id']}/history")
    steps = ["opened", "accepted", "paused", "on-site", "picture", "repaired", "sent-back", "repaired", "closed"]
    assert [one["what"] for one in history["items"]] == steps
    events = [one for one in await house.services.store.events.read_after(0, limit=1000) if one.type.startswith("work-order.")]
    assert [one.type.partition(".")[2] for one in events] == steps
    assert events[-1].data["work_order"]["devices"][0]["name"] == "东门枪机", "complete without a link"
    _, audit = await house.json("GET", "/v1/audit")
    assert {one["action"] for one in audit["items"]} >= {f"work-order.{step}" for step in steps}
    status, problem = await house.json("POST", f"/v1/work-orders/{order['id']}/cancel", json={"comment": "x"})
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:wrong-work-order-state")
    assert (await house.json("GET", f"/v1/work-orders/{order['id']}"))[1] == closed


@pytest.mark.parametrize(("data", "kind"), [(JPEG, "image/jpeg"), (PNG, "image/png")])
async def test_a_picture_is_kept_under_its_hash_and_given_back_as_it_came(house: House, data: bytes, kind: str) -> None:
    order = await ordered(house)
    for _ in range(2):
        async with house.call("POST", f"/v1/work-orders/{order['id']}/pictures", data=data, headers={"Content-Type": kind}) as answer:
            (picture,) = (await answer.json())["pictures"]
    assert picture["sha256"] == hashlib.sha256(data).hexdigest()
    async with house.call("GET", f"/v1/work-orders/{order['id']}/pictures/{picture['sha256']}") as answer:
        assert (await answer.read(), answer.content_type) == (data, kind)
    status, _ = await house.json("GET", f"/v1/work-orders/{order['id']}/pictures/{'0' * 64}")
    assert status == 404


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", JPEG[:-2], PNG[:-4], b"\xff\xd8\xff" + b"x" * (5 << 20) + b"\xff\xd9"])
async def test_what_is_no_whole_picture_is_refused(house: House, data: bytes) -> None:
    order = await ordered(house)
    path = f"/v1/work-orders/{order['id']}/pictures"
    async with house.call("POST", path, data=data, headers={"Content-Type": "image/jpeg"}) as answer:
        assert answer.status in (400, 413, 422), answer.status
    assert (await house.json("GET", f"/v1/work-orders/{order['id']}"))[1]["pictures"] == []


async def test_overdue_orders_are_told_once_and_listed_the_longest_first(house: House) -> None:
    first = await ordered(house, severity="major")
    await house.advance(600)
    second = await ordered(house, severity="critical")
    await house.advance(7300)
    desk = house.services.work_orders
    for _ in range(3):
        await desk.look()
    told = [one for one in await house.services.store.events.read_after(0, limit=100) if one.type == "work-order.overdue"]
    assert [(one.subject, one.data["detail"]["clocks"]) for one in told] == [(first["id"], ["response"]), (second["id"], ["response"])]
    _, page = await house.json("GET", "/v1/work-orders?overdue=true")
    assert [one["id"] for one in page["items"]] == [second["id"], first["id"]]
    await done(house, second, "accept")
    _, page = await house.json("GET", "/v1/work-orders?overdue=true")
    assert [one["id"] for one in page["items"]] == [first["id"]], "the clock that had run out stands now"
    assert LOOK_S < 60


async def test_a_person_who_acts_while_overdue_orders_are_looked_for_wins_and_the_next_look_tells(house: House) -> None:
    order = await ordered(house, severity="critical")
    await house.advance(LOOK_S / 2)
    desk = house.services.work_orders
    house.clock.step(timedelta(hours=5))
    accepted = desk.act(WorkOrderId(order["id"]), Deed(WorkAct.ACCEPT), by=Person(Actor(ActorKind.USER, "li"), "李工"))
    await asyncio.gather(accepted, desk.look())
    assert (await desk.get(WorkOrderId(order["id"]))).accepted_at is not None
    assert not await overdue(house)
    await desk.look()
    assert [one.subject for one in await overdue(house)] == [order["id"]]


async def overdue(house: House) -> list[Event]:
    return [one for one in await house.services.store.events.read_after(0, limit=100) if one.type == "work-order.overdue"]


async def test_orders_are_found_by_what_they_are_about(house: House) -> None:
    one, other = await ordered(house), await ordered(house, devices=["cam-3", "cam-2"], severity="critical")
    await done(house, one, "accept")
    for query, found in {
        "": [other, one],
        "?state=open": [other],
        "?state=open&state=accepted": [other, one],
        "?device=cam-2": [other],
        "?severity=critical": [other],
        "?maintainer=鲁西弱电": [],
    }.items():
        assert [item["id"] for item in (await house.json("GET", f"/v1/work-orders{query}"))[1]["items"]] == [
            each["id"] for each in found
        ], query
    _, page = await house.json("GET", "/v1/work-orders?limit=1")
    _, rest = await house.json("GET", f"/v1/work-orders?limit=1&cursor={page['next']}")
    assert [page["items"][0]["id"], rest["items"][0]["id"], rest["next"]] == [other["id"], one["id"], None]


async def test_what_does_not_follow_must_be_given(house: House) -> None:
    for body, pointer in (
        ({"what": "x"}, "/devices"),
        ({"what": "x", "devices": ["nobody"]}, "/devices"),
        ({"what": "x", "devices": ["cam-1", "cam-3"]}, "/maintainer"),
        ({"what": "", "devices": ["cam-1"]}, "/what"),
    ):
        status, problem = await house.json("POST", "/v1/work-orders", json=body)
        assert (status, problem["errors"][0]["pointer"]) == (422, pointer), problem
    assert (await house.json("POST", "/v1/work-orders", json={"what": "x", "incident": "I-none"}))[0] == 404


async def test_viewers_look_and_a_key_acts_within_its_scopes_alone(house: House) -> None:
    order = await ordered(house)
    assert (await house.json("GET", f"/v1/work-orders/{order['id']}", role=Role.VIEWER))[0] == 200
    for path, body in ((f"/v1/work-orders/{order['id']}/accept", {}), ("/v1/work-orders", TO)):
        assert (await house.json("POST", path, role=Role.VIEWER, json=body))[0] == 403

    _, made = await house.json("POST", "/v1/keys", json={"name": "n", "roles": ["engineer"], "scopes": ["g-2"]})
    status, problem = await house.json(
        "POST", f"/v1/work-orders/{order['id']}/accept", role=None, headers={"Authorization": f"Bearer {made['key']}"}, json={}
    )
    assert (status, problem["type"].rpartition(":")[2]) == (403, "out-of-scope")


async def test_what_is_handed_over_reads_back_and_holds_no_formula(house: House) -> None:
    order = await ordered(house, what="=HYPERLINK(1)\n第二行")
    await done(house, order, "accept", technician="＠老王")
    async with house.call("GET", "/v1/work-orders/export?format=csv") as answer:
        head, row = csv.reader(io.StringIO((await answer.read()).decode("utf-8-sig")))
    told = dict(zip(head, row, strict=True))
    assert (told["内容 What"], told["维修人员 Technician"]) == ("'=HYPERLINK(1)\n第二行", "'＠老王")
    assert told["派单时间 Opened"] == (house.clock.now() + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    async with house.call("GET", "/v1/work-orders/export") as answer:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(await answer.read())).get_sheet_by_index(0).to_python()
    assert sheet[0] == head
    assert (sheet[1][0], sheet[1][5], len(sheet)) == (order["id"], "=HYPERLINK(1)\n第二行", 2)


async def test_clocks_go_on_after_a_restart(tmp_path: Path, template: Path) -> None:
    async with open_house(tmp_path, template, city=maintained()) as house:
        order = await ordered(house, severity="critical")
    async with open_house(tmp_path, template, city=maintained()) as house:
        await house.services.work_orders.load()
        await house.advance(7300)
        await house.services.work_orders.look()
        _, page = await house.json("GET", "/v1/work-orders?overdue=true")
        assert [one["id"] for one in page["items"]] == [order["id"]]


async def test_the_camera_that_was_repaired_gives_the_closing_picture_itself(tmp_path: Path, template: Path) -> None:
    async with open_street(tmp_path, template) as (house, planned, _):
        camera = next(one for one in planned.of_kind("camera") if one.auth == "wsse" and not one.lacks)
        order = await ordered(house, devices=[camera.id])
        captured = await done(house, order, "captures", camera=camera.id)
        (picture,) = captured["pictures"]
        assert picture["source"] == f"capture:{camera.id}"
        data, kind = await house.services.work_orders.picture(WorkOrderId(order["id"]), picture["sha256"])
        assert (data[:3], kind) == (b"\xff\xd8\xff", "image/jpeg")
        status, _ = await house.json("POST", f"/v1/work-orders/{order['id']}/captures", json={"camera": DeviceId("spk")})
        assert status in (400, 422)
