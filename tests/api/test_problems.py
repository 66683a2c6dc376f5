"""Every refusal is a problem that says what to do, and none tells more than it should."""

import asyncio
import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.api.models import Instant
from gateway.api.problems import problem_of, problem_of_crash
from gateway.domain.access import Role
from gateway.errors import AuthenticationFailed, Busy, DeadlineExceeded, NotSupported, Overloaded, StorageFailed, Unreachable
from gateway.storage.events import CursorTooOld
from tests.api.house import House

KEY = {"name": "a key", "roles": ["viewer"]}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed-json"),
        (b"", 400, "malformed-json"),
        (b"\xff\xfe", 400, "malformed-json"),
        (b"[]", 422, "invalid-input"),
        (b"[" * 100_000, 413, "body-too-large"),
        (b"[" * 30_000, 400, "malformed-json"),
        (b'{"name":"x"}', 422, "invalid-input"),
        (b'{"name":"x","roles":["viewer"],"colour":1}', 422, "invalid-input"),
        (b'{"name":"x\\u0000","roles":["viewer"]}', 422, "invalid-input"),
        (b'{"name":"x","roles":["viewer"],"max_speakers":NaN}', 422, "invalid-input"),
    ],
)
async def test_a_wrong_body_is_a_problem(house: House, body: bytes, status: int, code: str):
    got, problem = await house.json("POST", "/v1/keys", data=body, headers={"Content-Type": "application/json"})
    assert (got, problem["type"].rsplit(":", 1)[1]) == (status, code)


async def test_every_fault_is_named_with_its_place_and_without_its_value(house: House):
    body = {"name": "", "roles": ["king"], "max_speakers": -1, "hunter2": "s3cret"}
    status, problem = await house.json("POST", "/v1/keys", json=body)
    assert status == 422
    assert {fault["pointer"] for fault in problem["errors"]} == {"/name", "/roles/0", "/max_speakers", "/hunter2"}
    assert "s3cret" not in json.dumps(problem)
    told = {fault["pointer"]: (fault["code"], fault.get("values")) for fault in problem["errors"]}
    assert told["/name"] == ("string-too-short", {"min_length": 1})
    assert told["/hunter2"] == ("extra-forbidden", None)


@pytest.mark.parametrize(
    ("path", "body", "pointer", "detail"),
    [
        ("/v1/keys", {**KEY, "max_speaker": 1}, "/max_speaker", "is not known here; did you mean max_speakers?"),
        ("/v1/keys", {"roles": ["viewer"]}, "/name", "is missing"),
        ("/v1/keys", {**KEY, "max_speakers": "many"}, "/max_speakers", "must be a whole number"),
        ("/v1/keys", {**KEY, "name": "two\nlines"}, "/name", "must be one line, without control characters"),
        ("/v1/keys", {**KEY, "name": ""}, "/name", "must have at least 1 character"),
        ("/v1/keys", {**KEY, "roles": "viewer"}, "/roles", "must be a list"),
        ("/v1/keys", {**KEY, "expires_at": "now"}, "/expires_at", "must be an RFC 3339 time"),
        ("/v1/keys", [], "/", "must be an object"),
        ("/v1/broadcasts", {"clip": "a" * 64, "not_after": "2026-01-01T00:00:00Z", "targets": {}}, "/targets", "names no target"),
        ("/v1/broadcasts", {"targets": {"speaker": ["x"]}}, "/targets/speaker", "is not known here; did you mean speakers?"),
        ("/v1/broadcasts", {"targets": {"x": 1}}, "/targets/x", "is not known here; known are speakers, zones, cells, groups"),
    ],
)
async def test_what_is_wrong_is_said_in_our_words(house: House, path: str, body: object, pointer: str, detail: str):
    role = Role.ADMIN if path == "/v1/keys" else Role.OPERATOR
    _, problem = await house.json("POST", path, json=body, role=role, headers={"Idempotency-Key": "x"})
    found = {fault["pointer"]: fault["detail"] for fault in problem["errors"]}
    assert found[pointer].startswith(detail)
    assert not [text for text in found.values() if re.search("Input|error|Extra|should|frozenset", text)]


async def test_a_field_that_stands_twice_is_refused_with_its_place(house: House):
    body = b'{"name":"a","roles":["viewer"],"name":"b"}'
    status, problem = await house.json("POST", "/v1/keys", data=body, headers={"Content-Type": "application/json"})
    assert (status, problem["errors"]) == (422, [{"pointer": "/name", "detail": "may stand once"}])
    body = b'{"clip":"' + b"a" * 64 + b'","not_after":"2026-01-01T00:00:00Z","targets":{"zones":["x"],"zones":["y"]},"id":"1"}'
    headers = {"Content-Type": "application/json"}
    status, problem = await house.json("POST", "/v1/broadcasts", data=body, headers=headers, role=Role.OPERATOR)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/targets/zones")


async def test_a_title_is_for_people(house: House):
    _, problem = await house.json("POST", "/v1/keys", data=b"{", headers={"Content-Type": "application/json"})
    assert problem["title"] == "The body is not JSON"
    _, problem = await house.json("GET", "/v1/devices?key=x")
    assert problem["title"] == "A key stands in the URL"


async def test_a_wrong_media_type_an_unknown_path_and_a_wrong_method_are_problems(house: House):
    status, problem = await house.json("POST", "/v1/keys", data=b"{}", headers={"Content-Type": "text/plain"})
    assert (status, problem["type"]) == (415, "urn:city-gateway:problem:wrong-media-type")
    status, problem = await house.json("GET", "/v1/nothing")
    assert (status, problem["type"]) == (404, "urn:city-gateway:problem:not-found")
    async with house.call("PUT", "/v1/devices") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"
        assert answer.content_type == "application/problem+json"


async def test_a_compressed_body_is_refused_unopened(house: House):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, problem = await house.json("POST", "/v1/keys", data=b"\x1f\x8b" + b"\0" * 100, headers=headers, compress=None)
    assert status == 415
    assert "Content-Encoding" in problem["detail"]


async def test_a_body_without_an_end_stops_at_the_limit(house: House):
    async def endless():
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0)

    headers = {"Content-Type": "application/octet-stream"}
    async with house.call("POST", "/v1/inventory/imports?name=a.csv", data=endless(), headers=headers) as answer:
        assert answer.status == 413


async def test_our_own_mistake_names_itself_and_hides_the_traceback():
    response = problem_of_crash(ZeroDivisionError("secret detail"), where="somewhere").response()
    body = json.loads(response.body)
    assert (response.status, body["type"]) == (500, "urn:city-gateway:problem:internal-error")
    assert body["instance"].startswith("urn:uuid:")
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CursorTooOld(5), 410),
        (Overloaded("full"), 503),
        (StorageFailed("disk"), 503),
        (Busy("453"), 503),
        (NotSupported("no"), 409),
        (DeadlineExceeded("slow"), 504),
        (Unreachable("refused", code="refused"), 502),
        (AuthenticationFailed("401"), 502),
    ],
)
def test_each_error_has_its_status(error, status: int):
    problem = problem_of(error)
    assert problem.status == status
    assert ("Retry-After" in problem.headers) == (status == 503)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T08:00:00",
        "2026-03-01",
        "1772323200",
        "2026-03-01T08:00:00 08:00",
        "2026-03-01T08:00:60Z",
        "2026-02-30T00:00:00Z",
        "now",
        "",
    ],
)
def test_a_time_that_is_naive_or_no_time_is_refused(text: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(text)


def test_a_number_is_no_time():
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_json("1772323200")


def test_a_time_is_kept_in_utc_and_the_edge_of_time_is_no_crash():
    assert TypeAdapter(Instant).validate_python("2026-03-01T08:00:00+08:00").isoformat() == "2026-03-01T00:00:00+00:00"
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python("0001-01-01T00:00:00+08:00")
