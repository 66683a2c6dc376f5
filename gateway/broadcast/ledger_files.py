"""The ledger and its statistics as files: CSV and XLSX, with headings in Chinese and English, and no cell that a spreadsheet would run."""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

import xlsxwriter
from xlsxwriter.exceptions import XlsxWriterException

from gateway.broadcast.views import View
from gateway.domain.broadcast import ClipContent, ClipId, Delivery, DeliveryState, Speech, Targets
from gateway.domain.broadcast_ledger import (
    DELIVERY_STATES,
    PATHS,
    PRIORITIES,
    RECORDING_STATES,
    STREET_OUTCOMES,
    Recording,
    RecordingState,
    StreetOutcome,
    StreetPicture,
    first_packet,
)
from gateway.domain.broadcast_statistics import Tally
from gateway.domain.devices import DeviceId, Position
from gateway.domain.events import Actor
from gateway.domain.reasons import phrase
from gateway.domain.spreadsheets import guarded
from gateway.errors import StorageFailed

Cell = str | int | float
ROWS_MOST: Final = 1_000_000
"""Of one sheet: a spreadsheet takes 1,048,576."""
_LONGEST: Final = 32_000  # characters that a spreadsheet's cell takes
_LEDGER: Final[Mapping[str, str]] = {
    "id": "编号 id",
    "created_at": "时间 time",
    "priority": "级别 priority",
    "content": "内容 content",
    "clip_sha256": "音频 clip (SHA-256)",
    "voice": "嗓音 voice",
    "chime": "提示音 chime",
    "repeats": "遍数 repeats",
    "targets": "目标 targets",
    "actor": "操作人 ordered by",
    "approved_by": "批准人 approved by",
    "case": "案件 case",
    "reason": "事由 reason",
    "override": "安静时段理由 override",
    "speakers": "音柱 loudspeakers",
    "heard": "已播完 played to the end",
    "failed": "未播完 not played to the end",
    "why": "原因 why",
    "first_packet": "开始 first packet",
    "last_packet": "结束 last packet",
    "clip_asked": "令设备自行播放 first told to play by itself",
    "clip_silent": "设备最后确认静音 last said to be silent",
    "outcome": "结果 outcome",
    "note": "备注 note",
    "outcome_by": "记录人 noted by",
    "pictures": "照片 pictures (camera, moment, time, SHA-256)",
    "no_pictures": "缺照片原因 why pictures are missing",
    "recording": "录音 recording",
    "recording_sha256": "录音 recording (SHA-256)",
    "recording_size": "录音字节 recording (bytes)",
    "recording_s": "录音秒数 recording (s)",
}
_DELIVERIES: Final[Mapping[str, str]] = {
    "id": "播报编号 broadcast",
    "created_at": "下达时间 ordered at",
    "speaker": "音柱 loudspeaker",
    "name": "名称 name",
    "state": "状态 state",
    "since": "状态时间 since",
    "reason": "原因 why",
    "detail": "说明 detail",
    "remarks": "附注 remarks",
    "path": "播出方式 path",
    "encoding": "编码 encoding",
    "packets": "已发包数 packets sent",
    "dropped": "未发包数 packets dropped",
    "lost": "丢失包数 packets lost",
    "first_packet": "开始 first packet",
    "last_packet": "结束 last packet",
    "clip_asked": "令设备自行播放 told to play by itself",
    "clip_confirmed": "设备确认播放 said to play",
    "clip_stop_asked": "令设备停止 told to be silent",
    "clip_silent": "设备确认静音 said to be silent",
    "seconds": "秒 seconds",
}
_FIGURES: Final = ("项目 row", "名称 name", "播报 broadcasts", "播放次数 deliveries", "已播完 played to the end", "秒 seconds")


class FileKind(StrEnum):
    """As what."""

    CSV = "csv"
    XLSX = "xlsx"


class LedgerRows(StrEnum):
    """What a row stands for. A CSV file has the one or the other, a spreadsheet a sheet of each."""

    BROADCASTS = "broadcasts"
    DELIVERIES = "deliveries"


_SHEETS: Final[Mapping[LedgerRows, tuple[str, Mapping[str, str]]]] = {
    LedgerRows.BROADCASTS: ("播报台账 broadcasts", _LEDGER),
    LedgerRows.DELIVERIES: ("播放明细 deliveries", _DELIVERIES),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What clips, loudspeakers and cameras and, by their kinds (`zones`, `cells`, `groups`), places are called."""

    clips: Mapping[ClipId, str]
    devices: Mapping[DeviceId, str]
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class LedgerFile:
    """The ledger on its way into a file: broadcasts are added and nothing of them stays in memory."""

    def __init__(self, tables: "Mapping[LedgerRows, _Table]", zone: tzinfo) -> None:
        self._tables = tables
        self._zone = zone

    def add(self, views: Sequence[View], names: Names) -> None:
        """The next broadcasts, one row each, and one each of their deliveries, where the file has those; times of the wall clock.

        StorageFailed.
        """
        with _written():
            for view in views:
                for rows, table in self._tables.items():
                    for told in _told(rows, view, names, self._zone):
                        table.write([told[name] for name in _SHEETS[rows][1]])


@contextlib.contextmanager
def ledger_file(path: Path, kind: FileKind, rows: LedgerRows, zone: tzinfo) -> Iterator[LedgerFile]:
    """A file at `path`, whole once this is left: CSV with the `rows` that are wanted, XLSX with a sheet of each. StorageFailed."""
    with _written(), _csv_at(path, rows) if kind is FileKind.CSV else _book_at(path) as tables:
        yield LedgerFile(tables, zone)


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


# -- rows -----------------------------------------------------------------------------------------------------------------


def _told(rows: LedgerRows, view: View, names: Names, zone: tzinfo) -> Sequence[Mapping[str, Cell]]:
    if rows is LedgerRows.BROADCASTS:
        return [_broadcast(view, names, zone)]
    return [_delivery(view, delivery, names, zone) for delivery in view.deliveries]


def _broadcast(view: View, names: Names, zone: tzinfo) -> Mapping[str, Cell]:
    one, deliveries = view.broadcast, view.deliveries
    programme = one.programme
    said = view.outcomes[-1] if view.outcomes else None
    first = first_packet(deliveries)
    last = [delivery.figures.last_packet_at for delivery in deliveries if delivery.figures.last_packet_at]
    clips = [delivery.clip for delivery in deliveries]
    heard = sum(delivery.state is DeliveryState.DONE for delivery in deliveries)
    return {
        "id": one.id,
        "created_at": _wall(one.created_at, zone),
        "priority": f"{PRIORITIES[one.priority].zh} {PRIORITIES[one.priority].en}",
        "content": _content(view, names),
        "clip_sha256": programme.content.clip if isinstance(programme.content, ClipContent) else "",
        "voice": programme.content.voice if isinstance(programme.content, Speech) else "",
        "chime": "是 yes" if programme.chime else "",
        "repeats": programme.repeats,
        "targets": _targets(view, names),
        "actor": _person(one.sender, one.actor),
        "approved_by": _person(one.approver, one.approved_by) if one.approved_by else "",
        "case": one.case,
        "reason": one.reason,
        "override": one.override,
        "speakers": " ".join(delivery.speaker for delivery in deliveries),
        "heard": heard,
        "failed": len(deliveries) - heard,
        "why": "; ".join(f"{delivery.speaker}: {_reason(delivery.reason)}" for delivery in deliveries if delivery.reason),
        "first_packet": _moment(first, zone),
        "last_packet": _moment(max(last, default=None), zone),
        "clip_asked": _moment(min((clip.asked_at for clip in clips if clip.asked_at), default=None), zone),
        "clip_silent": _moment(max((clip.silent_at for clip in clips if clip.silent_at), default=None), zone),
        "outcome": _outcome(said.outcome) if said else "",
        "note": said.note if said else "",
        "outcome_by": said.name or str(said.actor) if said else "",
        "pictures": "; ".join(_picture(picture, zone) for picture in view.pictures),
        "no_pictures": "; ".join(f"{one.camera} {one.moment}: {_reason(one.reason)}" for one in view.missing),
        **_recording(view.recording),
    }


def _delivery(view: View, delivery: Delivery, names: Names, zone: tzinfo) -> Mapping[str, Cell]:
    figures, state = delivery.figures, DELIVERY_STATES[delivery.state]
    first, last = figures.first_packet_at, figures.last_packet_at
    path = PATHS.get(figures.path)
    return {
        "id": view.broadcast.id,
        "created_at": _wall(view.broadcast.created_at, zone),
        "speaker": delivery.speaker,
        "name": names.devices.get(delivery.speaker, ""),
        "state": f"{state.zh} {state.en}",
        "since": _wall(delivery.since, zone),
        "reason": _reason(delivery.reason) if delivery.reason else "",
        "detail": delivery.detail,
        "remarks": "; ".join(" ".join(remark.words) for remark in delivery.remarks),
        "path": f"{path.zh} {path.en}" if path else figures.path,
        "encoding": figures.encoding,
        "packets": figures.packets,
        "dropped": figures.dropped,
        "lost": "" if figures.lost is None else figures.lost,
        "first_packet": _moment(first, zone),
        "last_packet": _moment(last, zone),
        "clip_asked": _moment(delivery.clip.asked_at, zone),
        "clip_confirmed": _moment(delivery.clip.confirmed_at, zone),
        "clip_stop_asked": _moment(delivery.clip.stop_asked_at, zone),
        "clip_silent": _moment(delivery.clip.silent_at, zone),
        "seconds": "" if figures.heard_s is None else round(figures.heard_s, 3),
    }


def _picture(picture: StreetPicture, zone: tzinfo) -> str:
    return f"{picture.camera} {picture.moment} {_wall(picture.at, zone)} {picture.sha256}"


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


def _content(view: View, names: Names) -> str:
    match view.broadcast.programme.content:
        case Speech(text, _):
            return text
        case ClipContent(clip):
            return names.clips.get(clip, "") or f"clip {clip}"
        case _:
            return "喊话 live talk"


def _targets(view: View, names: Names) -> str:
    """All that was named, as `gatewayctl say` takes it; beside a code or id, what it is called."""
    targets = view.broadcast.targets
    circle = targets.circle
    devices, places = names.devices, names.places
    named: Mapping[str, Sequence[str]] = {
        "speakers": [_called(one, devices.get(one)) for one in targets.speakers],
        **{kind: [_called(one, places.get(kind, {}).get(one)) for one in ones] for kind, ones in _places(targets)},
        "districts": targets.districts,
        "views": [f"{_called(one.camera, devices.get(one.camera))} {one.preset}".rstrip() for one in targets.views],
    }
    told = [f"{kind} {', '.join(ones)}" for kind, ones in named.items() if ones]
    told += [f"polygon {' '.join(map(_place, targets.polygon))}"] if targets.polygon else []
    told += [f"circle {_place(circle.centre)},{circle.radius_m:g}"] if circle else []
    return "; ".join(told)


def _places(targets: Targets) -> Sequence[tuple[str, Sequence[str]]]:
    return ("zones", targets.zones), ("cells", targets.cells), ("groups", targets.groups)


def _called(one: str, name: str | None) -> str:
    return f"{one} ({name})" if name not in {None, "", one} else one


def _place(position: Position) -> str:
    return ",".join(f"{degrees:.7f}".rstrip("0").rstrip(".") for degrees in (position.latitude, position.longitude))  # to a centimetre


def _outcome(outcome: StreetOutcome) -> str:
    word = STREET_OUTCOMES[outcome]
    return f"{word.zh} {word.en}"


def _reason(reason: str) -> str:
    word = phrase(reason)
    return f"{word.zh} {word.en} ({reason})" if word is not None else reason


def _moment(moment: datetime | None, zone: tzinfo) -> str:
    return "" if moment is None else _wall(moment, zone)


def _wall(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


# -- files ----------------------------------------------------------------------------------------------------------------


class _Table(Protocol):
    def write(self, row: Sequence[Cell]) -> None: ...


class _Lines:
    """A CSV file being written."""

    def __init__(self, out: Any, heads: Sequence[str]) -> None:
        self._writer = csv.writer(out)
        self._writer.writerow(heads)

    def write(self, row: Sequence[Cell]) -> None:
        self._writer.writerow([guarded(cell[:_LONGEST]) if isinstance(cell, str) else cell for cell in row])


class _Sheet:
    """A sheet of a workbook being written; `finish` once all rows are there."""

    def __init__(self, book: xlsxwriter.Workbook, title: str, heads: Sequence[str]) -> None:
        self._sheet = book.add_worksheet(title)
        self._heads = heads
        self._rows = 0
        self._sheet.freeze_panes(1, 1)
        self._sheet.set_column(0, len(heads) - 1, 18)
        self._sheet.write_row(0, 0, heads, book.add_format({"bold": True, "text_wrap": True}))

    def write(self, row: Sequence[Cell]) -> None:
        self._rows += 1
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                self._sheet.write_string(self._rows, column, cell[:_LONGEST])
            else:
                self._sheet.write_number(self._rows, column, cell)

    def finish(self) -> None:
        self._sheet.autofilter(0, 0, max(1, self._rows), len(self._heads) - 1)


_TEXT_ONLY: Final = {"strings_to_formulas": False, "strings_to_urls": False}


@contextlib.contextmanager
def _csv_at(path: Path, rows: LedgerRows) -> Iterator[Mapping[LedgerRows, _Table]]:
    with path.open("w", encoding="utf-8-sig", newline="") as out:  # spreadsheets take it for UTF-8 by the mark alone
        yield {rows: _Lines(out, [*_SHEETS[rows][1].values()])}


@contextlib.contextmanager
def _book_at(path: Path) -> Iterator[Mapping[LedgerRows, _Table]]:
    # A row goes to the disk when the next one begins.
    with xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": str(path.parent), **_TEXT_ONLY}) as book:
        sheets = {rows: _Sheet(book, title, [*heads.values()]) for rows, (title, heads) in _SHEETS.items()}
        yield sheets
        for sheet in sheets.values():
            sheet.finish()


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except (OSError, XlsxWriterException) as error:
        raise StorageFailed(f"the file could not be written: {error}", hint="Look at the disk's free space.") from error


def _file(kind: FileKind, title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    if kind is FileKind.CSV:
        text = io.StringIO()
        lines = _Lines(text, heads)
        for row in rows:
            lines.write(row)
        return text.getvalue().encode("utf-8-sig")
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, **_TEXT_ONLY}) as book:
        sheet = _Sheet(book, title, heads)
        for row in rows:
            sheet.write(row)
        sheet.finish()
    return out.getvalue()
