"""Files of a vendor's client through the door: sent in pieces, hashed on the disk, signed in as not fetched by the gateway."""

import asyncio
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gateway.domain.access import Role
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import Act, FootageState, RequestId
from gateway.domain.imports import Import, ImportState
from gateway.evidence.verifying import verify
from gateway.storage.writer import Lane
from tests.api.house import House
from tests.footage.shelf import FILM, ready
from tests.waiting import until

CONTENT = os.urandom(3 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILES = "/v1/footage-requests/F-1/brought-files"
SAID = {
    "brought_by": "赵工",
    "badge": "HK-0091",
    "device": "DS-8632N, 10.3.0.7, S/N C12345",
    "client": "iVMS-4200 3.11.1.6",
    "original_name": "通道03_20260921_130000.dav",
    "size": len(CONTENT),
}
OCTETS = {"Content-Type": "application/octet-stream"}


def liaison(house: House) -> Person:
    return Person(Actor(ActorKind.API_KEY, house.keys[Role.LIAISON].split("_")[1]), "liaison key")


@pytest.fixture
async def folder(house: House, tmp_path: Path) -> Path:
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    await house.services.footage._prover.seal(RequestId("F-1"))
    return tmp_path / "footage" / "F-1"


async def announced(house: House, **changes) -> dict:
    status, one = await house.json("POST", FILES, json=SAID | changes, role=Role.LIAISON)
    assert status == 201, one
    return one


async def send(house: House, one: dict, data: bytes, start: int = 0) -> tuple[int, dict]:
    headers = OCTETS | {"Content-Range": f"bytes {start}-{max(start, start + len(data) - 1)}/{len(CONTENT)}"}
    return await house.json("PUT", f"/v1/brought-files/{one['id']}/content", data=data, headers=headers, role=Role.LIAISON)


async def test_a_brought_file_joins_the_signed_package_byte_for_byte_and_marked(house: House, folder: Path):
    one = await announced(house, sha256=DIGEST.upper())
    status, kept = await house.json("PUT", f"/v1/brought-files/{one['id']}/content", data=CONTENT, headers=OCTETS, role=Role.LIAISON)
    assert (status, kept["state"], kept["sha256"], kept["origin_wording"]) == (200, "kept", DIGEST, "非网关提取")
    assert kept["name"] == "brought_01_03_20260921_130000.dav"
    assert (folder / kept["name"]).read_bytes() == CONTENT
    checked = verify(folder)
    assert (checked.altered, checked.unexplained) == ((), ())
    imported = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["imported"]
    assert imported[0] | {"taken_in_by": "", "claimed": None} == {
        **{name: SAID[name] for name in ("brought_by", "badge", "device", "client", "original_name")},
        "origin": "not-fetched-by-the-gateway",
        "origin_wording": "非网关提取",
        "camera": "",
        "note": "",
        "claimed": None,
        "taken_in_by": "",
        "files": [{"name": kept["name"], "size": len(CONTENT), "sha256": DIGEST}],
    }
    for paper in ("custody-sheet.html", "evidence-list.html"):
        shown = (folder / paper).read_text(encoding="utf-8")
        assert "非网关提取" in shown and SAID["device"] in shown
    assert SAID["original_name"] in (folder / "custody-sheet.html").read_text(encoding="utf-8")
    assert DIGEST in (folder / "evidence-list.html").read_text(encoding="utf-8")
    _, dossier = await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON)
    line = dossier["custody"][-1]
    assert (dossier["state"], line["step"], line["detail"]["sha256"]) == ("ready", "supplemented", DIGEST)
    assert line["detail"]["manifest_sha256"] == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


async def test_a_broken_upload_goes_on_where_it_broke(house: House, folder: Path):
    one = await announced(house)

    async def breaking():
        yield CONTENT[: 2 << 20]
        raise ConnectionError("the line broke")

    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await house.json("PUT", f"/v1/brought-files/{one['id']}/content", data=breaking(), headers=OCTETS, role=Role.LIAISON)

    async def state() -> dict:
        return (await house.json("GET", f"/v1/brought-files/{one['id']}", role=Role.LIAISON))[1]

    here = (await until(state, wanted=lambda found: found["received"] > 0))["received"]
    assert 1 << 20 <= here <= 2 << 20
    status, problem = await send(house, one, CONTENT[here + 1 :], here + 1)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "wrong-offset")
    status, kept = await send(house, one, CONTENT[here:], here)
    assert (status, kept["state"], kept["sha256"]) == (200, "kept", DIGEST)


async def test_a_brought_film_goes_out_as_often_as_a_fetched_one_with_its_digest_on_record(house: House, folder: Path):
    one = await announced(house)
    await send(house, one, CONTENT)
    path = "/v1/footage-requests/F-1"

    async def fetched(what: str) -> int:
        async with house.call("GET", f"{path}/{what}", role=Role.LIAISON) as answer:
            await answer.read()
            return answer.status

    film = f"files/{one['name']}"
    assert [await fetched(what) for what in (film, "package", film, film, "package", "manifest")] == [200, 200, 200, 409, 409, 200]
    _, dossier = await house.json("GET", path, role=Role.LIAISON)
    assert [file["downloads"] for file in (*dossier["files"], *dossier["brought"])] == [1, 3]
    lines = [line["detail"] for line in dossier["custody"] if line["step"] in ("downloaded", "denied")]
    by_itself, in_all, _, *refused, manifest = lines  # the second refusal is counted with the first
    assert by_itself == {"name": one["name"], "sha256": DIGEST, "download": 1}
    assert {"name": one["name"], "sha256": DIGEST, "download": 2} in in_all["files"]
    assert [detail["why"] for detail in refused] == ["downloads-used-up"]
    assert manifest == {"name": "manifest.json"}


async def test_the_list_of_evidence_has_brought_files_marked_as_not_fetched(house: House, folder: Path):
    one = await announced(house)
    await announced(house, original_name="on its way.dav")
    await send(house, one, CONTENT)
    _, evidence = await house.json("GET", "/v1/evidence", role=Role.LIAISON)
    assert [(item["name"], item["fetched"], item["request"]) for item in evidence["items"]] == [
        (FILM, True, "F-1"),
        (one["name"], False, "F-1"),
    ]
    brought = evidence["items"][1]
    told = (brought["sha256"], brought["downloads"], brought["origin"], brought["origin_wording"], brought["original_name"])
    assert told == (DIGEST, 0, "not-fetched-by-the-gateway", "非网关提取", SAID["original_name"])


async def test_what_lies_in_the_package_and_is_neither_footage_on_record_nor_proof_does_not_go_out(house: House, folder: Path):
    (folder / "other.mp4").write_bytes(CONTENT)
    with (folder / "SHA256SUMS").open("a", encoding="ascii") as sums:
        sums.write(f"{DIGEST} *other.mp4\n")
    assert (await house.json("GET", "/v1/footage-requests/F-1/files/other.mp4", role=Role.LIAISON))[0] == 404


async def test_a_fifth_file_at_once_is_told_to_try_again_soon_and_then_comes_in(house: House, folder: Path):
    first, *others = [await announced(house) for _ in range(5)]
    go_on = asyncio.Event()

    async def slowly():
        yield CONTENT[:1]
        await go_on.wait()
        yield CONTENT[1:]

    async def send_slowly(one: dict) -> int:
        path = f"/v1/brought-files/{one['id']}/content"
        return (await house.json("PUT", path, data=slowly(), headers=OCTETS, role=Role.LIAISON))[0]

    sending = [asyncio.create_task(send_slowly(one)) for one in others]
    await until(lambda: len(house.services.footage.imports._busy), wanted=lambda busy: busy == 4)
    path = f"/v1/brought-files/{first['id']}/content"
    async with house.call("PUT", path, data=CONTENT, headers=OCTETS, role=Role.LIAISON) as answer:
        told = (await answer.json(content_type=None))["type"].rpartition(":")[2]
        assert (answer.status, told, answer.headers["Retry-After"]) == (503, "overloaded", "1")
    assert (await send(house, others[0], CONTENT))[0] == 409, "of one that another call is sending"
    go_on.set()
    assert await asyncio.gather(*sending) == [200] * 4
    assert (await send(house, first, CONTENT))[1]["state"] == "kept"


async def test_what_was_written_but_not_acknowledged_before_a_crash_is_written_again(house: House, folder: Path, tmp_path: Path):
    one = await announced(house)
    await send(house, one, CONTENT[:1000])
    part = tmp_path / "footage-brought" / f"{one['id']}.part"
    part.write_bytes(CONTENT[:1000] + b"more than was acknowledged")
    _, kept = await send(house, one, CONTENT[1000:], 1000)
    assert (kept["state"], kept["sha256"]) == ("kept", DIGEST)


async def test_another_content_than_announced_is_refused_removed_and_on_record(house: House, folder: Path, tmp_path: Path):
    one = await announced(house, sha256="0" * 64)
    status, problem = await send(house, one, CONTENT)
    assert (status, problem["type"].rpartition(":")[2]) == (422, "digest-mismatch")
    assert list((tmp_path / "footage-brought").iterdir()) == []
    assert verify(folder).altered == ()
    _, dossier = await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON)
    assert dossier["custody"][-1]["detail"]["why"] == "digest-mismatch"


async def test_more_than_announced_or_allowed_is_refused(house: House, folder: Path):
    one = await announced(house, size=10)
    status, problem = await house.json("PUT", f"/v1/brought-files/{one['id']}/content", data=CONTENT, headers=OCTETS, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (413, "body-too-large")
    status, problem = await house.json("POST", FILES, json=SAID | {"size": 1 << 49}, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (413, "body-too-large")


async def test_a_request_without_replay_becomes_partial_by_what_is_brought(house: House, tmp_path: Path):
    now = house.clock.now()
    await ready(house.services.store, tmp_path / "footage", now=now, by=liaison(house), state=FootageState.UNAVAILABLE)
    one = await announced(house)
    await send(house, one, CONTENT)
    _, dossier = await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON)
    assert dossier["state"] == "partial"
    assert verify(tmp_path / "footage" / "F-1").altered == ()


async def test_what_arrived_before_a_crash_is_signed_in_by_the_next_life(house: House, folder: Path):
    one = await announced(house)
    imports, fine = house.services.footage.imports, house.services.footage.imports._seal

    async def dying(request: RequestId) -> dict[str, str]:
        raise RuntimeError("the daemon died")

    imports._seal = dying
    assert (await send(house, one, CONTENT))[0] == 500
    imports._seal = fine
    await imports.tend()
    kept = await imports.get(one["id"])
    assert (kept.state, kept.sha256) == ("kept", DIGEST)
    assert verify(folder).altered == ()


async def on_record(house: House, one: dict, **changes) -> Import:
    """Let the row of `one` say what an earlier life wrote before it died."""
    footage = house.services.footage
    stored = replace(await footage.imports.get(one["id"]), **changes)
    await house.services.store.writer.write(lambda tx: tx.imports.put(stored), lane=Lane.FOOTAGE)
    return stored


@pytest.mark.parametrize("here", [None, 0, 999])
@pytest.mark.parametrize("received", [1000, len(CONTENT)])
async def test_what_the_disk_has_lost_is_never_made_up_with_zeros(house: House, folder: Path, here: int | None, received: int):
    one = await announced(house)
    parts = folder.parents[1] / "footage-brought"
    parts.mkdir(exist_ok=True)
    if here is not None:
        (parts / f"{one['id']}.part").write_bytes(CONTENT[:here])
    await on_record(house, one, received=received)
    status, problem = await send(house, one, CONTENT[received:], received)
    assert (status, problem["type"].rpartition(":")[2]) == (503, "brought-file-lost")
    _, left = await house.json("GET", f"/v1/brought-files/{one['id']}", role=Role.LIAISON)
    assert (left["state"], left["sha256"], list(parts.iterdir())) == ("dropped", "", [])
    assert not (folder / one["name"]).exists()
    assert verify(folder).altered == ()


async def test_a_whole_file_that_moved_before_a_crash_is_signed_in_by_a_call_without_bytes(house: House, folder: Path):
    one = await announced(house)
    (folder / one["name"]).write_bytes(CONTENT)
    await on_record(house, one, received=len(CONTENT))
    status, kept = await send(house, one, b"", len(CONTENT))
    assert (status, kept["state"], kept["sha256"]) == (200, "kept", DIGEST)
    assert (folder / one["name"]).read_bytes() == CONTENT


async def test_nobody_sends_while_the_gateway_finishes_a_file(house: House, folder: Path):
    one = await announced(house)
    (folder / one["name"]).write_bytes(CONTENT)
    await on_record(house, one, received=len(CONTENT))
    imports, fine = house.services.footage.imports, house.services.footage.imports._seal
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: RequestId) -> dict[str, str]:
        begun.set()
        await go_on.wait()
        return await fine(request)

    imports._seal = slow
    tending = asyncio.create_task(imports.tend())
    await begun.wait()
    status, problem = await send(house, one, b"", len(CONTENT))
    go_on.set()
    await tending
    assert (status, problem["type"].rpartition(":")[2]) == (409, "wrong-offset")
    assert (await imports.get(one["id"])).state == "kept"


@pytest.mark.timeout(120)
async def test_a_brought_file_whose_bytes_are_gone_is_dropped_on_record_and_holds_nothing_up(house: House, folder: Path):
    gone, after = await announced(house), await announced(house)
    await on_record(house, gone, received=len(CONTENT))
    await send(house, after, CONTENT[:-1])
    (part := folder.parents[1] / "footage-brought" / f"{after['id']}.part").write_bytes(CONTENT)
    await on_record(house, after, received=len(CONTENT))
    await asyncio.wait_for(house.services.footage.imports.tend(), 60)
    _, listed = await house.json("GET", FILES, role=Role.LIAISON)
    assert [(one["state"], one["received"]) for one in listed["items"]] == [("dropped", 0), ("kept", len(CONTENT))]
    assert not part.exists()
    _, dossier = await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON)
    assert {"why": "brought-file-lost", "name": SAID["original_name"], "received": len(CONTENT)} in [
        line["detail"] for line in dossier["custody"]
    ]


async def test_a_disk_that_fails_for_one_brought_file_does_not_end_the_service(house: House, folder: Path):
    stuck, after = await announced(house), await announced(house, original_name="b.dav")
    parts = folder.parents[1] / "footage-brought"
    parts.mkdir(exist_ok=True)
    for one in (stuck, after):
        (parts / f"{one['id']}.part").write_bytes(CONTENT)
        await on_record(house, one, received=len(CONTENT))
    (in_the_way := folder / stuck["name"]).mkdir()
    (in_the_way / "something").touch()
    imports = house.services.footage.imports
    await imports.tend()
    assert [(await imports.get(one["id"])).state for one in (stuck, after)] == ["receiving", "kept"]
    (in_the_way / "something").unlink()
    in_the_way.rmdir()
    await imports.tend()
    assert (await imports.get(stuck["id"])).state == "kept"


async def test_what_arrived_for_a_request_that_ended_is_dropped(house: House, folder: Path):
    one = await announced(house)
    await on_record(house, one, state=ImportState.ARRIVED, received=len(CONTENT), sha256=DIGEST)
    await house.services.footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
    await house.services.footage.imports.tend()
    assert (await house.services.footage.imports.get(one["id"])).state == "dropped"


async def test_a_part_that_a_crash_left_behind_its_row_is_removed_and_one_on_its_way_is_not(house: House, folder: Path):
    refused, coming = await announced(house), await announced(house)
    for one in (refused, coming):
        await send(house, one, CONTENT[:1000])
    await on_record(house, refused, state=ImportState.REFUSED, received=0)
    await house.services.footage.imports.tend()
    assert [path.stem for path in (folder.parents[1] / "footage-brought").iterdir()] == [coming["id"]]


@pytest.mark.parametrize("state", [FootageState.HANDED_OVER, FootageState.CANCELLED])
async def test_nothing_joins_a_package_that_has_left(house: House, tmp_path: Path, state: FootageState):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house), state=state)
    status, problem = await house.json("POST", FILES, json=SAID, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "wrong-state")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", "brought_01_a.mp4"),
        ("视频.DAV", "brought_01.dav"),
        ("../../etc/passwd", "brought_01_passwd.bin"),
        (".ps", "brought_01_ps.bin"),
    ],
)
async def test_a_file_is_called_by_what_every_system_can_write(house: House, folder: Path, name: str, expected: str):
    one = await announced(house, original_name=name)
    assert (one["name"], one["original_name"]) == (expected, name)
    assert (folder / FILM).exists()
