"""Footage that leaves the house on a medium or to another system: by which way, to whom, sealed how, and what was signed for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from gateway.domain.events import Person
from gateway.domain.footage import RequestId
from gateway.errors import Fault, InvalidInput

DeliveryId = NewType("DeliveryId", str)


class Way(StrEnum):
    """How it leaves."""

    MEDIUM = "medium"
    DIRECTORY = "directory"
    OBJECT_STORE = "object-store"


class Medium(StrEnum):
    """What is sealed and handed over."""

    OPTICAL_DISC = "optical-disc"
    USB_STICK = "usb-stick"
    HARD_DISK = "hard-disk"


class DeliveryState(StrEnum):
    """How far a delivery is; a medium is handed over at once."""

    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who takes it: the receiver, that person's unit and badge, and the second officer who is there."""

    receiver: str
    unit: str
    badge: str
    second_officer: str


@dataclass(frozen=True, slots=True)
class SignedSheet:
    """The scanned custody sheet with the signatures, kept under its digest."""

    sha256: str
    kind: str
    size: int
    by: Person
    at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One hand-over. `manifest_sha256` is the hash that stands on the printed sheet: what was signed for. `target`: where it was sent."""

    id: DeliveryId
    request: RequestId
    way: Way
    receipt: Receipt
    manifest_sha256: str
    by: Person
    at: datetime
    state: DeliveryState
    medium: Medium | None = None
    number: str = ""
    seal: str = ""
    target: str = ""
    reason: str = ""
    note: str = ""
    sent: int = 0
    sheet: SignedSheet | None = None


def check_receipt(receipt: Receipt) -> None:
    """InvalidInput unless two different people are there."""
    faults = [Fault(f"/{name}", "is missing", "missing") for name in ("receiver", "second_officer") if not getattr(receipt, name).strip()]
    if not faults and _folded(receipt.receiver) == _folded(receipt.second_officer):
        faults = [Fault("/second_officer", "is the receiver: two officers come", "same-person")]
    if faults:
        raise InvalidInput("a hand-over needs two people", faults=faults, code="bad-request")


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()
