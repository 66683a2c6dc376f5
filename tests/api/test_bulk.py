"""One change to many devices: shown, made in all or none, recorded with its reason, within what a key reaches."""

import json
from typing import Any

import pytest

from gateway.domain.access import Role
from tests.api.house import House
from tests.inventory.files import CITY

BULK = "/v1/devices/bulk"


@pytest.fixture
async def filled(house: House) -> House:
    more = CITY.replace("devices:\n", "  - {id: G-2, name: 广场, district: 开发区}\ndevices:\n").replace(
        "channels:", "  - {id: CAM-2, kind: camera, name: 球机, address: 10.0.0.5, group: G-2, vendor: Dahua, model: D-1}\nchannels:"
    )
    status, _ = await house.json(
        "POST", "/v1/inventory/imports?name=a.yaml", data=more.encode(), headers={"Content-Type": "application/yaml"}
    )
    assert status == 200
    return house


async def bulk(house: House, select: Any, values: Any, *, role: Role = Role.ENGINEER, **more: Any) -> tuple[int, Any]:
    return await house.json("POST", BULK, role=role, json={"select": select, "set": values, **more})


async def test_a_dry_run_shows_the_difference_and_changes_nothing(filled: House):
    status, done = await bulk(filled, {"kind": "camera"}, {"maintainer": "联通"}, dry_run=True)
    assert (status, done["applied"], done["selected"]) == (200, False, 2)
    assert done["lines"] == [
        "~ camera CAM-1 枪机  maintainer: (empty) → 联通",
        "~ camera CAM-2 球机  maintainer: (empty) → 联通",
        "0 added, 2 changed, 0 removed",
    ]
    assert (await filled.json("GET", "/v1/devices/CAM-1"))[1]["maintainer"] == ""


@pytest.mark.parametrize(
    ("select", "meant"),
    [
        ({"ids": ["CAM-1", "NVR-1"]}, {"CAM-1", "NVR-1"}),
        ({"kind": "camera"}, {"CAM-1", "CAM-2"}),
        ({"kind": "camera", "district": "开发区"}, {"CAM-2"}),
        ({"group": "G-1"}, {"SW-1", "CAM-1", "SPK-1"}),
        ({"vendor": "dahua"}, {"CAM-2"}),
        ({"model": "D-1"}, {"CAM-2"}),
    ],
)
async def test_all_that_fit_the_selection_are_changed_and_no_others(filled: House, select: Any, meant: set[str]):
    status, done = await bulk(filled, select, {"maintainer": "=联通", "enabled": False}, comment="合同更换")
    assert (status, done["applied"], done["selected"]) == (200, True, len(meant))
    _, page = await filled.json("GET", "/v1/devices")
    assert {device["id"] for device in page["items"] if device["maintainer"] == "=联通" and not device["enabled"]} == meant


async def test_the_record_says_who_changed_what_and_why(filled: House):
    await bulk(filled, {"vendor": "Dahua"}, {"password": "se-cret-2", "username": "gateway"}, comment="新合同")
    async with filled.services.store.read() as tx:
        row = (await tx.audit.page(limit=1))[0]
    said = json.dumps(row.data if hasattr(row, "data") else str(row), ensure_ascii=False, default=str)
    assert all(word in said for word in ("新合同", "password: changed", "CAM-2"))
    assert "se-cret-2" not in said


@pytest.mark.parametrize(
    ("select", "values", "status", "words"),
    [
        ({}, {"maintainer": "x"}, 422, "empty"),
        ({"vendor": "nobody"}, {"maintainer": "x"}, 422, "No device fits"),
        ({"ids": ["CAM-1", "CAM-9"]}, {"maintainer": "x"}, 404, "CAM-9"),
        ({"kind": "camera"}, {"id": "x"}, 422, "never changes"),
        ({"kind": "camera"}, {"maintainr": "x"}, 422, "did you mean 'maintainer'"),
        ({"kind": "camera"}, {"address": "10.0.0.9"}, 422, "already that of"),
        ({"kind": "camera"}, {"kind": "kamera"}, 422, "not one of"),
        ({"kind": "camera"}, {}, 422, "set"),
        ({"colour": "red"}, {"maintainer": "x"}, 422, "colour"),
    ],
)
async def test_what_cannot_be_done_to_all_is_done_to_none(filled: House, select: Any, values: Any, status: int, words: str):
    answered, problem = await bulk(filled, select, values)
    assert (answered, words in json.dumps(problem, ensure_ascii=False)) == (status, True), problem
    _, page = await filled.json("GET", "/v1/devices")
    assert all(device["maintainer"] == "" for device in page["items"])


async def test_a_key_with_scopes_edits_only_what_it_reaches(filled: House):
    _, made = await filled.json("POST", "/v1/keys", json={"name": "half", "roles": ["engineer"], "scopes": ["G-2"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    body = {"select": {"kind": "camera"}, "set": {"maintainer": "x"}}
    assert (await filled.json("POST", BULK, role=None, headers=headers, json=body))[0] == 403
    body["select"] = {"group": "G-2"}
    assert (await filled.json("POST", BULK, role=None, headers=headers, json=body | {"set": {"group": "G-1"}}))[0] == 403
    assert (await filled.json("POST", BULK, role=None, headers=headers, json=body))[0] == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.LIAISON, Role.APPROVER, Role.PLATFORM])
async def test_who_may_not_write_the_inventory_edits_nothing(filled: House, role: Role):
    assert (await bulk(filled, {"kind": "camera"}, {"maintainer": "x"}, role=role))[0] == 403
