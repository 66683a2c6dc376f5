"""A report as JSON: seconds and shares, raw and adjusted side by side, with the formulas by which they came about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.domain.availability import MICROSECONDS, Span, Tally
from gateway.reports.exclusions import Excused, Maintained, periods
from gateway.reports.report import By, Figures, Report, Row
from gateway.reports.words import FORMULAS


def report_json(report: Report, *, limit: int | None = None) -> dict[str, Any]:
    """The report; with `limit`, no more than so many rows."""
    exclusions = report.exclusions
    return {
        "first": report.first.isoformat(),
        "last": report.last.isoformat(),
        "timezone": report.zone,
        "start": _moment(report.start),
        "end": _moment(report.end),
        "made_at": _moment(report.made_at),
        "by": report.by.value,
        "out_of_service": report.out_of_service,
        "whole": figures_json(report.whole.figures),
        "rows": [_row(row) for row in report.rows[:limit]],
        "more": max(0, len(report.rows) - limit) if limit is not None else 0,
        "kinds": [_row(row) for row in report.tables[By.KIND]],
        "worst": [_row(row) for row in report.worst],
        "maintenance": [_maintenance(one) for one in exclusions.maintenance],
        "excuses": [_excused(one) for one in exclusions.excuses],
        "blind": _blind(exclusions.blind),
        "formulas": [
            {"indicator": one.indicator, "zh": f"{one.zh}: {one.zh_formula}", "en": f"{one.en}: {one.en_formula}"} for one in FORMULAS
        ],
    }


def figures_json(figures: Figures) -> dict[str, Any]:
    """What was measured; a share is None where nothing of it was measured."""
    account = figures.account
    return {
        "devices": figures.devices,
        "online": {"raw": _share(account.raw.online), "adjusted": _share(account.adjusted.online)},
        "intact": {"raw": _share(account.raw.intact), "adjusted": _share(account.adjusted.intact)},
        "time_sync": _share(account.clock_right),
        "picture": _share(account.picture_good),
        "recording": {"raw": _share(figures.recording), "adjusted": _share(figures.recording_adjusted)},
        "raw": _tally(account.raw),
        "adjusted": _tally(account.adjusted),
        "unknown_s": account.unknown / MICROSECONDS,
        "maintenance_s": account.maintenance / MICROSECONDS,
        "excused_s": account.excused / MICROSECONDS,
    }


def _row(row: Row) -> dict[str, Any]:
    return {"key": row.key, "name": row.name, "place": row.place, **figures_json(row.figures)}


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "up_s": tally.up / MICROSECONDS,
        "degraded_s": tally.degraded / MICROSECONDS,
        "down_s": tally.down / MICROSECONDS,
        "outages": tally.outages,
        "longest_outage_s": tally.longest / MICROSECONDS,
        "mtbf_s": _rounded(tally.mtbf_s),
        "mttr_s": _rounded(tally.mttr_s),
    }


def _maintenance(one: Maintained) -> dict[str, Any]:
    return {
        "id": one.window.id,
        "reason": one.window.reason,
        "created_by": one.window.created_by,
        "created_at": _moment(one.window.created_at),
        "devices": len(one.devices),
        "spans": [{"start": _moment(start), "end": _moment(end)} for start, end in one.spans],
    }


def _excused(one: Excused) -> dict[str, Any]:
    excuse = one.excuse
    return {
        "id": excuse.id,
        "kind": excuse.kind,
        "reason": excuse.reason,
        "evidence": excuse.evidence,
        "incident": excuse.incident,
        "start": _moment(excuse.start),
        "end": _moment(excuse.end),
        "devices": len(one.devices),
        "proposed_by": excuse.proposed_by.name,
        "approved_by": excuse.decided_by.name if excuse.decided_by else None,
        "approved_at": _moment(excuse.decided_at) if excuse.decided_at else None,
    }


def _blind(spans: Sequence[Span]) -> list[dict[str, Any]]:
    return [{"start": _moment(start), "end": _moment(end)} for start, end in periods(spans)]


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
