"""Holds: footage that must not be lost. Placed and ended on record; what they secure goes out through approved requests only."""

from pydantic import Field

from gateway.api.footage_json import CheckOut, checks_out
from gateway.api.footage_reach import must_reach_hold, must_see_hold, reach, searched
from gateway.api.models import Ident, Input, Instant, Output, Page, PageQuery, Text
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import Period, RequestId
from gateway.domain.holds import HeldFile, Hold, HoldId, HoldState, Keep, KeepState
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.footage.coverage import CAMERAS_MAX
from gateway.footage.holds import HoldFolder, HoldOrder, check_may_end

routes = Routes("holds", "Footage that must not be lost, by whom, why and until when.")


class HoldIn(Input):
    """What to hold. Without `everything`, only what its device would overwrite before the hold ends is copied; the rest is watched."""

    cameras: list[Ident] = Field(min_length=1, max_length=CAMERAS_MAX)
    start: Instant
    end: Instant
    reason: Text = Field(min_length=1, max_length=1000)
    expires_at: Instant
    request: Ident | None = Field(default=None, description="The footage request that it is for, if there is one yet.")
    everything: bool = False


class ExtensionIn(Input):
    """Until when it holds instead."""

    expires_at: Instant


class ReleaseIn(Input):
    """Why it ends."""

    note: Text = Field(min_length=1, max_length=1000)


class HolderOut(Output):
    """Who: the human, and the key on record."""

    name: str
    actor: str


class HeldPeriodOut(Output):
    """From `start` to `end`, half open, on the true clock."""

    start: Instant
    end: Instant


class HoldOut(Output):
    """A hold."""

    id: str
    state: HoldState
    owner: HolderOut
    reason: str
    cameras: list[str]
    start: Instant
    end: Instant
    created_at: Instant
    expires_at: Instant
    request: str | None
    everything: bool
    ended_at: Instant | None
    ended_by: HolderOut | None
    note: str = Field(description="What was said when it ended.")


class KeepOut(Output):
    """What is kept of one camera from one device."""

    camera: str
    device: str
    state: KeepState = Field(
        description="waiting: tried again; safe: on the device until after the hold, for all that is known; secured, partial: in the "
        "evidence store; nothing: not recorded; lost: overwritten before."
    )
    reason: str
    needed: list[HeldPeriodOut]
    obtained: list[HeldPeriodOut]
    overwrite_at: Instant | None = Field(description="Not before then does the device lose the first of it; null: nobody can tell.")
    reserved_bytes: int
    stored_bytes: int
    locked: bool = Field(description="Whether the device itself keeps it.")
    next_at: Instant | None = Field(description="When it is looked at again.")


class HoldDetailOut(HoldOut):
    """A hold with what is kept for it, camera by camera and device by device."""

    keeps: list[KeepOut]
    checks: list[CheckOut] = Field(description="The last of each file in the evidence store; none before the first is due.")


class HoldPage(Page[HoldOut]):
    """One page of holds, newest first."""


class HoldQuery(PageQuery):
    """Which holds."""

    state: HoldState | None = None
    request: Ident | None = None


@routes.op(
    "POST", "/v1/footage/holds", needs=Permission.FOOTAGE_HOLD, status=201, problems=(Forbidden, NotFound, Conflict), repeatable=True
)
async def place_hold(call: Call, body: HoldIn) -> HoldDetailOut:
    """Hold footage from now on. The recorders are asked at once; `no-space` has the figures when the disk cannot take it."""
    cameras = tuple(map(DeviceId, body.cameras))
    must_reach(call.caller.key, cameras, call.services.city)
    request = RequestId(body.request) if body.request else None
    order = HoldOrder(cameras, Period(body.start, body.end), body.reason, body.expires_at, request, body.everything)
    return await _detail(call, await call.services.holds.place(order, by=call.caller.person))


@routes.op("GET", "/v1/footage/holds", needs=Permission.FOOTAGE_READ)
async def list_holds(call: Call, query: HoldQuery) -> HoldPage:
    """Holds, newest first; to a key with scopes its own, and those whose cameras it all reaches."""
    place = moment_cursor(query)
    before = None if place is None else (place[0], HoldId(place[1]))
    request = RequestId(query.request) if query.request else None
    found = await call.services.holds.find(state=query.state, request=request, reach=reach(call), before=before, limit=query.limit + 1)
    await searched(call, query, min(len(found), query.limit))
    following = None
    if len(found) > query.limit:
        last = found[query.limit - 1]
        following = to_cursor([last.created_at.isoformat(), last.id], query)
    return HoldPage(items=[_hold(hold) for hold in found[: query.limit]], next=following)


@routes.op("GET", "/v1/footage/holds/{hold_id}", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def read_hold(call: Call) -> HoldDetailOut:
    """One hold with how far it is secured, and when its files were read again."""
    found = await call.services.holds.get(_id(call))
    await must_see_hold(call, found.hold)
    return await _detail(call, found)


@routes.op(
    "POST", "/v1/footage/holds/{hold_id}/extend", needs=Permission.FOOTAGE_HOLD, problems=(NotFound, Conflict, Forbidden), repeatable=True
)
async def extend_hold(call: Call, body: ExtensionIn) -> HoldOut:
    """Let it end later."""
    await _within(call)
    return _hold(await call.services.holds.extend(_id(call), until=body.expires_at, by=call.caller.person))


@routes.op(
    "POST", "/v1/footage/holds/{hold_id}/release", needs=Permission.FOOTAGE_HOLD, problems=(NotFound, Conflict, Forbidden), repeatable=True
)
async def release_hold(call: Call, body: ReleaseIn) -> HoldOut:
    """End it: by its owner, or by somebody who may approve requests. What it secured is removed unless another hold covers it."""
    hold = await _within(call)
    check_may_end(hold, by=call.caller.person, may_decide=call.caller.may(Permission.FOOTAGE_APPROVE))
    return _hold(await call.services.holds.release(_id(call), by=call.caller.person, note=body.note))


async def _within(call: Call) -> Hold:
    hold = (await call.services.holds.get(_id(call))).hold
    await must_reach_hold(call, hold)
    return hold


def _id(call: Call) -> HoldId:
    return HoldId(call.path("hold_id"))


def _hold(hold: Hold) -> HoldOut:
    return HoldOut(
        **{name: getattr(hold, name) for name in _SAME},
        owner=_holder(hold.owner),
        cameras=list(hold.cameras),
        start=hold.window.start,
        end=hold.window.end,
        ended_by=_holder(hold.ended_by) if hold.ended_by else None,
    )


_SAME = ("id", "state", "reason", "created_at", "expires_at", "request", "everything", "ended_at", "note")


async def _detail(call: Call, folder: HoldFolder) -> HoldDetailOut:
    stored = {file.name for file in folder.files if not file.removed}
    async with call.services.store.read() as tx:
        findings = await tx.scrubs.of(folder.hold.id)
    return HoldDetailOut(
        **_hold(folder.hold).model_dump(),
        keeps=[_keep(keep, folder.files) for keep in folder.keeps],
        checks=checks_out({name: finding for name, finding in findings.items() if name in stored}),
    )


def _keep(keep: Keep, files: tuple[HeldFile, ...]) -> KeepOut:
    stored = [file.size for file in files if (file.camera, file.device) == (keep.camera, keep.device) and not file.removed]
    same = {name: getattr(keep, name) for name in ("camera", "device", "state", "reason", "overwrite_at", "locked", "next_at")}
    return KeepOut(
        **same,
        needed=[_period(period) for period in keep.needed],
        obtained=[_period(period) for period in keep.obtained],
        reserved_bytes=keep.reserved,
        stored_bytes=sum(stored),
    )


def _period(period: Period) -> HeldPeriodOut:
    return HeldPeriodOut(start=period.start, end=period.end)


def _holder(person: Person) -> HolderOut:
    return HolderOut(name=person.name, actor=str(person.actor))
