"""Whose footage request it is, whether the caller's key reaches it, and what the caller sees of those of others."""

from collections.abc import Collection

from gateway.api.routing import Call, allowed
from gateway.api.scopes import cameras_within, reaches
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
from gateway.domain.footage import Reach, RequestId
from gateway.errors import Forbidden


def request_id(call: Call) -> RequestId:
    return RequestId(call.path("request_id"))


def reach(call: Call) -> Reach | None:
    """What the caller sees of requests and holds, for a search; None: all."""
    cameras = cameras_within(call.caller.key, call.services.city)
    return None if cameras is None else Reach(call.caller.actor, cameras)


def must_see(call: Call, owner: Actor, cameras: Collection[DeviceId]) -> None:
    """Forbidden (`out-of-scope`) unless the caller is `owner`, or its key reaches all of `cameras`."""
    if owner != call.caller.actor:
        _must_reach(call, cameras)


def _must_reach(call: Call, cameras: Collection[DeviceId]) -> None:
    """As `scopes.must_reach`, without naming what lies beyond; what has no camera is reached by keys without scopes alone."""
    key = call.caller.key
    if key is None or not key.scopes:
        return
    if not cameras or not all(reaches(key, camera, call.services.city) for camera in cameras):
        raise Forbidden(
            "Your key does not reach all cameras of this.", code="out-of-scope", hint=f"It reaches {', '.join(sorted(key.scopes))}."
        )


async def within(call: Call, request: RequestId | None = None) -> RequestId:
    """The `request`, or the one in the call's path, when the key reaches all its cameras. NotFound; Forbidden (`out-of-scope`)."""
    name = request or request_id(call)
    _must_reach(call, (await call.services.footage.request(name)).cameras)
    return name


async def opened(call: Call, request: RequestId | None = None) -> RequestId:
    """The `request`, or the one in the call's path, for a caller who may read it: who filed it, or whose key reaches all its cameras.

    That it is read is on record when this returns. NotFound; Forbidden (`out-of-scope`).
    """
    name = request or request_id(call)
    known = await call.services.footage.request(name)
    must_see(call, known.submitted_by.actor, known.cameras)
    await call.services.footage.readings.note([name], by=call.caller.person)
    return name


async def owned(call: Call, wish: str, needs: Permission) -> RequestId:
    """As `within`, for what who filed the request does by the right `needs`, or who may approve.

    Forbidden to others, and on record (`not-yours`) when they have that right.
    """
    name = await within(call)
    if not call.caller.may(Permission.FOOTAGE_APPROVE):
        allowed(call.caller, needs)
        await call.services.footage.must_be_filer(name, by=call.caller.person, wish=wish)
    return name
