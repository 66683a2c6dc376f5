"""The ledger and its statistics as files: CSV and XLSX, with headings in Chinese and English, and no cell that a spreadsheet would run."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Final

import xlsxwriter

from gateway.broadcast.views import View
from gateway.domain.broadcast import ClipContent, DeliveryState, Speech
from gateway.domain.broadcast_ledger import RECORDING_STATES, STREET_OUTCOMES, Recording, RecordingState, StreetOutcome
from gateway.domain.broadcast_statistics import Tally
from gateway.domain.events import Actor
from gateway.domain.reasons import phrase
from gateway.domain.spreadsheets import guarded

Cell = str | int | float
_LONGEST: Final = 32_000  # characters that a spreadsheet's cell takes
_LEDGER: Final[Mapping[str, str]] = {
    "id": "编号 id",
    "created_at": "时间 time",
    "priority": "级别 priority",
    "content": "内容 content",
    "targets": "目标 targets",
    "actor": "操作人 ordered by",
    "approved_by": "批准人 approved by",
    "case": "案件 case",
    "reason": "事由 reason",
    "override": "静音时段理由 override",
    "speakers": "喇叭 loudspeakers",
    "heard": "已播 heard",
    "failed": "未播 not heard",
    "why": "原因 why",
    "first_packet": "开始 first packet",
    "last_packet": "结束 last packet",
    "outcome": "结果 outcome",
    "note": "备注 note",
    "outcome_by": "记录人 noted by",
    "pictures": "照片 pictures (SHA-256)",
    "recording": "录音 recording",
    "recording_sha256": "录音 recording (SHA-256)",
    "recording_size": "录音字节 recording (bytes)",
    "recording_s": "录音秒数 recording (s)",
}
_FIGURES: Final = ("项目 row", "名称 name", "播报 broadcasts", "播放次数 deliveries", "已播 heard", "秒 seconds")


class FileKind(StrEnum):
    """As what."""

    CSV = "csv"
    XLSX = "xlsx"


def ledger_file(views: Sequence[View], kind: FileKind, zone: tzinfo) -> bytes:
    """One row a broadcast; times of the wall clock in `zone`."""
    rows = [[_told(view, zone)[name] for name in _LEDGER] for view in views]
    return _file(kind, "播报台账 broadcasts", list(_LEDGER.values()), rows)


def statistics_file(rows: Sequence[Tally], kind: FileKind) -> bytes:
    """One row a tally, with a column for each outcome and each reason that occurs."""
    reasons = sorted({reason for row in rows for reason in row.reasons})
    said = [*STREET_OUTCOMES.items()]
    heads = [*_FIGURES, *(f"{word.zh} {word.en}" for _, word in said), "未记录 not noted", *(_reason(reason) for reason in reasons)]

    def cells(row: Tally) -> list[Cell]:
        outcomes = [row.outcomes.get(outcome, 0) for outcome, _ in said]
        figures: list[Cell] = [row.key or "-", row.name, row.broadcasts, row.deliveries, row.heard, round(row.seconds, 1)]
        return [*figures, *outcomes, row.outcomes.get("", 0), *(row.reasons.get(reason, 0) for reason in reasons)]

    return _file(kind, "播报统计 statistics", heads, [cells(row) for row in rows])


def _told(view: View, zone: tzinfo) -> Mapping[str, Cell]:
    one, deliveries = view.broadcast, view.deliveries
    said = view.outcomes[-1] if view.outcomes else None
    first = [delivery.figures.first_packet_at for delivery in deliveries if delivery.figures.first_packet_at]
    last = [delivery.figures.last_packet_at for delivery in deliveries if delivery.figures.last_packet_at]
    heard = sum(delivery.state is DeliveryState.DONE for delivery in deliveries)
    return {
        "id": one.id,
        "created_at": _wall(one.created_at, zone),
        "priority": one.priority.name.lower(),
        "content": _content(view),
        "targets": _targets(view),
        "actor": _person(one.sender, one.actor),
        "approved_by": _person(one.approver, one.approved_by) if one.approved_by else "",
        "case": one.case,
        "reason": one.reason,
        "override": one.override,
        "speakers": " ".join(delivery.speaker for delivery in deliveries),
        "heard": heard,
        "failed": len(deliveries) - heard,
        "why": "; ".join(f"{delivery.speaker}: {_reason(delivery.reason)}" for delivery in deliveries if delivery.reason),
        "first_packet": _wall(min(first), zone) if first else "",
        "last_packet": _wall(max(last), zone) if last else "",
        "outcome": _outcome(said.outcome) if said else "",
        "note": said.note if said else "",
        "outcome_by": said.name or str(said.actor) if said else "",
        "pictures": " ".join(f"{picture.moment}:{picture.sha256}" for picture in view.pictures),
        **_recording(view.recording),
    }


def _recording(recording: Recording | None) -> Mapping[str, Cell]:
    state = RECORDING_STATES[recording.state if recording else RecordingState.NOT_ASKED]
    said = f"{state.zh} {state.en}"
    if recording is None:
        return {"recording": said, "recording_sha256": "", "recording_size": "", "recording_s": ""}
    return {
        "recording": "; ".join([said, *([_reason(recording.reason)] if recording.reason else [])]),
        "recording_sha256": recording.sha256,
        "recording_size": recording.size,
        "recording_s": recording.duration_ms / 1_000,
    }


def _person(name: str, actor: Actor) -> str:
    return f"{name} ({actor})" if name else str(actor)


def _content(view: View) -> str:
    match view.broadcast.programme.content:
        case Speech(text, _):
            return text
        case ClipContent(clip):
            return f"clip {clip}"
        case _:
            return "喊话 live talk"


def _targets(view: View) -> str:
    targets = view.broadcast.targets
    named: Mapping[str, Sequence[str]] = {
        "speakers": targets.speakers,
        "zones": targets.zones,
        "cells": targets.cells,
        "groups": targets.groups,
        "districts": targets.districts,
        "views": [f"{one.camera} {one.preset}".rstrip() for one in targets.views],
        "area": [name for name, given in (("polygon", targets.polygon), ("circle", targets.circle)) if given],
    }
    return "; ".join(f"{name} {', '.join(ids)}" for name, ids in named.items() if ids)


def _outcome(outcome: StreetOutcome) -> str:
    word = STREET_OUTCOMES[outcome]
    return f"{word.zh} {word.en}"


def _reason(reason: str) -> str:
    word = phrase(reason)
    return f"{word.zh} {word.en} ({reason})" if word is not None else reason


def _wall(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _file(kind: FileKind, title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    short = [[cell[:_LONGEST] if isinstance(cell, str) else cell for cell in row] for row in rows]
    return _csv(heads, short) if kind is FileKind.CSV else _xlsx(title, heads, short)


def _csv(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(heads)
    writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()  # spreadsheets take it for UTF-8 by this mark alone


def _xlsx(title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet, bold = book.add_worksheet(title), book.add_format({"bold": True, "text_wrap": True})
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, len(heads) - 1, 18)
        sheet.write_row(0, 0, heads, bold)
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                else:
                    sheet.write_number(number, column, cell)
        sheet.autofilter(0, 0, max(1, len(rows)), len(heads) - 1)
    return out.getvalue()
