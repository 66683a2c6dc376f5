"""Footage requests by the number: by unit, kind or month, as JSON and as a spreadsheet's CSV."""

import asyncio
import csv
import io
from typing import Final, Self

from aiohttp import web
from pydantic import Field, model_validator

from gateway.api.footage_reach import reach
from gateway.api.models import Input, Instant, Output
from gateway.api.routing import Call, Media, Routes
from gateway.domain.access import Permission
from gateway.domain.footage import Figures, FootageState, Period, RequestsBy, Search
from gateway.domain.spreadsheets import guarded

routes = Routes("footage figures", "Footage requests by the number.")

CSV: Final = "text/csv"
_HEADS: Final = {
    "key": "项目 row",
    "requests": "申请 requests",
    "emergencies": "紧急 emergencies",
    "owing": "待补手续 owing",
    "cameras": "摄像机 cameras",
    "hours": "小时 hours asked",
    "ready_minutes_median": "中位用时（分） median minutes to ready",
}


class FiguresQuery(Input):
    """Requests filed from `since` until `until`, into which rows."""

    by: RequestsBy = RequestsBy.UNIT
    since: Instant | None = None
    until: Instant | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.since is None) != (self.until is None):
            raise ValueError("since and until go together")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("until is not after since")
        return self


class FiguresOut(Output):
    """One row."""

    key: str
    requests: int
    emergencies: int
    owing: int = Field(description="Emergencies whose second person or papers have not followed.")
    cameras: int
    hours: float = Field(description="Asked of all cameras together.")
    ready_minutes_median: float | None = Field(description="From filing until the footage was ready.")
    outcomes: dict[FootageState, int] = Field(description="The last state that told what came of it, or the state now.")


class FiguresList(Output):
    """Rows; the most requests first, months in order."""

    items: list[FiguresOut]


@routes.op("GET", "/v1/footage-statistics", needs=Permission.FOOTAGE_READ)
async def read_footage_statistics(call: Call, query: FiguresQuery) -> FiguresList:
    """Count requests by unit, requester kind, kind of case, month or what came of them; for a key with scopes those that it sees."""
    return FiguresList(items=[_shown(row) for row in await _rows(call, query)])


@routes.op("GET", "/v1/footage-statistics/export", needs=Permission.FOOTAGE_READ, answers=Media((CSV,)))
async def export_footage_statistics(call: Call, query: FiguresQuery) -> web.Response:
    """The same as CSV with headings in Chinese and English, for a spreadsheet."""
    data = await asyncio.to_thread(_file, [_shown(row) for row in await _rows(call, query)])
    headers = {"Content-Disposition": f'attachment; filename="footage-statistics-by-{query.by}.csv"'}
    return web.Response(body=data, content_type=CSV, charset="utf-8", headers=headers)


async def _rows(call: Call, query: FiguresQuery) -> list[Figures]:
    period = Period(query.since, query.until) if query.since is not None and query.until is not None else None
    return await call.services.footage.statistics(query.by, Search(submitted=period, reach=reach(call)))


def _shown(row: Figures) -> FiguresOut:
    return FiguresOut(
        **{name: getattr(row, name) for name in ("key", "requests", "emergencies", "owing", "cameras")},
        hours=round(row.hours, 2),
        ready_minutes_median=None if (minutes := row.ready_minutes_median) is None else round(minutes, 1),
        outcomes=dict(sorted(row.outcomes.items())),
    )


def _file(rows: list[FiguresOut]) -> bytes:
    states = sorted({state for row in rows for state in row.outcomes})
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*_HEADS.values(), *states])
    for row in rows:
        told = [getattr(row, name) for name in _HEADS]
        writer.writerow(
            [guarded(row.key), *("" if one is None else one for one in told[1:]), *(row.outcomes.get(one, 0) for one in states)]
        )
    return b"\xef\xbb\xbf" + out.getvalue().encode()
