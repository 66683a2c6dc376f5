"""Footage that left, and on a sealed medium: to whom, against which printed hash, and the signed sheet that comes back."""

import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.ctl.commands.footage_papers import scan_of
from gateway.ctl.output import Column, Format, column, say, show, tell
from gateway.ctl.session import Output, client_of

_COLUMNS: Final = (
    *(column(name) for name in ("id", "way", "state")),
    Column("WHERE", lambda delivery: delivery["destination"] or f"{delivery['medium']} {delivery['number']}"),
    *(column(name) for name in ("seal", "receiver", "second_officer", "at")),
    Column("SIGNED", lambda delivery: delivery["signed_sheet"] and delivery["signed_sheet"]["at"]),
    *(
        column(name, wide=True)
        for name in ("badge", "unit", "target", "reason", "next_attempt_at", "outside_sha256", "manifest_sha256", "note")
    ),
)

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]


def add_to(app: typer.Typer) -> None:
    app.command()(deliver)
    app.command("add-signed-sheet")(add_signed_sheet)
    app.command()(deliveries)


def deliver(
    ctx: typer.Context,
    request: RequestId,
    *,
    medium: Annotated[str, typer.Option(help="optical-disc, usb-stick or hard-disk.")],
    number: Annotated[str, typer.Option(help="What stands on the medium.")],
    seal: Annotated[str, typer.Option(help="The number of the seal.")],
    receiver: Annotated[str, typer.Option(help="Who takes it.")],
    second_officer: Annotated[str, typer.Option(help="Two officers come.")],
    printed_hash: Annotated[str, typer.Option(help="The hash of manifest.json as the receiver reads it on the sheet: compared.")] = "",
    badge: Annotated[str, typer.Option(help="The receiver's.")] = "",
    unit: Annotated[str, typer.Option(help="The receiver's.")] = "",
    note: Annotated[str, typer.Option(help="What shall stand in the record.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Record that a sealed medium with the package was handed over; the request is handed over with it."""
    body = {"medium": medium, "number": number, "seal": seal, "receiver": receiver, "second_officer": second_officer}
    body |= {"badge": badge, "unit": unit, "note": note, "printed_sha256": printed_hash.strip()}
    once = {"Idempotency-Key": uuid.uuid4().hex}
    given = client_of(ctx).call("POST", f"/v1/footage-requests/{request}/deliveries", body=body, headers=once)
    _told(given, output)
    say(f"the signed sheet is owed: gatewayctl footage add-signed-sheet {given['id']} SCAN.pdf")


def add_signed_sheet(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The hand-over's id: gatewayctl footage deliveries REQUEST", metavar="DELIVERY")],
    file: Annotated[Path, typer.Argument(help="The scan: a PDF, JPEG or PNG.", metavar="FILE")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Upload the custody sheet with the signatures."""
    data, media = scan_of(file)
    path = f"/v1/footage-deliveries/{name}/signed-sheet"
    _told(client_of(ctx).call("POST", path, query={"name": file.name}, data=data, kind=media), output)


def deliveries(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """Media that a request's package was handed over on, and destinations that it was sent to; where SIGNED is empty, the sheet is owed.

    What left by download, or was handed over without a medium, is not among them: gatewayctl describe footage REQUEST, under custody.
    """
    show(client_of(ctx).get(f"/v1/footage-requests/{request}/deliveries")["items"], _COLUMNS, output)


def _told(delivery: dict[str, Any], output: Format) -> None:
    if output is Format.TABLE:
        show([delivery], _COLUMNS, output)
    else:
        tell(delivery, output)
