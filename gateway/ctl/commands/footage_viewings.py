"""Viewing on site from a terminal: who looks, under whose eyes, and what came of it. The films are shown by the page that it tells."""

from typing import Annotated, Any, Final

import typer

from gateway.ctl.output import Column, Format, column, say, show, tell
from gateway.ctl.session import Output, client_of

_COLUMNS: Final = (
    *(column(name) for name in ("id", "viewer", "started_at", "ended_at", "outcome")),
    *(column(name, wide=True) for name in ("identity", "companions", "place", "until", "plays", "note")),
    Column("SUPERVISOR", lambda viewing: viewing["supervisor"]["name"], wide=True),
)

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]


def add_to(app: typer.Typer) -> None:
    app.command()(view)
    app.command("end-viewing")(end_viewing)
    app.command()(viewings)


def view(
    ctx: typer.Context,
    request: RequestId,
    *,
    viewer: Annotated[str, typer.Option(help="Who looks.")],
    identity: Annotated[str, typer.Option(help="The number of the identity card or badge.")],
    companions: Annotated[str, typer.Option(help="Who else is in the room.")] = "",
    place: Annotated[str, typer.Option(help="Where the screen stands.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Start a viewing on site; whose key this is supervises it, and opens its page."""
    client = client_of(ctx)
    body = {"viewer": viewer, "identity": identity, "companions": companions, "place": place}
    begun = client.call("POST", f"/v1/footage-requests/{request}/viewings", body=body)
    _told(begun, output)
    say(f"open, signed in to the console: {client.server}{begun['page']}")
    say(f"when it is over: gatewayctl footage end-viewing {begun['id']} --outcome nothing-found|no-copy|copy-wanted|interrupted")


def end_viewing(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The viewing's id: gatewayctl footage viewings REQUEST", metavar="VIEWING")],
    *,
    outcome: Annotated[str, typer.Option(help="nothing-found or no-copy, which close the request; copy-wanted or interrupted.")],
    note: Annotated[str, typer.Option(help="What shall stand in the record.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """End a viewing, and say what came of it."""
    _told(client_of(ctx).call("POST", f"/v1/footage-viewings/{name}/end", body={"outcome": outcome, "note": note}), output)


def viewings(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """The viewings of a request."""
    show(client_of(ctx).get(f"/v1/footage-requests/{request}/viewings")["items"], _COLUMNS, output)


def _told(viewing: dict[str, Any], output: Format) -> None:
    if output is Format.TABLE:
        show([viewing], _COLUMNS, output)
    else:
        tell(viewing, output)
