"""Which loudspeaker is heard where which camera looks: bindings, proposed by arithmetic and decided by people.

    propose → proposed        proposed, confirmed, rejected ─ confirm → confirmed        proposed, confirmed, rejected ─ reject → rejected

The rules:
 1. Only what a person confirmed carries a voice to a view. Arithmetic knows distances, but not walls.
 2. Arithmetic adds and takes away proposals; what a person decided it never touches, wherever things are moved.
 3. What was decided for a preset goes before what was decided for the whole camera, also where it says no.
 4. A camera's own audio output is bound to it by nature, unless a person says otherwise.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.domain.devices import DeviceId, Position
from gateway.domain.geo import around, distance_m, moved

REACH_MAX_M: Final = 2_000.0
"""No horn in a street is heard further."""
REACH_M: Final = 100.0
"""How far a horn is heard in the noise of a street, where nobody says better."""
SEEN_M: Final = 30.0
"""How far from a camera that is which it watches, where nobody says better."""

NAME_MAX: Final = 200
"""Characters that are kept of who decided."""


class BindingState(StrEnum):
    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class BindingKey(NamedTuple):
    """What a binding is about. `preset`: a token of the camera, "" for wherever it looks."""

    camera: DeviceId
    preset: str
    speaker: DeviceId


@dataclass(frozen=True, slots=True)
class Binding:
    """One loudspeaker and what one camera sees. `reach_m`: how far the loudspeaker is heard in that direction.

    `decided_by`: who confirmed or rejected it, "" for nobody yet; then `decided_at` is None.
    """

    camera: DeviceId
    speaker: DeviceId
    preset: str = ""
    reach_m: float = REACH_M
    state: BindingState = BindingState.PROPOSED
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""

    @property
    def key(self) -> BindingKey:
        return BindingKey(self.camera, self.preset, self.speaker)

    def decided(self, state: BindingState, *, by: str, at: datetime, note: str | None = None) -> "Binding":
        """The binding as `by` wants it from now on; the note stays unless there is a new one. PROPOSED is nobody's decision."""
        if state is BindingState.PROPOSED:
            raise ValueError("a person confirms or rejects")
        return replace(self, state=state, decided_by=by[:NAME_MAX], decided_at=at, note=self.note if note is None else note)


class SightKey(NamedTuple):
    """What a sight is about, as in a binding's key."""

    camera: DeviceId
    preset: str


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a camera looks, as a whole (`preset` "") or in one preset: the direction, clockwise from true north, and how far.

    The place that is seen lies `distance_m` from the camera.
    """

    camera: DeviceId
    preset: str = ""
    bearing_deg: float = 0.0
    distance_m: float = SEEN_M

    @property
    def key(self) -> SightKey:
        return SightKey(self.camera, self.preset)


def seen_from(camera: Position, sight: Sight | None) -> Position:
    """The place that is seen; the camera's own where nobody knows in which direction it looks."""
    return camera if sight is None else moved(camera, bearing_deg=sight.bearing_deg, metres=sight.distance_m)


class Eye(NamedTuple):
    """A view for which bindings are proposed, and the place that is seen in it; None where that is not known."""

    camera: DeviceId
    preset: str
    place: Position | None


@dataclass(frozen=True, slots=True)
class Proposals:
    """What arithmetic changes: bindings that are proposed now, and proposals that hold no longer."""

    put: tuple[Binding, ...] = ()
    gone: tuple[BindingKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.gone)


def propose(
    eyes: Sequence[Eye], speakers: Mapping[DeviceId, Position], known: Mapping[BindingKey, Binding], *, reach_m: float
) -> Proposals:
    """Bindings of every loudspeaker within `reach_m` of what is seen, as far as they are not known; see the rules above.

    A proposal that a person gave another reach holds as long as that one reaches. One of which a place is not known holds, too.
    """
    near = {BindingKey(eye.camera, eye.preset, speaker) for eye, speaker in _near(eyes, speakers, reach_m)}
    places = {(eye.camera, eye.preset): eye.place for eye in eyes}
    put = [Binding(key.camera, key.speaker, key.preset, reach_m) for key in sorted(near - known.keys())]
    open_ = (binding for binding in known.values() if binding.state is BindingState.PROPOSED and binding.key not in near)
    gone = sorted(
        binding.key for binding in open_ if not _holds(binding, places.get(binding.key[:2]), speakers.get(binding.speaker), places)
    )
    return Proposals(tuple(put), tuple(gone))


def _holds(
    binding: Binding, seen: Position | None, speaker: Position | None, places: Mapping[tuple[DeviceId, str], Position | None]
) -> bool:
    if (binding.camera, binding.preset) not in places:
        return True  # a preset of which nobody says where it looks: put there by a person
    return seen is None or speaker is None or distance_m(seen, speaker) <= binding.reach_m


def _near(eyes: Iterable[Eye], speakers: Mapping[DeviceId, Position], reach_m: float) -> Iterator[tuple[Eye, DeviceId]]:
    """The pairs that are at most `reach_m` apart, by a raster with squares about as wide as that."""
    if not speakers:
        return
    some = around(next(iter(speakers.values())), max(reach_m, 1.0))
    step = max(some.north - some.south, some.east - some.west)
    squares: defaultdict[tuple[int, int], list[tuple[DeviceId, Position]]] = defaultdict(list)
    for speaker, place in speakers.items():
        squares[_square(place.latitude, place.longitude, step)].append((speaker, place))
    for eye in eyes:
        if eye.place is None:
            continue
        box = around(eye.place, reach_m)
        south, west = _square(box.south, box.west, step)
        north, east = _square(box.north, box.east, step)
        for row in range(south, north + 1):
            for column in range(west, east + 1):
                found = squares.get((row, column), ())
                yield from ((eye, speaker) for speaker, place in found if distance_m(eye.place, place) <= reach_m)


def _square(latitude: float, longitude: float, step: float) -> tuple[int, int]:
    return math.floor(latitude / step), math.floor(longitude / step)
