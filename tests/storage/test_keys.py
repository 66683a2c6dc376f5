from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain.access import ApiKey, KeyId, Role, parse_key
from gateway.errors import NotFound
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

AT = datetime(2026, 3, 1, tzinfo=UTC)


async def create(store: Store, **options: object) -> tuple[ApiKey, str]:
    async def change(tx: Tx) -> tuple[ApiKey, str]:
        return await tx.keys.create(**{"name": "监控室", "roles": [Role.OPERATOR], "now": AT} | options)

    return await store.writer.write(change, lane=Lane.FOOTAGE)


async def test_a_key_comes_back_whole(store: Store) -> None:
    key, _ = await create(
        store,
        roles=[Role.OPERATOR, Role.VIEWER],
        username="wang",
        scopes=["370303", "z-1"],
        max_speakers=5,
        expires_at=AT + timedelta(days=1),
    )
    async with store.read() as tx:
        assert await tx.keys.load() == [key]
        assert await tx.keys.find(key.id) == key
        assert await tx.keys.find(KeyId("none")) is None
    assert key.roles == {Role.OPERATOR, Role.VIEWER}


async def test_the_secret_opens_its_key_and_is_nowhere_in_the_store(store: Store, engine: AsyncEngine) -> None:
    key, shown = await create(store)
    parsed = parse_key(shown)
    assert parsed is not None
    assert parsed[0] == key.id
    assert key.opens_with(parsed[1], now=AT)
    async with engine.connect() as conn:
        rows = (await conn.execute(text("SELECT * FROM api_keys"))).all()
    assert len(rows) == 1
    assert parsed[1] not in repr(rows)
    assert parsed[1].encode() not in b"".join(value for value in rows[0] if isinstance(value, bytes))


async def test_two_keys_never_share_an_id_or_a_secret(store: Store) -> None:
    shown = [await create(store) for _ in range(5)]
    assert len({key.id for key, _ in shown}) == len({secret for _, secret in shown}) == 5


async def test_a_revoked_key_opens_nothing_and_keeps_its_first_moment(store: Store) -> None:
    key, shown = await create(store)
    secret = parse_key(shown)
    assert secret is not None
    for moment in (AT + timedelta(hours=1), AT + timedelta(hours=2)):

        async def change(tx: Tx, moment: datetime = moment) -> ApiKey:
            return await tx.keys.revoke(key.id, now=moment)

        revoked = await store.writer.write(change, lane=Lane.FOOTAGE)
    assert revoked.revoked_at == AT + timedelta(hours=1)
    assert not revoked.opens_with(secret[1], now=AT)


async def test_revoking_what_is_not_there_says_so(store: Store) -> None:
    async def change(tx: Tx) -> ApiKey:
        return await tx.keys.revoke(KeyId("none"), now=AT)

    with pytest.raises(NotFound):
        await store.writer.write(change, lane=Lane.FOOTAGE)


async def test_the_last_use_is_kept(store: Store) -> None:
    key, _ = await create(store)

    async def change(tx: Tx) -> None:
        await tx.keys.used(key.id, now=AT + timedelta(minutes=5))

    await store.writer.write(change, lane=Lane.HEALTH)
    async with store.read() as tx:
        found = await tx.keys.find(key.id)
    assert found is not None
    assert found.last_used_at == AT + timedelta(minutes=5)
