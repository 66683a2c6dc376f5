"""The document that describes the API: valid, complete, and shown without asking another host."""

import re

from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.api.problems import Unauthenticated
from gateway.api.routes import TABLES
from gateway.api.routing import Open
from tests.api.house import House


async def test_the_document_is_valid_openapi_3_1(house: House):
    status, spec = await house.json("GET", "/openapi.json", role=None)
    assert status == 200
    assert spec["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(spec).iter_errors()] == []


async def test_every_operation_is_described_with_its_policy_and_problems(house: House):
    _, spec = await house.json("GET", "/openapi.json", role=None)
    described = {o["operationId"]: o for methods in spec["paths"].values() for o in methods.values()}
    operations = [operation for table in TABLES for operation in table]
    assert set(described) == {operation.name for operation in operations}
    for operation in operations:
        page = described[operation.name]
        assert page["summary"].endswith("."), operation.name
        assert page["x-permission"] == operation.policy.value
        keyed = operation.policy is not Open.ANYBODY or Unauthenticated in operation.problems
        assert ("401" in page["responses"]) == keyed, operation.name


async def test_operation_names_are_unique():
    names = [operation.name for table in TABLES for operation in table]
    assert len(names) == len(set(names))


async def test_the_pages_name_no_other_host_and_forbid_it(house: House):
    for page in ("/", "/docs", "/docs/docs.js", "/docs/docs.css", "/docs/swagger.js"):
        async with house.call("GET", page, role=None) as answer:
            assert answer.status == 200
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert not re.search(r"(?:https?:)?//(?!www\.w3\.org)[\w-]+\.[\w.-]+", await answer.text()), page


async def test_nothing_outside_the_pages_is_served(house: House):
    for path in ("/docs/..%2fapp.py", "/docs/%2e%2e%2fdocs.py", "/assets/../../app.js", "/x.py", "/docs/nothing.js"):
        status, problem = await house.json("GET", path, role=None)
        assert (status, problem["type"]) == (404, "urn:city-gateway:problem:not-found"), path
