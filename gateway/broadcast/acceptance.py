"""An order on its way into the store: what is written of it in one transaction, and what was written when it came before."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.broadcast.journal import delivery_event
from gateway.broadcast.performance import Sound
from gateway.broadcast.routing import Route, ViewRoute
from gateway.broadcast.views import View
from gateway.domain.broadcast import Broadcast, ClipContent, Content, Delivery, DeliveryState, Speech, Step, Talk, advance
from gateway.domain.broadcast_ledger import Recording
from gateway.domain.events import AuditEntry, NewEvent, Person
from gateway.errors import Conflict
from gateway.storage.store import Tx


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An order that has been checked, on its way into the store. `epoch`: how often all had been stopped when it came; `asker`: who
    ordered it, when a second person is needed; `reach`: how many loudspeakers, with those of the sender's other broadcasts."""

    group: asyncio.TaskGroup
    wanted: Broadcast
    route: Route
    sound: Sound
    length: timedelta
    epoch: int
    answer: asyncio.Future[View]
    asker: Person | None
    reach: int


def first_deliveries(wanted: Broadcast, chosen: Route, *, asks: bool) -> list[Delivery]:
    """One for each loudspeaker of the route; those that are left out have failed for their reason."""
    now, state = wanted.created_at, DeliveryState.AWAITING_APPROVAL if asks else DeliveryState.QUEUED
    queued = [Delivery(wanted.id, speaker, state, now) for speaker in (*chosen.speakers, *chosen.left_out)]
    return [
        advance(delivery, Step.FAIL, at=now, not_after=wanted.not_after, reason=reason)
        if (reason := chosen.left_out.get(delivery.speaker))
        else delivery
        for delivery in queued
    ]


async def insert(
    tx: Tx, wanted: Broadcast, first: Sequence[Delivery], views: Sequence[ViewRoute], *, reach: int, recording: Recording | None
) -> tuple[Broadcast, list[Delivery]] | None:
    """Write the order down, and that there shall be a `recording`; None when that was done now, what is known when it was there before."""
    if not await tx.broadcasts.add(wanted, first):
        known = await tx.broadcasts.get(wanted.id)
        refuse_other(known, wanted)
        return known, await tx.broadcasts.deliveries(wanted.id)
    if recording is not None:
        await tx.recordings.begin(recording)
    data = {
        **_told(wanted.programme.content),
        "priority": wanted.priority.name.lower(),
        "not_after": wanted.not_after.isoformat(),
        "speakers": [delivery.speaker for delivery in first],
        "case": wanted.case,
        "reason": wanted.reason,
        "override": wanted.override,
        "needs_approval": any(delivery.state is DeliveryState.AWAITING_APPROVAL for delivery in first),
        "reach": reach,
        **({"views": [_why(one) for one in views]} if views else {}),
    }
    tx.emit(NewEvent("broadcast.accepted", wanted.id, wanted.created_at, data | {"actor": str(wanted.actor), "sender": wanted.sender}))
    for delivery in first:
        if not delivery.open:
            tx.emit(delivery_event(delivery))
    tx.record(AuditEntry(wanted.actor, "broadcast.send", wanted.id, wanted.created_at, data))
    return None


def refuse_other(known: Broadcast, wanted: Broadcast) -> None:
    """Raise Conflict (`id-reused`) when the id was another order's."""
    if not wanted.same_order(known):
        raise Conflict(f"another broadcast has the id {known.id}", code="id-reused", hint="Use a new id for a new broadcast.")


def refuse_again(known: View) -> View:
    """Raise Conflict (`talk-again`): a talk cannot be sent again."""
    hint = "Begin a new talk, with a new id."
    raise Conflict(f"the talk {known.broadcast.id} was begun before", code="talk-again", hint=hint)


def _why(one: ViewRoute) -> dict[str, Any]:
    """For the record: who was to speak to a view, from how far, and who would have been next."""
    metres = None if one.distance_m is None else round(one.distance_m, 1)
    view = {"camera": one.view.camera, "preset": one.view.preset}
    return view | {"speaker": one.speaker, "distance_m": metres, "next": list(one.spares)}


def _told(content: Content) -> dict[str, str]:
    """The content for the record: a clip's hash, a text, or that somebody spoke."""
    match content:
        case ClipContent(clip):
            return {"clip": clip}
        case Speech(text, voice):
            return {"text": text, "voice": voice}
        case Talk():
            return {"talk": "live"}
