"""Whatever is sent to whatever route: a refusal that is documented, never a mistake of the gateway's own."""

import random
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.models import PageQuery
from gateway.api.paging import from_cursor, moment_cursor, page_by_id, text_cursor, to_cursor
from gateway.api.routes import TABLES
from gateway.api.routes.alerts import DeliveriesQuery
from gateway.api.routes.audit import AuditQuery
from gateway.api.routes.maintenance import WindowQuery
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


async def test_garbage_is_refused_as_documented(house: House):
    _, spec = await house.json("GET", "/openapi.json", role=None)
    for operation in OPERATIONS:
        template = re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", operation.path)
        documented = set(spec["paths"][template][operation.method.lower()]["responses"])
        allowed = documented | {"404", "405"}  # a path that climbs is another path
        async for status, told in _throw_garbage(house, operation, template):
            assert str(status) in allowed, told
            assert status < 500 or status in {502, 503}, told


async def _throw_garbage(house: House, operation: Operation, template: str) -> AsyncIterator[tuple[int, tuple[object, ...]]]:
    """The status of each answer, with what it was given to."""
    chance = random.Random(operation.name)
    for _ in range(20):
        path = re.sub(r"\{\w+\}", lambda _: chance.choice(PATHS), template) + chance.choice(QUERIES)
        headers = {"Content-Type": _type(operation, chance)}
        body = chance.choice(BODIES) if operation.body or operation.takes else None
        async with house.call(operation.method, path, role=_role(operation), data=body, headers=headers) as answer:
            text = await answer.read()
        yield answer.status, (operation.name, path, body, answer.status, text[:300])


@given(st.text(min_size=1, max_size=60))
def test_a_cursor_that_was_never_made_is_refused(cursor: str):
    for read in (from_cursor, text_cursor, moment_cursor):
        with pytest.raises(InvalidInput):
            read(PageQuery(cursor=cursor))


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


@pytest.mark.parametrize(
    ("query", "place"),
    [
        (AuditQuery().asked_at("/v1/audit"), ["2026-01-01T00:00:00+00:00", "gateway", True]),
        (AuditQuery().asked_at("/v1/audit"), ["2026-01-01T00:00:00+00:00", "gateway", 1 << 70]),
        (AuditQuery().asked_at("/v1/audit"), ["2026-01-01T00:00:00+00:00", "\ud800", 1]),
        (DeliveriesQuery().asked_at("/v1/alert-deliveries"), True),
        (DeliveriesQuery().asked_at("/v1/alert-deliveries"), 1 << 70),
        (WindowQuery().asked_at("/v1/maintenance-windows"), ["9999-12-31T23:59:59-12:00", "M-1"]),
        (PageQuery().asked_at("/v1/devices"), "\ud800"),
    ],
)
async def test_a_cursor_that_is_of_the_list_by_its_form_alone_is_refused(house: House, query: PageQuery, place: object) -> None:
    cursor = to_cursor(place, query)
    status, problem = await house.json("GET", f"{query._path}?cursor={cursor}", role=Role.ADMIN)
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["?cursor"])
