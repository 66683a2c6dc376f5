"""What is wrong as one thing, and what is done about it: list, acknowledge, snooze, assign, resolve, reopen."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.commands.look import RESOURCES
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, say, show, tell
from gateway.ctl.session import Output, client_of
from gateway.ctl.spans import moment

AT_ONCE = 200  # of one bulk call
_ABSENT = frozenset({"no-incident", "not-found", "out-of-scope"})

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of incidents.", metavar="ID…")]
Remark = Annotated[str, typer.Option("--message", "-m", help="Why, for the record and for who comes after you.")]
All = Annotated[bool, typer.Option("--all", help="All that are open, as far as --severity and --device let them through.")]
Severity = Annotated[list[str] | None, typer.Option(help="With --all: critical, major, minor, warning; several for several.")]
OfDevice = Annotated[str | None, typer.Option("--device", help="With --all: those that a device is part of.")]


def add_to(app: typer.Typer) -> None:
    for command in (incidents, ack, snooze, assign, resolve, reopen, comment):
        app.command()(command)


def incidents(
    ctx: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--every", help="Resolved ones, too.")] = False,
    severity: Annotated[list[str] | None, typer.Option(help="critical, major, minor, warning; several for several.")] = None,
    device: Annotated[str | None, typer.Option(help="Those that a device is or was part of.")] = None,
    assignee: Annotated[str | None, typer.Option(help="Those of somebody.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 100,
    output: Output = Format.TABLE,
) -> None:
    """List what is wrong, the newest first. One in full: gatewayctl describe incidents ID"""
    wanted = {"live": None if every else True, "severity": severity or None, "device": device, "assignee": assignee}
    show(client_of(ctx).every("/v1/incidents", most=limit, **wanted), RESOURCES["incidents"].columns, output)


def ack(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    message: Remark = "",
    all_: All = False,
    severity: Severity = None,
    device: OfDevice = None,
    output: Output = Format.TABLE,
) -> None:
    """Acknowledge incidents: somebody knows, nobody further is called."""
    client = client_of(ctx)
    _do(client, _meant(client, ids, all_=all_, states=("open",), severity=severity, device=device), "acknowledge", message, output)


def snooze(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    until: Annotated[str, typer.Option("--for", "--until", help="2h, or a time: 2026-03-01T08:00; `off` ends it.")],
    message: Remark = "",
    all_: All = False,
    severity: Severity = None,
    device: OfDevice = None,
    output: Output = Format.TABLE,
) -> None:
    """Be reminded of incidents only later."""
    client = client_of(ctx)
    moment_text = None if until == "off" else moment(until).isoformat()
    meant = _meant(client, ids, all_=all_, states=("open", "acknowledged"), severity=severity, device=device)
    _do(client, meant, "snooze", message, output, until=moment_text)


def assign(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    to: Annotated[str, typer.Option("--to", help="Who takes care of it; `nobody` for nobody.")],
    message: Remark = "",
    all_: All = False,
    severity: Severity = None,
    device: OfDevice = None,
    output: Output = Format.TABLE,
) -> None:
    """Say who takes care of incidents."""
    client = client_of(ctx)
    meant = _meant(client, ids, all_=all_, states=("open", "acknowledged"), severity=severity, device=device)
    _do(client, meant, "assign", message, output, assignee="" if to == "nobody" else to)


def resolve(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    message: Remark = "",
    all_: All = False,
    severity: Severity = None,
    device: OfDevice = None,
    output: Output = Format.TABLE,
) -> None:
    """Close incidents whatever the gateway sees; devices that are still ill stay with them, silently."""
    client = client_of(ctx)
    meant = _meant(client, ids, all_=all_, states=("open", "acknowledged"), severity=severity, device=device)
    _do(client, meant, "resolve", message, output)


def reopen(ctx: typer.Context, ids: Ids = None, *, message: Remark = "", output: Output = Format.TABLE) -> None:
    """Open resolved incidents again."""
    client = client_of(ctx)
    _do(client, _meant(client, ids, all_=False), "reopen", message, output)


def comment(
    ctx: typer.Context,
    ids: Ids = None,
    *,
    message: Annotated[str, typer.Option("--message", "-m", help="What there is to say.")],
    output: Output = Format.TABLE,
) -> None:
    """Say something about incidents."""
    client = client_of(ctx)
    _do(client, _meant(client, ids, all_=False), "comment", message, output)


def _meant(
    client: Client,
    ids: Sequence[str] | None,
    *,
    all_: bool,
    states: Sequence[str] = (),
    severity: Sequence[str] | None = None,
    device: str | None = None,
) -> list[str]:
    """The ids that are meant. Failed when none are, or when it is not clear which."""
    if bool(ids) == all_:
        hint = "gatewayctl incidents lists them; --all takes all that are open."
        raise Failed("Which incidents? Give ids or --all, and not both.", exit_code=Exit.USAGE, hint=hint)
    if (severity or device) and not all_:
        raise Failed("--severity and --device go with --all.", exit_code=Exit.USAGE, hint="Leave them away where you give ids.")
    if ids:
        return list(dict.fromkeys(ids))
    return [one["id"] for one in client.every("/v1/incidents", state=list(states), severity=list(severity or ()) or None, device=device)]


def _do(client: Client, ids: Sequence[str], act: str, message: str, output: Format, **more: object) -> None:
    """Do it to each; ends with 5 when some refuse and 1 when all do, or with 4 when none of them is there."""
    done: list[Mapping[str, Any]] = []
    for start in range(0, len(ids), AT_ONCE):
        body = {"ids": ids[start : start + AT_ONCE], "act": act, "comment": message, **more}
        done += client.call("POST", "/v1/incidents/bulk", body=body)["items"]
    if output in {Format.JSON, Format.YAML}:
        tell(done, output)
    refused = [one for one in done if not one["done"]]
    say(f"{act}: {len(done) - len(refused)} of {len(done)} incidents")
    if refused:
        raise Failed(
            f"{len(refused)} of {len(done)} incidents refused it.",
            exit_code=_code(refused, len(done)),
            faults=[f"{one['id']}: {one['detail']}" for one in refused],
            hint=f"gatewayctl describe incidents {refused[0]['id']}" if refused[0]["problem"] not in _ABSENT else "gatewayctl incidents",
        )


def _code(refused: Sequence[Mapping[str, Any]], all_: int) -> Exit:
    if len(refused) < all_:
        return Exit.PARTIAL
    return Exit.REFUSED if all(one["problem"] in _ABSENT for one in refused) else Exit.FAILED
