"""Recordings and pictures of the time before their outcomes were put down are told truly when the store is migrated."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.clock import SimulatedClock
from gateway.domain.broadcast import BroadcastId, Programme, Talk
from gateway.domain.broadcast_ledger import Moment, RecordingState
from gateway.storage.broadcasts import BroadcastRepository
from gateway.storage.engine import open_engines, parse_url
from gateway.storage.schema import UtcTime
from tests.conftest import running
from tests.storage.old_store import STORES, at_revision
from tests.storage.test_broadcasts import START, order


@pytest.fixture(params=STORES)
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return at_revision("0045", request.param, tmp_path, request)


@pytest.fixture
async def old(old_url: str) -> AsyncIterator[AsyncEngine]:
    engines = open_engines(parse_url(old_url))
    yield engines.writing
    await engines.dispose()


async def test_old_recordings_and_pictures_are_told_as_far_as_anybody_knows(old: AsyncEngine, old_url: str, clock: SimulatedClock) -> None:
    times = [bindparam(name, type_=UtcTime()) for name in ("at", "later")]
    recording = text(f"INSERT INTO recordings VALUES ('t1', '{'a' * 64}', 9, 60, :at, :later, FALSE)").bindparams(*times)
    values = f":name, 'cam', 'before', '{'b' * 64}', 'image/jpeg', 9, :at, :later, FALSE"
    picture = text(f"INSERT INTO broadcast_pictures VALUES ({values})").bindparams(*times)
    columns = "broadcast, speaker, state, since, reason, detail, encoding, packets, dropped, first_packet_at, last_packet_at, path"
    heard = f"INSERT INTO deliveries ({columns}) VALUES (:name, 's1', 'done', :last, '', '', 'PCMA', 9, 0, :first, :last, '')"
    delivery = text(heard).bindparams(*(bindparam(name, type_=UtcTime()) for name in ("first", "last")))
    later = START + timedelta(days=1)
    async with old.begin() as conn:
        for name, seconds in (("t1", 1), ("t2", 2)):
            await BroadcastRepository(conn).add(order(name, programme=Programme(Talk())), [])
            await conn.execute(delivery, {"name": name, "first": START + timedelta(seconds=2), "last": START + timedelta(seconds=3)})
            await conn.execute(picture, {"name": name, "at": START + timedelta(seconds=seconds), "later": later})
        await conn.execute(recording, {"at": START, "later": later})
    ids = [BroadcastId("t1"), BroadcastId("t2")]
    async with running(old_url, clock) as store, store.read() as tx:
        recordings, (pictures, missing) = await tx.recordings.about(ids), await tx.ledger.pictures(ids)
    assert [(one.state, one.sha256[:1], one.began_at) for one in map(recordings.__getitem__, ids)] == [
        (RecordingState.KEPT, "a", None),
        (RecordingState.UNKNOWN, "", None),
    ]
    assert [pictures[id_][0].moment for id_ in ids] == [Moment.BEFORE, Moment.DURING]
    assert [*missing.values()] == [[], []]
