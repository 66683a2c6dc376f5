"""Acting on a device: a clip through loudspeakers, silence everywhere, a picture of a camera, its power off and on again."""

import re
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, column, show, tell
from gateway.ctl.output import say as talk
from gateway.ctl.session import Output, client_of

POLL_S = 0.3
CLIP_LIMIT = 64 << 20
_KINDS = {".wav": "audio/wav", ".mp3": "audio/mpeg"}


def add_to(app: typer.Typer) -> None:
    app.command("say")(say)
    app.command("stop-all")(stop_all)
    app.command("capture")(capture)
    app.command("ptz")(ptz)
    app.command("power-cycle")(power_cycle)


def say(
    ctx: typer.Context,
    clip: Annotated[str, typer.Argument(help="A WAV or MP3 file, or the id of a clip that is there already.", metavar="FILE|CLIP")],
    *,
    speaker: Annotated[list[str] | None, typer.Option(help="To a loudspeaker; give it several times for several.")] = None,
    zone: Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a zone.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a camera group.")] = None,
    cell: Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a grid cell.")] = None,
    priority: Annotated[str, typer.Option(help="schedule, notice, enforcement, talk or emergency.")] = "notice",
    within: Annotated[float, typer.Option(min=1, max=3600, help="Seconds after which it must not begin any more.")] = 30.0,
    case: Annotated[str, typer.Option(help="The platform's case number.")] = "",
    command_id: Annotated[str | None, typer.Option("--id", help="Your own id: sent again, it is still one broadcast.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it has been heard, and say where.")] = True,
    output: Output = Format.TABLE,
) -> None:
    """Speak a clip. Ends with 0 when every loudspeaker played it, 5 when some did, 1 when none did."""
    targets = {"speakers": speaker or [], "zones": zone or [], "groups": group or [], "cells": cell or []}
    if not any(targets.values()):
        raise Failed("Where shall it be heard?", exit_code=Exit.USAGE, hint="Give --speaker, --zone, --group or --cell.")
    client = client_of(ctx)
    order = {
        "clip": _clip(client, clip),
        "targets": targets,
        "priority": priority,
        "not_after": (datetime.now(UTC) + timedelta(seconds=within)).isoformat(),
        "case": case,
        "id": command_id or uuid.uuid4().hex,
    }
    sent = client.call("POST", "/v1/broadcasts", body=order)
    if not wait:
        tell({"id": sent["id"]}, output)
        return
    ended = _ended(client, sent)
    if output in {Format.JSON, Format.YAML}:
        tell(ended, output)
    else:
        show(ended["deliveries"], [column(name) for name in ("speaker", "state", "reason", "packets", "first_packet_at")], output)
    _judge(ended)


def stop_all(ctx: typer.Context) -> None:
    """Silence everything, now."""
    stopped = client_of(ctx).call("POST", "/v1/broadcasts/stop-all")
    talk(f"silenced {stopped['broadcasts']} broadcasts at {stopped['speakers']} loudspeakers")


def capture(
    ctx: typer.Context,
    camera: Annotated[str, typer.Argument(help="The camera's id.")],
    *,
    case: Annotated[str, typer.Option(help="The platform's case number.")] = "",
    to: Annotated[Path | None, typer.Option("--to", "-O", help="The JPEG to write; else CAMERA-TIME.jpg; - for standard output.")] = None,
) -> None:
    """Take a picture now."""
    import json  # noqa: PLC0415 -- a body by hand: the answer is no JSON

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


def _clip(client: Client, named: str) -> str:
    """The id of a clip: of the file, once it is uploaded, or the one that was given."""
    path = Path(named)
    if not path.exists() and re.fullmatch(r"[0-9a-f]{64}", named):
        return named
    try:
        if path.stat().st_size > CLIP_LIMIT:
            raise Failed(f"{path} is larger than {CLIP_LIMIT >> 20} MiB.", exit_code=Exit.USAGE, hint="Shorten it, or send it as MP3.")
        data = path.read_bytes()
    except OSError as error:
        hint = "Name a WAV or MP3 file, or a clip of: gatewayctl get clips"
        raise Failed(f"{named} cannot be read: {error.strerror}", exit_code=Exit.USAGE, hint=hint) from None
    kind = _KINDS.get(path.suffix.lower(), "application/octet-stream")
    kept = client.call("POST", "/v1/clips", query={"name": path.stem[:200] or "clip"}, data=data, kind=kind)
    return str(kept["id"])


def _ended(client: Client, broadcast: dict[str, Any]) -> dict[str, Any]:
    while broadcast["open"]:
        time.sleep(POLL_S)
        broadcast = client.get(f"/v1/broadcasts/{broadcast['id']}")
    return broadcast


def _judge(ended: dict[str, Any]) -> None:
    done, all_ = ended["counts"].get("done", 0), len(ended["deliveries"])
    if done < all_:
        code = Exit.PARTIAL if done else Exit.FAILED
        hint = "gatewayctl describe devices SPEAKER tells how a loudspeaker is."
        raise Failed(f"{done} of {all_} loudspeakers played it.", exit_code=code, hint=hint)
