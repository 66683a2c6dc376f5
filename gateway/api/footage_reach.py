"""Whose footage request it is, and whether the caller's key reaches it."""

from gateway.api.routing import Call, allowed
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.footage import RequestId


def request_id(call: Call) -> RequestId:
    return RequestId(call.path("request_id"))


async def within(call: Call, request: RequestId | None = None) -> RequestId:
    """The `request`, or the one in the call's path, when the key reaches all its cameras. NotFound; Forbidden (`out-of-scope`)."""
    name = request or request_id(call)
    must_reach(call.caller.key, (await call.services.footage.request(name)).cameras, call.services.city)
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
