"""Acting on a device: a picture of a camera, its movement, its power off and on again."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import say as talk
from gateway.ctl.session import client_of


def add_to(app: typer.Typer) -> None:
    app.command("capture")(capture)
    app.command("ptz")(ptz)
    app.command("power-cycle")(power_cycle)


def capture(
    ctx: typer.Context,
    camera: Annotated[str, typer.Argument(help="The camera's id.")],
    *,
    case: Annotated[str, typer.Option(help="The platform's case number.")] = "",
    to: Annotated[Path | None, typer.Option("--to", "-O", help="The JPEG to write; else CAMERA-TIME.jpg; - for standard output.")] = None,
) -> None:
    """Take a picture now."""
    import json  # a body by hand: the answer is no JSON

    body, headers = json.dumps({"case": case}).encode(), {"Content-Type": "application/json"}
    with client_of(ctx).open("POST", f"/v1/cameras/{camera}/captures", data=body, headers=headers) as answer:
        picture, at = answer.read(), answer.headers["X-Capture-At"]
    if str(to) == "-":
        sys.stdout.buffer.write(picture)
        return
    name = re.sub(r"[^\w-]", "_", camera) + "-" + re.sub(r"\D", "", at)[:14] + ".jpg"
    path = to or Path(name)
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise Failed(
            f"{path} cannot be written: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint="Give another place with --to."
        ) from None
    talk(f"{path}: {len(picture)} bytes, taken {at}")


def ptz(
    ctx: typer.Context,
    camera: Annotated[str, typer.Argument(help="The camera's id.")],
    *,
    pan: Annotated[float, typer.Option(min=-1, max=1, help="Speed to the right; negative to the left.")] = 0.0,
    tilt: Annotated[float, typer.Option(min=-1, max=1, help="Speed upwards; negative downwards.")] = 0.0,
    zoom: Annotated[float, typer.Option(min=-1, max=1, help="Speed of zooming in; negative out.")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0.1, max=30, help="How long; the gateway stops it then.")] = 1.0,
    case: Annotated[str, typer.Option(help="The platform's case number.")] = "",
) -> None:
    """Move a camera for some seconds; without a speed, stop it."""
    body = {"pan": pan, "tilt": tilt, "zoom": zoom, "seconds": seconds, "case": case}
    moved = client_of(ctx).call("POST", f"/v1/cameras/{camera}/ptz", body=body)
    talk(f"{camera} moves for {moved['seconds']:g} s" if moved["seconds"] else f"{camera} is stopped")


def power_cycle(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(help="The camera's or loudspeaker's id.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; for the record.")],
) -> None:
    """Switch the power of a hung device's port off and on again at its switch."""
    done = client_of(ctx).call("POST", f"/v1/devices/{device}/power-cycle", body={"reason": reason})
    place = f"port {done['port']} of {done['switch']}"
    if done["outcome"] != "done":
        hint = "gatewayctl events --types device.power-cycled tells when it is known; then look at the switch itself."
        raise Failed(f"{place} did not say what came of it; the gateway goes on switching it on.", exit_code=Exit.PARTIAL, hint=hint)
    talk(f"{device}: {place} was off and is on again")
