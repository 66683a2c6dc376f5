"""A file that the disk altered goes out by no door as if it were whole, and that it does not is on record, with one alarm."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.domain.access import Role
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import RequestId
from gateway.evidence.contents import Altered
from gateway.footage.damage import DamageDesk
from gateway.footage.scrubbing import ScrubRules
from tests.api.house import House
from tests.api.test_footage_links import holder
from tests.footage.shelf import CAMERA, CONTENT, DIGEST, FILM, ready
from tests.waiting import stopped, until

REQUEST = "/v1/footage-requests/F-1"
DOORS = {
    "its file": (f"files/{FILM}", {}),
    "a part of it": (f"files/{FILM}", {"Range": "bytes=10-19"}),
    "the package": ("package", {}),
    "a link's file": (f"link/{FILM}", {}),
    "a part by a link": (f"link/{FILM}", {"Range": "bytes=-10"}),
    "a link's package": ("link/F-1.zip", {}),
    "a part of a link's package": ("link/F-1.zip", {"Range": "bytes=500000-900000"}),
}


@pytest.fixture
async def folder(house: House, tmp_path: Path) -> Path:
    liaison = Person(Actor(ActorKind.API_KEY, house.keys[Role.LIAISON].split("_")[1]), "liaison key")
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison)
    return tmp_path / "footage" / "F-1"


async def damages(house: House) -> list[dict]:
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    return [line["detail"] for line in dossier["custody"] if line["step"] == "damaged"]


@pytest.mark.parametrize("door", DOORS)
async def test_a_damaged_film_breaks_off_on_record_with_one_alarm_and_goes_out_once_it_is_mended(house: House, folder: Path, door: str):
    name, asked = DOORS[door]
    path, about = f"{REQUEST}/{name}", {"role": Role.LIAISON, "headers": asked}
    if name.startswith("link/"):
        li = await holder(house)
        path, about = (
            f"{li.made['path']}/files/{name.removeprefix('link/')}",
            {"role": None, "headers": {"Authorization": li.auth, **asked}},
        )
    altered = bytearray(CONTENT)
    altered[1000] ^= 1
    (folder / FILM).write_bytes(altered)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            async with house.call("GET", path, **about) as answer:
                await answer.read()
    (line,) = await damages(house)
    assert (line["name"], line["sha256"], line["sent_to"]) == (FILM, DIGEST, "李敏" if name.startswith("link/") else "liaison key")
    told = [event for event in await house.services.store.events.read_after(0, limit=1000) if event.type == "footage.damaged"]
    assert [(event.subject, event.data) for event in told] == [("F-1", {"state": "ready", "file": FILM, "camera": CAMERA})]
    _, audit = await house.json("GET", "/v1/audit", role=Role.ADMIN)
    assert [row["action"] for row in audit["items"]].count("footage.damaged") == 1
    (folder / FILM).write_bytes(CONTENT)
    async with house.call("GET", path, **about) as answer:
        assert (answer.status, len(await answer.read())) == (206 if asked else 200, int(answer.headers["Content-Length"]))


async def test_after_a_restart_only_damage_that_is_new_is_told(house: House, folder: Path):
    services, to = house.services, Person(Actor(ActorKind.API_KEY, "k"), "k")

    async def found() -> int:
        """How often damage is on record once a gateway that has just begun comes upon the file."""
        alone = asyncio.Lock()
        desk = DamageDesk(store=services.store, clock=house.clock, folder_of=lambda _: folder, alone=lambda _: alone)
        await desk.found(RequestId("F-1"), Altered(FILM, "x"), sealed={FILM: DIGEST}, to=to)
        return len(await damages(house))

    (folder / FILM).write_bytes(b"altered")
    assert [await found(), await found()] == [1, 1]
    (folder / FILM).write_bytes(b"altered otherwise")
    assert [await found(), await found()] == [2, 2]


async def test_proof_that_was_written_anew_meanwhile_is_no_damage_and_a_damaged_paper_is(house: House, folder: Path):
    footage, to = house.services.footage, Person(Actor(ActorKind.API_KEY, "k"), "k")
    await footage.damage.found(RequestId("F-1"), Altered("manifest.json", "x"), sealed={"manifest.json": "a" * 64}, to=to)
    assert await damages(house) == []
    (folder / "custody-sheet.html").write_bytes(b"altered")
    with pytest.raises(aiohttp.ClientError):
        async with house.call("GET", f"{REQUEST}/files/custody-sheet.html", role=Role.LIAISON) as answer:
            await answer.read()
    assert [line["name"] for line in await damages(house)] == ["custody-sheet.html"]


async def test_a_dossier_says_when_its_files_were_checked_by_themselves_and_what_was_found(house: House, folder: Path):
    (folder / FILM).write_bytes(b"altered")
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    assert dossier["checks"] == []
    scrubber = house.services.footage.scrubber(ScrubRules())
    began = house.clock.now() + timedelta(days=31)
    house.clock.step(timedelta(days=31))
    task = asyncio.create_task(scrubber.run())
    await until(lambda: scrubber.figures.pieces == 2, meanwhile=lambda: house.clock.advance(0.1))
    await stopped(task)
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    assert [(one["name"], one["found"]) for one in dossier["checks"]] == [
        (FILM, "has another SHA-256 than was stored"),
        ("SHA256SUMS", "is too large"),  # a signature that is: the shelf's proofs are signed by nobody
    ]
    assert all(datetime.fromisoformat(one["checked_at"]) >= began for one in dossier["checks"])
