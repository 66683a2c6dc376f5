"""Every refusal is a problem that says what to do, and none tells more than it should."""

import asyncio
import json

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.api.models import Instant
from gateway.api.problems import problem_of, problem_of_crash
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


async def test_a_wrong_media_type_an_unknown_path_and_a_wrong_method_are_problems(house: House):
    status, problem = await house.json("POST", "/v1/keys", data=b"{}", headers={"Content-Type": "text/plain"})
    assert (status, problem["type"]) == (415, "urn:city-gateway:problem:wrong-media-type")
    status, problem = await house.json("GET", "/v1/nothing")
    assert (status, problem["type"]) == (404, "urn:city-gateway:problem:not-found")
    async with house.call("PUT", "/v1/devices") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET"
        assert answer.content_type == "application/problem+json"


async def test_a_compressed_body_is_refused_unopened(house: House):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, _ = await house.json("POST", "/v1/keys", data=b"\x1f\x8b" + b"\0" * 100, headers=headers, compress=None)
    assert status == 415


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
