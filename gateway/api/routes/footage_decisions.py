"""What becomes of a footage request: decided by another person, given up, closed, fetched again, handed over."""

from gateway.api.footage_json import RequestOut, request_out
from gateway.api.footage_reach import owned, within
from gateway.api.models import Input, Line, Text
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.errors import Conflict, NotFound

routes = Routes("footage-decisions", "What becomes of a footage request.")

_WRONG_TIME = (NotFound, Conflict)


class NoteIn(Input):
    """What the person who does it wants kept."""

    note: Text = ""


class ViewedIn(NoteIn):
    """What came of looking at it here."""

    found_something: bool


class ReceiverIn(Input):
    """To whom the footage goes."""

    receiver: Line


@routes.op("POST", "/v1/footage-requests/{request_id}/approve", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def approve_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Let the footage be fetched. Whoever approves is none of those who ask."""
    return request_out(call, await call.services.footage.approve(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/reject", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def reject_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Refuse it; `note` says why and may not be empty."""
    return request_out(call, await call.services.footage.reject(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/confirm", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def confirm_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """A second person's word for an emergency that went ahead without one."""
    return request_out(call, await call.services.footage.confirm(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/revoke", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def revoke_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Take an emergency back: what was fetched for it is removed; `note` says why and may not be empty."""
    return request_out(call, await call.services.footage.revoke(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/give-up", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def give_up_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Say that what failed is not to be had; `note` says why and may not be empty. By who filed it, or approves."""
    mine = await owned(call, "give-up", Permission.FOOTAGE_REQUEST)
    return request_out(call, await call.services.footage.give_up(mine, by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/close", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def close_footage_request(call: Call, body: ViewedIn) -> RequestOut:
    """It was viewed here and no copy is taken. By who filed it, or approves."""
    mine, found = await owned(call, "close", Permission.FOOTAGE_DOWNLOAD), body.found_something
    return request_out(call, await call.services.footage.close(mine, by=call.caller.person, found_something=found, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/cancel", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def cancel_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Withdraw it; what was fetched for it is removed. By who filed it, or approves."""
    mine = await owned(call, "cancel", Permission.FOOTAGE_REQUEST)
    return request_out(call, await call.services.footage.cancel(mine, by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/retry", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def retry_footage_request(call: Call) -> RequestOut:
    """Fetch again what a failed or partial request still lacks. By who filed it, or approves."""
    mine = await owned(call, "retry", Permission.FOOTAGE_REQUEST)
    return request_out(call, await call.services.footage.retry(mine, by=call.caller.person))


@routes.op("POST", "/v1/footage-requests/{request_id}/hand-over", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def hand_over_footage(call: Call, body: ReceiverIn) -> RequestOut:
    """Record that the footage was handed to somebody. By who filed it, or approves."""
    mine = await owned(call, "hand-over", Permission.FOOTAGE_DOWNLOAD)
    return request_out(call, await call.services.footage.hand_over(mine, by=call.caller.person, receiver=body.receiver))
