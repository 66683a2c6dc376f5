"""Events: what changes, as it changes, to whoever listens (server-sent events, WHATWG HTML section 9.2)."""

import asyncio
import json
from collections import OrderedDict

import structlog
from aiohttp import web
from pydantic import Field, field_validator

from gateway.api.footage_reach import hears
from gateway.api.models import Input, instant_text
from gateway.api.routing import Call, Media, Routes
from gateway.domain.access import Permission
from gateway.domain.events import Event
from gateway.errors import Fault, GatewayError, InvalidInput, Overloaded
from gateway.storage.events import CursorTooOld

routes = Routes("events", "What changes, as it changes.")

log = structlog.get_logger(__name__)

TYPES = frozenset(
    {
        "alert.delivery",
        "alerts.reloaded",
        "alerts.tested",
        "binding.changed",
        "bindings.proposed",
        "broadcast.accepted",
        "broadcast.approved",
        "broadcast.clip",
        "broadcast.clip-added",
        "broadcast.clip-changed",
        "broadcast.clip-removed",
        "broadcast.declined",
        "broadcast.delivery",
        "broadcast.ended",
        "broadcast.outcome",
        "broadcast.pacer-died",
        "broadcast.fell-silent",
        "broadcast.hours-changed",
        "broadcast.may-still-sound",
        "broadcast.picture",
        "broadcast.picture-missing",
        "broadcast.recorded",
        "broadcast.recording-failed",
        "broadcast.stop-all",
        "broadcast.talk-ended",
        "broadcast.volume-not-restored",
        "camera.capture",
        "camera.steer",
        "device.notice",
        "device.power-cycled",
        "device.state",
        "device.trap",
        "duty.changed",
        "excuse.approved",
        "excuse.proposed",
        "excuse.rejected",
        "discovery.ended",
        "footage.custody",
        "footage.damaged",
        "footage.found-whole",
        "footage.papers",
        "footage.hold",
        "footage.request",
        "footage.send-delayed",
        "footage.send-failed",
        "footage.unheld",
        "footage.urgent",
        "incident.acknowledged",
        "incident.assigned",
        "incident.commented",
        "incident.escalated",
        "incident.grown",
        "incident.opened",
        "incident.reopened",
        "incident.resolved",
        "incident.snoozed",
        "incident.unacknowledged",
        "inventory.imported",
        "key.created",
        "key.revoked",
        "maintenance.changed",
        "maintenance.ended",
        "maintenance.started",
        "schedule.changed",
        "schedule.ran",
        "store.recovered",
        "uplinks.surveyed",
        "work-order.accepted",
        "work-order.cancelled",
        "work-order.closed",
        "work-order.commented",
        "work-order.on-site",
        "work-order.opened",
        "work-order.overdue",
        "work-order.paused",
        "work-order.picture",
        "work-order.repaired",
        "work-order.resumed",
        "work-order.sent-back",
    }
)
"""Every type of event that the gateway gives."""

HEARTBEAT_S = 15.0
_KEPT = 1_024  # events whose text is kept for the other listeners


class EventsQuery(Input):
    """From where, and which."""

    after: int | None = Field(default=None, ge=0, description="The cursor after which to begin; `Last-Event-ID` goes before it.")
    types: str | None = Field(
        default=None,
        max_length=1000,
        pattern=r"^[a-z0-9.*,-]+$",
        description=f"Types, by comma; `device.*` takes all that begin so. There are {', '.join(sorted(TYPES))}.",
    )

    @field_validator("types")
    @classmethod
    def _exist(cls, types: str | None) -> str | None:
        for name in filter(None, (types or "").split(",")):
            if not any(map(Filter(name).wants, TYPES)):
                raise ValueError(f"{name} is no type of event; there are {', '.join(sorted(TYPES))}")
        return types


class EventStreams:
    """The open streams of one application: how many there are, and the end of them all at shutdown."""

    def __init__(self) -> None:
        self.open = 0
        self.closing = asyncio.Event()
        self._texts: OrderedDict[int, bytes] = OrderedDict()

    def text(self, event: Event) -> bytes:
        """An event on the wire, written once for all listeners."""
        text = self._texts.get(event.cursor)
        if text is None:
            text = self._texts[event.cursor] = _text(event)
            if len(self._texts) > _KEPT:
                self._texts.popitem(last=False)
        return text


STREAMS: web.AppKey[EventStreams] = web.AppKey("streams", EventStreams)


@routes.op(
    "GET",
    "/v1/events",
    needs=Permission.EVENTS_READ,
    answers=Media(("text/event-stream",)),
    head=False,
    problems=(CursorTooOld, Overloaded),
    headers={"Last-Event-ID": "The cursor of the last event that you have; browsers send it by themselves when they come back."},
)
async def follow_events(call: Call, query: EventsQuery) -> web.StreamResponse:
    """Follow the events, from a cursor or from now on, without end.

    Those of footage come to whoever may read the requests or holds that they tell of, and to nobody else.

    Each has its cursor as `id`, its type as `event` and `{"cursor","type","subject","at","data"}` as `data`. Every 15 seconds without
    one comes a heartbeat that moves `id` on. When retention has passed a listener, it gets 410, or the event `gap` in a stream that has
    begun: read the state anew then.
    """
    streams = call.request.app[STREAMS]
    most = call.services.limits.event_streams
    if streams.open >= most:
        raise Overloaded(f"{most} listeners are connected already.", hint="Close a console that nobody looks at.")
    after = _last_event_id(call.request, query)
    log = call.services.store.events
    if after is not None:
        await log.read_after(after, limit=1)  # CursorTooOld and CursorAhead become problems while that is still possible
    streams.open += 1
    try:
        return await _Stream(call, streams, Filter(query.types)).run(log.latest if after is None else after)
    finally:
        streams.open -= 1


class Filter:
    """Which types a listener wants: exact names, and prefixes that end in `*`."""

    def __init__(self, types: str | None) -> None:
        names = [name for name in (types or "*").split(",") if name]
        self._exact = frozenset(name for name in names if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in names if name.endswith("*"))

    def wants(self, event_type: str) -> bool:
        return event_type in self._exact or event_type.startswith(self._prefixes)


class _Stream:
    """One listener. Back-pressure is the socket's: a slow one holds up nobody else and costs no memory here."""

    def __init__(self, call: Call, streams: EventStreams, wanted: Filter) -> None:
        self._call = call
        self._streams = streams
        self._wanted = wanted
        self._response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "X-Content-Type-Options": "nosniff",
            }
        )
        self._cursor = 0
        self._quiet = True

    async def run(self, after: int) -> web.StreamResponse:
        self._cursor = after
        await self._response.prepare(self._call.request)
        await self._response.write(b"retry: 2000\nid: %d\n\n" % after)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(part, name="sse") for part in (self._events(), self._heartbeat())]
                await self._end(tasks)
        except* ConnectionError:
            pass  # the listener has gone
        except* GatewayError as failed:
            log.warning("api.events.ended", errors=[str(error) for error in failed.exceptions])  # it comes back to where it stopped
        return self._response

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        await self._streams.closing.wait()
        for task in tasks:
            task.cancel()

    async def _events(self) -> None:
        while True:
            try:
                async for event in self._call.services.store.events.follow(after=self._cursor):
                    self._cursor = event.cursor
                    if self._wanted.wants(event.type) and await hears(self._call, event):
                        self._quiet = False
                        await self._response.write(self._streams.text(event))
            except CursorTooOld as gap:
                self._cursor = gap.oldest
                await self._response.write(b'id: %d\nevent: gap\ndata: {"oldest":%d}\n\n' % (gap.oldest, gap.oldest))

    async def _heartbeat(self) -> None:
        while True:
            await self._call.services.clock.sleep(HEARTBEAT_S)
            if self._quiet:
                await self._response.write(b": still here\nid: %d\n\n" % self._cursor)
            self._quiet = True


def _last_event_id(request: web.Request, query: EventsQuery) -> int | None:
    header = request.headers.get("Last-Event-ID")
    if not header:
        return query.after
    if not (header.isascii() and header.isdigit() and len(header) < 19):  # what fits 63 bits
        raise InvalidInput("Last-Event-ID is no cursor.", faults=[Fault("Last-Event-ID", "must be the `id` of an event")])
    return int(header)


def _text(event: Event) -> bytes:
    body = {"cursor": event.cursor, "type": event.type, "subject": event.subject, "at": instant_text(event.at), "data": event.data}
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)
    return f"id: {event.cursor}\nevent: {event.type}\ndata: {data}\n\n".encode("utf-8", "replace")
