"""From what was ordered to the loudspeakers that will speak, with the reason for each that will and each that will not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.domain.bindings import SightKey
from gateway.domain.broadcast import Circle, Priority, Targets, Verdict, View, arbitrate
from gateway.domain.broadcast_rules import Refusal
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind, Position, Ring
from gateway.domain.geo import around, bounds, distance_m, in_ring
from gateway.domain.health import Board, HealthState
from gateway.domain.hearing import Candidate, bound_to, strangers_to
from gateway.domain.polygons import sound_ring
from gateway.errors import Conflict, Fault, Forbidden, GatewayError, InvalidInput

Id = TypeVar("Id", bound=str)
CORNERS: Final = 200
"""Of a polygon: so many are judged in a few milliseconds, and nobody draws more."""
STRANGERS: Final = 5
"""Loudspeakers without a binding that an explanation names beside those with one."""
_NAMED: Final = 5
_LEAST_CORNERS: Final = 3

DOWN, MUTED, DISABLED, BUSY, SECOND = "speaker-down", "speaker-muted", "disabled", "speaker-busy", "another-speaks"
OUT_OF_SCOPE = "out-of-scope"
Reach = frozenset[DeviceId] | None
Hush = Callable[[DeviceId], str]
# Who goes first to a view. Where the same was said a moment ago, or something else, it stays with that one: a neighbour would say it into
# the same street once more. One that would make the order wait comes after the free ones, then one beside which somebody may work, one that
# must be silent at this hour last.
_RANKS: Final = {Refusal.DUPLICATE.value: 0, "": 1, Refusal.COOLING_DOWN.value: 1, BUSY: 2, MUTED: 3, Refusal.QUIET_HOURS.value: 4}


@dataclass(frozen=True, slots=True)
class ViewRoute:
    """Who speaks to one view, how far it is from what is seen, and who is tried next, in this order, when it cannot be reached."""

    view: View
    speaker: DeviceId
    spares: tuple[DeviceId, ...] = ()
    distance_m: float | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The speakers of a broadcast, by id: those that will be tried, and those that will not, each with the reason."""

    speakers: tuple[DeviceId, ...]
    left_out: Mapping[DeviceId, str]
    views: tuple[ViewRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One loudspeaker and one target that leads to it (`zone z-1`, `view cam-1`), or leads past it.

    `reason`: why it is not chosen, "" when it is. `candidate`: how it lies to the view; None for what is no view.
    """

    speaker: DeviceId
    target: str
    reason: str
    state: HealthState
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that was looked at, target by target and the nearest first, and what comes of it: a route, or the error of the order.

    `needs_approval`: it would wait for a second person, since so many loudspeakers are `reached`, those of the sender's other broadcasts
    of the last minute included.
    """

    choices: tuple[Choice, ...]
    route: Route | None = None
    refusal: GatewayError | None = None
    needs_approval: bool = False
    reached: int = 0


def _nobody(_speaker: DeviceId) -> Priority | None:
    return None


def _silent(_speaker: DeviceId) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Router:
    """Routes by the city, the board and what goes on at each loudspeaker at this moment.

    `running`: the priority of what it plays, None when it is free.
    """

    city: City
    board: Board
    circumstances: Circumstances = field(default_factory=Circumstances)
    running: Callable[[DeviceId], Priority | None] = _nobody

    def route(
        self, targets: Targets, *, priority: Priority = Priority.NOTICE, cap: int, within: Reach = None, hushed: Hush = _silent
    ) -> Route:
        """Find the speakers of `targets`: all that are named or placed there, and for each view the nearest that can speak now. One in
        maintenance speaks where it is named singly, else only for an emergency, and to a view only if no other can.

        `within`: the only ones that may speak to a view; None: all. `hushed` names the rule of speaking that one would break: where that is
        the hour, it is chosen for a view only if nobody else can speak, so that whoever asks hears of the hour and not of the view.

        Raises InvalidInput naming each target that does not exist or cannot be, InvalidInput (no-speaker) when there is none in them,
        Forbidden (too-many-speakers) beyond `cap`, Conflict (no-speaker-reaches) when nobody can speak to a view, naming the nearest and
        why each does not count, and Conflict (no-healthy-speaker) when none of them can be used.
        """
        _refuse_unknown(targets, self.city)
        looks = [self._look(view, priority, within, hushed) for view in targets.views]
        for look in looks:
            if look.chosen is None:
                raise self._unreached(look)
        found = {device.id: device for _, device in _placed(targets, self.city)}
        seen = {look.chosen for look in looks if look.chosen is not None}
        _must_fit(found.keys() | seen, cap)
        left_out = {
            name: reason for name, device in found.items() if name not in seen and (reason := self._passed_over(device, targets, priority))
        }
        usable = tuple(sorted((found.keys() | seen) - left_out.keys()))
        if not usable:
            raise _none_healthy(left_out)
        return Route(usable, left_out, tuple(look.route(look.chosen) for look in looks if look.chosen is not None))

    def explain(
        self, targets: Targets, *, priority: Priority = Priority.NOTICE, cap: int, within: Reach = None, hushed: Hush = _silent
    ) -> Explanation:
        """What `route` does with each loudspeaker and why, and beside it the nearest ones that nothing ties to a view. Nothing is sent.

        InvalidInput for targets that do not exist, as `route`.
        """
        _refuse_unknown(targets, self.city)
        choices = [
            Choice(device.id, target, self._passed_over(device, targets, priority), self.board[device.id].state)
            for target, device in _placed(targets, self.city)
        ]
        for view in targets.views:
            choices += self.beside(view, priority=priority, within=within, hushed=hushed)
        try:
            found = self.route(targets, priority=priority, cap=cap, within=within, hushed=hushed)
            return Explanation(tuple(choices), route=found)
        except GatewayError as refusal:
            return Explanation(tuple(choices), refusal=refusal)

    def beside(self, view: View, *, priority: Priority = Priority.NOTICE, within: Reach = None, hushed: Hush = _silent) -> list[Choice]:
        """The loudspeakers beside one view, the nearest first: those that something ties to it, and some that nothing does."""
        look = self._look(view, priority, within, hushed)
        strangers = [(candidate, candidate.reason) for candidate in strangers_to(self.city, _key(view), at_most=STRANGERS)]
        entries = sorted([*look.entries, *strangers], key=lambda entry: (entry[0].distance_m is None, entry[0].distance_m or 0.0))
        return [
            Choice(candidate.speaker, _name(view), reason, self.board[candidate.speaker].state, candidate) for candidate, reason in entries
        ]

    def _look(self, view: View, priority: Priority, within: Reach, hushed: Hush) -> "_Look":
        """All that is tied to a view, judged and ranked."""
        candidates = [(one, self._unfit(one, priority, within, hushed)) for one in bound_to(self.city, _key(view))]
        fit = {one.speaker: self._holds_back(one.speaker, priority, hushed) for one, reason in candidates if not reason}
        ranked = sorted(fit, key=lambda speaker: _RANKS.get(fit[speaker], max(_RANKS.values())))
        entries = [(one, reason or self._word(one.speaker, fit[one.speaker], first=ranked[0])) for one, reason in candidates]
        return _Look(view, ranked[0] if ranked else None, tuple(ranked[1:]), tuple(entries))

    @staticmethod
    def _word(speaker: DeviceId, holds_back: str, *, first: DeviceId) -> str:
        """Why one that could speak does not; the first of them does, unless a rule forbids it."""
        if speaker == first:
            return "" if holds_back in (BUSY, MUTED) else holds_back
        return holds_back or SECOND

    def _holds_back(self, speaker: DeviceId, priority: Priority, hushed: Hush) -> str:
        waits = arbitrate(priority, self.running(speaker)) is Verdict.WAIT
        return hushed(speaker) or (BUSY if waits else "") or (MUTED if self.circumstances[speaker].muted else "")

    def _unfit(self, candidate: Candidate, priority: Priority, within: Reach, hushed: Hush) -> str:
        """Why a loudspeaker cannot speak to the view; what ties it to the view comes before how it is, and that the view has heard it all
        just now before both."""
        device, running = self.city.devices[candidate.speaker], self.running(candidate.speaker)
        if candidate.reason or hushed(device.id) == Refusal.DUPLICATE:
            return candidate.reason
        return (
            (OUT_OF_SCOPE if within is not None and device.id not in within else "")
            or self._unusable(device)
            or self._muted(device.id, priority)
            or (BUSY if running is not None and running > priority else "")
        )

    def _passed_over(self, device: Device, targets: Targets, priority: Priority) -> str:
        """Why one that is named, or hangs in a place that is, is not even tried; who names it singly knows of who works there."""
        return self._unusable(device) or ("" if device.id in targets.speakers else self._muted(device.id, priority))

    def _muted(self, speaker: DeviceId, priority: Priority) -> str:
        """Somebody may be on a ladder beside one in maintenance: only danger to life is told there all the same."""
        return MUTED if priority < Priority.EMERGENCY and self.circumstances[speaker].muted else ""

    def _unusable(self, device: Device) -> str:
        """Why a speaker is not even tried; one whose state is not known is."""
        if not device.enabled:
            return DISABLED
        return DOWN if self.board[device.id].state is HealthState.DOWN else ""

    def _unreached(self, look: "_Look") -> Conflict:
        """The word on a view that nobody can speak to."""
        near = [*look.entries, *((one, one.reason) for one in strangers_to(self.city, _key(look.view), at_most=STRANGERS))]
        near.sort(key=lambda entry: (entry[0].distance_m is None, entry[0].distance_m or 0.0))
        named = ", ".join(f"{one.speaker} ({_metres(one)}{reason})" for one, reason in near[:_NAMED]) or "none is near"
        hint = "Ask for the explanation (GET /v1/cameras/ID/speakers), name a loudspeaker, or confirm a binding after listening."
        return Conflict(f"No loudspeaker reaches what {_name(look.view)} shows: {named}.", code="no-speaker-reaches", hint=hint)


@dataclass(frozen=True, slots=True)
class _Look:
    """What came of looking for a voice to one view: every candidate with why it is not chosen."""

    view: View
    chosen: DeviceId | None
    spares: tuple[DeviceId, ...]
    entries: tuple[tuple[Candidate, str], ...]

    def route(self, chosen: DeviceId) -> ViewRoute:
        return ViewRoute(self.view, chosen, self.spares, next(one.distance_m for one, _ in self.entries if one.speaker == chosen))


def placed_in(targets: Targets, city: City) -> Iterator[DeviceId]:
    """The loudspeakers that are named or hang in a place that is, whatever their state and some perhaps twice; none of a view."""
    return (device.id for _, device in _placed(targets, city))


def _placed(targets: Targets, city: City) -> Iterator[tuple[str, Device]]:
    """The loudspeakers that are named, or hang in a place that is, each with the target; some perhaps twice."""
    yield from ((f"speaker {name}", city.devices[name]) for name in targets.speakers if name in city.devices)
    for zone in targets.zones:
        members = city.zones[zone].speakers if zone in city.zones else ()
        yield from ((f"zone {zone}", city.devices[name]) for name in sorted(members) if name in city.devices)
    for cell in targets.cells:
        yield from ((f"cell {cell}", device) for device in _horns(city.in_cell(cell)))
    for group in targets.groups:
        yield from ((f"group {group}", device) for device in _horns(city.in_group(group)))
    horns = city.of_kind(DeviceKind.SPEAKER)
    for district in targets.districts:
        yield from ((f"district {district}", device) for device in horns if city.district_of(device) == district)
    if targets.polygon:
        yield from (("polygon", device) for device in _inside(_closed(targets.polygon), horns, city))
    if targets.circle is not None:
        yield from (("circle", device) for device in _around(targets.circle, horns, city))


def _horns(devices: Iterable[Device]) -> Iterator[Device]:
    return (device for device in devices if device.kind is DeviceKind.SPEAKER)


def _closed(corners: Ring) -> Ring:
    """The ring with these corners, of which the last is joined to the first."""
    return corners if corners[0] == corners[-1] else (*corners, corners[0])


def _inside(ring: Ring, horns: Sequence[Device], city: City) -> Iterator[Device]:
    box = bounds(ring)
    return (device for device in horns if (place := city.place_of(device)) is not None and box.holds(place) and in_ring(place, ring))


def _around(circle: Circle, horns: Sequence[Device], city: City) -> Iterator[Device]:
    box = around(circle.centre, circle.radius_m)

    def within(place: Position | None) -> bool:
        return place is not None and box.holds(place) and distance_m(circle.centre, place) <= circle.radius_m

    return (device for device in horns if within(city.place_of(device)))


def _key(view: View) -> SightKey:
    return SightKey(view.camera, view.preset)


def _name(view: View) -> str:
    return f"view {view.camera}{f' preset {view.preset}' if view.preset else ''}"


def _metres(candidate: Candidate) -> str:
    return "" if candidate.distance_m is None else f"{candidate.distance_m:.0f} m, "


def _must_fit(speakers: Iterable[DeviceId], cap: int) -> None:
    count = len(set(speakers))
    if not count:
        raise InvalidInput("there is no loudspeaker in these targets", code="no-speaker", hint="Name speakers, or a place that has some.")
    if count > cap:
        hint = "Name fewer speakers, or ask for a key that may reach more."
        raise Forbidden(f"{count} loudspeakers are more than this key may reach ({cap})", code="too-many-speakers", hint=hint)


def _none_healthy(left_out: Mapping[DeviceId, str]) -> Conflict:
    names = ", ".join(f"{speaker} ({reason})" for speaker, reason in sorted(left_out.items())[:_NAMED])
    hint = "See why each cannot; one in maintenance speaks when it is named singly, or for an emergency."
    return Conflict(f"none of these loudspeakers can speak: {names}", code="no-healthy-speaker", hint=hint)


def _refuse_unknown(targets: Targets, city: City) -> None:
    faults = [
        *_faults("speakers", targets.speakers, lambda speaker: _why_none(speaker, DeviceKind.SPEAKER, city)),
        *_faults("zones", targets.zones, lambda zone: "" if zone in city.zones else "no such zone"),
        *_faults("cells", targets.cells, lambda cell: "" if cell in city.cells else "no such grid cell"),
        *_faults("groups", targets.groups, lambda group: "" if group in city.groups else "no such camera group"),
        *(_faults("districts", targets.districts, _districts(city)) if targets.districts else ()),
        *([Fault("/targets/polygon", why)] if (why := _why_no_polygon(targets.polygon)) else ()),
        *_faults("views", [view.camera for view in targets.views], lambda camera: _why_none(camera, DeviceKind.CAMERA, city)),
    ]
    if faults:
        raise InvalidInput("some targets do not exist, or cannot be", faults=faults, code="unknown-target")


def _districts(city: City) -> Callable[[str], str]:
    known = {group.district for group in city.groups.values()} | {cell.district for cell in city.cells.values()}
    return lambda district: "" if district in known else "no such district"


def _why_no_polygon(corners: Ring) -> str:
    if not corners:
        return ""
    if len(set(corners)) < _LEAST_CORNERS:
        return "an area needs three corners or more that differ"
    try:
        sound_ring(_closed(corners), corners=CORNERS + 1)
    except ValueError as error:
        return str(error)
    return ""


def _faults(kind: str, names: Iterable[Id], why: Callable[[Id], str]) -> Iterator[Fault]:
    return (Fault(f"/targets/{kind}/{index}", reason) for index, name in enumerate(names) if (reason := why(name)))


def _why_none(name: DeviceId, kind: DeviceKind, city: City) -> str:
    device = city.devices.get(name)
    if device is None:
        return "no such device"
    return "" if device.kind is kind else f"a {device.kind}, not a {kind}"
