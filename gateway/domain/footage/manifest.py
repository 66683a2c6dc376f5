"""What is written about a package of footage: case, people, devices and their clocks, times, gaps and digests, as plain JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Person
from gateway.domain.footage.amending import Document
from gateway.domain.footage.asking import REGISTER_FIELDS
from gateway.domain.footage.custody import CustodyEntry, Dossier, Step
from gateway.domain.footage.exports import Export, FootageFile, Origin, doubled
from gateway.domain.footage.periods import Period

BEIJING: Final = timezone(timedelta(hours=8))
"""In which all times of a manifest and of its papers are written; it has had no summer time since 1991."""
CLOCK_COMPARED: Final = "onvif-system-date-and-time"
"""How a clock's offset is measured: GetSystemDateAndTime at the last health check, against our own at half the round trip."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the inventory knew, when the package was made, of a camera and the device that keeps its footage."""

    name: str = ""
    channel: int | None = None
    recorder_name: str = ""
    vendor: str = ""
    model: str = ""


def manifest(
    dossier: Dossier,
    *,
    described: Mapping[DeviceId, Described],
    wordings: Mapping[str, str],
    version: str,
    made_at: datetime,
    documents: Iterable[Document] = (),
) -> dict[str, Any]:
    """What goes with the files: case and people, devices and their clocks, requested and obtained times, gaps, digests; plain JSON.

    `described`: by camera; `wordings`: those of the codes that the filing names; `documents`: uploaded ones, which the package has not.
    """
    request, filing = dossier.request, dossier.request.filing
    got = {entry.detail["name"]: entry for entry in dossier.custody if entry.step == Step.EXPORTED and "name" in entry.detail}
    tool = f"city-gateway {version}"
    case = {name: getattr(filing, name) for name in (*REGISTER_FIELDS[4:8], "approval_letter", "purpose", "destination", "urgency")}
    case |= {"requester_kind": filing.kind, "emergency": filing.emergency or "", "tolerance_s": filing.tolerance.total_seconds()}
    case |= {"address": filing.address, "left_out": list(filing.left_out)}
    return {
        "request": request.id,
        "tool": tool,
        "made_at": _moment(made_at),
        "case": case | {f"{name}_wording": wordings.get(case[name], "") for name in ("case_kind", "legal_basis")},
        "people": {
            **{name: getattr(filing, name) for name in REGISTER_FIELDS[:4]},
            "submitted_by": _person(request.submitted_by, request.submitted_at),
            "approved_by": _person(request.decided_by, request.decided_at) if request.decided_by else None,
            "exported_by": _person(Person(SYSTEM, tool), max((_had_at(file, got) for file in dossier.files), default=None)),
        },
        "requested": _period(filing.window),
        "cameras": [
            _camera(export, described.get(export.camera, Described()), request.window_of(export.camera), dossier.files, got)
            for export in dossier.exports
        ],
        "documents": [_document(document) for document in documents],
        "custody": [_step(entry) for entry in dossier.custody],
    }


def _camera(
    export: Export, described: Described, window: Period, files: Sequence[FootageFile], got: Mapping[str, CustodyEntry]
) -> dict[str, Any]:
    """`got`: by name of the file, the line of custody that says that it is there."""
    return {
        "camera": export.camera,
        "name": described.name,
        "recorder": export.recorder,
        "recorder_name": described.recorder_name,
        "vendor": described.vendor,
        "model": described.model,
        "serial": export.serial,
        "channel": described.channel,
        "recording": export.recording,
        **_clock(export),
        "clock_offset_measured": "" if export.offset is None else CLOCK_COMPARED,
        "requested": _period(window),
        "requested_device_time": _period(export.clock.shown if export.clock else export.device_period(window)),
        "state": export.state,
        "reason": export.reason,
        "recorded": [_period(period) for period in export.coverage],
        "recorded_as_of": _moment(export.told_at) if export.told_at else "",
        "card": None if export.card is None else _card(export.card),
        "obtained": [_period(period) for period in export.obtained],
        "gaps": [_period(period) for period in export.gaps],
        "files": [_file(file, got, files) for file in files if file.camera == export.camera],
    }


def clocks_told(exports: Iterable[Export]) -> dict[str, dict[str, Any]]:
    """By camera: by which offset its footage is found, where that comes from, and how the clock is now."""
    return {export.camera: _clock(export) for export in exports if export.recorder}


def _clock(of: Export | Origin) -> dict[str, Any]:
    """`clock_basis`: "" where nobody wrote down where the offset comes from."""
    read = of.clock
    parts = read.parts if read else ()
    told = [_period(part.period) | {"clock_offset_s": _seconds(part.offset), "basis": part.basis} for part in parts]
    return {
        "clock_offset_s": _seconds(of.offset),
        "clock_offset_now_s": _seconds(read.now if read else None),
        "clock_basis": parts[0].basis if parts else "",
        "clock_parts": told if len(parts) > 1 else [],
    }


def _card(card: Origin) -> dict[str, Any]:
    told = {"serial": card.serial, "recording": card.recording, "recorded": [_period(period) for period in card.recorded]}
    return told | _clock(card)


def _had_at(file: FootageFile, got: Mapping[str, CustodyEntry]) -> datetime:
    """When it was fetched for the request; what had been fetched for another one: when it was taken over."""
    return _taken_over_at(file, got) or file.created_at


def _taken_over_at(file: FootageFile, got: Mapping[str, CustodyEntry]) -> datetime | None:
    return got[file.name].at if file.name in got and got[file.name].detail.get("taken_over") else None


def _file(file: FootageFile, got: Mapping[str, CustodyEntry], files: Iterable[FootageFile]) -> dict[str, Any]:
    same = ("name", "sha256", "size", "frames", "damaged", "source", "device", "serial", "recording")
    known = {name: getattr(file, name) for name in (*same, "sound_left_out", "sound_refused", "time_source", "set_backs")}
    known |= {"clock_offset_s": _seconds(file.offset)}
    known |= {"period": _period(file.period), "device_time": _period(file.device_period(file.period))}
    known |= {"device_time_doubled": [_period(part) for part in doubled(file, files)]}
    detail = got[file.name].detail if file.name in got else {}
    secured = datetime.fromisoformat(detail["secured_at"]) if "secured_at" in detail else None
    taken_over = _taken_over_at(file, got)
    known |= {"fetched_at": _moment(file.created_at), "taken_over_at": _moment(taken_over) if taken_over else ""}
    return known | {"hold": detail.get("hold", ""), "secured_at": _moment(secured) if secured else ""}


def _document(document: Document) -> dict[str, Any]:
    told = {name: getattr(document, name) for name in ("id", "kind", "name", "media", "size", "sha256")}
    return told | {"added_by": _person(document.by, document.at)}


def _step(entry: CustodyEntry) -> dict[str, Any]:
    return {"step": entry.step, "by": _person(entry.by, entry.at)}


def _person(person: Person, at: datetime | None) -> dict[str, str]:
    return {"name": person.name, "id": str(person.actor), "at": _moment(at) if at else ""}


def _period(period: Period) -> dict[str, str]:
    return {"start": _moment(period.start), "end": _moment(period.end)}


def _seconds(offset: timedelta | None) -> float | None:
    return None if offset is None else offset.total_seconds()


def _moment(at: datetime) -> str:
    return at.astimezone(BEIJING).isoformat()
