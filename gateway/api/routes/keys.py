"""Keys: who has one, what it may do; made and revoked by an administrator, on record."""

from typing import Self

from pydantic import Field, model_validator

from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Page
from gateway.api.routing import Call, Routes
from gateway.api.scopes import places
from gateway.domain.access import ApiKey, KeyId, Permission, Role, permissions
from gateway.domain.events import AuditEntry, NewEvent
from gateway.errors import Fault, InvalidInput, NotFound
from gateway.storage.store import Tx
from gateway.storage.writer import Lane

routes = Routes("keys", "API keys and their roles.")


class KeyIn(Input):
    """A key to make."""

    name: Line = Field(description="Whose it is, for the record.")
    roles: frozenset[Role] = Field(min_length=1)
    username: OptionalLine = Field(default="", description="The person behind it, if it is one person's.")
    scopes: frozenset[Line] = Field(default=frozenset(), description="Ids of districts, zones, groups or cameras; none: the whole city.")
    max_speakers: int | None = Field(
        default=None, strict=True, ge=0, le=1_000_000, description="How many speakers its broadcasts may reach within a minute."
    )
    footage_hours: float | None = Field(
        default=None, strict=True, gt=0, le=168, description="The longest stretch of each camera that a footage request may ask for."
    )
    expires_at: Instant | None = None

    @model_validator(mode="after")
    def _two_people(self) -> Self:
        if {Permission.FOOTAGE_REQUEST, Permission.FOOTAGE_APPROVE} <= permissions(self.roles):
            raise ValueError("one key may not both ask for footage and approve it")
        return self


class KeyOut(Output):
    """A key as the record knows it, without its secret."""

    id: str
    name: str
    username: str
    roles: list[Role]
    scopes: list[str]
    max_speakers: int | None
    footage_hours: float | None
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class NewKeyOut(KeyOut):
    """A new key. `key` is shown this once and kept nowhere."""

    key: str


class KeyPage(Page[KeyOut]):
    """All keys, oldest first."""


@routes.op("GET", "/v1/keys", needs=Permission.KEYS_MANAGE)
async def list_keys(call: Call) -> KeyPage:
    """All keys, the revoked ones too."""
    async with call.services.store.read() as tx:
        return KeyPage(items=[_shown(key) for key in await tx.keys.load()])


@routes.op("POST", "/v1/keys", needs=Permission.KEYS_MANAGE, status=201)
async def create_key(call: Call, body: KeyIn) -> NewKeyOut:
    """Make a key. Its text is in this answer and nowhere else: hand it over on a safe way.

    For that reason it takes no Idempotency-Key, whose answers are kept: when an answer was lost, revoke that key and make another.
    """
    now = call.services.clock.now()
    if body.expires_at is not None and body.expires_at <= now:
        raise InvalidInput("The key would be dead at birth.", faults=[Fault("/expires_at", "must be in the future", "in-the-past")])
    if unknown := sorted(body.scopes - places(call.services.city)):
        faults = [Fault("/scopes", f"{scope!r} is no district, zone, group or camera") for scope in unknown]
        raise InvalidInput(
            "The key would reach nothing there.", faults=faults, hint="GET /v1/zones and /v1/camera-groups list what there is."
        )

    async def change(tx: Tx) -> tuple[ApiKey, str]:
        made, text = await tx.keys.create(now=now, **{name: getattr(body, name) for name in KeyIn.model_fields})
        _note(tx, call, "key.created", made)
        return made, text

    key, text = await call.services.store.writer.write(change, lane=Lane.BROADCAST)
    await call.gate.keys.refresh()
    return NewKeyOut(**_shown(key).model_dump(), key=text)


@routes.op("DELETE", "/v1/keys/{key_id}", needs=Permission.KEYS_MANAGE, problems=(NotFound,))
async def revoke_key(call: Call) -> KeyOut:
    """Revoke a key: from this answer on it opens nothing."""

    async def change(tx: Tx) -> ApiKey:
        key = await tx.keys.revoke(KeyId(call.path("key_id")), now=call.services.clock.now())
        _note(tx, call, "key.revoked", key)
        return key

    key = await call.services.store.writer.write(change, lane=Lane.STOP)
    await call.gate.keys.refresh()
    return _shown(key)


def _note(tx: Tx, call: Call, what: str, key: ApiKey) -> None:
    now = call.services.clock.now()
    data = {"name": key.name, "roles": sorted(key.roles)}
    tx.emit(NewEvent(what, key.id, now, data))
    tx.record(AuditEntry(call.caller.actor, what, key.id, now, data))


def _shown(key: ApiKey) -> KeyOut:
    return KeyOut(
        id=key.id,
        name=key.name,
        username=key.username,
        roles=sorted(key.roles),
        scopes=sorted(key.scopes),
        max_speakers=key.max_speakers,
        footage_hours=key.footage_hours,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )
