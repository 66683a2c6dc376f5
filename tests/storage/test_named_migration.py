"""What was acknowledged and made before names were kept has those of its keys when the store is migrated."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.clock import SimulatedClock
from gateway.domain.access import Role
from gateway.domain.incidents import IncidentId
from gateway.domain.maintenance import WindowId
from gateway.storage.engine import open_engines, parse_url
from gateway.storage.keys import KeyRepository
from gateway.storage.schema import UtcTime
from tests.conftest import running
from tests.storage.old_store import STORES, at_revision

_INCIDENT = """
INSERT INTO incidents (id, state, severity, trouble, cause_kind, cause_key, cause_name, reason, opened_at, waiting_since, changed_at,
    devices, acknowledged_at, acknowledged_by, assignee, resolved_by, escalation_level, reopened)
VALUES (:id, 'acknowledged', 'major', 'down', 'gateway', '', '', '', :at, :at, :at, 1, :at, :by, '', '', 0, 0)
"""
_WINDOW = """
INSERT INTO maintenance_windows (id, places, start_at, end_at, rule, duration_s, timezone, reason, created_by,
    created_at, extra, cuts, in_force)
VALUES ('M-1', :places, :at, :later, '', 0, 'UTC', '', :by, :at, '[]', '[]', FALSE)
"""
_PLACES = '{"devices": [], "groups": [], "cells": [], "districts": [], "vendors": [], "everything": true}'


@pytest.fixture(params=STORES)
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return at_revision("0056", request.param, tmp_path, request)


@pytest.fixture
async def old(old_url: str) -> AsyncIterator[AsyncEngine]:
    engines = open_engines(parse_url(old_url))
    yield engines.writing
    await engines.dispose()


async def test_what_keys_did_before_names_were_kept_has_the_names_that_they_have(
    old: AsyncEngine, old_url: str, clock: SimulatedClock
) -> None:
    now = clock.now()
    incident = text(_INCIDENT).bindparams(bindparam("at", type_=UtcTime()))
    window = text(_WINDOW).bindparams(bindparam("at", type_=UtcTime()), bindparam("later", type_=UtcTime()))
    async with old.begin() as conn:
        wang, _ = await KeyRepository(conn).create(name="night shift", username="王工", roles=[Role.ENGINEER], now=now)
        desk, _ = await KeyRepository(conn).create(name="desk", roles=[Role.ENGINEER], now=now)
        for id_, by in (("I-1", f"api-key:{wang.id}"), ("I-2", f"api-key:{desk.id}"), ("I-3", "rule:night")):
            await conn.execute(incident, {"id": id_, "at": now, "by": by})
        later = now.replace(year=now.year + 1)
        await conn.execute(window, {"places": _PLACES, "at": now, "later": later, "by": f"api-key:{wang.id}"})
    async with running(old_url, clock) as store, store.read() as tx:
        named = [(await tx.incidents.get(IncidentId(id_))).acknowledger for id_ in ("I-1", "I-2", "I-3")]
        assert (named, (await tx.maintenance.get(WindowId("M-1"))).creator) == (["王工", "desk", ""], "王工")
