"""Judging a request as it is handed in: everything that is wrong with it, at once, with what to do about it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.footage import REGISTER_FIELDS, Filing
from gateway.errors import Fault, InvalidInput
from gateway.footage.register import Register

MAX_CAMERAS: Final = 50
_LENGTHS: Final = {"purpose": 1_000, "destination": 1_000, "case_kind": 100, "legal_basis": 100}
_MAX_WORDS: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CLOCK_TOLERANCE: Final = timedelta(seconds=5)


def accepted(
    filing: Filing, *, city: City, register: Register, now: datetime, window_max: timedelta
) -> tuple[Filing, tuple[DeviceId, ...]]:
    """`filing` tidied, and the cameras that it means. InvalidInput with a fault for everything that is wrong; `where` is a JSON pointer."""
    tidy = replace(filing, **{name: getattr(filing, name).strip() for name in (*REGISTER_FIELDS, "approval_letter")})
    faults = [*_words(tidy), *_lists(tidy, register), *_window(tidy, now, window_max)]
    cameras, missing = _cameras(tidy, city)
    faults += missing
    if faults:
        raise InvalidInput(
            f"the footage request has {len(faults)} fault{'s' if len(faults) > 1 else ''}", faults=faults, code="bad-request"
        )
    return tidy, cameras


def _words(filing: Filing) -> Iterator[Fault]:
    for name in (*REGISTER_FIELDS, "approval_letter"):
        words, most = getattr(filing, name), _LENGTHS.get(name, _MAX_WORDS)
        if not words and name in REGISTER_FIELDS:
            yield Fault(f"/{name}", "is missing; the register needs it")
        if len(words) > most or _CONTROL.search(words):
            yield Fault(f"/{name}", f"is longer than {most} characters, or has control characters in it")
    if filing.requester and "".join(filing.requester.split()).casefold() == "".join(filing.second_officer.split()).casefold():
        yield Fault("/second_officer", "is the requester; two officers are needed")


def _lists(filing: Filing, register: Register) -> Iterator[Fault]:
    for name, known in (("case_kind", register.case_kinds), ("legal_basis", register.legal_bases)):
        code = getattr(filing, name)
        if code and code not in known:
            yield Fault(f"/{name}", f"{code[:60]!r} is not in the maintained list: {', '.join(known)}")


def _window(filing: Filing, now: datetime, longest: timedelta) -> Iterator[Fault]:
    window = filing.window
    naive = [name for name in ("start", "end") if getattr(window, name).utcoffset() is None]
    yield from (Fault(f"/{name}", "has no offset from UTC; write 2026-01-31T08:00:00+08:00") for name in naive)
    if naive:
        return
    if window.start >= window.end:
        yield Fault("/end", "is not after the start")
    elif window.length > longest:
        yield Fault("/end", f"is more than {longest} after the start; ask for it in parts")
    if window.end > now + _CLOCK_TOLERANCE:
        yield Fault("/end", "lies in the future; footage is asked for when it has been recorded")


def _cameras(filing: Filing, city: City) -> tuple[tuple[DeviceId, ...], list[Fault]]:
    """The cameras of the named place, in order, each once; and what is wrong with the place."""
    faults = [*_unknown(filing, city)]
    wanted = [
        *filing.cameras,
        *(device.id for group in filing.groups for device in city.in_group(group) if device.kind is DeviceKind.CAMERA),
        *(device.id for cell in filing.cells for device in city.in_cell(cell) if device.kind is DeviceKind.CAMERA),
    ]
    cameras = tuple(dict.fromkeys(camera for camera in wanted if camera in city.devices))
    if not cameras and not faults:
        faults.append(Fault("/cameras", "no camera is named, neither by itself nor by its group or cell"))
    if len(cameras) > MAX_CAMERAS:
        faults.append(Fault("/cameras", f"{len(cameras)} cameras, at most {MAX_CAMERAS} in one request"))
    unrecorded = [camera for camera in cameras if city.devices[camera].kind is DeviceKind.CAMERA and city.recorder_of(camera) is None]
    faults += [Fault("/cameras", f"no recorder keeps the footage of {camera}; see the inventory's channels") for camera in unrecorded]
    return cameras, faults


def _unknown(filing: Filing, city: City) -> Iterator[Fault]:
    for index, camera in enumerate(filing.cameras):
        device = city.devices.get(camera)
        if device is None:
            yield Fault(f"/cameras/{index}", f"no camera {camera[:64]!r}")
        elif device.kind is not DeviceKind.CAMERA:
            yield Fault(f"/cameras/{index}", f"{camera} is a {device.kind}, not a camera")
    for name, wanted, known in (("groups", filing.groups, city.groups), ("cells", filing.cells, city.cells)):
        for index, code in enumerate(wanted):
            if code not in known:
                yield Fault(f"/{name}/{index}", f"there is no {name.removesuffix('s')} {code[:64]!r}")
