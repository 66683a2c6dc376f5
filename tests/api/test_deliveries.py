"""A sealed medium through the door: state, record and hash together; the signed sheet; what is deleted after the term is written down."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from gateway.domain.access import Role
from gateway.domain.footage import Act, DocumentKind, FootageState, RequestId
from gateway.errors import Conflict
from gateway.evidence.verifying import verify
from gateway.footage.amending import DOCUMENTS_MAX
from gateway.storage.store import Tx
from tests.api.house import House
from tests.api.test_brought_files import CONTENT, announced, liaison, send
from tests.footage.shelf import DIGEST, FILM, ready

DELIVERIES = "/v1/footage-requests/F-1/deliveries"
STICK = {
    "medium": "usb-stick",
    "number": "U-2026-017",
    "seal": "封-0042",
    "receiver": "王建国",
    "unit": "东昌府分局",
    "badge": "371502-0417",
    "second_officer": "李敏",
}
SCAN = b"%PDF-1.4\n% a signed sheet\n%%EOF\n"
PDF = {"Content-Type": "application/pdf"}


@pytest.fixture
async def folder(house: House, tmp_path: Path) -> Path:
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house))
    await house.services.footage._prover.seal(RequestId("F-1"))
    return tmp_path / "footage" / "F-1"


async def dossier(house: House) -> dict:
    return (await house.json("GET", "/v1/footage-requests/F-1", role=Role.LIAISON))[1]


async def test_a_sealed_stick_changes_the_state_and_stands_in_custody_with_the_printed_hash(house: House, folder: Path):
    printed = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    status, made = await house.json("POST", DELIVERIES, json=STICK | {"printed_sha256": printed.upper()}, role=Role.LIAISON)
    assert (status, made["manifest_sha256"], made["signed_sheet"]) == (201, printed, None)
    found = await dossier(house)
    line = found["custody"][-1]
    assert (found["state"], line["step"]) == ("handed-over", "handed-over")
    assert {name: line["detail"][name] for name in STICK} == STICK
    assert line["detail"]["manifest_sha256"] == printed
    path = f"/v1/footage-deliveries/{made['id']}/signed-sheet"
    status, signed = await house.json("POST", path, data=SCAN, headers={"Content-Type": "application/pdf"}, role=Role.LIAISON)
    assert (status, signed["signed_sheet"]["sha256"]) == (200, hashlib.sha256(SCAN).hexdigest()), signed
    status, _ = await house.json("POST", path, data=SCAN, headers={"Content-Type": "application/pdf"}, role=Role.LIAISON)
    assert status == 409
    _, listed = await house.json("GET", DELIVERIES, role=Role.LIAISON)
    assert listed["items"][0]["signed_sheet"]["sha256"] == signed["signed_sheet"]["sha256"]
    assert (await dossier(house))["custody"][-1]["step"] == "sheet-signed"


REGISTER = "/v1/footage-requests/F-1/register"


def lying_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def amend(house: House, **words: str) -> dict:
    await house.advance(5)
    status, told = await house.json("POST", REGISTER, json=words, role=Role.LIAISON)
    assert status == 200, told
    return told


async def test_an_amendment_that_changes_nothing_leaves_the_proof_and_the_printed_sheet(house: House, folder: Path):
    before = lying_in(folder)
    known = await dossier(house)
    await amend(house)
    await amend(house, destination=known["destination"], unit=f" {known['unit']} ")
    assert lying_in(folder) == before
    assert [entry["step"] for entry in (await dossier(house))["custody"]] == []
    printed = hashlib.sha256(before["manifest.json"]).hexdigest()
    assert (await house.json("POST", DELIVERIES, json=STICK | {"printed_sha256": printed}, role=Role.LIAISON))[0] == 201


async def test_what_was_handed_over_keeps_the_proof_that_it_was_given_away_with(house: House, folder: Path):
    _, made = await house.json("POST", DELIVERIES, json=STICK, role=Role.LIAISON)
    await amend(house, approval_letter="补正〔2026〕7号")
    assert [entry["step"] for entry in (await dossier(house))["custody"]] == ["handed-over", "amended"]
    assert hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() == made["manifest_sha256"]


async def test_every_manifest_that_was_signed_stays_under_its_digest_as_long_as_the_files(house: House, folder: Path):
    first = {name: (folder / name).read_bytes() for name in ("manifest.json", "manifest.json.sig")}
    await amend(house, approval_letter="补正〔2026〕7号")
    kept = folder.parent / "proofs" / "F-1"
    digest = hashlib.sha256(first["manifest.json"]).hexdigest()
    assert {path.name for path in kept.iterdir()} >= {f"{digest}.json", f"{digest}.json.sig"}
    assert len(list(kept.iterdir())) == 4
    assert (kept / f"{digest}.json").read_bytes() == first["manifest.json"] != (folder / "manifest.json").read_bytes()
    assert (kept / f"{digest}.json.sig").read_bytes() == first["manifest.json.sig"]
    await house.services.footage._fulfilment.drop(RequestId("F-1"))
    assert not kept.exists()


async def test_of_two_signed_sheets_at_once_one_is_attached_and_the_others_leave_no_document(house: House, folder: Path):
    _, made = await house.json("POST", DELIVERIES, json=STICK, role=Role.LIAISON)
    path = f"/v1/footage-deliveries/{made['id']}/signed-sheet"
    sheets = [SCAN + b"%d" % number for number in range(4)]
    answers = await asyncio.gather(*(house.json("POST", path, data=sheet, headers=PDF, role=Role.LIAISON) for sheet in sheets))
    assert sorted(status for status, _ in answers) == [200, 409, 409, 409]
    attached = next(body["signed_sheet"]["sha256"] for status, body in answers if status == 200)
    assert (await house.json("GET", DELIVERIES, role=Role.LIAISON))[1]["items"][0]["signed_sheet"]["sha256"] == attached
    assert [line["step"] for line in (await dossier(house))["custody"]].count("sheet-signed") == 1
    _, documents = await house.json("GET", "/v1/footage-requests/F-1/documents", role=Role.LIAISON)
    assert [one["sha256"] for one in documents["items"]] == [attached]


async def test_the_signed_sheet_is_taken_however_many_documents_there_are(house: House, folder: Path):
    _, made = await house.json("POST", DELIVERIES, json=STICK, role=Role.LIAISON)
    me, desk = liaison(house), house.services.footage.amending
    for number in range(DOCUMENTS_MAX):
        await desk.add(RequestId("F-1"), SCAN + b"%d" % number, kind=DocumentKind.OTHER, name="a letter", by=me)
    with pytest.raises(Conflict):
        await desk.add(RequestId("F-1"), SCAN + b"more", kind=DocumentKind.OTHER, name="a letter", by=me)
    path = f"/v1/footage-deliveries/{made['id']}/signed-sheet"
    status, signed = await house.json("POST", path, data=SCAN, headers=PDF, role=Role.LIAISON)
    assert (status, signed["signed_sheet"]["sha256"]) == (200, hashlib.sha256(SCAN).hexdigest())


async def test_the_manifest_lists_the_documents_with_their_digests(house: House, folder: Path):
    headers = {"Content-Type": "application/octet-stream"}
    path = "/v1/footage-requests/F-1/documents?kind=letter&name=letter.pdf"
    _, kept = await house.json("POST", path, data=SCAN, headers=headers, role=Role.LIAISON)
    await amend(house, approval_letter="补正〔2026〕7号")
    (told,) = json.loads((folder / "manifest.json").read_text())["documents"]
    assert {name: told[name] for name in ("id", "kind", "name", "media", "size", "sha256")} == {
        **{"id": kept["id"], "kind": "letter", "name": "letter.pdf", "media": "application/pdf"},
        **{"size": len(SCAN), "sha256": hashlib.sha256(SCAN).hexdigest()},
    }
    assert told["added_by"]["name"] == "liaison key"
    checked = verify(folder)
    assert (checked.altered, checked.unexplained) == ((), ())


async def test_another_printed_hash_hands_nothing_over_and_is_on_record(house: House, folder: Path):
    status, problem = await house.json("POST", DELIVERIES, json=STICK | {"printed_sha256": "0" * 64}, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "digest-mismatch")
    found = await dossier(house)
    assert (found["state"], found["custody"][-1]["detail"]["why"]) == ("ready", "digest-mismatch")
    assert (await house.json("GET", DELIVERIES, role=Role.LIAISON))[1]["items"] == []


@pytest.mark.parametrize("wrong", [{"second_officer": "王 建国"}, {"seal": " "}, {"number": ""}])
async def test_one_person_alone_or_an_unsealed_medium_is_refused(house: House, folder: Path, wrong: dict):
    status, _ = await house.json("POST", DELIVERIES, json=STICK | wrong, role=Role.LIAISON)
    assert status == 422
    assert (await dossier(house))["state"] == "ready"


async def test_only_what_is_ready_is_handed_over(house: House, tmp_path: Path):
    await ready(house.services.store, tmp_path / "footage", now=house.clock.now(), by=liaison(house), state=FootageState.HANDED_OVER)
    status, problem = await house.json("POST", DELIVERIES, json=STICK, role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (409, "wrong-state")


async def test_what_is_deleted_after_the_term_is_written_down_with_digests_and_rule(house: House, folder: Path, tmp_path: Path):
    one = await announced(house)
    _, kept = await send(house, one, CONTENT)
    footage = house.services.footage
    await footage._ledger.act(RequestId("F-1"), Act.EXPIRE, reason="kept long enough")
    await footage._fulfilment.drop(RequestId("F-1"))
    found = await dossier(house)
    line = next(entry for entry in found["custody"] if entry["step"] == "disposed")
    assert line["detail"]["rule"] == "footage.retention_days"
    assert {(file["name"], file["sha256"]) for file in line["detail"]["files"]} == {(FILM, DIGEST), (kept["name"], kept["sha256"])}
    assert not list(tmp_path.glob("footage/F-1/*"))  # noqa: ASYNC240 -- a test may wait for its disk
    _, audit = await house.json("GET", "/v1/audit?limit=50", role=Role.ADMIN)
    assert "footage.disposed" in {row["action"] for row in audit["items"]}


async def test_the_store_itself_refuses_a_medium_without_seal(house: House, folder: Path):
    _, made = await house.json("POST", DELIVERIES, json=STICK, role=Role.LIAISON)
    known = await house.services.footage.deliveries.get(made["id"])
    async with house.services.store.read() as tx:
        assert isinstance(tx, Tx) and (await tx.deliveries.of(RequestId("F-1"))) == [known]
