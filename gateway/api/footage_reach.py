"""Whose footage request it is, whether the caller's key reaches it, and what the caller sees of those of others."""

from collections.abc import Collection
from typing import Final, NoReturn

from gateway.api.models import PageQuery
from gateway.api.routing import Call, Policy, allowed
from gateway.api.scopes import cameras_within, reaches
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, Event
from gateway.domain.footage import FootageRequest, Reach, RequestId
from gateway.domain.holds import Hold, HoldId
from gateway.errors import Forbidden, NotFound
from gateway.footage.holds import EVENT as HOLD_EVENT

_FOOTAGE: Final = "footage:"
"""What the rights that concern footage begin with."""


def request_id(call: Call) -> RequestId:
    return RequestId(call.path("request_id"))


def reach(call: Call) -> Reach | None:
    """What the caller sees of requests and holds, for a search; None: all."""
    cameras = cameras_within(call.caller.key, call.services.city)
    return None if cameras is None else Reach(call.caller.actor, cameras)


async def searched(call: Call, query: PageQuery, found: int) -> None:
    """That the caller asks a list of footage for `query` and is shown `found` rows is on record when this returns."""
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude={"limit", "cursor"})
    await call.services.footage.readings.note_search(call.request.path, asked, found=found, by=call.caller.person)


async def must_see_hold(call: Call, hold: Hold) -> None:
    """Forbidden (`out-of-scope`), on record, unless the caller owns `hold`, or its key reaches all its cameras."""
    if hold.owner.actor != call.caller.actor:
        await must_reach_hold(call, hold)


async def must_reach_hold(call: Call, hold: Hold) -> None:
    """Forbidden (`out-of-scope`), on record, unless the caller's key reaches all cameras of `hold`."""
    if not _reached(call, hold.cameras):
        refusal = _beyond(call)
        await call.services.footage.refusals.of_hold(hold.id, refusal, by=call.caller.person, wish=_wish(call))
        raise refusal


async def _must_reach(call: Call, request: FootageRequest) -> None:
    if not _reached(call, request.cameras):
        await refuse(call, request.id, _beyond(call))


async def refuse(call: Call, request: RequestId, refusal: Forbidden) -> NoReturn:
    """Raise `refusal` of something that belongs to `request`, once it is on record. The errors of storage instead."""
    await call.services.footage.refusals.of_request(request, refusal, by=call.caller.person, wish=_wish(call))
    raise refusal


async def must_be_allowed(call: Call, policy: Policy) -> None:
    """As `allowed`; whom it refuses something of footage is on record first. The errors of storage instead."""
    try:
        allowed(call.caller, policy)
    except Forbidden as refusal:
        if isinstance(policy, Permission) and policy.startswith(_FOOTAGE):
            named = call.request.match_info.get("request_id")
            request = RequestId(named) if named else None
            await call.services.footage.refusals.of_call(request, refusal, by=call.caller.person, wish=_wish(call))
        raise


def _wish(call: Call) -> str:
    return f"{call.request.method} {call.request.path}"


def _beyond(call: Call) -> Forbidden:
    """As `scopes.must_reach` has it, without naming what lies beyond."""
    scopes = call.caller.key.scopes if call.caller.key else ()
    hint = f"It reaches {', '.join(sorted(scopes))}."
    return Forbidden("Your key does not reach all cameras of this.", code="out-of-scope", hint=hint)


def _reached(call: Call, cameras: Collection[DeviceId]) -> bool:
    """Whether the key reaches all of `cameras`; what has none is reached by keys without scopes alone."""
    key = call.caller.key
    if key is None or not key.scopes:
        return True
    return bool(cameras) and all(reaches(key, camera, call.services.city) for camera in cameras)


async def within(call: Call, request: RequestId | None = None) -> RequestId:
    """The `request`, or the one in the call's path, when the key reaches all its cameras. NotFound; Forbidden
    (`out-of-scope`), on record."""
    name = request or request_id(call)
    await _must_reach(call, await call.services.footage.request(name))
    return name


async def opened(call: Call, request: RequestId | None = None) -> RequestId:
    """The `request`, or the one in the call's path, for a caller who may read it: who filed it, or whose key reaches all its cameras.

    That it is read is on record when this returns. NotFound; Forbidden (`out-of-scope`), on record as well.
    """
    name = request or request_id(call)
    known = await call.services.footage.request(name)
    if known.submitted_by.actor != call.caller.actor:
        await _must_reach(call, known)
    await call.services.footage.readings.note([name], by=call.caller.person)
    return name


async def hears(call: Call, event: Event) -> bool:
    """Whether the caller may hear of `event`: one of footage if the request or hold that it tells of may be read. The errors of storage."""
    if not event.type.startswith("footage."):
        return True
    if not call.caller.may(Permission.FOOTAGE_READ):
        return False
    if call.caller.key is None or not call.caller.key.scopes:
        return True
    try:
        owner, cameras = await _told_of(call, event)
    except NotFound:
        return False
    return owner == call.caller.actor or _reached(call, cameras)


async def _told_of(call: Call, event: Event) -> tuple[Actor, Collection[DeviceId]]:
    """Whose the request or hold is that an event of footage tells of, and its cameras. NotFound."""
    async with call.services.store.read() as tx:
        if event.type == HOLD_EVENT:
            hold = await tx.holds.get(HoldId(event.subject))
            return hold.owner.actor, hold.cameras
        request = await tx.footage.get(RequestId(event.subject))
        return request.submitted_by.actor, request.cameras


async def owned(call: Call, wish: str, needs: Permission) -> RequestId:
    """As `within`, for what who filed the request does by the right `needs`, or who may approve.

    Forbidden to others, and on record: `not-yours` when they have that right.
    """
    name = await within(call)
    if not call.caller.may(Permission.FOOTAGE_APPROVE):
        await must_be_allowed(call, needs)
        await call.services.footage.must_be_filer(name, by=call.caller.person, wish=wish)
    return name
