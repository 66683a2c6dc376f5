"""Uptime: a month or any days as a table, as a spreadsheet or as a page to print."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.download import save
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, say, show, tell
from gateway.ctl.session import Output, client_of

REPORTS = "/v1/health/reports"


class Language(StrEnum):
    ZH = "zh"
    EN = "en"
    BOTH = "both"


def add_to(app: typer.Typer) -> None:
    app.command()(report)


def report(
    ctx: typer.Context,
    *,
    month: Annotated[str | None, typer.Option(help="2026-10; else the month that has ended last.", metavar="YYYY-MM")] = None,
    first: Annotated[str | None, typer.Option("--from", help="Any days instead: the first.", metavar="YYYY-MM-DD")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last; it is counted, too.", metavar="YYYY-MM-DD")] = None,
    by: Annotated[str, typer.Option(help="district, street, group, cell, kind, vendor, model, maintainer or device.")] = "district",
    xlsx: Annotated[Path | None, typer.Option(help="Write the month as a spreadsheet.", metavar="FILE")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the month as a page that prints on A4.", metavar="FILE")] = None,
    lang: Annotated[Language, typer.Option(help="Of the spreadsheet and the page.")] = Language.BOTH,
    output: Output = Format.TABLE,
) -> None:
    """How available the city was, raw and adjusted side by side."""
    client = client_of(ctx)
    if xlsx or html:
        if first or last:
            raise Failed(
                "Spreadsheets and pages are of whole months.", exit_code=Exit.USAGE, hint="Give --month instead of --from and --to."
            )
        for file, ending in ((xlsx, "xlsx"), (html, "html")):
            if file is not None:
                save(client, f"{REPORTS}/monthly/{month or _last_month(client)}.{ending}", {"lang": lang.value, "by": by}, file)
        return
    days = {"from": first, "to": last} if first or last else _days_of(month or _last_month(client))
    told = client.get(REPORTS, **days, by=by, limit=10_000)
    if output in (Format.JSON, Format.YAML):
        tell(told, output)
    else:
        show([*told["rows"], {**told["whole"], "key": "total", "name": ""}], _COLUMNS, output)
        _remark(told)


def _remark(told: Mapping[str, Any]) -> None:
    """What a reader of the table must know beside it."""
    left_out = [
        f"{len(told[name])} {words}"
        for name, words in (("maintenance", "maintenance windows"), ("excuses", "approved excuses"), ("blind", "times without a watch"))
        if told[name]
    ]
    say(f"{told['first']} to {told['last']} ({told['timezone']}); left out: {', '.join(left_out) or 'nothing'}")


def _days_of(month: str) -> dict[str, str]:
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise Failed(f"{month!r} is no month.", exit_code=Exit.USAGE, hint="Write it as 2026-10.") from None
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return {"from": f"{first:%Y-%m-%d}", "to": f"{last:%Y-%m-%d}"}


def _last_month(client: Client) -> str:
    """The month that has ended last by the gateway's clock."""
    return f"{client.now().replace(day=1) - timedelta(days=1):%Y-%m}"


def _share(*path: str) -> Any:
    def read(item: Mapping[str, Any]) -> str:
        value: Any = item
        for name in path:
            value = value[name]
        return "-" if value is None else f"{int(value * 10_000 + 1e-6) / 100:.2f}%"

    return read


def _hours(kind: str, name: str) -> Any:
    def read(item: Mapping[str, Any]) -> str:
        value = item[kind][name]
        return "-" if value is None else f"{value / 3600:.1f}"

    return read


_COLUMNS = [
    Column("KEY", lambda item: item["key"] or "(not given)"),
    Column("NAME", lambda item: item["name"]),
    Column("DEVICES", lambda item: item["devices"]),
    Column("ONLINE", _share("online", "raw")),
    Column("ADJUSTED", _share("online", "adjusted")),
    Column("INTACT", _share("intact", "raw")),
    Column("ADJUSTED", _share("intact", "adjusted")),
    Column("TIME SYNC", _share("time_sync")),
    Column("PICTURE", _share("picture")),
    Column("RECORDING", _share("recording", "raw")),
    Column("ADJUSTED", _share("recording", "adjusted"), wide=True),
    Column("OUTAGES", lambda item: item["raw"]["outages"]),
    Column("ADJUSTED", lambda item: item["adjusted"]["outages"], wide=True),
    Column("DOWN H", _hours("raw", "down_s")),
    Column("ADJUSTED", _hours("adjusted", "down_s"), wide=True),
    Column("MTBF H", _hours("raw", "mtbf_s"), wide=True),
    Column("MTTR H", _hours("raw", "mttr_s")),
    Column("LONGEST H", _hours("raw", "longest_outage_s")),
]
