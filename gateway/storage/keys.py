"""The API keys in the store."""

import base64
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import BigInteger, Column, Double, LargeBinary, Row, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.access import ApiKey, KeyId, Role, secret_hash
from gateway.errors import NotFound
from gateway.storage.schema import Json, UtcTime, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("roles", Json, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("max_speakers", BigInteger),
    Column("footage_hours", Double),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("last_used_at", UtcTime),
)


class KeyRepository:
    """Keys by id. The secret is shown once, by `create`, and is nowhere afterwards."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def create(
        self,
        *,
        name: str,
        roles: Iterable[Role],
        now: datetime,
        username: str = "",
        scopes: Iterable[str] = (),
        max_speakers: int | None = None,
        footage_hours: float | None = None,
        expires_at: datetime | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> tuple[ApiKey, str]:
        """A new key, and the text `gwk_<id>_<secret>` to give to its owner."""
        secret = _text(random(32))
        key = ApiKey(
            id=KeyId(random(6).hex()),
            name=name,
            roles=frozenset(roles),
            secret_hash=secret_hash(secret),
            created_at=now,
            username=username,
            scopes=frozenset(scopes),
            max_speakers=max_speakers,
            footage_hours=footage_hours,
            expires_at=expires_at,
        )
        await self._conn.execute(insert(api_keys).values(**_columns(key)))
        return key, f"gwk_{key.id}_{secret}"

    async def load(self) -> list[ApiKey]:
        """All keys, the revoked ones too, oldest first."""
        rows = await self._conn.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
        return [_key(row) for row in rows]

    async def find(self, key: KeyId) -> ApiKey | None:
        row = (await self._conn.execute(select(api_keys).where(api_keys.c.id == key))).one_or_none()
        return None if row is None else _key(row)

    async def revoke(self, key: KeyId, *, now: datetime) -> ApiKey:
        """The key, revoked from `now` on, or from when it already was. NotFound."""
        await self._conn.execute(update(api_keys).where(api_keys.c.id == key, api_keys.c.revoked_at.is_(None)).values(revoked_at=now))
        found = await self.find(key)
        if found is None:
            raise NotFound(f"no key {key!r}")
        return found

    async def used(self, key: KeyId, *, now: datetime) -> None:
        """Note that the key was used; the caller does so seldom (once a minute a key), since nothing depends on the second."""
        await self._conn.execute(update(api_keys).where(api_keys.c.id == key).values(last_used_at=now))


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def _columns(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "username": key.username,
        "secret_hash": key.secret_hash,
        "roles": sorted(key.roles),
        "scopes": sorted(key.scopes),
        "max_speakers": key.max_speakers,
        "footage_hours": key.footage_hours,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    fields = dict(row._mapping)
    return ApiKey(**fields | {"roles": frozenset(map(Role, row.roles)), "scopes": frozenset(row.scopes)})
