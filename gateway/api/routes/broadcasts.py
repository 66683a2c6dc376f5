"""Broadcasts: make a sound, see what became of it at each loudspeaker, silence it, silence everything."""

import uuid

from pydantic import Field

from gateway.api.models import Instant, Output, Page, PageQuery
from gateway.api.orders import BroadcastIn, PriorityName, order_of
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.routing import Call, Routes
from gateway.broadcast.service import View
from gateway.domain.access import Permission
from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, Targets, outcome
from gateway.errors import Conflict, Fault, InvalidInput, NotFound, Overloaded

routes = Routes("broadcasts", "A voice in the street, and the record of it.")

_IDS = uuid.UUID("6f1d2c8e-93b5-4d0a-9d8e-1f5f0e6a7c43")  # the name space of ids that are made from an Idempotency-Key


class TargetsOut(Output):
    """Where it was to be heard."""

    speakers: list[str]
    zones: list[str]
    cells: list[str]
    groups: list[str]


class DeliveryOut(Output):
    """What became of it at one loudspeaker. `unknown`: the gateway went away while it played, and it is never played again."""

    speaker: str
    state: DeliveryState
    since: Instant
    reason: str
    encoding: str
    packets: int
    dropped: int
    first_packet_at: Instant | None
    last_packet_at: Instant | None


class BroadcastOut(Output):
    """A broadcast and where it stands."""

    id: str
    clip: str
    targets: TargetsOut
    priority: PriorityName
    not_after: Instant
    created_at: Instant
    actor: str
    case: str
    open: bool = Field(description="Whether anything can still change.")
    counts: dict[DeliveryState, int]
    deliveries: list[DeliveryOut]


class BroadcastPage(Page[BroadcastOut]):
    """One page of broadcasts, the latest first."""


class StoppedOut(Output):
    """What was silenced."""

    broadcasts: int
    speakers: int


@routes.op(
    "POST",
    "/v1/broadcasts",
    needs=Permission.BROADCAST_SEND,
    status=202,
    problems=(NotFound, Conflict, Overloaded),
    headers={"Idempotency-Key": "Needed unless the body has an `id`: sent again with the same body, there is still one broadcast."},
)
async def send_broadcast(call: Call, body: BroadcastIn) -> BroadcastOut:
    """Make a sound. The answer comes when the order is on the disk and under way, before it is heard.

    A loudspeaker that is down is left out and named so; one that plays something more important makes this wait until `not_after`.
    """
    order = order_of(body, call.caller, call.services.city, id_=_id_of(call, body))
    return _shown(await call.services.broadcasts.submit(order))


@routes.op("POST", "/v1/broadcasts/stop-all", needs=Permission.BROADCAST_STOP)
async def stop_all_broadcasts(call: Call) -> StoppedOut:
    """Silence everything, now. This needs no disk and no place in a queue; what was ordered before never plays.

    For that reason it takes no Idempotency-Key, which lives in the store: sent again, it silences again.
    """
    stopped = call.services.broadcasts.stop_all(call.caller.actor)
    return StoppedOut(broadcasts=stopped.broadcasts, speakers=stopped.speakers)


@routes.op("GET", "/v1/broadcasts", needs=Permission.BROADCAST_READ)
async def list_broadcasts(call: Call, query: PageQuery) -> BroadcastPage:
    """All broadcasts, the latest first."""
    place = moment_cursor(query)
    before = None if place is None else (place[0], BroadcastId(place[1]))
    found = await call.services.broadcasts.page(before=before, limit=query.limit + 1)
    shown, following = found[: query.limit], None
    if len(found) > query.limit:
        last = shown[-1].broadcast
        following = to_cursor([last.created_at.isoformat(), last.id], query)
    return BroadcastPage(items=[_shown(view) for view in shown], next=following)


@routes.op("GET", "/v1/broadcasts/{broadcast_id}", needs=Permission.BROADCAST_READ, problems=(NotFound,))
async def read_broadcast(call: Call) -> BroadcastOut:
    """One broadcast, as it stands at each loudspeaker."""
    return _shown(await call.services.broadcasts.get(BroadcastId(call.path("broadcast_id"))))


@routes.op("POST", "/v1/broadcasts/{broadcast_id}/cancel", needs=Permission.BROADCAST_SEND, problems=(NotFound, Conflict), repeatable=True)
async def cancel_broadcast(call: Call) -> BroadcastOut:
    """Silence one broadcast, now. An Idempotency-Key waits for the store first: without one, it does not."""
    return _shown(await call.services.broadcasts.cancel(BroadcastId(call.path("broadcast_id")), call.caller.actor))


def _id_of(call: Call, body: BroadcastIn) -> str:
    if body.id is not None:
        return body.id
    key = call.request.headers.get("Idempotency-Key", "")
    if not 1 <= len(key) <= 255:
        raise InvalidInput(
            "A broadcast needs a name of yours, so that it is never made twice.",
            faults=[Fault("Idempotency-Key", "is missing, or longer than 255 characters")],
            hint="Send the header Idempotency-Key, or `id` in the body.",
        )
    return uuid.uuid5(_IDS, f"{call.caller.actor} {key}").hex


def _shown(view: View) -> BroadcastOut:
    one = view.broadcast
    return BroadcastOut(
        id=one.id,
        clip=one.clip,
        targets=_targets(one.targets),
        priority=PriorityName[one.priority.name],
        not_after=one.not_after,
        created_at=one.created_at,
        actor=str(one.actor),
        case=one.case,
        open=view.open,
        counts=dict(outcome(view.deliveries).counts),
        deliveries=[_delivery(delivery) for delivery in view.deliveries],
    )


def _targets(targets: Targets) -> TargetsOut:
    return TargetsOut(speakers=list(targets.speakers), zones=list(targets.zones), cells=list(targets.cells), groups=list(targets.groups))


def _delivery(delivery: Delivery) -> DeliveryOut:
    figures = delivery.figures
    return DeliveryOut(
        speaker=delivery.speaker,
        state=delivery.state,
        since=delivery.since,
        reason=delivery.reason,
        encoding=figures.encoding,
        packets=figures.packets,
        dropped=figures.dropped,
        first_packet_at=figures.first_packet_at,
        last_packet_at=figures.last_packet_at,
    )
