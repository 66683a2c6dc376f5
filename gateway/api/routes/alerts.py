"""Alerts: by which channels people are told, what became of every message, and why somebody was not told."""

from typing import Self

from pydantic import Field, model_validator

from gateway.api.models import Ident, Input, Instant, Line, Output, Page, PageQuery
from gateway.api.paging import number_cursor, to_cursor
from gateway.api.routes.devices import find_device
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach_everything
from gateway.domain.access import Permission
from gateway.domain.alert_log import Answer, Delivery, Fate, beside
from gateway.errors import Conflict, InvalidInput, NotFound, Overloaded

routes = Routes("alerts", "Who is told of what, by which channel, and why somebody was not.")


class ChannelOut(Output):
    """A channel of the alerts file. `where` is its destination without any secret."""

    name: str
    kind: str
    where: str
    routes: list[str] = Field(description="The routes that use it.")
    queued: int
    last_sent_at: Instant | None
    last_failed_at: Instant | None


class ChannelPage(Page[ChannelOut]):
    """All channels, by name."""


class TestOut(Output):
    """What came of a test message: `sent` means that the other side took it."""

    id: str
    sent: bool
    reason: str
    detail: str
    took_ms: float


class ReloadOut(Output):
    """What the alerts file says now."""

    routes: int
    channels: int


class DeliveriesQuery(PageQuery):
    """Which entries."""

    incident: Ident | None = None
    channel: Ident | None = None
    outcome: Fate | None = None


class DeliveryOut(Output):
    """A message on a channel; or (`held`) an incident that a route did not tell, or not then, and why."""

    number: int
    message: str
    incidents: list[str]
    route: str
    channel: str
    people: list[str]
    kind: str
    severity: str
    outcome: Fate
    reason: str
    detail: str
    attempts: int
    times: int = Field(description="How often the same was noted, the last time at `ended_at`.")
    at: Instant
    ended_at: Instant | None


class DeliveryPage(Page[DeliveryOut]):
    """One page of the delivery log, newest first."""


class WhyQuery(Input):
    """Of which incident or device, and to whom: a channel, a person of the duty roster, or anybody."""

    incident: Ident | None = None
    device: Ident | None = None
    channel: Ident | None = None
    person: Line | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.channel and self.person:
            raise ValueError("name a channel or a person")
        if (self.incident is None) == (self.device is None):
            raise ValueError("name an incident or a device")
        return self


class AnswerOut(Output):
    """One line of the answer."""

    at: Instant
    told: bool
    reason: str
    zh: str
    en: str


class WhyOut(Output):
    """Why an incident was told or not, oldest first; `told`: whether any message did go out."""

    incident: str = Field(description="The incident; of a device, the one that it is in now, or empty.")
    told: bool
    answers: list[AnswerOut]


@routes.op("GET", "/v1/alert-channels", needs=Permission.HEALTH_READ)
async def list_alert_channels(call: Call) -> ChannelPage:
    """The channels of the alerts file, how they fare, and how many messages wait."""
    items = [
        ChannelOut(
            name=one.name,
            kind=one.kind,
            where=one.where,
            routes=list(one.routes),
            queued=one.figures.queued,
            last_sent_at=one.figures.last_sent_at,
            last_failed_at=one.figures.last_failed_at,
        )
        for one in await call.services.alerts.channels()
    ]
    return ChannelPage(items=items)


@routes.op("POST", "/v1/alert-channels/{channel}/test", needs=Permission.HEALTH_MANAGE, problems=(NotFound, Overloaded), repeatable=True)
async def test_alert_channel(call: Call) -> TestOut:
    """Send a real test message by a channel, and say what came of it. The answer is 200 also when it did not get through: see `sent`."""
    must_reach_everything(call.caller.key)
    return TestOut.model_validate(await call.services.alerts.test(call.path("channel"), call.caller.actor))


@routes.op("POST", "/v1/alerts/reload", needs=Permission.HEALTH_MANAGE, problems=(Conflict, InvalidInput))
async def reload_alerts(call: Call) -> ReloadOut:
    """Read the alerts file anew: all of it, or, when it has faults (each with its line), nothing."""
    must_reach_everything(call.caller.key)
    count = await call.services.alerts.reload(call.caller.actor)
    return ReloadOut(routes=count, channels=len(await call.services.alerts.channels()))


@routes.op("GET", "/v1/alert-deliveries", needs=Permission.HEALTH_READ)
async def list_alert_deliveries(call: Call, query: DeliveriesQuery) -> DeliveryPage:
    """The delivery log: what was sent, what failed, what waits, and what was held back for which reason."""
    before = number_cursor(query)
    async with call.services.store.read() as tx:
        found = list(
            await tx.alerts.log(
                incident=query.incident or "", channel=query.channel or "", fate=query.outcome, before=before, limit=query.limit + 1
            )
        )
    more = len(found) > query.limit
    found = found[: query.limit]
    return DeliveryPage(items=list(map(_shown, found)), next=to_cursor(found[-1].number, query) if more else None)


@routes.op("GET", "/v1/alert-deliveries/why", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def explain_alerts(call: Call, query: WhyQuery) -> WhyOut:
    """Why was I told, or not? The log of an incident in sentences, in Chinese and English, as far as it concerns a channel or a person.

    Of a device: what mutes or suppresses it, and the log of the incident that it is in.
    """
    incident, found = query.incident or "", list[Answer]()
    if query.device is not None:
        circumstance = call.services.circumstances[find_device(call.services.city, query.device).id]
        incident = circumstance.incident or ""
        found += beside(
            muted_by=circumstance.muted or "",
            suppressed_by=circumstance.suppressed_by or "",
            incident=incident,
            now=call.services.clock.now(),
        )
    if incident:
        found += await call.services.alerts.why(incident, channel=query.channel or "", person=query.person or "")
    lines = [AnswerOut.model_validate(one) for one in found]
    return WhyOut(incident=incident, told=any(one.told for one in lines), answers=lines)


def _shown(one: Delivery) -> DeliveryOut:
    return DeliveryOut.model_validate(one)
