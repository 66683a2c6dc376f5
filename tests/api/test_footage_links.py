"""Personal downloads through the door: by badge and code, in ranges, counted, expiring, revocable, each step and each denial on record."""

import asyncio
import contextlib
import hashlib
import socket
import subprocess
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import encode_basic_auth
from sqlalchemy import select

from gateway.domain.access import Role
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import Act, FootageState, RequestId
from gateway.evidence.contents import PROOF
from gateway.footage.links import STANDING_MAX
from gateway.storage.idempotency import idempotency
from tests.api.house import House
from tests.footage.shelf import CONTENT, DIGEST, FILM, ready

LINKS = "/v1/footage-requests/F-1/links"
RECEIVER = {"receiver": "李敏", "badge": "371502-0418", "unit": "东昌府分局"}


@pytest.fixture
async def folder(house: House, tmp_path: Path) -> Path:
    """A request of the liaison key whose one file is ready."""
    key = house.keys[Role.LIAISON].split("_")[1]
    liaison = Person(Actor(ActorKind.API_KEY, key), "liaison key")
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison)
    return tmp_path / "footage" / "F-1"


class Holder:
    """The person with a link."""

    def __init__(self, house: House, made: dict) -> None:
        self._house = house
        self.made = made
        self.auth = encode_basic_auth(made["badge"], made["code"])

    async def get(self, name: str = FILM, *, auth: str | None = None, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        path = f"{self.made['path']}/files/{name}" if name else self.made["path"]
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        async with self._house.call("GET", path, role=None, headers=named | {"Authorization": auth or self.auth}) as answer:
            return answer.status, await answer.read(), answer.headers


async def holder(house: House, **changes) -> Holder:
    status, made = await house.json("POST", LINKS, json=RECEIVER | changes, role=Role.LIAISON)
    assert status == 201, made
    return Holder(house, made)


async def custody(house: House) -> list[tuple[str, dict]]:
    _, dossier = await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON)
    return [(entry["step"], entry["detail"]) for entry in dossier["custody"]]


async def test_a_call_for_a_link_that_is_sent_again_makes_no_second_one_and_its_code_is_in_no_row(house: House, folder: Path):
    again = {"Idempotency-Key": "link-1"}
    status, made = await house.json("POST", LINKS, json=RECEIVER, headers=again, role=Role.LIAISON)
    second = await house.json("POST", LINKS, json=RECEIVER, headers=again, role=Role.LIAISON)
    assert (status, second) == (201, (201, made | {"code": None}))
    assert (await Holder(house, made).get(""))[0] == 200
    _, links = await house.json("GET", LINKS, role=Role.LIAISON)
    assert [link["id"] for link in links["items"]] == [made["id"]]
    async with house.services.store.read() as tx:
        kept = str((await tx.idempotency._conn.execute(select(idempotency))).all())
    assert made["id"] in kept and made["code"] not in kept


async def test_the_holder_looks_and_downloads_and_the_record_has_it_before_the_bytes(house: House, folder: Path):
    li = await holder(house)
    status, page, _ = await li.get("")
    assert status == 200 and FILM in page.decode() and DIGEST in page.decode()
    status, data, headers = await li.get()
    assert (status, data, headers["ETag"]) == (200, CONTENT, f'"{DIGEST}"')
    steps = await custody(house)
    assert [step for step, _ in steps] == ["linked", "looked", "downloaded"]
    assert steps[2][1] | {"from": ""} == {
        "link": li.made["id"],
        "from": "",
        "name": FILM,
        "sha256": DIGEST,
        "download": 1,
        "call": 1,
        "bytes": f"0-{len(CONTENT) - 1}/{len(CONTENT)}",
    }
    _, listed = await house.json("GET", LINKS, role=Role.LIAISON)
    assert [(take["number"], take["sent"]) for take in listed["items"][0]["takes"]] == [(1, len(CONTENT))]
    _, audit = await house.json("GET", "/v1/audit", role=Role.ADMIN)
    assert {"footage.linked", "footage.looked", "footage.downloaded"} <= {row["action"] for row in audit["items"]}


async def test_the_code_is_told_once_and_kept_nowhere(house: House, folder: Path, tmp_path: Path):
    li = await holder(house)
    code = li.made["code"]
    _, listed = await house.json("GET", LINKS, role=Role.LIAISON)
    assert "code" not in listed["items"][0]
    stored = [file.read_bytes() for file in tmp_path.rglob("gateway.db*")]  # noqa: ASYNC240 -- a test may wait for its disk
    assert stored and not any(code.encode() in content for content in stored)


async def test_a_resumed_download_counts_once_and_a_second_copy_twice(house: House, folder: Path):
    li = await holder(house, downloads=1)
    status, head, headers = await li.get(Range="bytes=0-0")  # as download managers do before they begin
    assert (status, head, headers["Content-Range"]) == (206, CONTENT[:1], f"bytes 0-0/{len(CONTENT)}")
    parts = [(await li.get(Range=f"bytes={at}-{at + 299_999}", If_Range=headers["ETag"]))[1] for at in range(0, len(CONTENT), 300_000)]
    assert b"".join(parts) == CONTENT
    status, tail, _ = await li.get(Range="bytes=-10")
    assert (status, tail) == (206, CONTENT[-10:])
    status, _, _ = await li.get()
    assert status == 409
    status, _, _ = await li.get(Range="bytes=1-")  # all but one byte: no way round the count
    assert status == 409
    steps = await custody(house)
    assert {detail["download"] for step, detail in steps if step == "downloaded"} == {1}
    assert [detail["why"] for step, detail in steps if step == "denied"] == ["downloads-used-up"] * 2


async def test_if_range_with_another_file_gives_the_whole_and_ranges_behind_the_end_are_refused_on_record(house: House, folder: Path):
    li = await holder(house)
    for stale in ('"other"', f'W/"{DIGEST}"', "Wed, 21 Oct 2015 07:28:00 GMT"):
        status, data, _ = await li.get(Range="bytes=10-19", If_Range=stale)
        assert (status, data) == (200, CONTENT)
    status, _, headers = await li.get(Range=f"bytes={len(CONTENT)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")
    assert (await custody(house))[-1][1]["why"] == "range-not-satisfiable"


async def test_wrong_badges_and_codes_are_denied_alike_and_lock_the_link_at_the_tenth(house: House, folder: Path):
    li = await holder(house)
    stranger = encode_basic_auth("000000", li.made["code"])
    guesser = encode_basic_auth(li.made["badge"], "aaaaa-aaaaa-aaaaa-aaaaa")
    answers = [await li.get(auth=auth) for auth in (stranger, guesser)]
    async with house.call("GET", "/v1/footage-links/L-none", role=None, headers={"Authorization": li.auth}) as answer:
        answers.append((answer.status, await answer.read(), answer.headers))
    assert {(status, body) for status, body, _ in answers} == {(401, answers[0][1])}
    assert all(headers["WWW-Authenticate"].startswith("Basic") for _, _, headers in answers)
    for _ in range(8):
        await li.get(auth=guesser)
    status, body, _ = await li.get()
    assert (status, b"link-locked" in body) == (409, True)
    why = [detail["why"] for step, detail in await custody(house) if step == "denied"]
    assert why == ["wrong-code"] * 10 + ["link-locked"]


async def test_denials_beyond_the_twentieth_are_counted_but_do_not_fill_the_log(house: House, folder: Path):
    li = await holder(house)
    for _ in range(101):
        await li.get(auth=encode_basic_auth("x", "y"))
    numbers = [detail["denials"] for step, detail in await custody(house) if step == "denied"]
    assert numbers == [*range(1, 21), 100]
    _, listed = await house.json("GET", LINKS, role=Role.LIAISON)
    assert (listed["items"][0]["denials"], listed["items"][0]["wrong"]) == (101, 10)


async def test_a_link_ends_with_its_time_its_revocation_or_its_files(house: House, folder: Path):
    li, zhang = await holder(house, hours=1), await holder(house, badge="1")
    status, gone = await house.json("DELETE", zhang.made["path"], role=Role.LIAISON)
    assert (status, gone["revoked_by"]["name"]) == (200, "liaison key")
    status, body, _ = await zhang.get()
    assert (status, b"link-revoked" in body) == (409, True)
    await house.advance(3601)
    status, body, _ = await li.get()
    assert (status, b"download-expired" in body) == (409, True)
    late = await holder(house, hours=720)
    assert late.made["expires_at"] == (house.clock.now() + timedelta(hours=71, seconds=-1)).isoformat().replace("+00:00", "Z")
    (folder / FILM).unlink()
    assert (await late.get())[0] == 404
    why = [detail["why"] for step, detail in await custody(house) if step == "denied"]
    assert why == ["link-revoked", "download-expired", "not-found"]


async def test_only_the_files_that_a_link_names_and_only_by_who_filed_the_request(house: House, folder: Path):
    li = await holder(house, names=["VERIFY.txt"])
    assert (await li.get("VERIFY.txt"))[1] == (folder / "VERIFY.txt").read_bytes()
    assert (await li.get())[0] == 404
    assert (await li.get("..%2F..%2Fgateway.db"))[0] == 404
    status, problem = await house.json("POST", LINKS, json=RECEIVER | {"names": ["nothing"]}, role=Role.LIAISON)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/names/0")
    _, key = await house.json("POST", "/v1/keys", json={"name": "colleague", "roles": ["liaison"]})
    status, problem = await house.json("POST", LINKS, json=RECEIVER, headers={"Authorization": f"Bearer {key['key']}"})
    assert (status, problem["type"].rpartition(":")[2]) == (403, "not-yours")
    assert (await custody(house))[-1] == ("denied", {"why": "not-yours", "name": "link"})


async def test_a_download_that_is_under_way_is_cut_off_by_the_revocation(house: House, tmp_path: Path):
    content = bytes(64 << 20)
    key = house.keys[Role.LIAISON].split("_")[1]
    liaison = Person(Actor(ActorKind.API_KEY, key), "liaison key")
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), content=content, by=liaison)
    li = await holder(house)
    got = 0
    async with house.call("GET", f"{li.made['path']}/files/{FILM}", role=None, headers={"Authorization": li.auth}) as answer:
        got += len(await answer.content.readexactly(1 << 20))
        await house.json("DELETE", li.made["path"], role=Role.LIAISON)
        with contextlib.suppress(aiohttp.ClientError):
            while piece := await answer.content.read(1 << 20):
                got += len(piece)
    assert got < len(content)
    _, listed = await house.json("GET", LINKS, role=Role.LIAISON)
    assert listed["items"][0]["takes"][0]["sent"] < len(content)


async def test_a_broken_download_is_resumed_by_curl_and_counts_once(house: House, folder: Path, tmp_path: Path):
    li = await holder(house, downloads=1)
    out = tmp_path / "film.mp4"
    out.write_bytes(CONTENT[:700_001])  # what had come when the line broke
    host, port = house.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(f"GET {li.made['path']}/files/{FILM} HTTP/1.1\r\nHost: x\r\nAuthorization: {li.auth}\r\n\r\n".encode())
        await asyncio.to_thread(line.recv, 1000)
    curl = ["curl", "-sS", "--fail", "-C", "-", "-u", f"{li.made['badge']}:{li.made['code']}", "-o", str(out)]
    done = await asyncio.to_thread(subprocess.run, [*curl, f"{house.url}{li.made['path']}/files/{FILM}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(out.read_bytes()).hexdigest() == DIGEST
    calls = [(detail["download"], detail["call"]) for step, detail in await custody(house) if step == "downloaded"]
    assert calls == [(1, 1), (1, 2)]


@pytest.mark.parametrize("state", [FootageState.CANCELLED, FootageState.EXPIRED])
async def test_nothing_is_linked_that_is_not_there(house: House, tmp_path: Path, state: FootageState):
    key = house.keys[Role.LIAISON].split("_")[1]
    liaison = Person(Actor(ActorKind.API_KEY, key), "liaison key")
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison, state=state)
    status, problem = await house.json("POST", LINKS, json=RECEIVER, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "wrong-state")


async def test_the_whole_package_goes_out_as_one_zip_in_any_parts(house: House, folder: Path, tmp_path: Path):
    li = await holder(house)
    assert "F-1.zip" in (await li.get(""))[1].decode()
    status, whole, headers = await li.get("F-1.zip")
    (tmp_path / "x.zip").write_bytes(whole)
    assert status == 200 and len(whole) == int(headers["Content-Length"])
    with zipfile.ZipFile(tmp_path / "x.zip") as package:
        assert package.testzip() is None and set(package.namelist()) == {FILM, *PROOF}
        assert package.read(FILM) == CONTENT
    ranges = [f"bytes={at}-{at + 399_999}" for at in range(0, len(whole), 400_000)]
    parts = [(await li.get("F-1.zip", Range=asked, If_Range=headers["ETag"]))[1] for asked in ranges]
    assert b"".join(parts) == whole
    some = await holder(house, names=[FILM])
    assert (await some.get("F-1.zip"))[0] == 404


async def test_a_link_outlives_the_time_for_downloads_no_more_than_any_copy(house: House, folder: Path):
    house.clock.step(timedelta(hours=70))
    li = await holder(house)
    assert li.made["expires_at"] == (house.clock.now() + timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    house.clock.step(timedelta(hours=2))
    status, problem = await house.json("POST", LINKS, json=RECEIVER, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "download-expired")
    assert (await li.get())[0] == 409
    assert [detail["why"] for step, detail in await custody(house) if step == "denied"] == ["download-expired"] * 2


async def test_all_links_together_give_a_film_as_often_as_may_be(house: House, folder: Path):
    holders = [await holder(house, badge=str(number)) for number in range(4)]
    assert [(await one.get())[0] for one in holders] == [200, 200, 200, 409]
    assert (await holders[3].get("F-1.zip"))[0] == 409
    assert [(await one.get("VERIFY.txt"))[0] for one in holders] == [200] * 4
    assert (await custody(house))[-5][1]["why"] == "downloads-used-up"


async def test_the_zip_counts_for_the_films_in_it(house: House, folder: Path):
    holders = [await holder(house, badge=str(number)) for number in range(2)]
    assert [(await one.get(name))[0] for name in ("F-1.zip", FILM) for one in holders] == [200, 200, 200, 409]


async def test_only_so_many_links_of_a_request_stand_at_once(house: House, folder: Path):
    made = [await holder(house, badge=str(number)) for number in range(STANDING_MAX)]
    status, problem = await house.json("POST", LINKS, json=RECEIVER, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "too-many-links")
    await house.json("DELETE", made[0].made["path"], role=Role.LIAISON)
    await holder(house)


@pytest.mark.parametrize("door", ["link", "/files/" + FILM, "/package"])
async def test_what_is_going_out_is_cut_off_when_the_request_ends(house: House, tmp_path: Path, door: str):
    content = bytes(64 << 20)
    key = house.keys[Role.LIAISON].split("_")[1]
    liaison = Person(Actor(ActorKind.API_KEY, key), "liaison key")
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), content=content, by=liaison)
    path, about = f"/v1/footage-requests/F-1{door}", {"role": Role.LIAISON}
    if door == "link":
        li = await holder(house)
        path, about = f"{li.made['path']}/files/{FILM}", {"role": None, "headers": {"Authorization": li.auth}}
    got = 0
    async with house.call("GET", path, **about) as answer:
        got += len(await answer.content.readexactly(1 << 20))
        await house.services.footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
        with contextlib.suppress(aiohttp.ClientError):
            while piece := await answer.content.read(1 << 20):
                got += len(piece)
    assert got < len(content)
