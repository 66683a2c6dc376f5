"""Broadcasts by the number, and the ledger as a file."""

import asyncio
from dataclasses import replace

from aiohttp import web
from pydantic import Field

from gateway.api.byte_ranges import Part
from gateway.api.ledger_query import LedgerFilter, wanted
from gateway.api.models import Instant, Output
from gateway.api.replies import attachment as whole_file
from gateway.api.routing import Call, Media, Routes
from gateway.api.sending import attachment, pieces_of, send
from gateway.broadcast.ledger_files import FileKind, LedgerRows, statistics_file
from gateway.domain.access import Permission
from gateway.domain.broadcast import DeliveryState
from gateway.domain.broadcast_statistics import CountedBy, Tally
from gateway.domain.handover import Span
from gateway.errors import InvalidInput, Overloaded

routes = Routes("broadcast figures", "Broadcasts by the number, and the ledger as a file.")

CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TYPES = {FileKind.CSV: f"{CSV}; charset=utf-8", FileKind.XLSX: XLSX}


class StatisticsQuery(LedgerFilter):
    """What is counted, from when until when, and by what."""

    start: Instant = Field(alias="from", description="Ordered then or later.")
    end: Instant = Field(alias="to", description="Ordered before; at most 100 days later by day, two years otherwise.")
    by: CountedBy = CountedBy.DAY


class StatisticsFileQuery(StatisticsQuery):
    """The same, as what."""

    format: FileKind = FileKind.XLSX


class ExportQuery(LedgerFilter):
    """Which broadcasts, as what, and of a CSV file what a row stands for."""

    start: Instant | None = Field(default=None, alias="from", description="Ordered then or later.")
    end: Instant | None = Field(default=None, alias="to", description="Ordered before.")
    format: FileKind = FileKind.XLSX
    rows: LedgerRows = Field(default=LedgerRows.BROADCASTS, description="Of a CSV file; a spreadsheet has a sheet of each.")


class TallyOut(Output):
    """One row. A broadcast at loudspeakers of two places counts once for each of them."""

    key: str = Field(description='The day, month, loudspeaker, cell, district, operator or priority; "" where it has none.')
    name: str
    broadcasts: int
    deliveries: int = Field(description="One a loudspeaker.")
    heard: int = Field(description="Of the deliveries: done.")
    seconds: float = Field(description="How long something was heard, all loudspeakers together.")
    states: dict[DeliveryState, int]
    reasons: dict[str, int] = Field(description="Why deliveries were not done.")
    outcomes: dict[str, int] = Field(description='What came of the broadcasts in the street; "none": nobody has said.')


class StatisticsOut(Output):
    """The rows; by day and month all that there are, in order."""

    by: CountedBy
    start: Instant
    end: Instant
    timezone: str
    rows: list[TallyOut]


@routes.op("GET", "/v1/broadcasts/statistics", needs=Permission.BROADCAST_READ, problems=(InvalidInput,))
async def count_broadcasts(call: Call, query: StatisticsQuery) -> StatisticsOut:
    """How many broadcasts were ordered, heard and not heard, why not, and what came of them."""
    desk = call.services.statistics
    rows = await desk.count(query.by, wanted(query, call.services.city), start=query.start, end=query.end)
    shown = [_row(row) for row in rows]
    return StatisticsOut(by=query.by, start=query.start, end=query.end, timezone=str(desk.timezone), rows=shown)


@routes.op("GET", "/v1/broadcasts/statistics/export", needs=Permission.BROADCAST_READ, answers=Media((XLSX, CSV)), problems=(InvalidInput,))
async def export_statistics(call: Call, query: StatisticsFileQuery) -> web.Response:
    """The same as a spreadsheet, in Chinese and English."""
    desk = call.services.statistics
    rows = await desk.count(query.by, wanted(query, call.services.city), start=query.start, end=query.end)
    data = await asyncio.to_thread(statistics_file, rows, query.format)
    return _attached(data, "broadcast-statistics", query.format)


@routes.op("GET", "/v1/broadcasts/export", needs=Permission.BROADCAST_READ, answers=Media((XLSX, CSV)), head=False, problems=(Overloaded,))
async def export_broadcasts(call: Call, query: ExportQuery) -> web.StreamResponse:
    """The ledger as a spreadsheet in Chinese and English: one row a broadcast, and on a second sheet one row a delivery.

    At most 50,000 broadcasts. That you took it is on record with the file's SHA-256, which `Repr-Digest` has, too (RFC 9530).
    """
    ledger, zone = call.services.ledger, call.services.statistics.timezone
    asked = replace(wanted(query, call.services.city), start=query.start, end=query.end)
    async with ledger.export(asked, query.format, query.rows, zone, by=call.caller.actor) as file:
        whole = Part(Span(0, file.size), whole=True)
        name = LedgerRows.BROADCASTS if query.format is FileKind.XLSX else query.rows
        headers = attachment(f"{name}.{query.format}", file.sha256) | {"Content-Type": _TYPES[query.format]}
        return await send(call.request, whole, pieces_of(file.path, whole.span), headers=headers, stop=lambda: False)


def _row(row: Tally) -> TallyOut:
    return TallyOut(
        key=row.key,
        name=row.name,
        broadcasts=row.broadcasts,
        deliveries=row.deliveries,
        heard=row.heard,
        seconds=round(row.seconds, 1),
        states=row.states,
        reasons=row.reasons,
        outcomes={outcome or "none": count for outcome, count in row.outcomes.items()},
    )


def _attached(data: bytes, name: str, kind: FileKind) -> web.Response:
    return whole_file(data, name=f"{name}.{kind}", content_type=CSV if kind is FileKind.CSV else XLSX)
