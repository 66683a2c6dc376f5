"""Picture strips of requests: which minute is the right one, seen at a glance by those who may have the footage."""

import base64

from pydantic import Field

from gateway.api.footage_reach import request_id
from gateway.api.models import Ident, Input, Instant, Output
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.errors import Conflict, DeviceError, Forbidden, NotFound, Overloaded
from gateway.footage.strips import PICTURES_MAX, Still

routes = Routes("strips", "Small pictures of a request's window.")


class StripQuery(Input):
    """Which camera of the request, and how many pictures."""

    camera: Ident
    pictures: int = Field(default=12, ge=1, le=PICTURES_MAX)


class StillOut(Output):
    """One picture, or why there is none."""

    at: Instant = Field(description="The moment asked for, on the true clock.")
    taken_at: Instant | None = Field(description="When the picture was taken: the key picture at or before it, or the next after a gap.")
    jpeg: str = Field(description="The JPEG in base64; empty when there is none.")
    reason: str = Field(description="Why there is none: not-recorded, busy (exports have the recorder), or the recorder's failure.")


class StripOut(Output):
    """Pictures at even moments over the request's window of one camera."""

    camera: str
    items: list[StillOut]


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/strip",
    needs=Permission.FOOTAGE_DOWNLOAD,
    head=False,
    problems=(NotFound, Conflict, Forbidden, DeviceError, Overloaded),
)
async def read_footage_strip(call: Call, query: StripQuery) -> StripOut:
    """Small pictures of one camera over the window of a request that may go ahead, to whoever filed it. Each look goes on record."""
    name, by = request_id(call), call.caller.person
    await call.services.footage.must_be_filer(name, by=by, wish="strip")
    stills = await call.services.strips.of(name, DeviceId(query.camera), query.pictures, by=by)
    return StripOut(camera=query.camera, items=[_still(one) for one in stills])


def _still(still: Still) -> StillOut:
    return StillOut(at=still.at, taken_at=still.taken_at, jpeg=base64.b64encode(still.jpeg).decode(), reason=still.reason)
