"""The custody log: who had what in hand, when; and a request with everything that came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage.exports import Export, FootageFile
from gateway.domain.footage.workflow import FootageRequest, RequestId


class Step(StrEnum):
    """What the custody log knows; the store takes any."""

    SUBMITTED = "submitted"
    AMENDED = "amended"
    APPROVED = "approved"
    REJECTED = "rejected"
    WENT_AHEAD = "went-ahead"
    CONFIRMED = "confirmed"
    REVOKED = "revoked"
    PAPERS_SUPPLIED = "papers-supplied"
    PAPERS_OVERDUE = "papers-overdue"
    DOCUMENT_ADDED = "document-added"
    DOCUMENT_READ = "document-read"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    GIVEN_UP = "given-up"
    LOCATED = "located"
    HELD = "held"
    SUPPLEMENTED = "supplemented"
    EXPORTED = "exported"
    CONCLUDED = "concluded"
    SEALED_AGAIN = "sealed-again"
    LINKED = "linked"
    LINK_REVOKED = "link-revoked"
    LOOKED = "looked"
    DENIED = "denied"
    DOWNLOADED = "downloaded"
    DAMAGED = "damaged"
    FOUND_WHOLE = "found-whole"
    VIEWED = "viewed"
    CLOSED = "closed"
    HANDED_OVER = "handed-over"
    SHEET_SIGNED = "sheet-signed"
    SEND_ASKED = "send-asked"
    SEND_BEGUN = "send-begun"
    SEND_BROKEN_OFF = "send-broken-off"
    SEND_FAILED = "send-failed"
    SENT = "sent"
    VIEWING_STARTED = "viewing-started"
    VIEWING_ENDED = "viewing-ended"
    DISPOSED = "disposed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CustodyEntry:
    """One line of the custody log: who had what in hand, when. Written once, never changed."""

    request: RequestId
    step: Step
    by: Person
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Dossier:
    """A request with everything that came of it."""

    request: FootageRequest
    exports: tuple[Export, ...] = ()
    files: tuple[FootageFile, ...] = ()
    custody: tuple[CustodyEntry, ...] = ()

    def files_of(self, camera: DeviceId) -> list[FootageFile]:
        """The files of one camera's footage."""
        return [file for file in self.files if file.camera == camera]

    def export_of(self, camera: DeviceId) -> Export | None:
        """How far one camera's footage is; None before it was located."""
        return next((export for export in self.exports if export.camera == camera), None)
