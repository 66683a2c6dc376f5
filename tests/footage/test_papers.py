"""The custody sheet and the evidence list say what the manifest says, whatever people are called."""

import html
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.footage import GAPS, SOUND_LEFT_OUT, FootageFile, Period, Step, manifest
from gateway.evidence.contents import LIST, MANIFEST, PAPERS, SHEET
from gateway.footage.instructions import spaced
from gateway.footage.keys import open_signer
from gateway.footage.papers import clock_error, custody_sheet, evidence_list
from tests.footage.packages import FOOTAGE, IMPORTED, NOW, REQUEST, WINDOW, described, digest, dossier, extended, made, reseal


def words(path: Path) -> str:
    return said(path.read_text())


def said(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return made(tmp_path / "package", open_signer(tmp_path / "keys", now=NOW))


def test_the_sheet_has_what_a_register_needs(package: Path) -> None:
    told, manifest = words(package / SHEET), json.loads((package / MANIFEST).read_text())
    for value in (*manifest["case"].values(), *(manifest["people"][name] for name in ("requester", "unit", "badge", "second_officer"))):
        assert str(value) in told or value in ("public-order", "criminal-procedure-evidence", "normal", "police", 0.0, [])
    assert "2026-09-21 21:00:00 – 2026-09-21 21:10:00" in told  # 13:00 UTC
    assert "快 7 分 3.25 秒 · 7 min 3.25 s fast" in told
    assert "2026-09-21 21:07:03 – 2026-09-21 21:17:03" in told  # as the device's own picture shows it
    assert "未测量 not measured" in told
    assert "2026-09-21 21:06:00 – 2026-09-21 21:07:00" in told  # the gap
    assert digest(package / MANIFEST) in told
    assert spaced(manifest["certificate_sha256"]) in told
    assert all(label in told for label in ("视频资料调取登记表", "介质编号", "接收人", "提供单位经办人", "审批人 Approved by 赵敏"))


def test_the_sheet_tells_through_whose_hands_it_went_and_has_room_for_the_next(package: Path) -> None:
    told = words(package / SHEET)
    steps = re.findall(r"(2026-09-21 21:\d\d:00)\s+(\S+ \w+)[^(]*?([^\s(]+) \((\S+)\)", told.split("Chain of custody")[1])
    assert steps == [
        ("2026-09-21 21:30:00", "提出申请 filed", "王建国的窗口", "api-key:liaison"),
        ("2026-09-21 21:40:00", "审批同意 approved", "赵敏", "api-key:approver"),
        ("2026-09-21 21:41:00", "查找录像 recordings", "city-gateway", "system:gateway"),
        ("2026-09-21 21:58:00", "提取完成 footage", "city-gateway", "system:gateway"),
    ]
    assert all(label in told for label in ("交付后的保管", "移交人签字", "封条是否完好"))


def test_a_film_that_somebody_brought_and_one_without_told_times_are_marked_on_both_papers(tmp_path: Path, package: Path) -> None:
    extended(package, open_signer(tmp_path / "keys", now=NOW))
    sheet, listed = words(package / SHEET), words(package / LIST)
    assert all(
        said in sheet for said in ("File 1 not fetched by the gateway", "孙志强", "超市收银台 3 号", "iVMS-4200 3.11", "ch03_20260921.mp4")
    )
    reckoned = "时间由网关推算，设备未给出 reckoned by the gateway, not told by the device"
    assert f"{FOOTAGE[-1]}: {reckoned}" in sheet
    assert f"{FOOTAGE[-1]}: 缺少声音（PCMA 编码，设备列有但拒绝提供） sound in PCMA missing: the device lists it" in sheet
    assert "缺少声音（PCMA" in listed
    assert (sheet.count(reckoned), listed.count(reckoned)) == (1, 1)
    assert all(one in listed for one in (IMPORTED, "非网关提取 not fetched by the gateway", digest(package / IMPORTED), "4 / 2,729 B"))


def test_an_emergency_that_nobody_has_approved_yet_is_told(package: Path) -> None:
    content = json.loads((package / MANIFEST).read_text())
    content["case"] |= {
        "emergency": "missing-person",
        "requester_kind": "citizen",
        "tolerance_s": 90.0,
        "address": "柳园路小学",
        "left_out": ["CAM-9"],
    }
    content["people"]["approved_by"] = None
    told = said(custody_sheet(content, "00" * 32).decode())
    assert all(one in told for one in ("人员走失 missing person", "个人（仅查看）", "(± 90 s)", "柳园路小学", "CAM-9"))


def test_the_list_has_every_file_with_its_integrity_value(package: Path) -> None:
    told = words(package / LIST)
    for name in FOOTAGE:
        assert name in told
        assert digest(package / name) in told
    assert all(label in told for label in ("电子数据证据清单", "完整性校验值", "3 / 2,700 B", digest(package / MANIFEST)))


def test_when_a_file_was_fetched_does_not_move_with_the_seal() -> None:
    film = FootageFile(REQUEST, DeviceId("CAM-0412-3"), 1, FOOTAGE[0], "00", 900, 1, 0, WINDOW, (WINDOW,), NOW - timedelta(minutes=5))
    secured = film.created_at - timedelta(hours=1)
    other = replace(film, name=FOOTAGE[1], number=2, created_at=secured)
    known = dossier((film, other))
    detail = {"name": other.name, "hold": "H-7", "secured_at": secured.isoformat()}
    adopted = replace(known.custody[-1], detail=detail)
    content = manifest(
        replace(known, custody=(*known.custody, adopted)), described=described(), wordings={}, version="0", made_at=NOW + timedelta(days=2)
    )
    told = content["cameras"][0]["files"]
    assert [(file["fetched_at"], file["hold"], file["secured_at"]) for file in told] == [
        ("2026-09-21T21:55:00+08:00", "", ""),
        ("2026-09-21T20:55:00+08:00", "H-7", "2026-09-21T20:55:00+08:00"),
    ]
    assert content["people"]["exported_by"]["at"] == "2026-09-21T21:55:00+08:00"
    empty = manifest(dossier(()), described=described(), wordings={}, version="0", made_at=NOW)
    assert empty["people"]["exported_by"]["at"] == ""


def test_a_file_that_another_request_had_says_when_it_was_taken_over(package: Path) -> None:
    film = FootageFile(REQUEST, DeviceId("CAM-0412-3"), 1, FOOTAGE[0], "00", 900, 1, 0, WINDOW, (WINDOW,), NOW - timedelta(days=1))
    known = dossier((film,))
    detail = {"name": film.name, "taken_over": True, "fetched_at": film.created_at.isoformat()}
    taken = replace(known.custody[-1], step=Step.EXPORTED, detail=detail, at=NOW - timedelta(minutes=5))
    content = manifest(replace(known, custody=(*known.custody, taken)), described=described(), wordings={}, version="0", made_at=NOW)
    (file,) = content["cameras"][0]["files"]
    assert (file["fetched_at"], file["taken_over_at"]) == ("2026-09-20T22:00:00+08:00", "2026-09-21T21:55:00+08:00")
    assert content["people"]["exported_by"]["at"] == file["taken_over_at"]
    whole = {**json.loads((package / MANIFEST).read_text()), "cameras": content["cameras"]}
    listed = said(evidence_list(whole, "00" * 32).decode())
    assert "2026-09-20 22:00:00 取自另一申请 from another request 2026-09-21 21:55:00" in listed
    assert "another request" not in words(package / LIST)


def test_a_file_shows_the_devices_clock_as_it_was_when_the_file_was_fetched(package: Path) -> None:
    known = json.loads((package / MANIFEST).read_text())["cameras"][0]
    assert known["files"][0]["device_time"]["start"] == known["requested_device_time"]["start"]
    nvr, shown = DeviceId("NVR-0012"), NOW - timedelta(minutes=5)
    film = FootageFile(REQUEST, DeviceId("CAM-0412-3"), 1, FOOTAGE[0], "00", 900, 1, 0, WINDOW, (WINDOW,), shown, device=nvr, serial="A-1")
    earlier = replace(film, name=FOOTAGE[1], number=2, offset=timedelta(seconds=-90))
    content = manifest(dossier((film, earlier)), described=described(), wordings={}, version="0", made_at=NOW)
    camera = content["cameras"][0]
    assert [file["clock_offset_s"] for file in camera["files"]] == [None, -90.0]
    assert camera["files"][1]["device_time"] == {"start": "2026-09-21T20:58:30+08:00", "end": "2026-09-21T21:08:30+08:00"}
    whole = {**json.loads((package / MANIFEST).read_text()), "cameras": content["cameras"]}
    sheet = said(custody_sheet(whole, "00" * 32).decode())
    assert f"{FOOTAGE[1]}: NVR-0012 · A-1 · 慢 1 分 30 秒 · 1 min 30 s slow" in sheet
    assert f"{FOOTAGE[0]}: NVR-0012 · A-1 · 未测量 not measured" in sheet
    assert "2026-09-21 20:58:30" in said(evidence_list(whole, "00" * 32).decode())
    assert "Otherwise when fetched" not in words(package / SHEET)


def test_what_a_device_showed_twice_is_marked_by_its_own_time(package: Path) -> None:
    nvr, minute = DeviceId("NVR-0012"), timedelta(minutes=1)
    film = FootageFile(REQUEST, DeviceId("CAM-0412-3"), 1, FOOTAGE[0], "00", 900, 1, 0, WINDOW, (WINDOW,), NOW, device=nvr, offset=minute)
    later = Period(WINDOW.end - 3 * minute, WINDOW.end + minute)
    runs = (Period(later.start, later.start + minute / 2), Period(WINDOW.end - 2 * minute, later.end))
    film = replace(film, runs=(Period(WINDOW.start, later.start), Period(later.start + minute / 2, WINDOW.end)))
    content = manifest(
        dossier((film, replace(film, name=FOOTAGE[1], number=2, period=later, runs=runs, set_backs=1))),
        described=described(),
        wordings={},
        version="0",
        made_at=NOW,
    )
    twice = {"start": "2026-09-21T21:09:00+08:00", "end": "2026-09-21T21:11:00+08:00"}
    assert [(file["set_backs"], file["device_time_doubled"]) for file in content["cameras"][0]["files"]] == [(0, [twice]), (1, [twice])]
    whole = {**json.loads((package / MANIFEST).read_text()), "cameras": content["cameras"]}
    sheet, listed = (said(paper(whole, "00" * 32).decode()) for paper in (custody_sheet, evidence_list))
    assert f"{FOOTAGE[1]}: 2026-09-21 21:09:00 – 2026-09-21 21:11:00 · 回放中设备时间倒退" in sheet
    assert listed.count("重复 shown twice: 2026-09-21 21:09:00 – 2026-09-21 21:11:00") == 2
    assert "shown twice" not in words(package / SHEET) + words(package / LIST)


def test_replay_is_the_way_of_fetched_files_alone(tmp_path: Path, package: Path) -> None:
    assert "replay by city-gateway" in words(package / LIST)
    assert "were brought" not in words(package / LIST)
    extended(package, open_signer(tmp_path / "keys", now=NOW))
    assert "those marked so were brought" in words(package / LIST)
    assert "Fetched at" in words(package / LIST)
    content = json.loads((package / MANIFEST).read_text())
    for camera in content["cameras"]:
        camera["files"] = []
    told = said(evidence_list(content, "00" * 32).decode())
    assert "replay by" not in told
    assert "(system:gateway)" not in told


@pytest.mark.parametrize("paper", PAPERS)
def test_what_people_are_called_is_only_ever_text(tmp_path: Path, package: Path, paper: str) -> None:
    hostile = "<script>alert(1)</script>\u202e</td><img src=x onerror=y>"
    reseal(package, open_signer(tmp_path / "keys", now=NOW), requester=hostile, unit=hostile, case_number=hostile, purpose=hostile)
    page = (package / paper).read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("offset_s", "said"),
    [
        (None, "未测量 not measured"),
        (0.0, "0 秒 s"),
        (0.0004, "0 秒 s"),
        (0.25, "快 0.25 秒 · 0.25 s fast"),
        (-420.0, "慢 7 分 · 7 min slow"),
        (28_800.5, "快 8 小时 0.5 秒 · 8 h 0.5 s fast"),
        (59.9999, "快 1 分 · 1 min fast"),
    ],
)
def test_a_clock_error_is_said_in_words(offset_s: float | None, said: str) -> None:
    assert clock_error(offset_s) == said


def test_why_something_is_missing_is_said_in_both_languages_and_a_devices_own_words_stay_whole(package: Path) -> None:
    content = json.loads((package / MANIFEST).read_text())
    content["cameras"][0]["reason"] = f"{GAPS}; Session lost; try again: 设备忙; {SOUND_LEFT_OUT.format('G726')}"
    sheet = said(custody_sheet(content, "0" * 64).decode())
    known = (
        "录像有间断 gaps in the recording",
        "原文 as told: Session lost; try again: 设备忙",
        "未含声音（G726 编码，文件无法存入） sound in G726",
    )
    assert " · ".join(known) in sheet
