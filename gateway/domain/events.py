"""What happened, and who did it: events for readers, audit rows chained by hash for the record."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ActorKind(StrEnum):
    USER = "user"
    API_KEY = "api-key"
    RULE = "rule"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a person, a key, a rule or the gateway itself."""

    kind: ActorKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Actor":
        """The actor whose `str` is `text`. ValueError when it is nobody's."""
        kind, _, id_ = text.partition(":")
        return cls(ActorKind(kind), id_)


SYSTEM = Actor(ActorKind.SYSTEM, "gateway")


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts: the key or user on record, and the name of the human behind it."""

    actor: Actor
    name: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that changed, before it has a place in the log.

    `type` is dotted and stable (`device.state`, `broadcast.delivery`, `footage.request`, `inventory.imported`); `subject` is the id
    of what changed; `data` is JSON.
    """

    type: str
    subject: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """An event with its cursor: a number that follows the order of commits."""

    cursor: int
    type: str
    subject: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What a person or a key did, to what, with which outcome; written in the transaction of the deed itself."""

    actor: Actor
    action: str
    subject: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


GENESIS = "0" * 64


def chain_hash(previous: str, entry: AuditEntry) -> str:
    """SHA-256 (hex) over the previous row's hash and this entry in canonical JSON (sorted keys, no spaces, UTF-8)."""
    body = {
        "previous": previous,
        "actor": str(entry.actor),
        "action": entry.action,
        "subject": entry.subject,
        "at": entry.at.isoformat(),
        "data": entry.data,
    }
    return hashlib.sha256(_canonical(body).encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode
