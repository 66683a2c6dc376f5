"""Requests that were filed before the register knew kinds, emergencies and windows keep their story when the store is migrated."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import FootageState, RequesterKind, RequestId, Step
from gateway.storage.engine import open_engines, parse_url
from tests.conftest import running
from tests.footage.desk import NOW
from tests.storage.old_store import STORES, at_revision

_WORDS = "'Wang', 'u', 'b', 'Li', 'c', 'k', 'l', 'd', '', 'p', 'd', 'normal'"
_FILM = f"'{'a' * 64}', 1, 1, 0"
_REQUESTS = {"fr-1": ("submitted", False), "fr-2": ("partial", True), "fr-3": ("expired", True), "fr-4": ("handed-over", True)}


@pytest.fixture(params=STORES)
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return at_revision("0030", request.param, tmp_path, request)


@pytest.fixture
async def old(old_url: str) -> AsyncIterator[AsyncEngine]:
    engines = open_engines(parse_url(old_url))
    yield engines.writing
    await engines.dispose()


async def test_old_requests_keep_their_story(old: AsyncEngine, old_url: str, clock: SimulatedClock) -> None:
    start, end, now = (moment.isoformat() for moment in (NOW - timedelta(hours=1), NOW, NOW))
    cameras = json.dumps(["CAM-2", "CAM-1"])
    place = json.dumps({"cameras": ["CAM-2", "CAM-1"], "groups": [], "cells": []})
    async with old.begin() as conn:
        for name, (state, approved) in _REQUESTS.items():
            decided = f"'user:zhao', 'Zhao', '{now}'" if approved else "NULL, NULL, NULL"
            where = f"'{place}', '{cameras}', '{start}', '{end}', 'user:wang', 'Desk', '{now}', {str(approved).upper()}"
            await conn.exec_driver_sql(
                f"INSERT INTO footage_requests VALUES ('{name}', '{state}', {_WORDS}, {where}, {decided}, '', '', '{now}', NULL)"
            )
            line = f"'{name}', 1, 'submitted', 'user', 'wang', 'Desk', '{now}', '{{}}'"
            await conn.exec_driver_sql(f"INSERT INTO footage_custody VALUES ({line})")
        await conn.exec_driver_sql(
            "INSERT INTO footage_exports VALUES ('fr-2', 'CAM-1', TRUE, 'NVR', 'r', 's', 1.5, 'done', '', '[]', '[]', '[]')"
        )
        await conn.exec_driver_sql(
            f"INSERT INTO footage_files VALUES ('fr-2', 'CAM-1', 1, 'f', {_FILM}, '{start}', '{end}', '[]', '{now}', 2, FALSE)"
        )
    async with running(old_url, clock) as store, store.read() as tx:
        found = {name: await tx.footage.dossier(RequestId(name)) for name in _REQUESTS}
        left = await tx.conn.scalar(text("SELECT count(*) FROM footage_transitions"))
    assert left
    assert {name: one.request.state for name, one in found.items()} == {name: state for name, (state, _) in _REQUESTS.items()}
    assert all(one.request.filing.kind is RequesterKind.POLICE and not one.request.owing for one in found.values())
    assert all(one.request.cameras == ("CAM-2", "CAM-1") and not one.request.windows for one in found.values())
    assert all([line.step for line in one.custody] == [Step.SUBMITTED] for one in found.values())
    assert [(one.request.outcome, one.request.reason) for one in found.values()] == [
        (None, ""),
        (FootageState.PARTIAL, "partial"),
        (None, ""),
        (FootageState.HANDED_OVER, ""),
    ]
    assert (found["fr-2"].exports[0].camera, found["fr-2"].files[0].downloads) == (DeviceId("CAM-1"), 2)
    (file,) = found["fr-2"].files
    assert (file.device, file.serial, file.offset) == ("NVR", "s", timedelta(seconds=1.5))
