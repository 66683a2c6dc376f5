"""Viewing on site through the door: supervised, watermarked, on record, ended with an outcome; nothing afterwards."""

import base64
import contextlib
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.domain.access import Role
from gateway.domain.footage import Act, Emergency, FootageState, RequesterKind, RequestId
from tests.api.house import House
from tests.api.test_brought_files import liaison
from tests.footage.shelf import CONTENT, FILM, ready

VIEWINGS = "/v1/footage-requests/F-1/viewings"
CITIZEN = {"viewer": "孙大娘", "identity": "371502195003071234", "companions": "外孙", "place": "3 号台"}


@pytest.fixture
async def folder(house: House, tmp_path: Path) -> Path:
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    return tmp_path / "footage" / "F-1"


async def started(house: House, **changes: str) -> dict:
    status, made = await house.json("POST", VIEWINGS, json=CITIZEN | changes, role=Role.LIAISON)
    assert status == 201, made
    return made


async def dossier(house: House) -> dict:
    return (await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON))[1]


async def film(house: House, viewing: dict, **headers: str) -> tuple[int, bytes, str]:
    async with house.call("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers.get("Content-Disposition", "")


async def test_a_citizen_looks_under_a_watermark_and_every_step_is_on_record(house: House, folder: Path):
    viewing = await started(house)
    async with house.call("GET", viewing["page"], role=Role.LIAISON) as answer:
        page = await answer.text()
        assert "script" not in page and "nodownload" in page and f"{viewing['id']}/films/{FILM}" in page
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    mark = base64.b64decode(page.split("base64,")[1].split(")")[0]).decode()
    assert "孙大娘" in mark and f"{viewing['id']} *071234" in mark
    assert await film(house, viewing) == (200, CONTENT, "inline")
    assert await film(house, viewing, Range="bytes=100-199") == (206, CONTENT[100:200], "inline")
    path = f"/v1/footage-viewings/{viewing['id']}/end"
    status, over = await house.json("POST", path, json={"outcome": "nothing-found", "note": "未见"}, role=Role.LIAISON)
    assert (status, over["outcome"]) == (200, "nothing-found")
    found = await dossier(house)
    assert found["state"] == FootageState.NOTHING_SEEN
    assert [entry["step"] for entry in found["custody"]] == ["viewing-started", "viewed", "closed", "viewing-ended"]
    _, listed = await house.json("GET", VIEWINGS, role=Role.LIAISON)
    assert [(one["plays"], one["outcome"], one["supervisor"]["name"]) for one in listed["items"]] == [(1, "nothing-found", "liaison key")]


async def test_nothing_is_shown_after_the_end_or_the_time_or_to_another_key_and_denials_are_on_record(house: House, folder: Path):
    viewing = await started(house)
    _, key = await house.json("POST", "/v1/keys", json={"name": "colleague", "roles": ["liaison"]})
    other = {"Authorization": f"Bearer {key['key']}"}
    assert (await house.json("GET", f"{viewing['page']}/films/{FILM}", headers=other))[0] == 403
    path = f"/v1/footage-viewings/{viewing['id']}/end"
    await house.json("POST", path, json={"outcome": "copy-wanted"}, role=Role.LIAISON)
    assert (await film(house, viewing))[0] == 409
    assert (await house.json("POST", path, json={"outcome": "no-copy"}, role=Role.LIAISON))[0] == 409
    found = await dossier(house)
    assert (found["state"], [entry["detail"]["why"] for entry in found["custody"] if entry["step"] == "denied"]) == (
        "ready",
        ["not-yours", "viewing-over"],
    )


async def test_a_viewing_that_nobody_ends_is_over_after_its_time(house: House, folder: Path):
    desk = house.services.footage.viewings
    desk._lasts = timedelta(seconds=60)
    viewing = await started(house)
    await house.advance(61)
    assert (await film(house, viewing))[0] == 409
    await desk.tend()
    _, listed = await house.json("GET", VIEWINGS, role=Role.LIAISON)
    assert [(one["outcome"], one["ended_at"]) for one in listed["items"]] == [("interrupted", viewing["until"])]


async def test_nobody_supervises_themselves_and_what_is_not_there_is_not_viewed(house: House, folder: Path):
    status, problem = await house.json("POST", VIEWINGS, json=CITIZEN | {"viewer": "Liaison  KEY"}, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (403, "own-supervisor")
    viewing = await started(house)
    path = f"/v1/footage-viewings/{viewing['id']}/end"
    await house.json("POST", path, json={"outcome": "no-copy"}, role=Role.LIAISON)
    assert (await dossier(house))["state"] == FootageState.NO_COPY
    status, problem = await house.json("POST", VIEWINGS, json=CITIZEN, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "wrong-state")


async def test_only_who_filed_the_request_shows_it_and_the_denial_is_on_record(house: House, folder: Path):
    _, key = await house.json("POST", "/v1/keys", json={"name": "colleague", "roles": ["liaison"]})
    other = {"Authorization": f"Bearer {key['key']}"}
    status, problem = await house.json("POST", VIEWINGS, json=CITIZEN, headers=other)
    assert (status, problem["type"].rpartition(":")[2]) == (403, "not-yours")
    assert [(entry["step"], entry["detail"]["why"]) for entry in (await dossier(house))["custody"]] == [("denied", "not-yours")]


@pytest.mark.parametrize("asked", ["bytes=1-", "bytes=-99999999999", "bytes=00-", "BYTES= 0-", "bytes=5-9, 0-"])
async def test_the_first_call_for_a_film_is_on_record_whatever_it_asks_for(house: House, folder: Path, asked: str):
    viewing = await started(house)
    assert (await film(house, viewing, Range=asked))[0] in (200, 206)
    assert (await film(house, viewing, Range="bytes=7-9"))[0] == 206
    assert [entry["step"] for entry in (await dossier(house))["custody"]] == ["viewing-started", "viewed"]
    _, listed = await house.json("GET", VIEWINGS, role=Role.LIAISON)
    assert [one["plays"] for one in listed["items"]] == [1]


async def test_an_emergency_is_shown_until_its_papers_are_overdue(house: House, tmp_path: Path):
    now = house.clock.now()
    due = now + timedelta(hours=1)
    store, by = house.services.store, liaison(house)
    await ready(store, tmp_path / "footage", now=now, by=by, papers_due_at=due, emergency=Emergency.MISSING_PERSON)
    viewing = await started(house)
    assert (await film(house, viewing))[0] == 200
    await house.advance(3600)
    status, problem = await house.json("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "papers-overdue")
    status, problem = await house.json("POST", VIEWINGS, json=CITIZEN, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "papers-overdue")


@pytest.mark.parametrize("end", ["time", "request"])
async def test_what_is_being_shown_stops_with_the_time_and_with_the_request(house: House, tmp_path: Path, end: str):
    content = bytes(64 << 20)
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), content=content, by=liaison(house))
    viewing = await started(house)
    got = 0
    async with house.call("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON) as answer:
        got += len(await answer.content.readexactly(1 << 20))
        if end == "time":
            house.clock.step(timedelta(hours=2))
        else:
            await house.services.footage._ledger.act(RequestId("F-1"), Act.CLOSE_NO_COPY, by=liaison(house))
        with contextlib.suppress(aiohttp.ClientError):
            while piece := await answer.content.read(1 << 20):
                got += len(piece)
    assert got < len(content)


async def test_numbers_of_identity_cards_are_for_who_wrote_them_down_and_who_approves(house: House, tmp_path: Path):
    card = CITIZEN["identity"]
    by, kind = liaison(house), RequesterKind.CITIZEN
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=by, kind=kind, badge=card)
    await started(house)
    request = "/v1/footage-requests/F-1"
    for role, shown in ((Role.LIAISON, card), (Role.APPROVER, card), (Role.PLATFORM, "*" * 14 + "1234"), (Role.ADMIN, "*" * 14 + "1234")):
        _, found = await house.json("GET", request, role=role)
        _, lines = await house.json("GET", f"{request}/custody", role=role)
        _, viewings = await house.json("GET", VIEWINGS, role=role)
        _, page = await house.json("GET", "/v1/footage-requests", role=role)
        told = [found["badge"], found["custody"][0]["detail"]["identity"], lines["items"][0]["detail"]["identity"]]
        assert [*told, viewings["items"][0]["identity"], page["items"][0]["badge"]] == [shown] * 5
