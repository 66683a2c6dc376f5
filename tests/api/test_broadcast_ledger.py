"""The ledger through the door: what came of a broadcast by one key, corrected with its history, found again by every filter."""

import csv
from base64 import b64encode
from dataclasses import replace

from gateway.domain.access import Role
from gateway.domain.devices import CellCode, DeviceId, GridCell, Position
from tests.api.house import House
from tests.api.test_broadcasts import clip_of, order, waiting


async def sent(house: House, name: str = "b-1", **changes) -> None:
    body = order(house, await clip_of(house), id=name, again=True, **changes)
    assert (await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR))[0] == 202


async def say(house: House, outcome: str, *, name: str = "b-1", role: Role = Role.OPERATOR, **body) -> tuple[int, dict]:
    return await house.json("POST", f"/v1/broadcasts/{name}/outcome", json={"outcome": outcome, **body}, role=role)


async def key(house: House, **fields) -> dict:
    _, made = await house.json("POST", "/v1/keys", json={"name": "post 4", "roles": ["operator"], **fields})
    return {"Authorization": f"Bearer {made['key']}"}


async def test_what_came_of_it_is_on_record_in_words_and_a_correction_keeps_what_was_said_before(house: House):
    await sent(house)
    status, told = await say(house, "left")
    assert (status, told["outcome"]["outcome_zh"], told["outcome"]["outcome_en"], told["corrected"]) == (200, "已劝离", "left", [])
    assert told["outcome"]["name"] == "operator key"
    assert (told["recording"]["state"], told["recording"]["state_zh"], told["recording"]["sha256"]) == ("not-asked", "未要求录音", "")
    await say(house, "left")  # a key that is pressed twice
    status, told = await say(house, "other", role=Role.PLATFORM, note="came back with a cart")
    assert (status, told["outcome"]["note"]) == (200, "came back with a cart")
    assert [entry["outcome"] for entry in told["corrected"]] == ["left"]
    assert (await house.json("GET", "/v1/broadcasts/b-1"))[1]["outcome"] == told["outcome"]
    events = [event async for event in _events(house)]
    assert [event.data["corrects"] for event in events] == ["", "left"]
    _, audit = await house.json("GET", "/v1/audit?subject=b-1")
    assert [row["action"] for row in audit["items"]].count("broadcast.outcome") == 2


async def _events(house: House):
    for event in await house.services.store.events.read_after(0, limit=500):
        if event.type == "broadcast.outcome":
            yield event


async def test_another_outcome_says_which_and_what_is_no_outcome_is_refused(house: House):
    await sent(house)
    status, problem = await say(house, "other")
    assert (status, problem["errors"][0]["pointer"]) == (422, "/note")
    assert (await say(house, "gone"))[0] == 422
    assert (await say(house, "left", note="two\nlines"))[0] == 422
    assert (await say(house, "left", name="b-9"))[0] == 404


async def test_only_who_may_speak_there_says_what_came_of_it(house: House):
    await sent(house)
    for role in (Role.VIEWER, Role.ENGINEER, Role.APPROVER):
        assert (await say(house, "left", role=role))[0] == 403
    beyond, within = await key(house, scopes=["g-2"]), await key(house, scopes=["历下"])
    status, problem = await house.json("POST", "/v1/broadcasts/b-1/outcome", json={"outcome": "left"}, headers=beyond)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:out-of-scope")
    assert (await house.json("POST", "/v1/broadcasts/b-1/outcome", json={"outcome": "left"}, headers=within))[0] == 200


async def test_the_ledger_is_looked_through_by_place_by_person_and_by_what_came_of_it(house: House):
    await sent(house, case="C-7")
    await sent(house, "b-2", targets={"speakers": ["spk-2"]}, priority="enforcement")
    await say(house, "nobody")
    _, one = await house.json("GET", "/v1/broadcasts/b-1")
    for filters, ids in {
        "": ["b-2", "b-1"],
        "speaker=spk-1": ["b-1"],
        "group=g-2": ["b-2"],
        "district=历下": ["b-1"],
        "district=历下&speaker=spk-2": [],
        "cell=none-such": [],
        "camera=cam-1": [],
        f"operator={one['actor']}": ["b-2", "b-1"],
        "operator=user:somebody": [],
        "kind=clip": ["b-2", "b-1"],
        "kind=talk": [],
        "priority=enforcement": ["b-2"],
        "outcome=nobody": ["b-1"],
        "outcome=none": ["b-2"],
        "case=C-7": ["b-1"],
        "from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z": [],
    }.items():
        status, page = await house.json("GET", f"/v1/broadcasts?{filters}")
        assert (filters, status, sorted(item["id"] for item in page["items"])) == (filters, 200, sorted(ids))
    assert (await house.json("GET", "/v1/broadcasts?operator=nobody"))[0] == 422
    _, page = await house.json("GET", "/v1/broadcasts?kind=clip&limit=1")
    _, rest = await house.json("GET", f"/v1/broadcasts?kind=clip&limit=1&cursor={page['next']}")
    assert [item["id"] for item in page["items"] + rest["items"]] == ["b-2", "b-1"]


TODAY = "from=2026-01-01T00:00:00%2B08:00&to=2026-01-03T00:00:00%2B08:00"


async def test_broadcasts_are_counted_by_day_and_by_who_ordered_them(house: House):
    await sent(house)
    await say(house, "left")
    status, told = await house.json("GET", f"/v1/broadcasts/statistics?{TODAY}")
    assert (status, told["timezone"]) == (200, "Asia/Shanghai")
    assert [(row["key"], row["broadcasts"]) for row in told["rows"]] == [("2026-01-01", 1), ("2026-01-02", 0)]
    assert told["rows"][0]["outcomes"] == {"left": 1}
    _, told = await house.json("GET", f"/v1/broadcasts/statistics?{TODAY}&by=operator&outcome=none")
    assert told["rows"] == []
    _, told = await house.json("GET", f"/v1/broadcasts/statistics?{TODAY}&by=operator")
    assert [(row["key"][:8], row["name"]) for row in told["rows"]] == [("api-key:", "operator key")]
    assert (await house.json("GET", "/v1/broadcasts/b-1"))[1]["sender"] == "operator key"
    _, told = await house.json("GET", f"/v1/broadcasts/statistics?{TODAY}&by=speaker")
    assert [(row["key"], row["deliveries"]) for row in told["rows"]] == [("spk-1", 1)]
    status, problem = await house.json("GET", "/v1/broadcasts/statistics?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z")
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:bad-period")


async def test_nothing_came_of_what_still_waits_for_a_second_person(house: House):
    await waiting(house)
    status, problem = await say(house, "left")
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:not-approved-yet")
    assert (await house.json("POST", "/v1/broadcasts/b-1/decline", role=Role.APPROVER))[0] == 200
    assert (await say(house, "nobody"))[0] == 200


async def test_an_outcome_that_nobody_can_ask_for_is_told_once_with_all_that_there_are(house: House):
    status, problem = await house.json("GET", "/v1/broadcasts?outcome=gone")
    assert (status, [one["pointer"] for one in problem["errors"]]) == (422, ["?outcome"])
    assert problem["errors"][0]["detail"] == "must be 'left', 'passed-on', 'nobody', 'other' or 'none'"


async def test_the_ledgers_file_names_what_was_meant_and_what_is_gone_by_its_code(house: House):
    city = house.services.city
    square = GridCell(CellCode("C-1"), "古楼街道三", ((Position(36.6, 117.0), Position(36.7, 117.0), Position(36.7, 117.1)),))
    there = {"devices": [*city.devices.values()], "zones": [*city.zones.values()]}
    city.replace(**there, cells=[square, replace(square, code=CellCode("C-2"))])
    await sent(house, targets={"speakers": ["spk-2"], "zones": ["z-1"], "cells": ["C-1", "C-2"]})
    city.replace(**there, cells=[square])
    async with house.call("GET", "/v1/broadcasts/export?format=csv") as answer:
        assert "speakers spk-2 (广场音柱); zones z-1 (全部); cells C-1 (古楼街道三), C-2" in (await answer.read()).decode("utf-8-sig")


async def test_the_ledger_and_its_figures_are_taken_as_spreadsheets_that_run_nothing(house: House):
    await sent(house, case="=HYPERLINK(1)")
    await say(house, "other", note="came back")
    async with house.call("GET", "/v1/broadcasts/export?format=csv") as answer:
        text = (await answer.read()).decode("utf-8-sig")
        assert (answer.status, answer.content_type) == (200, "text/csv")
    head, row = text.splitlines()
    assert "编号 id" in head
    assert "'=HYPERLINK(1)" in row and "其他 other" in row and "came back" in row
    assert "operator key (api-key:" in row
    assert "已播完 played to the end" in head and "通知 notice" in row
    async with house.call("GET", "/v1/broadcasts/export?format=csv&rows=deliveries") as answer:
        digest, text = answer.headers["Repr-Digest"], (await answer.read()).decode("utf-8-sig")
    head, row = csv.reader(text.splitlines())
    told = dict(zip(head, row, strict=True))
    assert (told["播报编号 broadcast"], told["音柱 loudspeaker"], told["丢失包数 packets lost"]) == ("b-1", "spk-1", "")
    assert told["名称 name"] == house.services.city.devices[DeviceId("spk-1")].name
    for path in ("/v1/broadcasts/export?", f"/v1/broadcasts/statistics/export?{TODAY}&"):
        async with house.call("GET", path + "format=xlsx") as answer:
            assert (answer.status, (await answer.read())[:2]) == (200, b"PK")
    _, audit = await house.json("GET", "/v1/audit?limit=200")
    exports = [row["data"] for row in audit["items"] if row["action"] == "broadcast.export"]
    assert [(one["broadcasts"], one["deliveries"]) for one in exports] == [(1, 1)] * 3
    assert digest in {f"sha-256=:{b64encode(bytes.fromhex(one['sha256'])).decode()}:" for one in exports}
