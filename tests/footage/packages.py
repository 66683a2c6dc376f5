"""Evidence packages made by hand: three films of random bytes, from two cameras of which one has a clock that is wrong and a gap."""

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, ActorKind, Person
from gateway.domain.footage import (
    CustodyEntry,
    Described,
    Dossier,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    RequestId,
    Step,
    TimeSource,
    manifest,
)
from gateway.evidence import archive
from gateway.footage.keys import P256Signer
from gateway.footage.sealing import Seal, seal

NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
FOOTAGE = ("01_CAM-0412-3_001.mp4", "01_CAM-0412-3_002.mp4", "02_CAM-0413-1_001.mp4")
REQUEST = RequestId("F-1")
WINDOW = Period(NOW - timedelta(hours=1), NOW - timedelta(minutes=50))
GAP = Period(WINDOW.start + timedelta(minutes=6), WINDOW.start + timedelta(minutes=7))
WORDINGS = {"public-order": "治安案件", "criminal-procedure-evidence": "《刑事诉讼法》证据收集、调取的规定"}
_OFFSET = timedelta(minutes=7, seconds=3.25)
_CAMERAS = (DeviceId("CAM-0412-3"), DeviceId("CAM-0413-1"))


def made(folder: Path, signer: P256Signer) -> Path:
    """A whole package in `folder`, which is made."""
    folder.mkdir(parents=True)
    dice = random.Random(7)
    for name in FOOTAGE:
        (folder / name).write_bytes(dice.randbytes(900))
    reseal(folder, signer)
    return folder


def reseal(folder: Path, signer: P256Signer, **changes: str) -> Seal:
    """Sign what lies in `folder` now; `changes` are to the fields of the filing."""
    files = tuple(_file(folder, number) for number in range(len(FOOTAGE)))
    content = manifest(dossier(files, **changes), described=described(), wordings=WORDINGS, version="0", made_at=NOW)
    return seal(folder, content, {file.name: file.sha256 for file in files}, signer)


IMPORTED: Final = "03_IMPORT_001.mp4"


def extended(folder: Path, signer: P256Signer) -> None:
    """The package of a later version: with a film that came by another way, one of a camera's own card, and a part without files."""
    (folder / IMPORTED).write_bytes(b"a film from a vendor's client")
    listed = {"name": IMPORTED, "size": (folder / IMPORTED).stat().st_size, "sha256": digest(folder / IMPORTED)}
    brought = {
        **{
            "origin": "not-fetched-by-the-gateway",
            "brought_by": "孙志强",
            "badge": "371502-0533",
            "device": "超市收银台 3 号",
            "camera": "",
        },
        **{"client": "iVMS-4200 3.11", "original_name": "ch03_20260921.mp4", "note": "", "claimed": None, "files": [listed]},
        "taken_in_by": {"name": "窗口", "id": "api-key:desk", "at": NOW.isoformat()},
    }
    *others, last = (_file(folder, number) for number in range(len(FOOTAGE)))
    carded = replace(last, device=last.camera, serial="IPC-9", recording="card-1", sound_left_out="G726-32")
    others[1] = replace(others[1], period=others[0].period, runs=others[0].runs, set_backs=1)
    files = (*others, replace(carded, time_source=TimeSource.RECKONED, sound_refused="PCMA"))
    content = manifest(dossier(files), described=described(), wordings=WORDINGS, version="9", made_at=NOW)
    footage = {file.name: file.sha256 for file in files} | {IMPORTED: str(listed["sha256"])}
    seal(folder, content | {"imported": [brought], "holds": [{"until": "2026-12-01T00:00:00+08:00"}]}, footage, signer)


def zipped(folder: Path) -> bytes:
    """The package as one archive."""
    return b"".join(archive.pieces(sorted(folder.iterdir())))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def described() -> dict[DeviceId, Described]:
    return {
        _CAMERAS[0]: Described("东昌路与柳园路口 3 号机", 7, "东昌路机房录像机 12", "Hikvision", "DS-7716N-K4"),
        _CAMERAS[1]: Described("光岳楼南门", None, "光岳楼录像机", "Dahua", "NVR4216"),
    }


def dossier(files: tuple[FootageFile, ...], **changes: str) -> Dossier:
    told = {
        "requester": "王建国",
        "unit": "东昌府分局治安大队",
        "badge": "371502-0417",
        "second_officer": "李敏",
        "case_number": "聊公（治）字〔2026〕0001号",
        "case_kind": "public-order",
        "legal_basis": "criminal-procedure-evidence",
        "authorising_document": "调取证据通知书〔2026〕0001号",
        "purpose": "查明经过",
        "destination": "入卷",
    }
    wang, zhao = (Person(Actor(ActorKind.API_KEY, key), name) for key, name in (("liaison", "王建国的窗口"), ("approver", "赵敏")))
    machine = Person(SYSTEM, "city-gateway")
    request = FootageRequest(
        REQUEST,
        Filing(**(told | changes), window=WINDOW),  # type: ignore[arg-type]  # words alone
        _CAMERAS,
        wang,
        NOW - timedelta(minutes=30),
        FootageState.EXPORTING,
        zhao,
        NOW - timedelta(minutes=20),
    )
    exports = (
        Export(
            REQUEST,
            _CAMERAS[0],
            DeviceId("NVR-0012"),
            "rec-7",
            "DS7716-20231105-0042",
            _OFFSET,
            ExportState.PARTIAL,
            "gaps in the recording",
            obtained=(Period(WINDOW.start, GAP.start), Period(GAP.end, WINDOW.end)),
            gaps=(GAP,),
        ),
        Export(REQUEST, _CAMERAS[1], DeviceId("NVR-0013"), "rec-1", "NVR4216-77", None, ExportState.DONE, obtained=(WINDOW,)),
    )
    steps = ((Step.SUBMITTED, wang, 30), (Step.APPROVED, zhao, 20), (Step.LOCATED, machine, 19), (Step.EXPORTED, machine, 2))
    custody = tuple(CustodyEntry(REQUEST, step, by, NOW - timedelta(minutes=ago)) for step, by, ago in steps)
    return Dossier(request, exports, files, custody)


def _file(folder: Path, number: int) -> FootageFile:
    name = FOOTAGE[number]
    start = WINDOW.start + number % 2 * timedelta(minutes=5)
    period = Period(start, start + timedelta(minutes=5))
    size = (folder / name).stat().st_size
    one, other = (_OFFSET, DeviceId("NVR-0012"), "DS7716-20231105-0042", "rec-7"), (None, DeviceId("NVR-0013"), "NVR4216-77", "rec-1")
    told = FootageFile(REQUEST, _CAMERAS[number // 2], number + 1, name, digest(folder / name), size, 7_500, number, period, (period,), NOW)
    offset, keeper, serial, recording = one if number < 2 else other
    return replace(told, offset=offset, device=keeper, serial=serial, recording=recording)
