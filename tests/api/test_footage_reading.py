"""Whose footage requests a key reads: its own and those whose cameras it all reaches, by every door; and what is on record of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from gateway.domain.access import Role
from gateway.domain.devices import DeviceId, GroupId
from gateway.domain.footage import FootageRequest, Period, RequestId
from gateway.footage.reading import READ_ONCE_IN, SEARCHES_MAX
from gateway.footage.refusals import ASKED_MAX, SUBJECTS_MAX
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, House
from tests.api.test_brought_files import announced, liaison
from tests.api.test_deliveries import STICK
from tests.api.test_events import Listener
from tests.api.test_footage import filing, submitted
from tests.api.test_footage_links import LINKS, RECEIVER
from tests.api.test_footage_scopes import PATH, key
from tests.api.test_holds import order, placed
from tests.api.test_viewings import CITIZEN
from tests.footage.desk import filing as desk_filing
from tests.footage.shelf import ready
from tests.waiting import until

PARTS = ("", "/coverage", "/custody", "/viewings", "/documents", "/links", "/deliveries", "/brought-files")
LISTS = ("/v1/footage-requests", "/v1/evidence", "/v1/footage/holds")


async def filed(house: House, name: str, *cameras: str) -> None:
    """A request of the liaison desk for a minute of `cameras`."""
    now = house.clock.now()
    asked = desk_filing(window=Period(now - timedelta(hours=1), now - timedelta(minutes=59)))
    request = FootageRequest(RequestId(name), asked, tuple(map(DeviceId, cameras)), liaison(house), now)
    await house.services.store.writer.write(lambda tx: tx.footage.add(request), lane=Lane.FOOTAGE)


async def listed(house: House, path: str, headers: Mapping[str, str]) -> list[str]:
    status, page = await house.json("GET", path, headers=headers)
    assert status == 200, page
    return [item.get("request") or item["id"] for item in page["items"]]


async def refused(house: House, method: str, path: str, headers: Mapping[str, str]) -> None:
    """It is, without a word of what lies beyond."""
    status, problem = await house.json(method, path, headers=headers)
    assert (status, problem["type"].rpartition(":")[2], CAMERA in json.dumps(problem)) == (403, "out-of-scope", False), path


async def readings(house: House) -> list[tuple[str, str]]:
    """Who read what, the newest first."""
    _, page = await house.json("GET", "/v1/audit?limit=200", role=Role.ADMIN)
    return [(row["data"]["person"], row["subject"]) for row in page["items"] if row["action"] == "footage.read"]


async def heard_by(house: House, headers: Mapping[str, str]) -> list[str]:
    """What the footage events from the first on are about, each once, as a listener hears them."""
    await house.emit(house.event("the end"))
    heard: list[str] = []
    async with house.call("GET", "/v1/events?after=0&types=footage.*,device.state", headers=headers) as answer:
        listener = Listener(answer)
        while (subject := json.loads((await listener.event())["data"])["subject"]) != "the end":
            heard.append(subject)
    return list(dict.fromkeys(heard))


async def audited_for(house: House, headers: Mapping[str, str]) -> set[str]:
    _, page = await house.json("GET", "/v1/audit?limit=200", headers=headers)
    assert "key.created" in {row["action"] for row in page["items"]}
    return {row["subject"] for row in page["items"]}


async def test_lists_and_figures_have_what_a_key_reaches(house: House):
    for name, cameras in (("east", ("cam-1", "cam-2")), ("both", ("cam-2", "cam-3")), ("square", ("cam-3",))):
        await filed(house, name, *cameras)
    near = await key(house, "liaison", scopes=["历下"])
    _, page = await house.json("GET", "/v1/footage-requests?limit=1", headers=near)
    assert ([one["id"] for one in page["items"]], page["next"]) == (["east"], None)
    assert await listed(house, LISTS[0], await key(house, "approver", scopes=["cam-3"])) == ["square"]
    assert await listed(house, LISTS[0], await key(house, "approver", scopes=["z-1"])) == []
    assert set(await listed(house, LISTS[0], await key(house, "approver"))) == {"square", "both", "east"}
    _, figures = await house.json("GET", "/v1/footage-statistics", headers=near)
    assert [(row["requests"], row["cameras"]) for row in figures["items"]] == [(1, 2)]
    async with house.call("GET", "/v1/footage-statistics/export", headers=near) as answer:
        assert [line.split(",")[1] for line in (await answer.text()).splitlines()[1:]] == ["1"]


async def test_what_one_filed_or_holds_stays_ones_own_when_its_camera_moves_away(house: House):
    near = await key(house, "liaison", scopes=["g-1"])
    _, mine = await house.json("POST", LISTS[0], json=filing(house), headers=near)
    _, hold = await house.json("POST", LISTS[2], json=order(house, CAMERA), headers=near)
    theirs, other = await submitted(house), await placed(house)
    city = house.services.city
    devices = [replace(one, group=GroupId("g-2")) if one.id == CAMERA else one for one in city.devices.values()]
    city.replace(devices=devices, groups=city.groups.values(), zones=city.zones.values())
    assert (await listed(house, LISTS[0], near), await listed(house, LISTS[2], near)) == ([mine["id"]], [hold["id"]])
    for path in (f"{LISTS[0]}/{mine['id']}", f"{LISTS[2]}/{hold['id']}"):
        assert (await house.json("GET", path, headers=near))[0] == 200
    for path in (f"{LISTS[0]}/{theirs['id']}", f"{LISTS[2]}/{other['id']}"):
        await refused(house, "GET", path, near)


async def test_nothing_that_belongs_to_a_request_is_read_beyond_the_scopes(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    file = await announced(house)
    _, delivery = await house.json("POST", f"{PATH}/deliveries", json=STICK, role=Role.LIAISON)
    far, near = await key(house, "approver", scopes=["g-2"]), await key(house, "approver", scopes=["g-1"])
    for path in (*(PATH + part for part in PARTS), f"/v1/brought-files/{file['id']}", f"/v1/footage-deliveries/{delivery['id']}"):
        await refused(house, "GET", path, far)
        assert (await house.json("GET", path, headers=near))[0] == 200, path
    await refused(house, "GET", f"{PATH}/documents/D-1", far)
    assert [await listed(house, path, far) for path in LISTS] == [[], [], []]
    assert await listed(house, "/v1/evidence", near) == ["F-1"]
    assert await readings(house) == [("another desk", "F-1")]


async def test_events_and_audit_rows_of_footage_come_to_whom_it_is_shown(house: House):
    request, hold = await submitted(house), await placed(house)
    subjects = [request["id"], hold["id"]]
    near, far = await key(house, "approver", scopes=["g-1"]), await key(house, "approver", scopes=["g-2"])
    listeners = (near, far, await key(house, "operator"), await key(house, "liaison"))
    assert [await heard_by(house, listener) for listener in listeners] == [subjects, [], [], subjects]
    assert [await audited_for(house, reader) & set(subjects) for reader in (near, far)] == [set(subjects), set()]


async def test_a_link_is_revoked_by_a_key_that_reaches_its_request(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    _, link = await house.json("POST", LINKS, json=RECEIVER, role=Role.LIAISON)
    await refused(house, "DELETE", f"/v1/footage-links/{link['id']}", await key(house, "liaison", scopes=["g-2"]))
    status, gone = await house.json("DELETE", f"/v1/footage-links/{link['id']}", headers=await key(house, "liaison", scopes=["g-1"]))
    assert (status, gone["revoked_by"]["name"]) == (200, "another desk")


async def test_who_reads_a_request_is_on_record_once_in_a_quarter_of_an_hour(house: House):
    one, other = (await submitted(house))["id"], (await submitted(house))["id"]
    for path in (one, one, f"{one}/custody", other):
        assert (await house.json("GET", f"{LISTS[0]}/{path}", role=Role.ADMIN))[0] == 200
    await house.json("GET", f"{LISTS[0]}/{one}", role=Role.LIAISON)
    assert await readings(house) == [("liaison key", one), ("admin key", other), ("admin key", one)]
    await house.advance(READ_ONCE_IN.total_seconds())
    await house.json("GET", f"{LISTS[0]}/{one}", role=Role.ADMIN)
    assert await readings(house) == [("admin key", one), ("liaison key", one), ("admin key", other), ("admin key", one)]


async def rows_of(house: House, action: str) -> list[tuple[str, dict[str, object]]]:
    """The subjects and data of the audit rows of `action`, the oldest first."""
    _, page = await house.json("GET", "/v1/audit?limit=1000", role=Role.ADMIN)
    return [(row["subject"], row["data"]) for row in reversed(page["items"]) if row["action"] == action]


async def test_what_is_refused_for_scope_is_on_record_at_once_and_then_counted_once_in_a_while(house: House):
    request, hold = (await submitted(house))["id"], (await placed(house))["id"]
    far = await key(house, "approver", scopes=["g-2"])
    person = {"person": "another desk", "why": "out-of-scope"}
    for _ in range(5):
        await refused(house, "GET", f"{LISTS[0]}/{request}/custody", far)
        await refused(house, "GET", f"{LISTS[2]}/{hold}", far)
    first = [(request, person | {"wish": f"GET {LISTS[0]}/{request}/custody"})]
    assert await rows_of(house, "footage.denied") == first
    assert await rows_of(house, "hold.denied") == [(hold, person | {"wish": f"GET {LISTS[2]}/{hold}"})]
    await until(lambda: rows_of(house, "hold.denied"), wanted=lambda rows: len(rows) == 2, meanwhile=lambda: house.advance(60))
    assert await rows_of(house, "footage.denied") == [*first, (request, person | {"times": 4})]
    assert (await rows_of(house, "hold.denied"))[1] == (hold, person | {"times": 4})
    _, dossier = await house.json("GET", f"{LISTS[0]}/{request}", role=Role.LIAISON)
    assert [line["detail"]["why"] for line in dossier["custody"] if line["step"] == "denied"] == ["out-of-scope"]
    await until(lambda: not house.services.footage.refusals._series, meanwhile=lambda: house.advance(60))
    await refused(house, "GET", f"{LISTS[0]}/{request}", far)
    assert (await rows_of(house, "footage.denied"))[-1] == (request, person | {"wish": f"GET {LISTS[0]}/{request}"})


async def test_refusals_of_many_requests_share_a_row_once_there_are_too_many(house: House):
    far = await key(house, "approver", scopes=["g-2"])
    for number in range(SUBJECTS_MAX + 9):
        await filed(house, f"many-{number:02d}", "cam-1")
        await refused(house, "GET", f"{LISTS[0]}/many-{number:02d}", far)
    rows = await rows_of(house, "footage.denied")
    assert [subject for subject, _ in rows] == [*(f"many-{number:02d}" for number in range(SUBJECTS_MAX)), ""]
    rows = await until(
        lambda: rows_of(house, "footage.denied"), wanted=lambda rows: len(rows) > SUBJECTS_MAX + 1, meanwhile=lambda: house.advance(60)
    )
    asked = [f"GET {LISTS[0]}/many-{number}" for number in range(SUBJECTS_MAX + 1, SUBJECTS_MAX + 9)]
    assert rows[-1] == ("", {"why": "out-of-scope", "times": 8, "asked": asked, "person": "another desk"})


async def denials(house: House, request: str) -> list[dict[str, object]]:
    _, dossier = await house.json("GET", f"{LISTS[0]}/{request}", role=Role.ADMIN)
    return [line["detail"] for line in dossier["custody"] if line["step"] == "denied"]


async def test_a_client_that_lacks_the_right_to_read_and_polls_leaves_one_line_and_then_how_often(house: House):
    request, watching = (await submitted(house))["id"], await key(house, "operator")
    paths = (f"{LISTS[0]}/{request}", f"{LISTS[0]}/{request}/custody", f"{LISTS[0]}/F-none", LISTS[1], f"{LISTS[0]}/{request}")
    for path in paths * 5:
        assert (await house.json("GET", path, headers=watching))[0] == 403
    person = {"person": "another desk", "why": "forbidden"}
    first = [(request, person | {"wish": f"GET {paths[0]}"}), ("", person | {"wish": f"GET {paths[2]}"})]
    assert (await rows_of(house, "footage.denied"), len(await denials(house, request))) == (first, 1)
    rows = await until(lambda: rows_of(house, "footage.denied"), wanted=lambda rows: len(rows) == 4, meanwhile=lambda: house.advance(60))
    told = sorted((subject, data["times"], data["asked"]) for subject, data in rows[2:])
    assert told == [("", 9, [f"GET {paths[3]}"]), (request, 14, [f"GET {paths[1]}"])]
    assert len(await denials(house, request)) == 2


async def test_a_right_of_another_kind_that_is_lacking_is_no_matter_of_footage(house: House):
    assert (await house.json("GET", "/v1/audit", headers=await key(house, "liaison")))[0] == 403
    assert await rows_of(house, "footage.denied") == []


async def test_a_client_that_asks_for_files_of_another_desk_again_and_again_leaves_one_line(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    other = await key(house, "liaison")
    for _ in range(5):
        for path in (f"{PATH}/package", f"{PATH}/manifest"):
            assert (await house.json("GET", path, headers=other))[0] == 403
        assert (await house.json("POST", f"{PATH}/viewings", json=CITIZEN, headers=other))[0] == 403
    assert await denials(house, "F-1") == [{"why": "not-yours", "name": "package"}]
    rows = await until(lambda: rows_of(house, "footage.denied"), wanted=lambda rows: len(rows) == 2, meanwhile=lambda: house.advance(60))
    more = {"why": "not-yours", "times": 14, "asked": ["manifest.json", "viewing"]}
    assert (rows[1], await denials(house, "F-1")) == (
        ("F-1", more | {"person": "another desk"}),
        [{"why": "not-yours", "name": "package"}, more],
    )


async def test_what_is_refused_while_it_goes_on_is_named_once_up_to_a_limit_and_counted_beyond(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    other = await key(house, "liaison")

    async def quarter(*names: str) -> None:
        before = len(await rows_of(house, "footage.denied"))
        for name in names:
            assert (await house.json("GET", f"{PATH}/files/{name}", headers=other))[0] == 403
        said = partial(rows_of, house, "footage.denied")
        await until(said, wanted=lambda rows: len(rows) > before, meanwhile=lambda: house.advance(60))

    why, names = {"why": "not-yours"}, [f"{number}.mp4" for number in range(ASKED_MAX + 5)]
    await quarter("a.mp4")
    await quarter("b.mp4", "a.mp4", "b.mp4")
    await quarter("b.mp4", "a.mp4")
    await quarter(*names, names[-1])
    lines = [why | {"name": "a.mp4"}, why | {"times": 3, "asked": ["b.mp4"]}]
    last = why | {"times": len(names) + 1, "asked": names[: ASKED_MAX - 2], "others": 8}
    assert await denials(house, "F-1") == [*lines, last]
    await quarter(*names)
    person = {"person": "another desk"}
    counted = [("F-1", why | told | person) for told in ({"times": 2}, {"times": len(names), "others": 7})]
    rows = await rows_of(house, "footage.denied")
    assert ([rows[2], rows[4]], len(rows), await denials(house, "F-1")) == (counted, 5, [*lines, last])


async def test_what_is_not_there_or_cannot_be_done_now_is_counted_like_what_may_not_be(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    for name in ("none.mp4", "other.mp4") * 3:
        assert (await house.json("GET", f"{PATH}/files/{name}", role=Role.LIAISON))[0] == 404
    house.clock.step(timedelta(days=4))
    for _ in range(3):
        assert (await house.json("GET", f"{PATH}/package", role=Role.LIAISON))[0] == 409
    first = [{"why": "not-found", "name": "none.mp4"}, {"why": "download-expired", "name": "package"}]
    assert await denials(house, "F-1") == first
    said = partial(rows_of, house, "footage.denied")
    rows = await until(said, wanted=lambda rows: len(rows) == 4, meanwhile=lambda: house.advance(60))
    person = {"person": "liaison key"}
    more = {"why": "not-found", "times": 5, "asked": ["other.mp4"]}
    assert rows[2:] == [("F-1", more | person), ("F-1", {"why": "download-expired", "times": 2} | person)]
    assert await denials(house, "F-1") == [*first, more]


async def test_a_document_that_is_not_for_the_reader_is_on_record(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    assert (await house.json("GET", f"{PATH}/documents/D-1", headers=await key(house, "liaison")))[0] == 403
    assert [(subject, data["why"]) for subject, data in await rows_of(house, "footage.denied")] == [("F-1", "not-yours")]


async def test_a_search_is_on_record_with_what_was_asked_and_how_many_were_found(house: House):
    await filed(house, "east", "cam-1")
    near = await key(house, "liaison", scopes=["g-1"])
    for path in (f"{LISTS[0]}?q=nobody", f"{LISTS[0]}?q=nobody&limit=7", f"{LISTS[0]}?camera=cam-1", LISTS[1], f"{LISTS[2]}?state=active"):
        await listed(house, path, near)
    told = [(data["list"], data["asked"], data["found"]) for _, data in await rows_of(house, "footage.search")]
    assert told == [
        (LISTS[0], {"q": "nobody"}, 0),
        (LISTS[0], {"camera": "cam-1"}, 1),
        (LISTS[1], {}, 1),
        (LISTS[2], {"state": "active"}, 0),
    ]
    await house.advance(READ_ONCE_IN.total_seconds())
    await listed(house, f"{LISTS[0]}?q=nobody", near)
    assert len(await rows_of(house, "footage.search")) == 5


async def test_searches_for_ever_other_things_share_a_row_once_there_are_too_many(house: House):
    for number in range(SEARCHES_MAX + 5):
        await listed(house, f"{LISTS[0]}?q=word-{number}", {"Authorization": f"Bearer {house.keys[Role.LIAISON]}"})
    rows = await rows_of(house, "footage.search")
    assert (len(rows), rows[-1][1]) == (SEARCHES_MAX + 1, {"others": True, "person": "liaison key"})
