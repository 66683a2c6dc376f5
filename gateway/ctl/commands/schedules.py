"""What is said again and again: schedules of broadcasts, their next occurrences, and what became of those that were due."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.ctl.commands.speak import (
    Cell,
    Chime,
    CircleOption,
    Clip,
    District,
    Group,
    Near,
    PolygonOption,
    Preset,
    Reason,
    Repeats,
    Speaker,
    Text,
    Voice,
    Zone,
    content_of,
    targets_of,
)
from gateway.ctl.output import Column, Format, column, say, show, tell
from gateway.ctl.session import Output, client_of

app = typer.Typer(no_args_is_help=True)

Schedule = Annotated[str, typer.Argument(help="The schedule.", metavar="ID")]
_COLUMNS = (
    *map(column, ("id", "name", "state", "next")),
    Column("LAST", lambda one: one["last"] and one["last"]["state"]),
    Column("WHY", lambda one: (one["last"] and one["last"]["code"]) or None),
    *(column(name, wide=True) for name in ("rrule", "start", "timezone", "days", "sender", "actor", "approved_by")),
)


@app.command("list")
def list_schedules(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """All schedules, when each speaks next, and what became of it last."""
    found = client_of(ctx).get("/v1/schedules")
    show(found["items"], _COLUMNS, output)
    if found["holidays_known_until"] and output is Format.TABLE:
        say(f"Holidays are known until {found['holidays_known_until']}.")


@app.command("add")
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Such as 放学提醒.")],
    text: Text = None,
    *,
    clip: Clip = None,
    start: Annotated[str, typer.Option(help="The first time, with an offset (2026-09-01T16:30:00+08:00).")],
    rrule: Annotated[str, typer.Option(help="RFC 5545, such as FREQ=WEEKLY;BYDAY=MO,FR; without, once.")] = "",
    timezone: Annotated[str, typer.Option(help="In which the rule is followed.")] = "Asia/Shanghai",
    days: Annotated[str, typer.Option(help="all, working, free, holidays or not-holidays.")] = "all",
    within: Annotated[float, typer.Option(min=1, max=3600, help="Seconds after its time within which it may still begin.")] = 30.0,
    near: Near = None,
    preset: Preset = None,
    speaker: Speaker = None,
    zone: Zone = None,
    group: Group = None,
    cell: Cell = None,
    district: District = None,
    circle: CircleOption = None,
    polygon: PolygonOption = None,
    voice: Voice = "",
    chime: Chime = False,
    repeats: Repeats = 1,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Have something said again and again. One that reaches further than you may waits for another person's `approve`."""
    targets = targets_of(
        near=near,
        preset=preset,
        speaker=speaker,
        zone=zone,
        group=group,
        cell=cell,
        district=district,
        circle=circle,
        polygon=polygon,
    )
    client = client_of(ctx)
    when = {"start": start, "rrule": rrule, "timezone": timezone, "days": days, "within_s": within}
    sound = {**content_of(client, text, clip, voice), "chime": chime, "repeats": repeats}
    made = client.call("POST", "/v1/schedules", body={"name": name, "targets": targets, "reason": reason, **when, **sound})
    _told(made, output)


@app.command("next")
def next_(ctx: typer.Context, schedule: Schedule, *, output: Output = Format.TABLE) -> None:
    """The next moments that its rule names: which days are left out, and where it is a quiet hour then."""
    found = client_of(ctx).get(f"/v1/schedules/{quote(schedule, safe='')}/occurrences")
    columns = (*map(column, ("due", "kept", "holiday", "speakers", "quiet")),)
    show(found["ahead"], columns, output)
    if found["holidays_known_until"] and output is Format.TABLE:
        say(f"Holidays are known until {found['holidays_known_until']}.")


@app.command("runs")
def runs(ctx: typer.Context, schedule: Schedule, *, output: Output = Format.TABLE) -> None:
    """What became of the occurrences that were due, the latest first."""
    found = client_of(ctx).get(f"/v1/schedules/{quote(schedule, safe='')}/occurrences")
    show(found["runs"], (*map(column, ("due", "state", "code", "detail", "broadcast")),), output)


@app.command("approve")
def approve(ctx: typer.Context, schedule: Schedule, *, output: Output = Format.TABLE) -> None:
    """Let a schedule speak that somebody else made and that reaches further than one person may."""
    _told(_decided(ctx, schedule, "approve"), output)


@app.command("pause")
def pause(ctx: typer.Context, schedule: Schedule, *, output: Output = Format.TABLE) -> None:
    """Say nothing of it until it is resumed."""
    _told(_decided(ctx, schedule, "pause"), output)


@app.command("resume")
def resume(ctx: typer.Context, schedule: Schedule, *, output: Output = Format.TABLE) -> None:
    """Go on from the next occurrence."""
    _told(_decided(ctx, schedule, "resume"), output)


@app.command("withdraw")
def withdraw(ctx: typer.Context, schedule: Schedule) -> None:
    """Say it never again; what is being said is not silenced."""
    client_of(ctx).call("DELETE", f"/v1/schedules/{quote(schedule, safe='')}")
    say(f"{schedule} is withdrawn.")


def _decided(ctx: typer.Context, schedule: str, what: str) -> Mapping[str, Any]:
    made: Mapping[str, Any] = client_of(ctx).call("POST", f"/v1/schedules/{quote(schedule, safe='')}/{what}")
    return made


def _told(made: Mapping[str, Any], output: Format) -> None:
    told = made if output in {Format.JSON, Format.YAML} else {name: made[name] for name in ("id", "state", "next")}
    tell(told, output)
