"""Footage that leaves the house on a medium or to another system: by which way, to whom, sealed how, and what was signed for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from gateway.domain.events import Person
from gateway.domain.footage import RequestId
from gateway.errors import Conflict, Fault, InvalidInput

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
    """How far a delivery is; a medium is handed over at once. PENDING waits for its first attempt, or for another."""

    PENDING = "pending"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


FOLLOWS: Final[Mapping[DeliveryState, frozenset[DeliveryState]]] = {
    DeliveryState.PENDING: frozenset({DeliveryState.SENDING, DeliveryState.FAILED}),
    DeliveryState.SENDING: frozenset({DeliveryState.PENDING, DeliveryState.DONE, DeliveryState.FAILED}),
    DeliveryState.DONE: frozenset(),
    DeliveryState.FAILED: frozenset(),
}
"""Which state may follow which; what is DONE or FAILED stays so. The store's trigger knows the same pairs (a test compares them)."""


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
    """One hand-over. `manifest_sha256` is the hash that stands on the printed sheet: what was signed for.

    Of one that is sent: `destination` is the name of the configured one, `target` where the package lies there, `size` and `sent` bytes of
    its ZIP, `sha256` the digest of what was written; `attempts` counts sendings, `reason` says why the last of them came to nothing.
    `outside_sha256`: of one that FAILED, the digest of a whole copy that lies at `target` all the same; "" for none.
    """

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
    destination: str = ""
    attempts: int = 0
    size: int = 0
    sha256: str = ""
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    outside_sha256: str = ""

    @property
    def open(self) -> bool:
        """It waits or is under way."""
        return bool(FOLLOWS[self.state])


def begun(delivery: Delivery, *, at: datetime) -> Delivery:
    """`delivery` with another attempt under way. Conflict (`wrong-state`)."""
    return replace(_moved(delivery, DeliveryState.SENDING), attempts=delivery.attempts + 1, begun_at=at, reason="", sent=0)


def broken_off(delivery: Delivery, reason: str, *, at: datetime, again: bool, outside_sha256: str = "") -> Delivery:
    """`delivery` whose attempt came to nothing; it waits for another when there is to be one `again`. Conflict (`wrong-state`).

    `outside_sha256`: the digest of the copy that stays at the destination of one that is not tried again.
    """
    state = DeliveryState.PENDING if again else DeliveryState.FAILED
    ended_at, outside = (None, "") if again else (at, outside_sha256)
    return replace(_moved(delivery, state), reason=reason[:1_000], ended_at=ended_at, outside_sha256=outside)


def arrived(delivery: Delivery, sha256: str, *, at: datetime) -> Delivery:
    """`delivery` whose package lies whole where it was sent. Conflict (`wrong-state`)."""
    return replace(_moved(delivery, DeliveryState.DONE), sha256=sha256, sent=delivery.size, reason="", ended_at=at)


def _moved(delivery: Delivery, state: DeliveryState) -> Delivery:
    if state not in FOLLOWS[delivery.state]:
        raise Conflict(f"a delivery that is {delivery.state} cannot become {state}", code="wrong-state")
    return replace(delivery, state=state)


def check_receipt(receipt: Receipt) -> None:
    """InvalidInput unless two different people are there."""
    faults = [Fault(f"/{name}", "is missing", "missing") for name in ("receiver", "second_officer") if not getattr(receipt, name).strip()]
    if not faults and _folded(receipt.receiver) == _folded(receipt.second_officer):
        faults = [Fault("/second_officer", "is the receiver: two officers come", "same-person")]
    if faults:
        raise InvalidInput("a hand-over needs two people", faults=faults, code="bad-request")


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()
