"""What follows after filing: the rest of the register, documents as files, and an emergency's papers in time or not."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.access import Role
from gateway.footage.service import DOCUMENTS
from tests.api.house import CAMERA, House
from tests.api.test_footage import filing, submitted
from tests.waiting import until

PDF = b"%PDF-1.7\nletter"
EMERGENCY = {"emergency": "missing-person", "authorising_document": "", "second_officer": "", "legal_basis": "", "destination": ""}
REST = {"authorising_document": "D-1", "second_officer": "李敏", "legal_basis": "criminal-procedure-evidence", "destination": "入卷"}


async def upload(house: House, path: str, data: bytes, *, role: Role = Role.LIAISON, **query: str):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    headers = {"Content-Type": "application/octet-stream"}
    return await house.json("POST", f"{path}/documents?{text}", data=data, headers=headers, role=role)


async def told(house: House, kind: str) -> list[dict]:
    return [dict(event.data) for event in await house.services.store.events.read_after(0, limit=200) if event.type == kind]


async def test_an_emergency_goes_ahead_with_an_alarm_and_its_papers_follow(house: House):
    request = await submitted(house, **EMERGENCY)
    path = f"/v1/footage-requests/{request['id']}"
    assert (request["state"], request["urgency"], request["owing"]) == ("going-ahead", "urgent", True)
    assert set(request["missing"]) == set(REST)
    assert [event["emergency"] for event in await told(house, "footage.urgent")] == ["missing-person"]
    status, document = await upload(house, path, PDF, name="letter.pdf")
    assert (status, document["media"], document["sha256"]) == (201, "application/pdf", hashlib.sha256(PDF).hexdigest())
    assert (await upload(house, path, PDF))[1]["id"] == document["id"]
    assert (await house.json("GET", path, role=Role.LIAISON))[1]["papers_at"] is None
    status, filled = await house.json("POST", f"{path}/register", json=REST, role=Role.LIAISON)
    assert (status, filled["missing"], filled["papers_at"] is not None, filled["owing"]) == (200, [], True, True)
    status, problem = await house.json("POST", f"{path}/register", json={"destination": "elsewhere"}, role=Role.LIAISON)
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:register-fixed")
    _, confirmed = await house.json("POST", f"{path}/confirm", json={"note": "110 接警核实"}, role=Role.APPROVER)
    assert (confirmed["owing"], confirmed["decided_by"]["name"], confirmed["note"]) == (False, "approver key", "110 接警核实")
    assert [event["papers"] for event in await told(house, "footage.papers")] == ["supplied"]
    _, dossier = await house.json("GET", path, role=Role.LIAISON)
    steps = [entry["step"] for entry in dossier["custody"]]
    assert [step for step in steps if step in {"went-ahead", "document-added", "papers-supplied", "amended", "confirmed"}] == [
        *("went-ahead", "document-added", "papers-supplied", "amended", "confirmed")
    ]


async def test_overdue_papers_are_told_once_and_a_second_person_revokes(house: House):
    request = await submitted(house, **EMERGENCY)
    path = f"/v1/footage-requests/{request['id']}"
    house.clock.step(timedelta(hours=25))
    await until(lambda: told(house, "footage.papers"), meanwhile=lambda: house.advance(61))
    await house.services.footage.amending.remind()
    assert [event["papers"] for event in await told(house, "footage.papers")] == ["overdue"]
    status, problem = await house.json("POST", f"{path}/revoke", json={}, role=Role.APPROVER)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/note")
    assert (await house.json("POST", f"{path}/revoke", json={"note": "x"}, role=Role.LIAISON))[0] == 403
    status, revoked = await house.json("POST", f"{path}/revoke", json={"note": "非紧急"}, role=Role.APPROVER)
    assert (status, revoked["state"], revoked["owing"]) == (200, "revoked", False)
    assert (await house.json("POST", f"{path}/register", json=REST, role=Role.LIAISON))[0] == 409


async def test_the_platform_has_no_emergencies_and_citizens_neither(house: House):
    body = {"kind": "citizen", "emergency": "missing-person"}
    assert (await house.json("POST", "/v1/footage-requests", json=filing(house, **EMERGENCY), role=Role.PLATFORM))[0] == 403
    status, problem = await house.json("POST", "/v1/footage-requests", json=filing(house, **body), role=Role.LIAISON)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/emergency")


async def test_a_citizen_comes_with_name_card_and_purpose_and_the_desk_gives_the_number(house: House):
    blank = dict.fromkeys(("unit", "second_officer", "case_number", "case_kind", "legal_basis", "authorising_document", "destination"), "")
    request = await submitted(house, kind="citizen", badge="371502199001010000", **blank)
    assert (request["case_number"], request["missing"], request["state"]) == (request["id"], [], "submitted")


@pytest.mark.parametrize("data", [b"", b"MZ\x90", b"<html>%PDF-", b"GIF89a"])
async def test_a_document_is_what_its_content_says_and_nothing_else_is_taken(house: House, data: bytes):
    path = f"/v1/footage-requests/{(await submitted(house))['id']}"
    status, problem = await upload(house, path, data, name="scan.pdf")
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:wrong-document")


async def test_a_document_is_read_by_who_filed_and_who_approves_on_record_and_whole(house: House, tmp_path):
    path = f"/v1/footage-requests/{(await submitted(house))['id']}"
    _, document = await upload(house, path, PDF, name='a"b/c.pdf', kind="letter")
    assert document["name"] == "a_b_c.pdf"
    async with house.call("GET", f"{path}/documents/{document['id']}", role=Role.APPROVER) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "application/pdf", PDF)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{document["id"]}.pdf"'
    assert (await house.json("GET", f"{path}/documents/{document['id']}", role=Role.ADMIN))[0] == 403
    assert (await house.json("GET", f"{path}/documents/D-0", role=Role.LIAISON))[0] == 404
    _, listed = await house.json("GET", f"{path}/documents", role=Role.APPROVER)
    assert [item["id"] for item in listed["items"]] == [document["id"]]
    _, dossier = await house.json("GET", path, role=Role.LIAISON)
    assert [(entry["step"], entry["by"]["name"]) for entry in dossier["custody"]][1:] == [
        ("document-added", "liaison key"),
        ("document-read", "approver key"),
        ("denied", "admin key"),
    ]
    kept = next(tmp_path.rglob(f"{DOCUMENTS}/{document['sha256']}"))
    kept.write_bytes(b"%PDF-forged")
    status, problem = await house.json("GET", f"{path}/documents/{document['id']}", role=Role.APPROVER)
    assert (status, problem["type"]) == (503, "urn:city-gateway:problem:document-lost")


async def test_who_decided_does_not_become_the_second_officer(house: House):
    request = await submitted(house, second_officer="", cameras=[CAMERA])
    path = f"/v1/footage-requests/{request['id']}"
    await house.json("POST", f"{path}/approve", json={}, role=Role.APPROVER)
    status, problem = await house.json("POST", f"{path}/register", json={"second_officer": "Approver Key"}, role=Role.LIAISON)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:second-person")


def kept(folder: Path) -> list[Path]:
    return [*folder.rglob(f"{DOCUMENTS}/*")]


async def over(house: House) -> str:
    """A request with a document that was cancelled just now; its path."""
    path = f"/v1/footage-requests/{(await submitted(house))['id']}"
    await upload(house, path, PDF, name="letter.pdf")
    assert (await house.json("POST", f"{path}/cancel", json={}, role=Role.LIAISON))[0] == 200
    return path


async def after_its_term(house: House, *, days: float) -> None:
    house.clock.step(timedelta(days=days))
    await house.services.footage._shredder.tend()


async def disposed(house: House, path: str) -> list[dict]:
    _, dossier = await house.json("GET", path, role=Role.LIAISON)
    return [entry["detail"] for entry in dossier["custody"] if entry["step"] == "disposed"]


async def test_documents_go_after_their_term_on_record_and_their_hashes_stay(house: House, tmp_path: Path):
    path = await over(house)
    await after_its_term(house, days=729)
    _, listed = await house.json("GET", f"{path}/documents", role=Role.LIAISON)
    (document,) = listed["items"]
    assert document["removed_at"] is None and len(kept(tmp_path)) == 1
    await after_its_term(house, days=2)
    _, listed = await house.json("GET", f"{path}/documents", role=Role.LIAISON)
    assert [(one["sha256"], one["removed_at"] is not None) for one in listed["items"]] == [(document["sha256"], True)]
    assert kept(tmp_path) == []
    told = {name: document[name] for name in ("kind", "name", "sha256", "size")} | {"document": document["id"]}
    (line,) = await disposed(house, path)
    assert (line["rule"], line["files"][0] | told) == ("footage.documents_days", line["files"][0])
    _, audit = await house.json("GET", "/v1/audit?limit=500")
    rows = [row for row in audit["items"] if row["action"] == "footage.disposed"]
    assert len(rows) == 1
    status, problem = await house.json("GET", f"{path}/documents/{document['id']}", role=Role.LIAISON)
    assert (status, problem["type"].rpartition(":")[2]) == (404, "document-disposed")


async def test_a_request_that_is_not_over_keeps_its_documents(house: House, tmp_path: Path):
    path = f"/v1/footage-requests/{(await submitted(house))['id']}"
    await house.json("POST", f"{path}/approve", json={}, role=Role.APPROVER)
    await upload(house, path, PDF)
    await after_its_term(house, days=2_000)
    assert await disposed(house, path) == [] and len(kept(tmp_path)) == 1


async def test_bytes_that_another_request_has_too_stay_for_that_one(house: House, tmp_path: Path):
    path = await over(house)
    other = f"/v1/footage-requests/{(await submitted(house))['id']}"
    _, document = await upload(house, other, PDF)
    await after_its_term(house, days=731)
    assert len(await disposed(house, path)) == 1
    async with house.call("GET", f"{other}/documents/{document['id']}", role=Role.LIAISON) as answer:
        assert await answer.read() == PDF


async def test_a_document_that_comes_again_after_its_term_is_there_for_another(house: House, tmp_path: Path):
    path = await over(house)
    await after_its_term(house, days=731)
    status, again = await upload(house, path, PDF, name="again.pdf", kind="letter")
    assert (status, again["removed_at"], again["name"], again["kind"]) == (201, None, "again.pdf", "letter")
    async with house.call("GET", f"{path}/documents/{again['id']}", role=Role.LIAISON) as answer:
        assert await answer.read() == PDF
    await after_its_term(house, days=729)
    assert len(await disposed(house, path)) == 1
    await after_its_term(house, days=2)
    assert len(await disposed(house, path)) == 2 and kept(tmp_path) == []


async def test_bytes_that_a_crash_left_behind_go_with_the_next_start_and_others_stay(house: House, tmp_path: Path):
    await over(house)
    (bytes_,) = kept(tmp_path)
    await after_its_term(house, days=731)
    bytes_.write_bytes(PDF)
    unknown = bytes_.with_name("0" * 64)
    unknown.write_bytes(b"of a row that nobody wrote yet")
    await house.services.footage._shredder.sweep()
    assert not bytes_.exists() and unknown.exists()
