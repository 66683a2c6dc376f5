"""Work orders as a table to hand over, its head in both languages: XLSX, and CSV whose cells no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

import xlsxwriter

from gateway.domain.severity import Severity
from gateway.domain.spreadsheets import guarded
from gateway.domain.words import SEVERITIES

_COLUMNS: Final[Mapping[str, str]] = {
    "id": "工单号 Work order",
    "state": "状态 State",
    "severity": "级别 Severity",
    "maintainer": "维护单位 Maintainer",
    "technician": "维修人员 Technician",
    "what": "内容 What",
    "incident": "告警 Incident",
    "devices": "设备 Devices",
    "places": "地点 Places",
    "opened_at": "派单时间 Opened",
    "accepted_at": "接单时间 Accepted",
    "on_site_at": "到场时间 On site",
    "repaired_at": "修复时间 Repaired",
    "ended_at": "结束时间 Ended",
    "response_due": "响应时限 Response due",
    "repair_due": "修复时限 Repair due",
    "response_min": "响应用时(分) Response, minutes",
    "repair_min": "修复用时(分) Repair, minutes",
    "overdue": "超时 Overdue",
    "closing_note": "处理结果 Closing note",
    "pictures": "图片 Pictures",
}
_STATES: Final = {
    "open": "待接单 open",
    "accepted": "已接单 accepted",
    "on-site": "已到场 on site",
    "repaired": "已修复 repaired",
    "closed": "已办结 closed",
    "cancelled": "已取消 cancelled",
}
_CLOCKS: Final = {"response": "响应 response", "repair": "修复 repair"}
_LONGEST: Final = 32_000  # characters in one cell of a spreadsheet: 32,767


def write(orders: Sequence[Mapping[str, Any]], suffix: str, zone: tzinfo) -> bytes:
    """`orders`, each as it is told, as `csv` or `xlsx`; times on the wall clock of `zone`."""
    rows = [_row(order, zone) for order in orders]
    return _csv(rows) if suffix == "csv" else _xlsx(rows)


def _row(order: Mapping[str, Any], zone: tzinfo) -> list[str | int]:
    clocks = order["clocks"]
    told = {name: order[name] or "" for name in ("id", "maintainer", "technician", "what", "incident", "closing_note")}
    told |= {name: _wall(order[name], zone) for name in ("opened_at", "accepted_at", "on_site_at", "repaired_at", "ended_at")}
    told |= {f"{name}_due": _wall(clock["due_at"], zone) for name, clock in clocks.items()}
    told |= {f"{name}_min": clock["used_s"] // 60 for name, clock in clocks.items()}
    told |= {
        "state": _STATES[order["state"]],
        "severity": " ".join(SEVERITIES[Severity(order["severity"])]),
        "devices": "; ".join(f"{one['id']} {one['name']}".strip() for one in order["devices"]),
        "places": "; ".join(dict.fromkeys(_place(one) for one in order["devices"])),
        "overdue": ", ".join(_CLOCKS[name] for name, clock in clocks.items() if clock["overdue"]),
        "pictures": " ".join(one["sha256"] for one in order["pictures"]),
    }
    return [told[name] if isinstance(told[name], int) else str(told[name])[:_LONGEST] for name in _COLUMNS]


def _place(device: Mapping[str, Any]) -> str:
    place = device["position"]
    where = f"{place['latitude']:.6f},{place['longitude']:.6f}" if place else ""
    return " ".join(filter(None, (device["district"], device["group"], device["cell"], where)))


def _wall(moment: str | None, zone: tzinfo) -> str:
    return datetime.fromisoformat(moment).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def _csv(rows: Sequence[Sequence[str | int]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS.values())
    writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()  # spreadsheets take it for UTF-8 by this mark alone


def _xlsx(rows: Sequence[Sequence[str | int]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet, bold = book.add_worksheet("工单 work orders"), book.add_format({"bold": True, "text_wrap": True})
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, len(_COLUMNS) - 1, 18)
        sheet.write_row(0, 0, list(_COLUMNS.values()), bold)
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                if isinstance(cell, int):
                    sheet.write_number(number, column, cell)
                else:
                    sheet.write_string(number, column, cell)
        sheet.autofilter(0, 0, max(1, len(rows)), len(_COLUMNS) - 1)
    return out.getvalue()
