"""Health: how the city is as a whole, and what each device has been through."""

from typing import Any

from pydantic import Field

from gateway.api.census import States
from gateway.api.models import Input, Instant, Output, Page, PageQuery
from gateway.api.paging import number_cursor, to_cursor
from gateway.api.routes.devices import find_device
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceKind
from gateway.domain.health import CheckResult, HealthState, Outcome
from gateway.domain.reasons import PHRASES
from gateway.errors import Conflict, Forbidden, NotFound, Overloaded
from gateway.storage.health import NumberedTransition

routes = Routes("health", "How the city is, and since when, and why.")


class SummaryOut(Output):
    """The whole city at one moment."""

    at: Instant
    event_cursor: int = Field(description="The newest event that is already counted: follow /v1/events?after= from here.")
    devices: int
    groups: int
    states: States
    kinds: dict[DeviceKind, States]
    reasons: dict[str, int] = Field(description="How many devices that are not up have which reason.")


class PhraseOut(Output):
    """What a reason says, in Chinese and in English."""

    zh: str
    en: str


class ReasonsOut(Output):
    """The reason codes that have words. A code without any, such as one of a profile's own, stands for itself."""

    reasons: dict[str, PhraseOut]


class TransitionOut(Output):
    """A device went from one state to another."""

    number: int = Field(description="Its place in the history of the device, from 1 on.")
    before: HealthState
    after: HealthState
    at: Instant
    reason: str
    check: str
    facts: dict[str, Any]


class TransitionPage(Page[TransitionOut]):
    """One page of a device's history, newest first."""


@routes.op("GET", "/v1/health/summary", needs=Permission.HEALTH_READ)
async def read_health_summary(call: Call) -> SummaryOut:
    """How many devices of each kind are in each state, and why those that are not up are not."""
    city = call.services.city
    cursor = call.services.store.events.latest
    counted = call.services.census.count()
    return SummaryOut(
        at=call.services.clock.now(),
        event_cursor=cursor,
        devices=len(city.devices),
        groups=len(city.groups),
        states={state: sum(states[state] for states in counted.kinds.values()) for state in HealthState},
        kinds=dict(counted.kinds),
        reasons=dict(counted.reasons),
    )


class CheckIn(Input):
    """How to look."""

    retry_credentials: bool = Field(
        default=False,
        description="Also let a login that the device has refused be tried again, a time or two: somebody says that it is right now.",
    )


class ResultOut(Output):
    """What one check of the visit found."""

    check: str
    outcome: Outcome
    reason: str = Field(description="A stable code that says why; empty when all is well.")
    at: Instant
    took_ms: float
    facts: dict[str, Any]


class VisitOut(Output):
    """What a visit found, and how the device stands after it."""

    device: str
    state: HealthState
    reason: str
    results: list[ResultOut]


@routes.op("POST", "/v1/devices/{device_id}/check", needs=Permission.HEALTH_MANAGE, problems=(NotFound, Forbidden, Conflict, Overloaded))
async def check_device(call: Call, body: CheckIn) -> VisitOut:
    """Visit a device now. It counts like any other visit: one that does not answer is down only after as many as the configuration says.

    A login may be retried once in five minutes, because devices lock out who tries a wrong one too often. On the audit record.
    """
    device = find_device(call.services.city, call.path("device_id"))
    must_reach(call.caller.key, [device.id], call.services.city)
    assert call.services.visits is not None, "this house makes no visits"
    results = await call.services.visits.visit(device.id, retry_credentials=body.retry_credentials, actor=call.caller.actor)
    standing = call.services.board[device.id]
    return VisitOut(device=device.id, state=standing.state, reason=standing.reason, results=[_result(result) for result in results])


class RenewedOut(Output):
    """From when on a camera's pictures are learnt anew."""

    device: str
    at: Instant


@routes.op("DELETE", "/v1/devices/{device_id}/picture-reference", needs=Permission.HEALTH_MANAGE, problems=(NotFound, Forbidden))
async def renew_picture_reference(call: Call) -> RenewedOut:
    """A camera was turned, cleaned or exchanged on purpose: what its pictures are compared with is learnt anew. On the audit record."""
    device = find_device(call.services.city, call.path("device_id"), DeviceKind.CAMERA)
    must_reach(call.caller.key, [device.id], call.services.city)
    assert call.services.album is not None, "this house keeps no album"
    await call.services.album.renew(device.id, actor=call.caller.actor)
    return RenewedOut(device=device.id, at=call.services.clock.now())


def _result(result: CheckResult) -> ResultOut:
    return ResultOut(
        check=result.check,
        outcome=result.outcome,
        reason=result.reason,
        at=result.at,
        took_ms=result.took_ms,
        facts=dict(result.facts),
    )


@routes.op("GET", "/v1/health/reasons", needs=Permission.HEALTH_READ)
async def list_reasons(call: Call) -> ReasonsOut:  # noqa: ARG001 -- every handler is called so
    """What the reason codes say to people, for screens."""
    return ReasonsOut(reasons={code: PhraseOut(zh=said.zh, en=said.en) for code, said in PHRASES.items()})


@routes.op("GET", "/v1/devices/{device_id}/transitions", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def list_transitions(call: Call, query: PageQuery) -> TransitionPage:
    """What a device has been through, newest first."""
    device = find_device(call.services.city, call.path("device_id"))
    async with call.services.store.read() as tx:
        found = await tx.health.history(device.id, before=number_cursor(query), limit=query.limit + 1)
    following = to_cursor(found[query.limit - 1].number, query) if len(found) > query.limit else None
    return TransitionPage(items=[_transition(one) for one in found[: query.limit]], next=following)


def _transition(numbered: NumberedTransition) -> TransitionOut:
    one = numbered.transition
    return TransitionOut(
        number=numbered.number,
        before=one.before,
        after=one.after,
        at=one.at,
        reason=one.reason,
        check=one.check,
        facts=dict(one.facts),
    )
