"""Stored evidence that is read again from time to time, and what was found."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stored(StrEnum):
    """What is stored: a file fetched for a request, one that somebody brought, one of a hold, a document, or the proof of a package."""

    FETCHED = "fetched"
    BROUGHT = "brought"
    HELD = "held"
    DOCUMENT = "document"
    PROOF = "proof"


@dataclass(frozen=True, slots=True)
class Piece:
    """Something stored that is checked in one go.

    `owner`: its request or hold; `key`: what it is known by there, of a brought file or a document its id; `name`: what its file is called,
    of a document behind its id; `sha256` of that, "" for a proof; `since`: when it was checked last, or written; `found`: what was wrong
    then, "" for nothing; `camera`: whose footage it is, "" when it is no footage or not known.
    """

    kind: Stored
    owner: str
    key: str
    name: str
    sha256: str
    since: datetime
    found: str = ""
    camera: str = ""

    @property
    def called(self) -> str:
        """What it is called to those who know its request: a file of a hold with that."""
        return f"{self.owner}/{self.name}" if self.kind is Stored.HELD else self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found when a piece was checked: "" when it is as it was stored."""

    checked_at: datetime
    found: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Of all that is stored: how many pieces, how many were damaged when they were checked last, and since when the oldest is unchecked."""

    pieces: int
    damaged: int
    oldest: datetime | None
