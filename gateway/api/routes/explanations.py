"""Why this loudspeaker: what an order would reach now, and who would speak to what a camera sees. Nothing is ever sent from here."""

from pydantic import Field

from gateway.api.models import Input, Instant, OptionalLine, Output
from gateway.api.orders import PriorityName, TargetsIn, targets_of
from gateway.api.problems import problem_of
from gateway.api.routes.broadcasts import PointOut
from gateway.api.routes.devices import find_device
from gateway.api.routing import Call, Routes
from gateway.api.scopes import speakers_within
from gateway.broadcast.routing import Choice
from gateway.domain.access import Permission
from gateway.domain.bindings import SightKey
from gateway.domain.broadcast import View
from gateway.domain.city import City
from gateway.domain.devices import DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.hearing import Bond, seen_in
from gateway.errors import Forbidden, InvalidInput, NotFound

routes = Routes("explanations", "Why this loudspeaker and no other. Nothing is sent.")


class BesideOut(Output):
    """How a loudspeaker lies to what a camera sees."""

    bond: Bond = Field(description="What ties it to the view; only `confirmed` and `nature` (its own audio output) count.")
    distance_m: float | None = Field(description="From what is seen; null when a place is not known.")
    bearing_deg: float | None = Field(description="In which direction from what is seen, clockwise from true north.")
    preset: str | None = Field(description="Of which preset the binding is; empty for the whole camera, null where there is none.")
    reach_m: float | None
    decided_by: str
    decided_at: Instant | None
    note: str


class ChoiceOut(Output):
    """One loudspeaker that one target leads to, or past."""

    speaker: str
    name: str
    target: str = Field(examples=["zone Z-04", "view CAM-0412-3 preset 2", "polygon"])
    chosen: bool
    reason: str = Field(description="Why it is not chosen; empty when it is.")
    state: HealthState
    view: BesideOut | None = Field(description="For the target of a view.")


class RefusalOut(Output):
    """Why the order would be refused."""

    type: str
    detail: str
    hint: str


class ExplanationOut(Output):
    """What an order of these targets would do now."""

    speakers: list[str] = Field(description="Who would speak, by id; empty when the order would be refused.")
    refusal: RefusalOut | None
    needs_approval: bool = Field(description="Whether it would wait for a second person.")
    reached: int = Field(description="Loudspeakers of this order and of this key's others of the last minute; 0 when it would be refused.")
    choices: list[ChoiceOut] = Field(description="Target by target; of a view the nearest first.")


class ExplainIn(Input):
    """The order to be explained, without its sound."""

    targets: TargetsIn
    priority: PriorityName = PriorityName.NOTICE


class SpeakersQuery(Input):
    """Of which view, for which order."""

    preset: OptionalLine = Field(default="", description="A preset's token; without it, wherever the camera looks.")
    priority: PriorityName = PriorityName.NOTICE


class CameraSpeakersOut(Output):
    """The loudspeakers beside what a camera sees, the nearest first: those that something ties to it, and the nearest that nothing does."""

    camera: str
    preset: str
    seen: PointOut | None = Field(description="The place that is seen: the camera's own where no sight says more.")
    items: list[ChoiceOut]


@routes.op("POST", "/v1/broadcasts/explain", needs=Permission.BROADCAST_READ, problems=(InvalidInput, Forbidden))
async def explain_broadcast(call: Call, body: ExplainIn) -> ExplanationOut:
    """Which loudspeakers an order would reach at this moment, and for each candidate why it is chosen or not. Nothing is sent."""
    city, key = call.services.city, call.caller.key
    told = call.services.broadcasts.explain(
        targets_of(body.targets, call.caller, city),
        priority=body.priority.rank,
        actor=call.caller.actor,
        speaker_cap=key.max_speakers if key else None,
        within=speakers_within(key, city),
    )
    refusal = None
    if told.refusal is not None:
        problem = problem_of(told.refusal).body()
        refusal = RefusalOut(type=problem["type"], detail=str(told.refusal), hint=told.refusal.hint)
    speakers: list[str] = [*told.route.speakers] if told.route else []
    return ExplanationOut(
        speakers=speakers,
        refusal=refusal,
        needs_approval=told.needs_approval,
        reached=told.reached,
        choices=[_choice(choice, city) for choice in told.choices],
    )


@routes.op("GET", "/v1/cameras/{camera_id}/speakers", needs=Permission.INVENTORY_READ, problems=(NotFound,))
async def list_speakers_of_camera(call: Call, query: SpeakersQuery) -> CameraSpeakersOut:
    """Who would speak to what this camera sees, and why each of the others would not."""
    city = call.services.city
    camera = find_device(city, call.path("camera_id"), DeviceKind.CAMERA)
    within = speakers_within(call.caller.key, city)
    found = call.services.broadcasts.beside(View(camera.id, query.preset), priority=query.priority.rank, within=within)
    place = seen_in(city, SightKey(camera.id, query.preset))
    seen = None if place is None else PointOut(latitude=round(place.latitude, 7), longitude=round(place.longitude, 7))
    return CameraSpeakersOut(camera=camera.id, preset=query.preset, seen=seen, items=[_choice(choice, city) for choice in found])


def _choice(choice: Choice, city: City) -> ChoiceOut:
    device = city.devices.get(choice.speaker)
    return ChoiceOut(
        speaker=choice.speaker,
        name=device.name if device else "",
        target=choice.target,
        chosen=not choice.reason,
        reason=choice.reason,
        state=choice.state,
        view=_beside(choice),
    )


def _beside(choice: Choice) -> BesideOut | None:
    candidate = choice.candidate
    if candidate is None:
        return None
    binding = candidate.binding
    return BesideOut(
        bond=candidate.bond,
        distance_m=None if candidate.distance_m is None else round(candidate.distance_m, 1),
        bearing_deg=None if candidate.bearing_deg is None else round(candidate.bearing_deg, 1),
        preset=binding.preset if binding else None,
        reach_m=binding.reach_m if binding else None,
        decided_by=binding.decided_by if binding else "",
        decided_at=binding.decided_at if binding else None,
        note=binding.note if binding else "",
    )
