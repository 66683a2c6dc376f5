"""Writes down what is deleted when a request's time is over or it ends otherwise: which files, with their digests, by which rule."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from gateway.domain.deliveries import DeliveryState
from gateway.domain.events import Person
from gateway.domain.footage import Act, RequestId, Step
from gateway.domain.imports import HOLDING
from gateway.footage.custody import write_down
from gateway.storage.store import Tx

RULES: Final = {
    Act.EXPIRE: "footage.retention_days",
    Act.CANCEL: "cancelled",
    Act.REVOKE: "revoked",
}
"""By which rule an act deletes."""
HOLD_ENDED: Final = "hold-ended"


async def write_disposal(tx: Tx, request: RequestId, rule: str, *, by: Person, at: datetime, held: Collection[str] = ()) -> None:
    """The line `disposed`, before the files go; none when there is nothing to delete. What is `held` stays and is named.

    `outside`: copies that were sent or handed over lie where the gateway deletes nothing; where, since when, and with which digest.
    In the transaction that marks the files as removed, before it does. A crash afterwards leaves files that the next life removes.
    """
    fetched = [
        (file.name, file.sha256, file.size) for file in await tx.footage.files(request) if not file.removed and file.name not in held
    ]
    there = [one for one in await tx.imports.of(request) if one.state in HOLDING and not one.removed]
    brought = [(one.name, one.sha256, one.size) for one in there if one.name not in held]
    if fetched or brought:
        told = [{"name": name, "sha256": sha256, "size": size} for name, sha256, size in fetched + brought]
        detail = {"rule": rule, "files": told, "held": sorted(held), "outside": await _outside(tx, request)}
        await write_down(tx, request, Step.DISPOSED, by=by, at=at, detail=detail)


async def _outside(tx: Tx, request: RequestId) -> list[dict[str, object]]:
    """The copies that left on a medium or to a destination, and stay there; superseded ones, too, which nobody acknowledged."""
    gone = [one for one in await tx.deliveries.of(request) if one.state is DeliveryState.DONE or one.outside_sha256]
    return [
        {
            "delivery": one.id,
            "way": one.way,
            "where": one.target or f"{one.medium} {one.number}",
            "receiver": one.receipt.receiver,
            "sha256": one.sha256 or one.outside_sha256,
            "at": (one.ended_at or one.at).isoformat(),
            "superseded": bool(one.outside_sha256),
            "manifest_sha256": one.manifest_sha256,
        }
        for one in gone
    ]
