"""What happens to a request lies in the hands of who filed it or approves, with keys that reach its cameras: by every door."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.domain.access import Role
from gateway.domain.footage import FootageState
from tests.api.house import House
from tests.api.test_brought_files import CONTENT, OCTETS, SAID, announced, liaison
from tests.api.test_deliveries import SCAN, STICK
from tests.api.test_viewings import CITIZEN
from tests.footage.shelf import ready

PATH = "/v1/footage-requests/F-1"
NOTE = {"note": "why"}
DECISIONS = (("approve", NOTE), ("reject", NOTE), ("confirm", NOTE), ("revoke", NOTE))
DEEDS = (("give-up", NOTE), ("close", {"found_something": False}), ("cancel", NOTE), ("retry", None), ("hand-over", {"receiver": "李敏"}))


async def key(house: House, *roles: str, **about: object) -> Mapping[str, str]:
    _, made = await house.json("POST", "/v1/keys", json={"name": "another desk", "roles": list(roles), **about})
    return {"Authorization": f"Bearer {made['key']}"}


async def shelved(house: House, folder: Path, state: FootageState = FootageState.READY) -> None:
    await ready(house.services.store, folder / "footage", now=house.clock.now(), by=liaison(house), state=state)


async def refused(house: House, path: str, headers: Mapping[str, str], body: object = None) -> str:
    status, problem = await house.json("POST", path, json=body, headers=headers)
    assert status == 403, problem
    return str(problem["type"].rpartition(":")[2])


async def told(house: House) -> tuple[str, list[str]]:
    _, dossier = await house.json("GET", PATH, role=Role.LIAISON)
    return dossier["state"], [entry["detail"].get("why", entry["step"]) for entry in dossier["custody"]]


@pytest.mark.parametrize(("deed", "body"), [*DECISIONS, *DEEDS])
async def test_no_key_acts_beyond_its_scopes(house: House, tmp_path: Path, deed: str, body: object):
    await shelved(house, tmp_path)
    role = "approver" if (deed, body) in DECISIONS else "liaison"
    far = await key(house, role, scopes=["g-2"])
    assert await refused(house, f"{PATH}/{deed}", far, body) == "out-of-scope"
    assert (await told(house))[0] == "ready"


@pytest.mark.parametrize(("deed", "body"), DEEDS)
async def test_a_stranger_disposes_of_nothing_and_the_denial_is_on_record(house: House, tmp_path: Path, deed: str, body: object):
    await shelved(house, tmp_path)
    assert await refused(house, f"{PATH}/{deed}", await key(house, "liaison"), body) == "not-yours"
    assert await told(house) == ("ready", ["not-yours"])


async def test_the_platform_cancels_nothing_that_others_filed_and_who_approves_may(house: House, tmp_path: Path):
    await shelved(house, tmp_path, FootageState.FAILED)
    assert await refused(house, f"{PATH}/cancel", await key(house, "platform"), NOTE) == "not-yours"
    assert await refused(house, f"{PATH}/cancel", await key(house, "admin"), NOTE) == "forbidden"
    status, done = await house.json("POST", f"{PATH}/cancel", json=NOTE, headers=await key(house, "approver"))
    assert (status, done["state"]) == (200, "cancelled")


async def test_a_viewing_is_ended_by_its_supervisor(house: House, tmp_path: Path):
    await shelved(house, tmp_path)
    _, viewing = await house.json("POST", f"{PATH}/viewings", json=CITIZEN, role=Role.LIAISON)
    path, outcome = f"/v1/footage-viewings/{viewing['id']}/end", {"outcome": "nothing-found"}
    assert await refused(house, path, await key(house, "liaison", scopes=["g-2"]), outcome) == "out-of-scope"
    assert await refused(house, path, await key(house, "liaison"), outcome) == "not-yours"
    assert await told(house) == ("ready", ["viewing-started", "out-of-scope", "not-yours"])


async def test_bytes_come_in_by_keys_that_reach_the_request_and_the_record_names_whose_they_were(house: House, tmp_path: Path):
    await shelved(house, tmp_path)
    one = await announced(house)
    path = f"/v1/brought-files/{one['id']}/content"
    far = await key(house, "liaison", scopes=["g-2"])
    status, problem = await house.json("PUT", path, data=CONTENT, headers={**OCTETS, **far})
    assert (status, problem["type"].rpartition(":")[2]) == (403, "out-of-scope")
    status, _ = await house.json("PUT", path, data=CONTENT, headers={**OCTETS, **await key(house, "liaison", scopes=["g-1"])})
    assert status == 200
    _, dossier = await house.json("GET", PATH, role=Role.LIAISON)
    line = next(entry for entry in dossier["custody"] if entry["step"] == "supplemented")
    assert (line["by"]["name"], line["detail"]["brought_by"]) == ("another desk", SAID["brought_by"])


async def test_a_signed_sheet_is_attached_by_a_key_that_reaches_the_request(house: House, tmp_path: Path):
    await shelved(house, tmp_path)
    _, made = await house.json("POST", f"{PATH}/deliveries", json=STICK, role=Role.LIAISON)
    path, far = f"/v1/footage-deliveries/{made['id']}/signed-sheet", await key(house, "liaison", scopes=["g-2"])
    status, problem = await house.json("POST", path, data=SCAN, headers={"Content-Type": "application/pdf", **far})
    assert (status, problem["type"].rpartition(":")[2]) == (403, "out-of-scope")
