"""Judging a request as it is handed in: everything that is wrong with it, at once, with what to do about it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.footage import (
    OPTIONAL_FIELDS,
    REGISTER_FIELDS,
    Filing,
    Period,
    RequesterKind,
    Urgency,
    needed_to_file,
    same_person,
    sighted,
)
from gateway.errors import Fault, InvalidInput
from gateway.footage.register import Register

MAX_CAMERAS: Final = 50
ROUTE_MAX_M: Final = 50_000.0
WORDS: Final = (*REGISTER_FIELDS, *OPTIONAL_FIELDS)
"""The fields that are written in words."""
_HINTS: Final = {
    "requester": "the name of the person who asks",
    "unit": "the unit or office of the requester",
    "badge": "the number of the police or work id; a citizen's identity card",
    "case_number": "the number of the case, or in an emergency of the call (接警编号)",
    "authorising_document": "the number of the 调取证据通知书 or of the unit's letter",
    "purpose": "what the footage is to show",
}
_LENGTHS: Final = {"purpose": 1_000, "destination": 1_000, "case_kind": 100, "legal_basis": 100}
_MAX_WORDS: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)


def accepted(
    filing: Filing,
    *,
    city: City,
    register: Register,
    now: datetime,
    window_max: timedelta,
    has_card: Callable[[DeviceId], bool] = lambda _: False,
) -> tuple[Filing, dict[DeviceId, Period]]:
    """`filing` tidied, and the cameras that it means with what is wanted of each. `has_card`: whether a camera keeps footage itself.

    InvalidInput with a fault for everything that is wrong; `where` is a JSON pointer.
    """
    tidy = tidied(filing)
    sought = looked_for(tidy, city=city, now=now, window_max=window_max, has_card=has_card)
    refuse([*_given(tidy), *words_wrong(tidy, register), *sought.faults])
    return tidy, sought.windows


@dataclass(frozen=True, slots=True)
class Sought:
    """What a place and a time mean: cameras, what is wanted of each, and everything that is wrong."""

    windows: dict[DeviceId, Period]
    faults: tuple[Fault, ...]


def looked_for(
    filing: Filing, *, city: City, now: datetime, window_max: timedelta, has_card: Callable[[DeviceId], bool] = lambda _: False
) -> Sought:
    """What the place and time of `filing` mean, whatever else it lacks."""
    faults = [*_window(filing, now, window_max), *_unknown(filing, city), *_way(filing)]
    if faults:
        return Sought({}, tuple(faults))
    windows = sighted(filing, city, now=now)
    unkept = [camera for camera in windows if city.recorder_of(camera) is None and not has_card(camera)]
    return Sought(windows, (*_cameras(filing, windows, unkept), *_moving(windows, window_max)))


def tidied(filing: Filing) -> Filing:
    """`filing` without blanks around its words; an emergency is urgent."""
    tidy = replace(filing, **{name: getattr(filing, name).strip() for name in WORDS})
    return replace(tidy, urgency=Urgency.URGENT) if tidy.emergency else tidy


def refuse(faults: Sequence[Fault]) -> None:
    """InvalidInput that names all `faults`; nothing when there are none."""
    if faults:
        raise InvalidInput(
            f"the footage request has {len(faults)} fault{'s' if len(faults) > 1 else ''}", faults=faults, code="bad-request"
        )


def _given(filing: Filing) -> Iterator[Fault]:
    for name in needed_to_file(filing.kind, filing.emergency):
        if not getattr(filing, name):
            yield Fault(f"/{name}", f"is missing: {_HINTS[name]}", "missing")
    if filing.emergency and filing.kind is RequesterKind.CITIZEN:
        yield Fault("/emergency", "is for the police and other authorities; a citizen's emergency is reported to them", "for-authorities")
    if filing.tolerance < timedelta(0):
        yield Fault("/tolerance_s", "is less than nothing", "negative")


def words_wrong(filing: Filing, register: Register) -> Iterator[Fault]:
    """What is wrong with the words of a tidy `filing`, whether they are there or not."""
    for name in WORDS:
        words, most = getattr(filing, name), _LENGTHS.get(name, _MAX_WORDS)
        if len(words) > most or _CONTROL.search(words):
            yield Fault(f"/{name}", f"is longer than {most} characters, or has control characters in it", "words", {"most": most})
    if len(filing.address) > _MAX_WORDS or _CONTROL.search(filing.address):
        yield Fault("/address", f"is longer than {_MAX_WORDS} characters, or has control characters in it", "words", {"most": _MAX_WORDS})
    if same_person(filing.requester, filing.second_officer):
        yield Fault("/second_officer", "is the requester; two officers are needed", "same-person")
    yield from _lists(filing, register)


def _lists(filing: Filing, register: Register) -> Iterator[Fault]:
    for name, known in (("case_kind", register.case_kinds), ("legal_basis", register.legal_bases)):
        code = getattr(filing, name)
        if code and code not in known:
            yield Fault(f"/{name}", f"{code[:60]!r} is not in the maintained list: {', '.join(known)}", "not-listed")


def _window(filing: Filing, now: datetime, longest: timedelta) -> Iterator[Fault]:
    window = filing.window
    naive = [name for name in ("start", "end") if getattr(window, name).utcoffset() is None]
    yield from (Fault(f"/{name}", "has no offset from UTC; write 2026-01-31T08:00:00+08:00", "no-offset") for name in naive)
    if naive:
        return
    if window.start >= window.end:
        yield Fault("/end", "is not after the start", "not-after-start")
    elif filing.widened.length > longest:
        wide = f" with the tolerance of {filing.tolerance} at both ends" if filing.tolerance else ""
        yield Fault("/end", f"is more than {longest} after the start{wide}; ask for it in parts", "window-too-long", {"most": str(longest)})
    if window.end > now + _CLOCK_TOLERANCE:
        yield Fault("/end", "lies in the future; footage is asked for when it has been recorded", "in-the-future")


def _cameras(filing: Filing, windows: Mapping[DeviceId, Period], unkept: Sequence[DeviceId]) -> Iterator[Fault]:
    """What is wrong with the cameras of the place. `unkept`: those that neither a recorder nor a card is known of."""
    if not windows:
        yield Fault("/cameras", _nobody(filing), "no-camera-there" if filing.circle or filing.route else "no-camera-named")
    if len(windows) > MAX_CAMERAS:
        hint = "make the radius or the corridor smaller, or leave some out" if filing.circle or filing.route else "ask for it in parts"
        values = {"n": len(windows), "most": MAX_CAMERAS}
        yield Fault("/cameras", f"{len(windows)} cameras, at most {MAX_CAMERAS} in one request; {hint}", "too-many-cameras", values)
    area = (filing.circle or filing.route) and len(unkept) < len(windows)  # what lies there by chance is told in the outcome
    hint = "see the inventory's channels, or ask for its coverage, which finds a card"
    yield from (
        Fault(
            "/cameras",
            f"no recorder keeps the footage of {camera}, nor is a card of its own known; {hint}",
            "not-recorded",
            {"name": camera},
        )
        for camera in unkept
        if not area
    )


def _nobody(filing: Filing) -> str:
    if filing.circle or filing.route:
        return "no camera is there; make the radius or the corridor wider, or name one"
    return "no camera is named, neither by itself nor by its group or cell"


def _way(filing: Filing) -> Iterator[Fault]:
    route = filing.route
    if route is None:
        return
    if not 0 < route.length_m <= ROUTE_MAX_M:
        why = f"the way is {route.length_m / 1000:.1f} km long, it may be up to {ROUTE_MAX_M / 1000:.0f} km"
        yield Fault("/route/points", why, "way-too-long", {"km": round(route.length_m / 1000, 1), "most": round(ROUTE_MAX_M / 1000)})
    if not 0 < route.slowest_kmh <= route.fastest_kmh:
        yield Fault("/route/fastest_kmh", "is less than the slowest", "less-than-slowest")


def _moving(windows: Mapping[DeviceId, Period], longest: timedelta) -> Iterator[Fault]:
    widest = max(windows, key=lambda camera: windows[camera].length, default=None)
    if widest is not None and windows[widest].length > longest:
        hint = "narrow the speeds, tell the direction or shorten the way"
        why = f"at {widest} the window grows to {windows[widest].length}, more than {longest}; {hint}"
        yield Fault("/route", why, "window-grows", {"name": widest, "most": str(longest)})


def _unknown(filing: Filing, city: City) -> Iterator[Fault]:
    for index, camera in enumerate(filing.cameras):
        device = city.devices.get(camera)
        if device is None:
            yield Fault(f"/cameras/{index}", f"no camera {camera[:64]!r}", "unknown", {"name": camera[:64]})
        elif device.kind is not DeviceKind.CAMERA:
            yield Fault(f"/cameras/{index}", f"{camera} is a {device.kind}, not a camera", "no-camera", {"name": camera})
    for index, camera in enumerate(filing.left_out):
        if camera not in city.devices:
            yield Fault(f"/left_out/{index}", f"no camera {camera[:64]!r}", "unknown", {"name": camera[:64]})
    for name, wanted, known in (("groups", filing.groups, city.groups), ("cells", filing.cells, city.cells)):
        for index, code in enumerate(wanted):
            if code not in known:
                yield Fault(f"/{name}/{index}", f"there is no {name.removesuffix('s')} {code[:64]!r}", "unknown", {"name": code[:64]})
