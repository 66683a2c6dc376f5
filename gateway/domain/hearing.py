"""Which loudspeakers carry a voice to what a camera sees: those bound to that view by somebody's word or by nature, the nearest first."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.domain.bindings import Binding, BindingState, SightKey, seen_from
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind, Position
from gateway.domain.geo import around, bearing_deg, distance_m

NEAR_M: Final = 1_000.0
"""A loudspeaker further away is no candidate that anybody would miss."""


class Bond(StrEnum):
    """What ties a loudspeaker to a view."""

    CONFIRMED = "confirmed"
    NATURE = "nature"
    PROPOSED = "proposed"
    REJECTED = "rejected"
    NONE = "none"


UNBOUND: Final = {Bond.PROPOSED: "only-proposed", Bond.REJECTED: "binding-rejected", Bond.NONE: "not-bound"}
"""Why a loudspeaker does not count, by what ties it to the view."""
OUT_OF_REACH: Final = "out-of-reach"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One loudspeaker beside one view. Distance and direction are from what is seen to it, None where a place is not known.

    `binding`: what the inventory has of it; None for one that is bound by nature alone, or not at all.
    """

    speaker: DeviceId
    bond: Bond
    binding: Binding | None = None
    distance_m: float | None = None
    bearing_deg: float | None = None

    @property
    def reason(self) -> str:
        """Why it is not bound to the view, or cannot be heard there; "" when it can."""
        if self.bond in UNBOUND:
            return UNBOUND[self.bond]
        far = self.binding is not None and self.distance_m is not None and self.distance_m > self.binding.reach_m
        return OUT_OF_REACH if far else ""


def bound_to(city: City, view: SightKey) -> list[Candidate]:
    """The loudspeakers that something ties to `view`, confirmed or not, the nearest first; what was decided for its preset goes before what
    is said of the whole camera."""
    ties: dict[DeviceId, Binding | None] = {output.id: None for output in city.audio_outputs(view.camera)}
    for preset in dict.fromkeys(("", view.preset)):
        said = [binding for binding in city.bindings_of(view.camera) if _of(binding, view.camera, preset)]
        ties |= {binding.speaker: binding for binding in said if _decided(binding) or not ties.get(binding.speaker)}
    seen = seen_in(city, view)
    return _sorted(_candidate(city, view, speaker, binding, seen) for speaker, binding in ties.items() if speaker in city.devices)


def strangers_to(city: City, view: SightKey, *, at_most: int) -> list[Candidate]:
    """The loudspeakers nearest to what is seen that nothing ties to `view`."""
    seen = seen_in(city, view)
    if seen is None:
        return []
    known = {candidate.speaker for candidate in bound_to(city, view)}
    box = around(seen, NEAR_M)
    near = (
        speaker.id
        for speaker in city.of_kind(DeviceKind.SPEAKER)
        if speaker.id not in known and (place := city.place_of(speaker)) is not None and box.holds(place)
    )
    return _sorted(_candidate(city, view, speaker, None, seen) for speaker in near)[:at_most]


def seen_in(city: City, view: SightKey) -> Position | None:
    """The place that a camera sees in this view; its own where no sight says more; None where nobody knows where it hangs."""
    camera = city.devices.get(view.camera)
    place = city.place_of(camera) if camera is not None else None
    return None if place is None else seen_from(place, city.sights.get(view))


def _of(binding: Binding, camera: DeviceId, preset: str) -> bool:
    return binding.camera == camera and binding.preset == preset


def _decided(binding: Binding) -> bool:
    return binding.state is not BindingState.PROPOSED


def _candidate(city: City, view: SightKey, speaker: DeviceId, binding: Binding | None, seen: Position | None) -> Candidate:
    own = city.devices[speaker].audio_output_of == view.camera
    place = city.place_of(city.devices[speaker]) or (city.place_of(city.devices[view.camera]) if own else None)
    return Candidate(
        speaker=speaker,
        bond=_bond(binding, own=own),
        binding=binding,
        distance_m=distance_m(seen, place) if seen is not None and place is not None else None,
        bearing_deg=bearing_deg(seen, place) if seen is not None and place is not None else None,
    )


def _bond(binding: Binding | None, *, own: bool) -> Bond:
    if binding is None or (own and binding.state is BindingState.PROPOSED):
        return Bond.NATURE if own else Bond.NONE
    return Bond(binding.state.value)


def _sorted(found: Iterable[Candidate]) -> list[Candidate]:
    """The nearest first, those of which nobody knows last, then by id."""
    return sorted(found, key=lambda one: (one.distance_m is None, one.distance_m or 0.0, one.speaker))
