"""Files that a vendor's client exported, brought into a request's package, on where an earlier attempt broke off."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from gateway.ctl.bars import Bar, bars
from gateway.ctl.client import Client
from gateway.ctl.commands.footage_times import window_of
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, column, say, show
from gateway.ctl.session import Output, client_of

_PIECE: Final = 4 << 20
_PAUSE_S: Final = 1.0
_PAUSES: Final = 600
"""How often it is tried again while the gateway receives as many other files as it can."""
_COLUMNS: Final = (
    *(column(name) for name in ("id", "state", "name", "original_name", "camera", "size")),
    Column("RECEIVED", lambda file: file["received"]),
    *(column(name, wide=True) for name in ("brought_by", "badge", "device", "client", "sha256", "made_at", "kept_at")),
)

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]


def add_to(app: typer.Typer) -> None:
    app.command()(bring)
    app.command()(brought)


def bring(
    ctx: typer.Context,
    request: RequestId,
    file: Annotated[Path, typer.Argument(help="What the vendor's client exported.", metavar="FILE")],
    *,
    brought_by: Annotated[str, typer.Option(help="Who brings it.")],
    badge: Annotated[str, typer.Option()],
    device: Annotated[str, typer.Option(help="The device it was exported from, as it stands on it: kind, address, serial number.")],
    client: Annotated[str, typer.Option(help="The vendor's software, with its version.")],
    camera: Annotated[str | None, typer.Option(help="The inventory's camera, where it is one.")] = None,
    start: Annotated[str | None, typer.Option(help="The period that it is said to show; nothing checks that.")] = None,
    end: Annotated[str | None, typer.Option(help="As --start.")] = None,
    note: Annotated[str, typer.Option()] = "",
    output: Output = Format.TABLE,
) -> None:
    """Take a file into the package that the gateway did not fetch, and mark it so. Broke off? The same command goes on."""
    door = client_of(ctx)
    size, digest = _measured(file)
    said = {"brought_by": brought_by, "badge": badge, "device": device, "client": client, "original_name": file.name, "note": note}
    claimed = {f"claimed_{name}": moment for name, moment in window_of(start, end, None).items()}
    body = {**said, **claimed, "size": size, "sha256": digest} | ({"camera": camera} if camera else {})
    path = f"/v1/footage-requests/{request}/brought-files"
    begun = (
        one for one in door.get(path)["items"] if one["state"] == "receiving" and (one["original_name"], one["size"]) == (file.name, size)
    )
    one = next(begun, None) or door.call("POST", path, body=body)
    with bars() as shown:
        one = _sent(door, one, file, shown.add(file.name, size))
    show([one], _COLUMNS, output)
    say(f"{one['name']} is {one['state']}; it is marked as not fetched by the gateway")


def brought(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """The files that were brought for a request."""
    show(client_of(ctx).get(f"/v1/footage-requests/{request}/brought-files")["items"], _COLUMNS, output)


def _measured(file: Path) -> tuple[int, str]:
    try:
        with file.open("rb") as source:
            return file.stat().st_size, hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint="Name a file that is there.") from None


def _sent(door: Client, one: Mapping[str, Any], file: Path, bar: Bar) -> Mapping[str, Any]:
    """Send what the gateway does not have yet, piece by piece."""
    with file.open("rb") as source:
        while one["received"] < one["size"]:
            source.seek(one["received"])
            piece = source.read(_PIECE)
            if not piece:
                raise Failed(f"{file} became shorter.", hint="Bring a file that nobody writes to.")
            told = {"Content-Range": f"bytes {one['received']}-{one['received'] + len(piece) - 1}/{one['size']}"}
            one = _put(door, f"/v1/brought-files/{one['id']}/content", piece, told)
            bar.to(one["received"])
    return one


def _put(door: Client, path: str, piece: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """Send a piece, as soon as the gateway has room for it. Failed."""
    left = _PAUSES
    while True:
        try:
            return cast("Mapping[str, Any]", door.call("PUT", path, data=piece, kind="application/octet-stream", headers=headers))
        except Failed as failed:
            if failed.code != "overloaded" or not left:
                raise
        left -= 1
        time.sleep(_PAUSE_S)
