"""Bindings: which loudspeaker is heard where a camera looks, proposed by distances and decided by people."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from pydantic import Field

from gateway.api.models import Ident, Input, Instant, OptionalLine, Output, Page, PageQuery
from gateway.api.paging import page_by_id
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach, must_reach_everything
from gateway.domain.access import Permission
from gateway.domain.bindings import REACH_MAX_M, Binding, BindingKey, BindingState, SightKey, seen_from
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.geo import bearing_deg, distance_m
from gateway.errors import Forbidden, InvalidInput
from gateway.inventory.bindings import AT_ONCE

routes = Routes("bindings", "Which loudspeaker is heard where a camera looks: proposed by distance and direction, decided by people.")


class BindingOut(Output):
    """One loudspeaker and what one camera sees. Only a `confirmed` one carries a voice to what the camera sees."""

    camera: str
    preset: str = Field(description="The preset's token; empty for wherever the camera looks.")
    speaker: str
    state: BindingState
    reach_m: float = Field(description="How far the loudspeaker is heard.")
    distance_m: float | None = Field(description="From what is seen to the loudspeaker; null when one of their places is not known.")
    bearing_deg: float | None = Field(description="In which direction from what is seen, clockwise from true north.")
    decided_by: str
    decided_at: Instant | None
    note: str


class BindingList(Output):
    """Bindings as they stand after a decision, by key."""

    items: list[BindingOut]


class BindingPage(Page[BindingOut]):
    """One page of bindings, by camera, preset and loudspeaker."""


class BindingQuery(PageQuery):
    """Which of them."""

    camera: str | None = Field(default=None, max_length=128)
    speaker: str | None = Field(default=None, max_length=128)
    state: BindingState | None = None


class ProposeIn(Input):
    """How to propose."""

    dry_run: bool = Field(default=False, description="Show what would change, and change nothing.")


class ProposalsOut(Output):
    """What distances and directions changed, or would change; what a person decided is never among it."""

    added: int
    removed: int


class BindingKeyIn(Input):
    """Which binding."""

    camera: Ident
    preset: OptionalLine = ""
    speaker: Ident

    @property
    def key(self) -> BindingKey:
        return BindingKey(DeviceId(self.camera), self.preset, DeviceId(self.speaker))


class Decision(StrEnum):
    CONFIRM = "confirm"
    REJECT = "reject"

    @property
    def state(self) -> BindingState:
        return BindingState.CONFIRMED if self is Decision.CONFIRM else BindingState.REJECTED


class ReachIn(Input):
    """How far some loudspeakers are heard."""

    bindings: list[BindingKeyIn] = Field(min_length=1, max_length=AT_ONCE)
    reach_m: float = Field(strict=True, ge=1, le=REACH_MAX_M)


class DecisionIn(Input):
    """What a person decides of one binding, or of many."""

    bindings: list[BindingKeyIn] = Field(min_length=1, max_length=AT_ONCE, description="One that nobody had proposed is there from now on.")
    decision: Decision
    reach_m: float | None = Field(default=None, strict=True, ge=1, le=REACH_MAX_M, description="How far it is heard; without, as it was.")
    note: OptionalLine | None = Field(default=None, description="Without, as it was.")


@routes.op("GET", "/v1/bindings", needs=Permission.INVENTORY_READ)
async def list_bindings(call: Call, query: BindingQuery) -> BindingPage:
    """All bindings, or those of a camera or a loudspeaker, with how far apart they are now."""
    city = call.services.city
    fitting = (binding for binding in _narrowest(city, query) if _fits(binding, query))
    found, following = page_by_id(fitting, query, key=lambda binding: "\0".join(binding.key))
    return BindingPage(items=[binding_out(binding, city) for binding in found], next=following)


@routes.op("POST", "/v1/bindings/proposals", needs=Permission.INVENTORY_WRITE, problems=(Forbidden,), repeatable=True)
async def propose_bindings(call: Call, body: ProposeIn) -> ProposalsOut:
    """Propose by distance and direction, now; the gateway does so itself after each import. No decision is touched."""
    must_reach_everything(call.caller.key)
    found = await call.services.bindings.propose(actor=call.caller.actor, dry_run=body.dry_run)
    return ProposalsOut(added=len(found.put), removed=len(found.gone))


@routes.op("POST", "/v1/bindings/decisions", needs=Permission.INVENTORY_WRITE, problems=(InvalidInput, Forbidden), repeatable=True)
async def decide_bindings(call: Call, body: DecisionIn) -> BindingList:
    """Confirm or reject bindings, all of them or none. Whoever confirms has heard the loudspeaker where the camera looks."""
    keys = _keys(call, body.bindings)
    reach_m = None if body.reach_m is None else _rounded(body.reach_m)
    done = await call.services.bindings.decide(keys, body.decision.state, actor=call.caller.actor, note=body.note, reach_m=reach_m)
    return _list(done, call.services.city)


@routes.op("POST", "/v1/bindings/reach", needs=Permission.INVENTORY_WRITE, problems=(InvalidInput, Forbidden), repeatable=True)
async def set_reach_of_bindings(call: Call, body: ReachIn) -> BindingList:
    """Say how far loudspeakers are heard; what was decided stays decided."""
    done = await call.services.bindings.set_reach(_keys(call, body.bindings), _rounded(body.reach_m), actor=call.caller.actor)
    return _list(done, call.services.city)


def binding_out(binding: Binding, city: City) -> BindingOut:
    """A binding with how its loudspeaker lies to what is seen, as the city is now."""
    camera, speaker = city.devices.get(binding.camera), city.devices.get(binding.speaker)
    eye = city.place_of(camera) if camera else None
    place = city.place_of(speaker) if speaker else None
    seen = seen_from(eye, city.sights.get(SightKey(binding.camera, binding.preset))) if eye else None
    return BindingOut(
        camera=binding.camera,
        preset=binding.preset,
        speaker=binding.speaker,
        state=binding.state,
        reach_m=binding.reach_m,
        distance_m=round(distance_m(seen, place), 1) if seen and place else None,
        bearing_deg=round(bearing_deg(seen, place), 1) if seen and place else None,
        decided_by=binding.decided_by,
        decided_at=binding.decided_at,
        note=binding.note,
    )


def _narrowest(city: City, query: BindingQuery) -> Iterable[Binding]:
    """The shortest list that holds all that fit, by key."""
    one = query.camera or query.speaker
    return city.bindings.values() if one is None else city.bindings_of(DeviceId(one))


def _fits(binding: Binding, query: BindingQuery) -> bool:
    return (
        (query.camera is None or binding.camera == query.camera)
        and (query.speaker is None or binding.speaker == query.speaker)
        and (query.state is None or binding.state is query.state)
    )


def _keys(call: Call, given: Iterable[BindingKeyIn]) -> list[BindingKey]:
    """What a request names, when its key reaches all devices of it."""
    keys = [one.key for one in given]
    city = call.services.city
    must_reach(call.caller.key, (device for device in _devices(keys) if device in city.devices), city)
    return keys


def _devices(keys: Iterable[BindingKey]) -> Iterator[DeviceId]:
    for key in keys:
        yield from (key.camera, key.speaker)


def _rounded(metres: float) -> float:
    """To a decimetre: what a file says is the same number."""
    return round(metres, 1)


def _list(found: Iterable[Binding], city: City) -> BindingList:
    return BindingList(items=[binding_out(binding, city) for binding in found])
