"""Whatever is sent to whatever route: a refusal that is documented, never a mistake of the gateway's own."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.models import PageQuery
from gateway.api.paging import from_cursor, moment_cursor, page_by_id, text_cursor, to_cursor
from gateway.api.routes import TABLES
from gateway.api.routing import Media, Operation
from gateway.domain.access import GRANTS, Permission, Role
from gateway.errors import InvalidInput
from tests.api.house import House

OPERATIONS = [operation for table in TABLES for operation in table if operation.name != "follow_events"]
BODIES = [b"", b"{}", b"[]", b"null", b'"x"', b"{" * 500, b"\xff" * 20, b'{"a":' + b"9" * 5000 + b"}", b'{"id":"\\ud800"}', b"\x00"]
PATHS = ["x", "%00", "%F0%9F%98%80", "..", "a" * 300, "%2e%2e%2f", "-1", "cam-1", "z-1", "g-1"]
QUERIES = [
    "",
    "?limit=99999999999999999999",
    "?cursor=%00",
    "?cursor=e30",
    "?x=%ff",
    "?limit=1&cursor=MA",
    "?format=exe",
    "?name=x&dry_run=maybe",
]


def _role(operation: Operation) -> Role:
    if not isinstance(operation.policy, Permission):
        return Role.ADMIN
    return next(role for role in Role if operation.policy in GRANTS[role])


def _type(operation: Operation, chance: random.Random) -> str:
    takes = operation.takes.types if isinstance(operation.takes, Media) else ("application/json",)
    return chance.choice([*takes, *takes, "text/html"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_garbage_is_refused_as_documented(house: House, operation: Operation):
    _, spec = await house.json("GET", "/openapi.json", role=None)
    template = re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", operation.path)
    documented = set(spec["paths"][template][operation.method.lower()]["responses"])
    chance = random.Random(operation.name)
    for _ in range(20):
        path = re.sub(r"\{\w+\}", lambda _: chance.choice(PATHS), template) + chance.choice(QUERIES)
        headers = {"Content-Type": _type(operation, chance)}
        body = chance.choice(BODIES) if operation.body or operation.takes else None
        async with house.call(operation.method, path, role=_role(operation), data=body, headers=headers) as answer:
            text = await answer.read()
        routed_elsewhere = {"404", "405"}  # a path that climbs is another path
        assert str(answer.status) in documented | routed_elsewhere, (path, body, answer.status, text[:300])
        assert answer.status < 500 or answer.status in {502, 503}, (path, body, text[:300])


@given(st.text(max_size=60))
def test_a_cursor_that_was_never_made_is_refused(cursor: str):
    for read in (from_cursor, text_cursor, moment_cursor):
        try:
            read(PageQuery(cursor=cursor))
        except InvalidInput:
            pass


@given(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=30), st.integers(1, 7))
def test_pages_of_any_size_join_to_the_whole(ids: list[str], limit: int):
    items = sorted(ids)
    seen: list[str] = []
    cursor = None
    while True:
        found, cursor = page_by_id(items, PageQuery(limit=limit, cursor=cursor), key=lambda item: item)
        seen += found
        if cursor is None:
            break
    assert seen == items


@given(st.one_of(st.text(max_size=30), st.integers(), st.lists(st.text(max_size=10), max_size=3)))
def test_a_place_comes_back_from_its_cursor(place: object):
    query = PageQuery().asked_at("/v1/things")
    cursor = to_cursor(place, query)
    assert from_cursor(PageQuery(cursor=cursor, limit=7).asked_at("/v1/things")) == place
    with pytest.raises(InvalidInput):
        from_cursor(PageQuery(cursor=cursor).asked_at("/v1/others"))
