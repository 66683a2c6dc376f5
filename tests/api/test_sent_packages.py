"""A package that the gateway sends into a folder: whole and compared or not at all, once, on record, and handed over with it."""

import asyncio
import hashlib
import itertools
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientError

from gateway.domain.access import Role
from gateway.domain.footage import Act, Emergency, FootageState, RequesterKind, RequestId
from gateway.evidence.verifying import verify
from gateway.footage.carrying import Retries
from gateway.footage.destinations import NotSent, Parcel
from tests.api.house import House
from tests.api.test_brought_files import liaison
from tests.api.test_deliveries import amend
from tests.api.test_footage_scopes import key
from tests.footage.shelf import FILM, ready
from tests.waiting import until

REQUEST = "/v1/footage-requests/F-1"
SEND = f"{REQUEST}/deliveries/share"
QUICK = Retries(first_s=(10.0, 20.0), long_s=60.0, for_s=600.0)
STEPS = ["send-asked", "send-begun", "handed-over", "sent"]


@pytest.fixture
async def package(house: House, tmp_path: Path) -> Path:
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    await house.services.footage._prover.seal(RequestId("F-1"))
    return tmp_path / "footage" / "F-1"


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


async def order(house: House, **words: str) -> dict:
    status, made = await house.json("POST", SEND, json=words, role=Role.LIAISON)
    assert status == 202, made
    return made


async def delivery(house: House, made: dict) -> dict:
    return (await house.json("GET", f"/v1/footage-deliveries/{made['id']}", role=Role.LIAISON))[1]


async def ended(house: House, made: dict) -> dict:
    return await until(lambda: delivery(house, made), wanted=lambda one: one["state"] in ("done", "failed"))


async def attempted(house: House, made: dict, times: int) -> dict:
    return await until(lambda: delivery(house, made), wanted=lambda one: one["reason"] and one["attempts"] == times)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, path.stat().st_ino


async def told(house: House) -> tuple[str, list[str]]:
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    return dossier["state"], [entry["step"] for entry in dossier["custody"]]


async def refused(house: House, path: str = SEND, **options: object) -> tuple[int, str]:
    status, problem = await house.json("POST", path, json={}, **{"role": Role.LIAISON, **options})
    return status, str(problem["type"]).rpartition(":")[2]


async def test_a_package_arrives_whole_and_the_request_is_handed_over(house: House, package: Path, share: Path):
    manifest = digest(package / "manifest.json")
    done = await ended(house, await order(house, receiver="接收专员", badge="371502-0001"))
    there = share / "F-1" / f"F-1_{manifest}.zip"
    assert names(share / "F-1") == [there.name]
    assert (done["state"], done["attempts"], done["sent"]) == ("done", 1, done["size"])
    assert (done["sha256"], done["target"]) == (digest(there), str(there))
    assert verify(there).altered == ()
    assert await told(house) == ("handed-over", STEPS)
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    assert {entry["detail"]["destination"] for entry in dossier["custody"]} == {"share"}
    assert [entry["by"]["name"] for entry in dossier["custody"]] == ["liaison key", "gateway", "liaison key", "gateway"]
    _, audit = await house.json("GET", "/v1/audit?limit=50", role=Role.ADMIN)
    assert {f"footage.{step}" for step in ("send-asked", "send-begun", "hand-over", "sent")} <= {row["action"] for row in audit["items"]}


async def test_the_same_package_goes_to_the_same_destination_once(house: House, package: Path, share: Path):
    made = await asyncio.gather(*(order(house) for _ in range(4)))
    assert len({one["id"] for one in made}) == 1
    await ended(house, made[0])
    assert (await order(house))["id"] == made[0]["id"]
    assert names(share) == ["F-1"]
    assert await told(house) == ("handed-over", STEPS)
    _, listed = await house.json("GET", f"{REQUEST}/deliveries", role=Role.LIAISON)
    assert [one["state"] for one in listed["items"]] == ["done"]


async def test_nothing_is_sent_for_who_did_not_file_it_beyond_scope_or_to_where_nobody_said(house: House, package: Path, share: Path):
    stranger, far = await key(house, "liaison"), await key(house, "liaison", scopes=["g-2"])
    assert await refused(house, headers=stranger, role=None) == (403, "not-yours")
    assert await refused(house, headers=far, role=None) == (403, "out-of-scope")
    assert await refused(house, role=Role.VIEWER) == (403, "forbidden")
    assert await refused(house, f"{REQUEST}/deliveries/elsewhere") == (404, "no-destination")
    assert await refused(house, "/v1/footage-requests/F-9/deliveries/share") == (404, "not-found")
    assert await told(house) == ("ready", ["denied"] * 4)
    assert names(share) == []


URGENT = {"emergency": Emergency.MISSING_PERSON, "papers_due_at": datetime(2030, 1, 1, tzinfo=UTC), "decided": False}


@pytest.mark.parametrize(
    ("state", "about", "status", "code"),
    [
        (FootageState.APPROVED, {}, 409, "wrong-state"),
        (FootageState.HANDED_OVER, {}, 409, "wrong-state"),
        (FootageState.READY, {"kind": RequesterKind.CITIZEN}, 403, "no-copy"),
        (FootageState.READY, URGENT, 409, "not-confirmed"),
        (FootageState.READY, {"second_officer": ""}, 409, "register-incomplete"),
    ],
)
async def test_what_may_not_be_handed_over_is_not_sent(
    house: House, tmp_path: Path, share: Path, state: FootageState, about: dict, status: int, code: str
):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house), state=state, **about)
    assert await refused(house) == (status, code)
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    assert (dossier["custody"][-1]["step"], dossier["custody"][-1]["detail"]["why"]) == ("denied", code)
    assert names(share) == []


async def test_a_package_whose_proof_was_altered_is_not_sent(house: House, package: Path, share: Path):
    (package / "manifest.json").write_bytes((package / "manifest.json").read_bytes() + b" ")
    assert await refused(house) == (409, "not-sealed")
    assert names(share) == []


@pytest.mark.parametrize("lost", [FILM, "manifest.json", "SHA256SUMS"])
async def test_a_package_that_is_not_whole_is_not_sent(house: House, package: Path, share: Path, lost: str):
    (package / lost).unlink()
    assert await refused(house) == (409, "not-sealed")
    assert names(share) == []


def test_a_package_is_tried_for_a_day_by_default_and_at_least_after_the_short_pauses():
    tries, ages = Retries(), [0.0]
    while (pause := tries.after(len(ages), age_s=ages[-1])) is not None:
        ages.append(ages[-1] + pause)
    assert [round(later - age) for age, later in itertools.pairwise(ages[:7])] == [10, 60, 300, 900, 3600, 3600]
    assert 23 * 3600 < ages[-1] <= 24 * 3600
    assert [Retries(for_s=0).after(number, age_s=1e6) for number in (1, 4, 5)] == [10.0, 900.0, None]


async def delayed(house: House, made: dict) -> dict:
    """The delivery when its first long pause has begun."""
    for number, pause in enumerate(QUICK.first_s, 1):
        waiting = await attempted(house, made, number)
        assert (waiting["state"], waiting["reason"].partition(":")[0]) == ("pending", "not-mounted")
        assert datetime.fromisoformat(waiting["next_attempt_at"]) == house.clock.now() + timedelta(seconds=pause)
        await house.advance(pause)
    return await attempted(house, made, len(QUICK.first_s) + 1)


async def alarms(house: House) -> list[str]:
    return [one.type for one in await house.services.store.events.read_after(0, limit=1_000) if one.type.startswith("footage.send-")]


@pytest.fixture
def quick(house: House) -> None:
    house.services.footage._carrier._retries = QUICK


@pytest.mark.usefixtures("quick")
async def test_a_share_that_is_lost_for_a_night_is_tried_until_it_is_back_and_somebody_is_told(house: House, package: Path, tmp_path: Path):
    made = await order(house)
    waiting = await delayed(house, made)
    assert datetime.fromisoformat(waiting["next_attempt_at"]) == house.clock.now() + timedelta(seconds=QUICK.long_s)
    for number in (4, 5):
        await house.advance(QUICK.long_s)
        assert (await attempted(house, made, number))["state"] == "pending"
    (tmp_path / "share").mkdir()
    await house.advance(QUICK.long_s)
    done = await ended(house, made)
    assert (done["state"], done["attempts"], done["next_attempt_at"]) == ("done", 6, None)
    assert await alarms(house) == ["footage.send-delayed"]
    assert (await told(house))[0] == "handed-over"


@pytest.mark.usefixtures("quick")
async def test_what_waits_for_its_next_attempt_is_tried_at_once_when_it_is_ordered_again(house: House, package: Path, tmp_path: Path):
    made = await order(house)
    await delayed(house, made)
    (tmp_path / "share").mkdir()
    assert (await order(house))["id"] == made["id"]
    assert (await ended(house, made))["state"] == "done"


@pytest.mark.usefixtures("quick")
async def test_a_share_that_stays_lost_fails_in_the_end(house: House, package: Path, tmp_path: Path):
    made = await order(house)
    await delayed(house, made)
    await house.advance(QUICK.for_s)
    failed = await ended(house, made)
    assert (failed["state"], failed["next_attempt_at"]) == ("failed", None)
    assert await alarms(house) == ["footage.send-delayed", "footage.send-failed"]
    state, steps = await told(house)
    assert (state, steps.count("send-begun") > 3, steps[-1]) == ("ready", True, "send-failed")
    (tmp_path / "share").mkdir()
    again = await order(house)
    assert again["id"] != made["id"]
    assert (await ended(house, again))["state"] == "done"
    assert (await told(house))[0] == "handed-over"


async def test_what_lies_there_already_is_never_overwritten(house: House, package: Path, share: Path):
    manifest = digest(package / "manifest.json")
    other = share / "F-1" / f"F-1_{manifest}.zip"
    other.parent.mkdir()
    other.write_bytes(b"somebody else's")
    failed = await ended(house, await order(house))
    assert (failed["state"], failed["reason"].partition(":")[0]) == ("failed", "destination-occupied")
    assert other.read_bytes() == b"somebody else's"
    assert await told(house) == ("ready", ["send-asked", "send-begun", "send-failed"])


async def test_a_package_that_arrived_before_a_crash_is_found_and_not_sent_twice(house: House, package: Path, share: Path):
    first = await ended(house, await order(house))
    there = Path(first["target"])
    before = stamp(there)
    async with house.services.store.read() as tx:
        known = await tx.deliveries.get(first["id"])
    sha256 = await house.services.footage._carrier._carry(known, house.services.footage._carrier.destinations["share"])
    assert (sha256, stamp(there)) == (first["sha256"], before)


async def test_a_package_that_was_sealed_anew_while_it_waited_is_not_sent_as_it_was(house: House, package: Path, tmp_path: Path):
    made = await order(house)
    await until(lambda: delivery(house, made), wanted=lambda one: one["reason"])
    await amend(house, approval_letter="补正〔2026〕7号")
    (tmp_path / "share").mkdir()
    failed = await until(
        lambda: delivery(house, made), meanwhile=lambda: house.advance(Retries().first_s[0]), wanted=lambda one: one["state"] == "failed"
    )
    assert failed["reason"].startswith("package-changed:")
    assert names(tmp_path / "share") == []
    assert (await ended(house, await order(house)))["state"] == "done"


def after_writing(house: House, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], Awaitable[object]]) -> None:
    """Let `deed` be done when a package was written whole and nothing is on record of it yet; once."""
    share = house.services.footage._carrier.destinations["share"]
    write = share.write

    async def written(key: str, parcel: Parcel) -> None:
        monkeypatch.undo()
        await write(key, parcel)
        await deed()

    monkeypatch.setattr(share, "write", written)


async def disposed_outside(house: House) -> list[dict]:
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    (line,) = [entry for entry in dossier["custody"] if entry["step"] == "disposed"]
    return line["detail"]["outside"]


async def test_a_copy_that_arrived_while_its_package_was_sealed_anew_is_on_record(
    house: House, package: Path, share: Path, monkeypatch: pytest.MonkeyPatch
):
    after_writing(house, monkeypatch, lambda: amend(house, approval_letter="补正〔2026〕7号"))
    failed = await ended(house, await order(house))
    assert (failed["state"], failed["reason"].partition(":")[0]) == ("failed", "package-changed")
    assert (failed["outside_sha256"], failed["sha256"]) == (digest(Path(failed["target"])), "")
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    (line,) = [entry["detail"] for entry in dossier["custody"] if entry["step"] == "send-failed"]
    assert (line["target"], line["outside_sha256"]) == (failed["target"], failed["outside_sha256"])
    done = await ended(house, await order(house))
    await house.services.footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
    assert [(one["where"], one["sha256"], one["superseded"]) for one in await disposed_outside(house)] == [
        (failed["target"], failed["outside_sha256"], True),
        (done["target"], done["sha256"], False),
    ]


@pytest.mark.parametrize("seen", [True, False])
async def test_a_copy_of_an_earlier_attempt_is_looked_for_when_the_package_was_sealed_anew(
    house: House, package: Path, share: Path, monkeypatch: pytest.MonkeyPatch, seen: bool
):
    async def broken() -> None:
        raise NotSent("the line broke", again=True)

    after_writing(house, monkeypatch, broken)
    made = await order(house)
    there = Path((await attempted(house, made, 1))["target"])
    await amend(house, approval_letter="补正〔2026〕7号")
    if not seen:
        await asyncio.to_thread(share.rename, share.with_name("elsewhere"))
    await house.advance(Retries().first_s[0])
    failed = await ended(house, made)
    assert failed["reason"].startswith("package-changed:")
    assert failed["outside_sha256"] == (digest(there) if seen else "")
    assert ("could not be seen" in failed["reason"]) is not seen


async def test_a_copy_that_arrived_when_its_request_had_ended_is_on_record(
    house: House, package: Path, share: Path, monkeypatch: pytest.MonkeyPatch
):
    async def over() -> None:
        await house.services.footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
        shutil.rmtree(package)

    after_writing(house, monkeypatch, over)
    failed = await ended(house, await order(house))
    assert (failed["state"], failed["reason"].partition(":")[0]) == ("failed", "request-ended")
    assert failed["outside_sha256"] == digest(Path(failed["target"]))


async def test_what_a_part_of_an_earlier_life_left_does_not_get_into_the_package(house: House, package: Path, share: Path):
    manifest = digest(package / "manifest.json")
    part = share / "F-1" / f"F-1_{manifest}.zip.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * (8 << 20))
    done = await ended(house, await order(house))
    assert names(part.parent) == [f"F-1_{manifest}.zip"]
    assert digest(Path(done["target"])) == done["sha256"]


async def test_of_a_request_that_ended_nothing_more_is_sent(house: House, package: Path, tmp_path: Path):
    made = await order(house)
    await until(lambda: delivery(house, made), wanted=lambda one: one["reason"])
    await house.services.footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
    (tmp_path / "share").mkdir()
    failed = await until(
        lambda: delivery(house, made), meanwhile=lambda: house.advance(Retries().first_s[0]), wanted=lambda one: one["state"] == "failed"
    )
    assert failed["reason"].startswith("request-ended:")
    assert names(tmp_path / "share") == []


async def test_the_disposal_names_the_copy_that_lies_outside(house: House, package: Path, share: Path):
    done = await ended(house, await order(house))
    await house.services.footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
    _, dossier = await house.json("GET", REQUEST, role=Role.LIAISON)
    (line,) = [entry for entry in dossier["custody"] if entry["step"] == "disposed"]
    (outside,) = line["detail"]["outside"]
    assert {name: outside[name] for name in ("delivery", "where", "sha256")} == {
        **{"delivery": done["id"], "where": done["target"], "sha256": done["sha256"]}
    }
    assert digest(Path(done["target"])) == done["sha256"]


async def test_the_destinations_are_listed(house: House):
    _, known = await house.json("GET", "/v1/footage-destinations", role=Role.LIAISON)
    assert [(one["name"], one["way"], one["plain_because"]) for one in known["items"]] == [("share", "directory", "")]
    assert (await house.json("GET", "/v1/footage-destinations", role=Role.VIEWER))[0] == 403


def flip(film: Path) -> None:
    content = bytearray(film.read_bytes())
    content[len(content) // 2] ^= 0xFF
    film.write_bytes(content)


async def test_a_film_that_the_disk_damaged_is_not_sent_until_it_is_mended(house: House, package: Path, share: Path):
    film = package / FILM
    flip(film)
    broken = await ended(house, await order(house))
    assert (broken["state"], broken["reason"].partition(":")[0]) == ("failed", "package-damaged")
    assert FILM in broken["reason"]
    assert names(share / "F-1") == []
    assert (await told(house))[0] == "ready"
    with pytest.raises(ClientError):
        async with house.call("GET", f"{REQUEST}/package", role=Role.LIAISON) as answer:
            await answer.read()
    flip(film)
    assert (await ended(house, await order(house)))["state"] == "done"
