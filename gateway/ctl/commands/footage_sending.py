"""Packages that the gateway sends: where to, how far they are, and what came of it."""

import time
import uuid
from typing import Annotated, Any, Final

import typer

from gateway.ctl.bars import bars
from gateway.ctl.client import Client
from gateway.ctl.failure import Failed
from gateway.ctl.output import Format, column, local, say, show, tell
from gateway.ctl.session import Output, client_of

POLL_S: Final = 1.0
_OPEN: Final = frozenset({"pending", "sending"})
_DESTINATIONS: Final = tuple(column(name) for name in ("name", "way", "where", "plain_because"))
_SENT: Final = (
    *(column(name) for name in ("id", "destination", "state", "attempts", "size", "sha256", "reason")),
    column("next_attempt_at", "next"),
    *(column(name, wide=True) for name in ("target", "receiver", "manifest_sha256", "outside_sha256", "begun_at", "ended_at")),
)


def add_to(app: typer.Typer) -> None:
    app.command()(destinations)
    app.command()(send)


def destinations(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """Where packages may be sent: footage.destinations of the gateway's configuration."""
    show(client_of(ctx).get("/v1/footage-destinations")["items"], _DESTINATIONS, output)


def send(
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")],
    destination: Annotated[str, typer.Argument(help="A name of: gatewayctl footage destinations", metavar="DESTINATION")],
    *,
    receiver: Annotated[str, typer.Option(help="Who takes it there.", show_default="the requester")] = "",
    badge: Annotated[str, typer.Option(help="The receiver's.", show_default="the requester's")] = "",
    unit: Annotated[str, typer.Option(help="The receiver's.", show_default="the requester's")] = "",
    note: Annotated[str, typer.Option(help="What shall stand in the record.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until it is there, showing how far it is.")] = True,
    output: Output = Format.TABLE,
) -> None:
    """Send the sealed package; when it is there, read back and the same, the request is handed over. Ends with 1 when it failed.

    What does not arrive is tried again by the gateway, for footage.send_hours, also when this command is ended; ordered again, it is
    tried at once.
    """
    client = client_of(ctx)
    body = {"receiver": receiver, "badge": badge, "unit": unit, "note": note}
    once = {"Idempotency-Key": uuid.uuid4().hex}
    delivery = client.call("POST", f"/v1/footage-requests/{request}/deliveries/{destination}", body=body, headers=once)
    if wait:
        delivery = _waited(client, delivery)
    if output is Format.TABLE:
        show([delivery], _SENT, output)
    else:
        tell(delivery, output)
    if delivery["outside_sha256"]:
        say(f"a whole copy of the package that it was lies at {delivery['target']}, SHA-256 {delivery['outside_sha256']}")
    if delivery["state"] == "failed":
        raise Failed(f"It was not sent: {delivery['reason']}", hint=f"mend that, then: gatewayctl footage send {request} {destination}")
    if delivery["state"] in _OPEN:
        say(f"how far it is: gatewayctl footage deliveries {request}; to try it at once: gatewayctl footage send {request} {destination}")


def _waited(client: Client, delivery: dict[str, Any]) -> dict[str, Any]:
    """The delivery when nothing more happens to it; a line for each step, and a bar on a terminal."""
    said = ""
    with bars() as shown:
        bar = shown.add(delivery["destination"], delivery["size"])
        while True:
            step = _step(delivery)
            if step != said:
                said = step
                say(f"{delivery['id']} {step}")
            bar.to(delivery["sent"])
            if delivery["state"] not in _OPEN:
                return delivery
            time.sleep(POLL_S)
            delivery = client.get(f"/v1/footage-deliveries/{delivery['id']}")


def _step(delivery: dict[str, Any]) -> str:
    reason = f": {delivery['reason']}" if delivery["reason"] else ""
    later = f"; next try at {local(delivery['next_attempt_at'])}" if delivery["next_attempt_at"] else ""
    return f"is {delivery['state']}{reason}{later}"
