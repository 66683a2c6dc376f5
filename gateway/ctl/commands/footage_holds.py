"""Holds from a terminal: footage that must not be lost, how far it is secured, and the end of it."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.commands.footage_times import window_of
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, column, show, tell
from gateway.ctl.session import Output, client_of

_COLUMNS = (
    *(column(name) for name in ("id", "state", "cameras", "start", "end", "expires_at", "reason")),
    *(column(name, wide=True) for name in ("request", "created_at", "note")),
    Column("OWNER", lambda hold: hold["owner"]["name"], wide=True),
)
_KEEPS = (
    *(column(name) for name in ("camera", "device", "state", "overwrite_at", "stored_bytes", "locked", "reason")),
    *(column(name, wide=True) for name in ("reserved_bytes", "next_at")),
)
_CHECKS = (*(column(name) for name in ("name", "checked_at")), Column("FOUND", lambda check: check["found"] or "as it was stored"))


def add_to(app: typer.Typer) -> None:
    app.command()(hold)
    app.command()(holds)
    app.command()(release)


def hold(
    ctx: typer.Context,
    request: Annotated[str | None, typer.Argument(help="The id of a request; without one, --camera and --start.")] = None,
    *,
    why: Annotated[str, typer.Option(help="Why it must not be lost.")],
    days: Annotated[float, typer.Option(help="For how long.")] = 30,
    camera: Annotated[list[str] | None, typer.Option(help="Before a request is filed; several times for several.")] = None,
    start: Annotated[str | None, typer.Option(help="2026-03-01T08:00:00+08:00; without an offset it is this machine's time.")] = None,
    end: Annotated[str | None, typer.Option(help="As --start.")] = None,
    length: Annotated[str | None, typer.Option("--for", help="Instead of --end: 10m, 1h30m; 10m when neither is given.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Copy all of it, also what its device would keep.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Hold footage from now on: what its device would overwrite is copied into the evidence store, the rest is watched."""
    if request and (camera or start or end or length):
        hint = "Leave REQUEST out, or --camera and the times."
        raise Failed("A request has cameras and times of its own.", exit_code=Exit.USAGE, hint=hint)
    client = client_of(ctx)
    what = _of_request(client, request) if request else {"cameras": camera or [], **window_of(start, end, length)}
    if not what["cameras"] or "start" not in what:
        raise Failed(
            "Neither a request nor cameras and a time are named.", exit_code=Exit.USAGE, hint="Give REQUEST, or --camera and --start."
        )
    until = (client.now() + timedelta(days=days)).isoformat()
    body = {**what, "reason": why, "expires_at": until, "everything": everything}
    placed = client.call("POST", "/v1/footage/holds", body=body)
    _told(placed, output)


def holds(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="One of them, with what is kept and when that was read again.", metavar="HOLD")] = None,
    *,
    request: Annotated[str | None, typer.Option(help="Those of this request.")] = None,
    state: Annotated[str | None, typer.Option(help="active, released or expired.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """The holds, the newest first; of one, what is kept for it and what was found when that was read again."""
    if name and (request or state):
        hint = "Leave HOLD out for a list, or --request and --state for the one."
        raise Failed("--request and --state choose from the list of holds, and HOLD is one.", exit_code=Exit.USAGE, hint=hint)
    if name:
        _told(client_of(ctx).get(f"/v1/footage/holds/{name}"), output)
        return
    show(client_of(ctx).every("/v1/footage/holds", request=request, state=state), _COLUMNS, output)


def release(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The hold's id: gatewayctl footage holds", metavar="HOLD")],
    *,
    note: Annotated[str, typer.Option(help="Why it ends.")],
    output: Output = Format.TABLE,
) -> None:
    """End a hold; what it alone secured is removed."""
    show([client_of(ctx).call("POST", f"/v1/footage/holds/{name}/release", body={"note": note})], _COLUMNS, output)


def _of_request(client: Client, request: str) -> dict[str, Any]:
    found = client.get(f"/v1/footage-requests/{request}")
    return {"cameras": found["cameras"], "start": found["start"], "end": found["end"], "request": request}


def _told(placed: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        tell(placed, output)
        return
    show([placed], _COLUMNS, output)
    show(placed["keeps"], _KEEPS, output)
    if placed.get("checks"):
        show(placed["checks"], _CHECKS, output)
