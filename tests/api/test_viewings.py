"""Viewing on site through the door: supervised, watermarked, on record, ended with an outcome; nothing afterwards."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.domain.access import Role
from gateway.domain.footage import BEIJING, Act, Emergency, FootageState, RequesterKind, RequestId
from tests.api.house import House
from tests.api.test_brought_files import liaison
from tests.footage.shelf import FILM, ready
from tests.media.films import GREY, brightness, grey_film, noisy_film

VIEWINGS = "/v1/footage-requests/F-1/viewings"
CITIZEN = {"viewer": "孙大娘", "identity": "371502195003071234", "companions": "外孙", "place": "3 号台"}


@pytest.fixture
async def folder(house: House, tmp_path: Path) -> Path:
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house), content=grey_film())
    return tmp_path / "footage" / "F-1"


async def started(house: House, **changes: str) -> dict:
    status, made = await house.json("POST", VIEWINGS, json=CITIZEN | changes, role=Role.LIAISON)
    assert status == 201, made
    return made


async def dossier(house: House) -> dict:
    return (await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON))[1]


async def film(house: House, viewing: dict, query: str = "", **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    async with house.call("GET", f"{viewing['page']}/films/{FILM}{query}", role=Role.LIAISON, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_a_citizen_looks_under_a_watermark_and_every_step_is_on_record(house: House, folder: Path):
    viewing = await started(house)
    async with house.call("GET", f"{viewing['page']}?film={FILM}&from_s=2", role=Role.LIAISON) as answer:
        page = await answer.text()
        assert "script" not in page and "nodownload" in page and f"{viewing['id']}/films/{FILM}?from_s=2" in page
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    mark = base64.b64decode(page.split("base64,")[1].split(")")[0]).decode()
    assert "孙大娘" in mark
    status, shown, headers = await film(house, viewing)
    assert (status, headers["Content-Disposition"], headers["Cache-Control"]) == (200, "inline", "no-store")
    assert len(brightness(shown)) == 100
    path = f"/v1/footage-viewings/{viewing['id']}/end"
    status, over = await house.json("POST", path, json={"outcome": "nothing-found", "note": "未见"}, role=Role.LIAISON)
    assert (status, over["outcome"]) == (200, "nothing-found")
    found = await dossier(house)
    assert found["state"] == FootageState.NOTHING_SEEN
    assert [entry["step"] for entry in found["custody"]] == ["viewing-started", "viewed", "closed", "viewing-ended"]
    _, listed = await house.json("GET", VIEWINGS, role=Role.LIAISON)
    assert [(one["plays"], one["outcome"], one["supervisor"]["name"]) for one in listed["items"]] == [(1, "nothing-found", "liaison key")]


@pytest.mark.parametrize("asked", ["", "bytes=0-", "bytes=1-", "bytes=-500", "bytes=5-9"])
async def test_whatever_part_is_asked_for_marked_pictures_go_out(house: House, folder: Path, asked: str):
    viewing = await started(house)
    status, shown, headers = await film(house, viewing, "?from_s=1", **({"Range": asked} if asked else {}))
    assert (status, headers["Accept-Ranges"]) == (200, "none")
    pictures = brightness(shown)
    assert len(pictures) == 75 and all(brightest > GREY + 30 for *_, brightest in pictures)
    original = await asyncio.to_thread((folder / FILM).read_bytes)
    (play,) = [entry["detail"] for entry in (await dossier(house))["custody"] if entry["step"] == "viewed"]
    assert (play["from_s"], play["sha256"], play["name"]) == (1.0, hashlib.sha256(original).hexdigest(), FILM)


async def test_the_page_offers_each_minute_of_the_true_clock(house: House, folder: Path):
    viewing = await started(house)
    async with house.call("GET", viewing["page"], role=Role.LIAISON) as answer:
        page = await answer.text()
    begins = (house.clock.now() - timedelta(hours=1)).astimezone(BEIJING)
    assert "<video" not in page
    assert f"film={FILM}&amp;from_s=0" in page and f">{begins:%H:%M:%S}</a>" in page


async def test_a_film_without_pictures_is_said_to_have_none_and_no_play_is_counted(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    viewing = await started(house)
    status, problem = await house.json("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (502, "no-picture")
    assert [entry["step"] for entry in (await dossier(house))["custody"]] == ["viewing-started"]


async def test_a_viewing_shows_one_film_at_a_time(house: House, tmp_path: Path):
    content = noisy_film()
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house), content=content)
    viewing = await started(house)
    async with house.call("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON) as first:
        await first.content.readexactly(1000)
        assert (await film(house, viewing, "?from_s=28"))[0] == 200
        with pytest.raises(aiohttp.ClientError):
            while await first.content.read(1 << 16):
                pass


async def test_a_viewing_that_is_started_and_ended_twice_with_the_same_keys_is_one(house: House, folder: Path):
    again = {"Idempotency-Key": "view-1"}
    first, second = [await house.json("POST", VIEWINGS, json=CITIZEN, headers=again, role=Role.LIAISON) for _ in range(2)]
    assert first == second
    path, again = f"/v1/footage-viewings/{first[1]['id']}/end", {"Idempotency-Key": "view-2"}
    ends = [await house.json("POST", path, json={"outcome": "copy-wanted"}, headers=again, role=Role.LIAISON) for _ in range(2)]
    assert ends[0] == ends[1] and ends[0][0] == 200
    assert [entry["step"] for entry in (await dossier(house))["custody"]] == ["viewing-started", "viewing-ended"]


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


async def test_a_browser_that_may_not_open_a_viewing_is_told_in_both_languages_what_to_do_and_a_program_as_ever(house: House, folder: Path):
    viewing = await started(house)
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    _, key = await house.json("POST", "/v1/keys", json={"name": "colleague", "roles": ["liaison"]})
    other = {"Authorization": f"Bearer {key['key']}"}
    for headers, role, status, words in (
        (browser, None, 401, ("请先在本浏览器中登录控制台", "Sign in at the console in this browser")),
        (browser | other, None, 403, ("请用其密钥登录控制台", "sign in at the console with their key")),
        (browser, Role.VIEWER, 403, ("登录所用的密钥无此权限", "The key of this session may not do this")),
    ):
        async with house.call("GET", viewing["page"], role=role, headers=headers) as answer:
            page = await answer.text()
            assert (answer.status, answer.content_type, answer.headers["Cache-Control"]) == (status, "text/html", "no-store")
            assert all(word in page for word in words) and "script" not in page
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    async with house.call("GET", viewing["page"], role=None, headers=other) as answer:
        assert (answer.status, answer.content_type) == (403, "application/problem+json")


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


async def test_an_emergency_is_shown_until_its_papers_are_overdue(house: House, tmp_path: Path):
    now = house.clock.now()
    due = now + timedelta(hours=1)
    store, by = house.services.store, liaison(house)
    films = tmp_path / "footage"
    await ready(store, films, now=now, by=by, papers_due_at=due, emergency=Emergency.MISSING_PERSON, content=grey_film())
    viewing = await started(house)
    assert (await film(house, viewing))[0] == 200
    await house.advance(3600)
    status, problem = await house.json("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "papers-overdue")
    status, problem = await house.json("POST", VIEWINGS, json=CITIZEN, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "papers-overdue")


@pytest.mark.parametrize("end", ["time", "request"])
async def test_what_is_being_shown_stops_with_the_time_and_with_the_request(house: House, tmp_path: Path, end: str):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), content=noisy_film(), by=liaison(house))
    viewing = await started(house)
    async with house.call("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON) as answer:
        await answer.content.readexactly(1000)
        if end == "time":
            house.clock.step(timedelta(hours=2))
        else:
            await house.services.footage._ledger.act(RequestId("F-1"), Act.CLOSE_NO_COPY, by=liaison(house))
        with pytest.raises(aiohttp.ClientError):
            while await answer.content.read(1 << 16):
                pass


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
