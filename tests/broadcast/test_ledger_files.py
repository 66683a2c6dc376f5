"""The ledger's file: what was said where, how it came to each loudspeaker, and no cell that runs."""

import csv
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from python_calamine import CalamineWorkbook

from gateway.broadcast.ledger_files import FileKind, LedgerRows, Names, ledger_file
from gateway.broadcast.views import View
from gateway.domain.broadcast import (
    Broadcast,
    BroadcastId,
    Circle,
    ClipContent,
    ClipId,
    ClipTimes,
    Delivery,
    DeliveryState,
    Figures,
    Priority,
    Programme,
    Targets,
)
from gateway.domain.broadcast import View as Sight
from gateway.domain.devices import CellCode, DeviceId, Position, ZoneId
from gateway.domain.events import SYSTEM
from gateway.domain.remarks import Remark, RemarkKind
from gateway.errors import StorageFailed

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
CLIP, S1, S2, CAMERA = ClipId("c" * 64), DeviceId("s1"), DeviceId("s2"), DeviceId("cam-1")
CORNERS = (Position(36.66123, 117.02), Position(36.67, 117.0301234), Position(36.65, 117.04))
PLACES = {"zones": {"Z": "滨河公园"}, "cells": {"C-1": "古楼街道三", "C-2": "C-2"}}
NAMES = Names({CLIP: "=cmd|' /C calc'!A0"}, {S1: "+horn", CAMERA: "北门枪机"}, PLACES)
SENT = Figures("PCMU", 250, 2, NOW, NOW + timedelta(seconds=9), "sip", 3, paused_s=4.0)
BUSY = Remark(RemarkKind.END_REFUSED, reason="busy")
FAILED = Delivery(BroadcastId("b1"), S2, DeliveryState.FAILED, NOW, "sip-486", detail="@busy", remarks=(BUSY,))


def view() -> View:
    targets = Targets(polygon=CORNERS, circle=Circle(CORNERS[0], 250.0))
    programme = Programme(ClipContent(CLIP), chime=True, repeats=2)
    one = Broadcast(BroadcastId("b1"), programme, targets, Priority.NOTICE, NOW, NOW, SYSTEM)
    return View(one, (Delivery(one.id, S1, DeliveryState.DONE, NOW, figures=SENT), FAILED))


def table(path: Path, kind: FileKind, rows: LedgerRows, one: View | None = None) -> list[dict[str, object]]:
    """The rows of a file with `one`, or that broadcast, by the English half of their headings."""
    with ledger_file(path, kind, rows, ZoneInfo("Asia/Shanghai")) as file:
        file.add([one or view()], NAMES)
    if kind is FileKind.CSV:
        head, *lines = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    else:
        number = [*LedgerRows].index(rows)
        assert b"<f>" not in zipfile.ZipFile(path).read(f"xl/worksheets/sheet{number + 1}.xml")
        head, *lines = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(number).to_python()
    return [dict(zip((title.partition(" ")[2] for title in head), line, strict=True)) for line in lines]


@pytest.mark.parametrize("kind", FileKind)
def test_a_row_of_a_delivery_says_by_which_path_what_was_sent_and_what_was_lost(tmp_path: Path, kind: FileKind) -> None:
    done, failed = table(tmp_path / "ledger", kind, LedgerRows.DELIVERIES)
    assert (done["path"], done["encoding"]) == ("SIP 呼叫 SIP call", "PCMU")
    assert [float(str(done[name])) for name in ("packets sent", "packets dropped", "packets lost", "seconds")] == [250, 2, 3, 5]
    assert (done["first packet"], done["state"]) == ("2026-06-01 10:00:00.000", "已播出 done")
    assert (failed["path"], failed["packets lost"]) == ("", "")
    assert failed["why"] == "设备以 SIP 486 拒绝呼叫 answers a call with SIP status 486 (sip-486)"
    guard = "'" if kind is FileKind.CSV else ""
    assert (done["name"], failed["detail"]) == (f"{guard}+horn", f"{guard}@busy")
    assert (done["remarks"], failed["remarks"]) == ("", " ".join(BUSY.words))


def test_what_was_named_stands_with_its_code_and_its_name(tmp_path: Path) -> None:
    targets = Targets(
        speakers=(S1, S2),
        cells=(CellCode("C-1"), CellCode("C-2")),
        zones=(ZoneId("Z"),),
        views=(Sight(CAMERA, "gate"), Sight(DeviceId("cam-2"))),
    )
    (row,) = table(
        tmp_path / "ledger", FileKind.CSV, LedgerRows.BROADCASTS, replace(view(), broadcast=replace(view().broadcast, targets=targets))
    )
    assert row["targets"] == (
        "speakers s1 (+horn), s2; zones Z (滨河公园); cells C-1 (古楼街道三), C-2; views cam-1 (北门枪机) gate, cam-2"
    )


@pytest.mark.parametrize("kind", FileKind)
def test_a_row_of_a_broadcast_names_its_clip_and_where_it_was_to_be_heard(tmp_path: Path, kind: FileKind) -> None:
    (row,) = table(tmp_path / "ledger", kind, LedgerRows.BROADCASTS)
    assert row["targets"] == "polygon 36.66123,117.02 36.67,117.0301234 36.65,117.04; circle 36.66123,117.02,250"
    assert row["clip (SHA-256)"] == CLIP
    assert row["content"] == ("'" if kind is FileKind.CSV else "") + NAMES.clips[CLIP]
    assert (row["chime"], float(str(row["repeats"])), row["recording"]) == ("是 yes", 2, "未要求录音 not asked for")


@pytest.mark.parametrize("rows", LedgerRows)
def test_what_loudspeakers_played_by_themselves_has_times_of_its_own_and_none_of_packets(tmp_path: Path, rows: LedgerRows) -> None:
    at = [NOW + timedelta(seconds=number) for number in range(4)]
    two = [Delivery(BroadcastId("b1"), S1, DeliveryState.DONE, NOW, figures=Figures(path="audio-clip"), clip=ClipTimes(*at))]
    two.append(replace(two[0], speaker=S2, clip=ClipTimes(at[1])))
    lines = table(tmp_path / "ledger", FileKind.CSV, rows, replace(view(), deliveries=tuple(two)))
    told, *silent = ("told to play by itself", "said to play", "told to be silent", "said to be silent")
    if rows is LedgerRows.DELIVERIES:
        assert [lines[0][name] for name in (told, *silent)] == [f"2026-06-01 10:00:0{number}.000" for number in range(4)]
        assert [lines[1][name] for name in (told, *silent)] == ["2026-06-01 10:00:01.000", "", "", ""]
    else:
        assert (lines[0][f"first {told}"], lines[0][f"last {silent[-1]}"]) == ("2026-06-01 10:00:00.000", "2026-06-01 10:00:03.000")
    assert [line[name] for line in lines for name in ("first packet", "last packet")] == ["", ""] * len(lines)


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed), ledger_file(tmp_path / "none" / "ledger", FileKind.CSV, LedgerRows.BROADCASTS, UTC):
        pass


def test_a_delivery_in_a_state_without_figures_has_its_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with ledger_file(path, FileKind.CSV, LedgerRows.DELIVERIES, UTC) as file:
        file.add([replace(view(), deliveries=(replace(FAILED, state=DeliveryState.UNKNOWN, reason=""),))], NAMES)
    assert "结果未知 not known" in path.read_text(encoding="utf-8-sig")
