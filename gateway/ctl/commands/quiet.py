"""Who may speak when: quiet hours with their exceptions, and a second person's word on what reaches further than one may."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.ctl.output import Column, Format, column, say, show, tell
from gateway.ctl.session import Output, client_of

hours = typer.Typer(no_args_is_help=True)

Broadcast = Annotated[str, typer.Argument(help="The broadcast.", metavar="ID")]
At = Annotated[str | None, typer.Option(help="When, with an offset (2026-06-08T23:00:00+08:00); without, now.")]
Day = Annotated[str, typer.Option(help="Such as 2027-06-07.")]


def add_to(app: typer.Typer) -> None:
    app.command()(approve)
    app.command()(decline)


def approve(ctx: typer.Context, broadcast: Broadcast, *, output: Output = Format.TABLE) -> None:
    """Let be heard what somebody else ordered and what reaches further than one person may."""
    _decide(ctx, broadcast, "approve", output)


def decline(ctx: typer.Context, broadcast: Broadcast, *, output: Output = Format.TABLE) -> None:
    """Refuse what waits for a second person."""
    _decide(ctx, broadcast, "decline", output)


@hours.command("show")
def show_hours(ctx: typer.Context, *, at: At = None, output: Output = Format.TABLE) -> None:
    """When each zone is quiet, and whether it is so now."""
    found = client_of(ctx).get("/v1/quiet-hours", at=at)
    if output in {Format.JSON, Format.YAML}:
        tell(found, output)
        return
    columns = [Column("ZONE", lambda one: one["zone"] or "(the city)"), Column("QUIET", _spans), Column("LOUDEST", _limits, wide=True)]
    show(found["zones"], [*columns, column("quiet_until"), column("because")], output)
    if found["unknown_zones"]:
        say(f"The inventory has no such zones: {', '.join(found['unknown_zones'])}.")


@hours.command("exceptions")
def list_exceptions(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """The days on which the hours are other ones."""
    found = client_of(ctx).get("/v1/quiet-hours")["exceptions"]
    columns = [*map(column, ("id", "name", "first", "last", "start", "end", "effect"))]
    show(
        found,
        [*columns, Column("ZONES", lambda one: ", ".join(one["zones"]) or "everywhere"), column("reason"), column("actor", wide=True)],
        output,
    )


@hours.command("add")
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Such as 高考.")],
    *,
    first: Day,
    last: Annotated[str | None, typer.Option(help="Without, the first day is the only one.")] = None,
    start: Annotated[str, typer.Option(help="From this time of day, such as 07:00.")] = "00:00",
    end: Annotated[str, typer.Option(help="Until this; one that is not after the start is on the next day.")] = "24:00",
    opens: Annotated[bool, typer.Option("--open/--quiet", help="Take the usual quiet hours away, or be quiet.")] = False,
    zone: Annotated[list[str] | None, typer.Option(help="Only in this zone; give it several times for several.")] = None,
    reason: Annotated[str, typer.Option(help="Why: the notice or the decision.")],
    output: Output = Format.TABLE,
) -> None:
    """Make some days quiet, or open; it is on record with your name."""
    body = {"name": name, "first": first, "last": last or first, "start": start, "end": end, "reason": reason, "zones": zone or []}
    tell(client_of(ctx).call("POST", "/v1/quiet-hours/exceptions", body=body | {"effect": "open" if opens else "quiet"}), output)


@hours.command("withdraw")
def withdraw(ctx: typer.Context, days: Annotated[str, typer.Argument(help="The exception.", metavar="ID")]) -> None:
    """Take days back that somebody added."""
    client_of(ctx).call("DELETE", f"/v1/quiet-hours/exceptions/{quote(days, safe='')}")
    say(f"{days} holds no more.")


@hours.command("reload")
def reload_file(ctx: typer.Context) -> None:
    """Have the gateway read its file of quiet hours anew: all of it, or nothing."""
    found = client_of(ctx).call("POST", "/v1/quiet-hours/reload")
    own = sum(1 for zone in found["zones"] if zone["own"])
    say(f"Taken: {own} zones with hours of their own, {len(found['exceptions'])} exceptions.")


def _decide(ctx: typer.Context, broadcast: str, act: str, output: Format) -> None:
    decided = client_of(ctx).call("POST", f"/v1/broadcasts/{quote(broadcast, safe='')}/{act}")
    show(decided["deliveries"], [column("speaker"), column("state"), column("reason"), column("reason_en", "words", wide=True)], output)


def _spans(zone: Any) -> str:
    return ", ".join(_span(one) for one in zone["quiet"]) or "never"


def _limits(zone: Any) -> str:
    return ", ".join(f"{one['percent']} % {_span(one)}" for one in zone["volume"])


def _span(one: Any) -> str:
    days = "" if len(one["days"]) == 7 else " " + "".join("MTWTFSS"[day] for day in one["days"])
    return f"{one['start']}-{one['end']}{days}"
