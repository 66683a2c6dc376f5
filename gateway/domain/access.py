"""Who may do what: roles, permissions, and the API key that carries them."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

KeyId = NewType("KeyId", str)


class Role(StrEnum):
    """What a person or a program is to the city."""

    VIEWER = "viewer"  # looks at states and maps
    OPERATOR = "operator"  # speaks, captures, moves cameras
    LIAISON = "liaison"  # files footage requests and hands footage over
    APPROVER = "approver"  # decides on other people's footage requests, and on broadcasts that reach further than one key may
    ENGINEER = "engineer"  # keeps the hardware running
    PLATFORM = "platform"  # the city-management platform itself
    ADMIN = "admin"  # keys and configuration, and all but footage


class Permission(StrEnum):
    """One thing that a route, a command or a topic may ask for."""

    INVENTORY_READ = "inventory:read"
    INVENTORY_WRITE = "inventory:write"
    HEALTH_READ = "health:read"
    HEALTH_MANAGE = "health:manage"
    BROADCAST_READ = "broadcast:read"
    BROADCAST_SEND = "broadcast:send"
    BROADCAST_STOP = "broadcast:stop"
    BROADCAST_APPROVE = "broadcast:approve"
    BROADCAST_OVERRIDE = "broadcast:override"
    BROADCAST_EMERGENCY = "broadcast:emergency"
    BROADCAST_RULES = "broadcast:rules"
    BROADCAST_LISTEN = "broadcast:listen"
    CONTROL_READ = "control:read"
    CONTROL_ACT = "control:act"
    FOOTAGE_READ = "footage:read"
    FOOTAGE_REQUEST = "footage:request"
    FOOTAGE_URGENT = "footage:urgent"
    FOOTAGE_HOLD = "footage:hold"
    FOOTAGE_APPROVE = "footage:approve"
    FOOTAGE_DOWNLOAD = "footage:download"
    EVENTS_READ = "events:read"
    AUDIT_READ = "audit:read"
    KEYS_MANAGE = "keys:manage"


_P = Permission
_SEE = frozenset({_P.INVENTORY_READ, _P.HEALTH_READ, _P.EVENTS_READ})
_SPEAK = frozenset({_P.BROADCAST_READ, _P.BROADCAST_SEND, _P.BROADCAST_STOP})
_LOOK = frozenset({_P.CONTROL_READ, _P.CONTROL_ACT})

# Nobody both asks for footage and approves it: the two-person rule begins here, and the store checks it again for each request.
# The platform speaks by day, by its cap, and interrupts no person: who lets it through quiet hours, or order emergencies, gives its key the
# role of an operator as well.
GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _SEE,
    Role.OPERATOR: _SEE | _SPEAK | _LOOK | {_P.BROADCAST_OVERRIDE, _P.BROADCAST_EMERGENCY},
    Role.LIAISON: _SEE | {_P.CONTROL_READ, _P.FOOTAGE_READ, _P.FOOTAGE_REQUEST, _P.FOOTAGE_URGENT, _P.FOOTAGE_HOLD, _P.FOOTAGE_DOWNLOAD},
    Role.APPROVER: _SEE
    | {_P.FOOTAGE_READ, _P.FOOTAGE_APPROVE, _P.FOOTAGE_HOLD, _P.AUDIT_READ, _P.BROADCAST_READ, _P.BROADCAST_APPROVE}
    | {_P.BROADCAST_LISTEN},
    Role.ENGINEER: _SEE | _LOOK | {_P.INVENTORY_WRITE, _P.HEALTH_MANAGE, _P.BROADCAST_READ, _P.BROADCAST_STOP},
    Role.PLATFORM: _SEE | _SPEAK | _LOOK | {_P.FOOTAGE_READ, _P.FOOTAGE_REQUEST},
    Role.ADMIN: _SEE
    | _SPEAK
    | _LOOK
    | {_P.INVENTORY_WRITE, _P.HEALTH_MANAGE, _P.FOOTAGE_READ, _P.AUDIT_READ, _P.KEYS_MANAGE}
    | {_P.BROADCAST_APPROVE, _P.BROADCAST_OVERRIDE, _P.BROADCAST_EMERGENCY, _P.BROADCAST_RULES, _P.BROADCAST_LISTEN},
}


def permissions(roles: Iterable[Role]) -> frozenset[Permission]:
    """All that `roles` together may do; nothing for no role."""
    return frozenset().union(*(GRANTS[role] for role in roles))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer key as the store knows it: never its secret, only that secret's SHA-256.

    `username` is the person behind it, if any; `scopes` are ids of districts, zones, groups or cameras (none: the whole city);
    `max_speakers` is how many speakers its broadcasts may reach within a minute (None: the configured cap),
    `footage_hours` the longest stretch of each camera that one footage request may ask for (None: the configured one).
    """

    id: KeyId
    name: str
    roles: frozenset[Role]
    secret_hash: bytes = field(repr=False)
    created_at: datetime
    username: str = ""
    scopes: frozenset[str] = frozenset()
    max_speakers: int | None = None
    footage_hours: float | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def may(self, permission: Permission) -> bool:
        return any(permission in GRANTS[role] for role in self.roles)

    def opens_with(self, secret: str, *, now: datetime) -> bool:
        """True when `secret` is this key's, and the key is neither revoked nor expired at `now`; compared in constant time."""
        right = hmac.compare_digest(secret_hash(secret), self.secret_hash)
        return right and self.valid_at(now)

    def valid_at(self, now: datetime) -> bool:
        """True when it is neither revoked nor expired at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_KEY = re.compile(r"gwk_([a-z0-9]{4,32})_([A-Za-z0-9_-]{43})", re.ASCII)


def parse_key(text: str) -> tuple[KeyId, str] | None:
    """The id and the secret of `gwk_<id>_<secret>`; None for anything else."""
    match = _KEY.fullmatch(text)
    return (KeyId(match[1]), match[2]) if match else None


def secret_hash(secret: str) -> bytes:
    """SHA-256 of a key's secret. A plain hash is enough for 256 random bits (ASVS 5.0, 6.5.2)."""
    return hashlib.sha256(secret.encode()).digest()
