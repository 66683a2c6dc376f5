"""Personal links to footage: made for one named person, listed with what was taken by each, and revoked."""

from typing import Annotated

import typer

from gateway.ctl.output import Column, Format, column, local, say, show, tell, write_line
from gateway.ctl.session import Output, client_of

_COLUMNS = (
    *(column(name) for name in ("id", "receiver", "badge", "expires_at")),
    Column("TAKEN", lambda link: ", ".join(f"{take['name']} {take['sent']}/{take['size']}" for take in link["takes"])),
    *(column(name) for name in ("denials", "revoked_at")),
    *(column(name, wide=True) for name in ("unit", "downloads", "made_at", "path")),
)

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]


def add_to(app: typer.Typer) -> None:
    app.command()(link)
    app.command()(links)
    app.command("revoke-link")(revoke_link)


def link(
    ctx: typer.Context,
    request: RequestId,
    *,
    receiver: Annotated[str, typer.Option(help="The one person who may use it.")],
    badge: Annotated[str, typer.Option(help="The number by which that person is told.")],
    unit: Annotated[str, typer.Option()] = "",
    hours: Annotated[float | None, typer.Option(help="How long; as long as downloads are possible when left out.")] = None,
    downloads: Annotated[int | None, typer.Option(help="How often each file.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a link for one named person. Its code is told this once: give address and code by two ways."""
    client = client_of(ctx)
    given = {"receiver": receiver, "badge": badge, "unit": unit, "hours": hours, "downloads": downloads}
    body = {name: value for name, value in given.items() if value not in (None, "")}
    made = client.call("POST", f"/v1/footage-requests/{request}/links", body=body)
    if output is not Format.TABLE:
        tell(made, output)
        return
    write_line(f"address  {client.server}{made['path']}")
    write_line(f"name     {made['badge']}")
    write_line(f"code     {made['code']}")
    say(f"for {made['receiver']}, until {local(made['expires_at'])}; the code is told this once")
    say(f"to end it: gatewayctl footage revoke-link {made['id']}")


def links(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """The links of a request, what was taken by each, and what was denied."""
    show(client_of(ctx).get(f"/v1/footage-requests/{request}/links")["items"], _COLUMNS, output)


def revoke_link(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The link's id: gatewayctl footage links REQUEST", metavar="LINK")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """End a link at once, also in the middle of a download."""
    show([client_of(ctx).call("DELETE", f"/v1/footage-links/{name}")], _COLUMNS, output)
