"""Working on devices on purpose: maintenance windows, so that nobody is called for it and no availability is lost by it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.commands.look import RESOURCES
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, say, show, tell
from gateway.ctl.session import Output, client_of
from gateway.ctl.spans import moment, span

WINDOWS = "/v1/maintenance-windows"


def add_to(app: typer.Typer) -> None:
    app.command()(maintain)


def maintain(
    ctx: typer.Context,
    devices: Annotated[list[str] | None, typer.Argument(help="Devices; or `list` for what there is.", metavar="DEVICE…|list")] = None,
    *,
    group: Annotated[list[str] | None, typer.Option(help="A camera group; give it several times for several.")] = None,
    cell: Annotated[list[str] | None, typer.Option(help="A grid cell.")] = None,
    district: Annotated[list[str] | None, typer.Option(help="A district.")] = None,
    vendor: Annotated[list[str] | None, typer.Option(help="All devices of a maker.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="The whole city.")] = False,
    for_: Annotated[str | None, typer.Option("--for", help="How long: 30m, 2h, 1d.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Not now but then: 2h, or 2026-03-01T22:00.")] = None,
    rrule: Annotated[str | None, typer.Option(help="Again and again: FREQ=WEEKLY;BYDAY=TU (RFC 5545); each time for --for.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Of the rule: Asia/Shanghai.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="What is done there.")] = "",
    end: Annotated[str | None, typer.Option("--end", help="End a window early, by its id.", metavar="WINDOW")] = None,
    begin: Annotated[str | None, typer.Option("--begin", help="Start a window early, by its id.", metavar="WINDOW")] = None,
    cancel: Annotated[str | None, typer.Option("--cancel", help="Call a window off for good, by its id.", metavar="WINDOW")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Begin maintenance of devices or places: they are watched on, but nobody is told and no availability is lost."""
    client = client_of(ctx)
    places = {
        "devices": [] if devices == ["list"] else devices or [],
        "groups": group or [],
        "cells": cell or [],
        "districts": district or [],
        "vendors": vendor or [],
    }
    if end or begin or cancel:
        _change(client, end=end, begin=begin, cancel=cancel)
    elif devices == ["list"]:
        show(client.every(WINDOWS, ahead=True), RESOURCES["maintenance"].columns, output)
    else:
        wish = {name: named for name, named in places.items() if named} | ({"everything": True} if everything else {})
        made = client.call("POST", WINDOWS, body={**_checked(wish), **_time(for_, start, rrule, timezone), "reason": reason})
        _told(made, output)


def _change(client: Client, *, end: str | None, begin: str | None, cancel: str | None) -> None:
    if end:
        client.call("POST", f"{WINDOWS}/{end}/end", body={})
        say(f"{end} has ended")
    if begin:
        client.call("POST", f"{WINDOWS}/{begin}/start", body={})
        say(f"{begin} has begun")
    if cancel:
        client.call("DELETE", f"{WINDOWS}/{cancel}")
        say(f"{cancel} is called off")


def _checked(wish: Mapping[str, Any]) -> Mapping[str, Any]:
    if not wish:
        hint = "Name devices, or give --group, --cell, --district, --vendor or --everything; gatewayctl maintain list shows what there is."
        raise Failed("Maintenance of what?", exit_code=Exit.USAGE, hint=hint)
    return wish


def _time(for_: str | None, start: str | None, rrule: str | None, timezone: str | None) -> dict[str, Any]:
    if for_ is None:
        raise Failed("For how long?", exit_code=Exit.USAGE, hint="Give --for 30m, --for 2h or --for 1d.")
    minutes = max(1, round(span(for_).total_seconds() / 60))
    begins = moment(start).isoformat() if start else None
    if rrule is not None:
        first = begins or datetime.now(UTC).isoformat()
        return {"rrule": rrule, "start": first, "duration_minutes": minutes, **({"timezone": timezone} if timezone else {})}
    if timezone:
        raise Failed("--timezone goes with --rrule.", exit_code=Exit.USAGE, hint="Write the offset into --from instead.")
    return {"minutes": minutes, **({"start": begins} if begins else {})}


def _told(made: Mapping[str, Any], output: Format) -> None:
    if output in {Format.JSON, Format.YAML}:
        tell(made, output)
    else:
        tell({"id": made["id"]}, output)
    say(f"gatewayctl maintain --end {made['id']} ends it early")
