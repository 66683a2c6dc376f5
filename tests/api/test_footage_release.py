"""No copy leaves by any door while the register is empty, and none at all for a citizen; the denial is on record."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.access import Role
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import Emergency, RequesterKind
from tests.api.house import House
from tests.api.test_deliveries import STICK
from tests.api.test_viewings import CITIZEN
from tests.footage.shelf import FILM, ready
from tests.media.films import grey_film

PATH = "/v1/footage-requests/F-1"
DOORS = (
    ("GET", f"/files/{FILM}", None),
    ("GET", "/manifest", None),
    ("GET", "/package", None),
    ("POST", "/links", {"receiver": "李敏", "badge": "1"}),
    ("POST", "/hand-over", {"receiver": "李敏"}),
    ("POST", "/deliveries", STICK),
)


async def shelved(house: House, folder: Path, **changes: object) -> None:
    key = house.keys[Role.LIAISON].split("_")[1]
    liaison = Person(Actor(ActorKind.API_KEY, key), "liaison key")
    await ready(house.services.store, folder / "footage", now=house.clock.now(), by=liaison, **changes)


@pytest.mark.parametrize(("method", "door", "body"), DOORS)
@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"destination": ""}, (409, "register-incomplete")),
        ({"second_officer": ""}, (409, "register-incomplete")),
        ({"kind": RequesterKind.CITIZEN}, (403, "no-copy")),
    ],
)
async def test_no_door_gives_a_copy_that_may_not_leave(
    house: House, tmp_path: Path, method: str, door: str, body: dict | None, changes: dict, answer: tuple[int, str]
):
    await shelved(house, tmp_path, **changes)
    status, problem = await house.json(method, PATH + door, json=body, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == answer
    _, dossier = await house.json("GET", PATH, role=Role.LIAISON)
    assert {entry["step"] for entry in dossier["custody"]} <= {"denied"}


async def test_a_register_that_is_filled_in_opens_the_doors(house: House, tmp_path: Path):
    await shelved(house, tmp_path, destination="", legal_basis="")
    rest = {"destination": "入卷", "legal_basis": "criminal-procedure-evidence"}
    status, filled = await house.json("POST", f"{PATH}/register", json=rest, role=Role.LIAISON)
    assert (status, filled["missing"]) == (200, [])
    _, manifest = await house.json("GET", f"{PATH}/manifest", role=Role.LIAISON)
    assert (manifest["case"]["destination"], manifest["case"]["legal_basis"]) == ("入卷", rest["legal_basis"])
    status, done = await house.json("POST", f"{PATH}/hand-over", json={"receiver": "李敏"}, role=Role.LIAISON)
    assert (status, done["state"]) == (200, "handed-over")
    _, dossier = await house.json("GET", PATH, role=Role.LIAISON)
    assert [entry["step"] for entry in dossier["custody"]] == ["amended", "sealed-again", "downloaded", "handed-over"]


async def test_a_citizen_has_looked_and_takes_nothing_away(house: House, tmp_path: Path):
    await shelved(house, tmp_path, kind=RequesterKind.CITIZEN)
    status, closed = await house.json("POST", f"{PATH}/close", json={"found_something": False, "note": "看过"}, role=Role.LIAISON)
    assert (status, closed["state"], closed["outcome"]) == (200, "viewed-nothing-found", "viewed-nothing-found")
    assert (await house.json("POST", f"{PATH}/hand-over", json={"receiver": "x"}, role=Role.LIAISON))[0] == 409


@pytest.mark.parametrize(("method", "door", "body"), DOORS)
async def test_an_emergency_is_only_looked_at_before_a_second_person_has_confirmed_it(
    house: House, tmp_path: Path, method: str, door: str, body: dict | None
):
    due = house.clock.now() + timedelta(hours=24)
    await shelved(house, tmp_path, emergency=Emergency.MISSING_PERSON, papers_due_at=due, decided=False, content=grey_film())
    status, problem = await house.json(method, PATH + door, json=body, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "not-confirmed")
    status, viewing = await house.json("POST", f"{PATH}/viewings", json=CITIZEN, role=Role.LIAISON)
    async with house.call("GET", f"{viewing['page']}/films/{FILM}", role=Role.LIAISON) as answer:
        assert answer.status == 200
    _, dossier = await house.json("GET", PATH, role=Role.LIAISON)
    steps = [entry["detail"].get("why", entry["step"]) for entry in dossier["custody"]]
    assert (dossier["owing"], steps) == (True, ["not-confirmed", "viewing-started", "viewed"])


async def test_a_confirmed_emergency_gives_copies_while_its_papers_may_follow(house: House, tmp_path: Path):
    due = house.clock.now() + timedelta(hours=24)
    await shelved(house, tmp_path, emergency=Emergency.MISSING_PERSON, papers_due_at=due, decided=False, destination="")
    assert (await house.json("POST", f"{PATH}/confirm", json={"note": "110 接警核实"}, role=Role.APPROVER))[0] == 200
    async with house.call("GET", f"{PATH}/files/{FILM}", role=Role.LIAISON) as answer:
        assert answer.status == 200
