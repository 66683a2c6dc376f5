"""Footage from a terminal: file a request, decide on one, fetch its files, and verify them without any gateway."""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, say, tell
from gateway.ctl.session import Output, client_of

POLL_S = 1.0
MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_WORKING = frozenset({"submitted", "approved", "locating", "exporting"})

app = typer.Typer(no_args_is_help=True)

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]
Note = Annotated[str, typer.Option(help="What shall stand in the record.")]
Reason = Annotated[str, typer.Option("--note", help="Why.")]


@app.command()
def submit(
    ctx: typer.Context,
    *,
    file: Annotated[Path | None, typer.Option("--from", help="A YAML or JSON file with all fields; options go before it.")] = None,
    requester: Annotated[str | None, typer.Option()] = None,
    unit: Annotated[str | None, typer.Option()] = None,
    badge: Annotated[str | None, typer.Option()] = None,
    second_officer: Annotated[str | None, typer.Option()] = None,
    case_number: Annotated[str | None, typer.Option()] = None,
    case_kind: Annotated[str | None, typer.Option(help="A code of: gatewayctl footage register")] = None,
    legal_basis: Annotated[str | None, typer.Option(help="A code of: gatewayctl footage register")] = None,
    authorising_document: Annotated[str | None, typer.Option(help="The number of the 调取证据通知书 or letter.")] = None,
    approval_letter: Annotated[str | None, typer.Option()] = None,
    purpose: Annotated[str | None, typer.Option()] = None,
    destination: Annotated[str | None, typer.Option()] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Give it several times for several.")] = None,
    group: Annotated[list[str] | None, typer.Option()] = None,
    cell: Annotated[list[str] | None, typer.Option()] = None,
    start: Annotated[str | None, typer.Option(help="With an offset: 2026-03-01T08:00:00+08:00")] = None,
    end: Annotated[str | None, typer.Option()] = None,
    urgent: Annotated[bool, typer.Option("--urgent")] = False,
    output: Output = Format.TABLE,
) -> None:
    """File a request; another person has to approve it."""
    fields = {name: value for name, value in locals().items() if name not in {"ctx", "file", "urgent", "output", "camera", "group", "cell"}}
    fields |= {"cameras": camera, "groups": group, "cells": cell, "urgency": "urgent" if urgent else None}
    body = _read(file) | {name: value for name, value in fields.items() if value}
    _told(client_of(ctx).call("POST", "/v1/footage-requests", body=body), output)


@app.command()
def register(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """The kinds of case and legal bases that a request may name."""
    found = client_of(ctx).get("/v1/footage-register")
    if output in {Format.JSON, Format.YAML}:
        tell(found, output)
        return
    for name, codes in found.items():
        say(name.replace("_", " "))
        tell(codes, output)


@app.command()
def approve(ctx: typer.Context, request: RequestId, *, note: Note = "", output: Output = Format.TABLE) -> None:
    """Let the footage be fetched; not by one who asks for it."""
    _told(_act(client_of(ctx), request, "approve", {"note": note}), output)


@app.command()
def reject(ctx: typer.Context, request: RequestId, *, note: Reason, output: Output = Format.TABLE) -> None:
    """Refuse it, saying why."""
    _told(_act(client_of(ctx), request, "reject", {"note": note}), output)


@app.command()
def cancel(ctx: typer.Context, request: RequestId, *, note: Note = "", output: Output = Format.TABLE) -> None:
    """Withdraw it; what was fetched for it is removed."""
    _told(_act(client_of(ctx), request, "cancel", {"note": note}), output)


@app.command()
def retry(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """Fetch again what a failed or partial one still lacks."""
    _told(_act(client_of(ctx), request, "retry", None), output)


@app.command("hand-over")
def hand_over(
    ctx: typer.Context, request: RequestId, *, receiver: Annotated[str, typer.Option(help="To whom.")], output: Output = Format.TABLE
) -> None:
    """Record that the footage was handed to somebody."""
    _told(_act(client_of(ctx), request, "hand-over", {"receiver": receiver}), output)


@app.command()
def status(
    ctx: typer.Context,
    request: RequestId,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until there is nothing left to do.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Where a request stands. With --wait ends with 0 when it is ready, 5 when in part, 1 when not at all."""
    client = client_of(ctx)
    found = client.get(f"/v1/footage-requests/{request}")
    while wait and found["state"] in _WORKING:
        time.sleep(POLL_S)
        found = client.get(f"/v1/footage-requests/{request}")
    _told(found, output)
    if wait and found["state"] not in {"ready", "handed-over"}:
        code = Exit.PARTIAL if found["state"] == "partial" else Exit.FAILED
        raise Failed(f"The request is {found['state']}: {found['reason']}", exit_code=code, hint=f"gatewayctl describe footage {request}")


@app.command()
def download(
    ctx: typer.Context,
    request: RequestId,
    *,
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
) -> None:
    """Fetch the files and the manifest; each file's SHA-256 is compared before it gets its name."""
    client = client_of(ctx)
    found = client.get(f"/v1/footage-requests/{request}")
    if not found["files"]:
        raise Failed(f"The request is {found['state']} and has no files.", hint=f"gatewayctl footage status {request} --wait")
    try:
        to.mkdir(parents=True, exist_ok=True)
        for file in found["files"]:
            _fetch(client, request, file, to)
        with client.open("GET", f"/v1/footage-requests/{request}/manifest") as answer:
            (to / MANIFEST).write_bytes(answer.read())
    except OSError as error:
        raise Failed(
            f"{to} cannot be written: {error.strerror}", exit_code=Exit.ENVIRONMENT, hint="Give another folder with --to."
        ) from None
    say(f"{len(found['files'])} files and {MANIFEST} in {to}; gatewayctl footage verify {to} checks them at any time")


@app.command()
def verify(folder: Annotated[Path, typer.Argument(help="A folder with files and their manifest.json.")] = Path()) -> None:
    """Compare every file with the manifest that lies beside it. Needs no gateway. Ends with 5 when some files are wrong."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [file for camera in manifest["cameras"] for file in camera["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"There is no manifest in {folder}: {error}", exit_code=Exit.USAGE, hint="Name the folder of a download.") from None
    wrong = [file["name"] for file in files if not _verified(folder, file)]
    if wrong or not files:
        code = Exit.PARTIAL if len(wrong) < len(files) else Exit.FAILED
        raise Failed(f"{len(wrong)} of {len(files)} files are not what the manifest says.", exit_code=code, hint="Download them again.")


def _verified(folder: Path, file: dict[str, Any]) -> bool:
    path = folder / Path(file["name"]).name
    right = path.is_file() and _digest(path) == file["sha256"]
    sys.stdout.write(f"{file['sha256']}  {path.name}  {'ok' if right else 'WRONG' if path.is_file() else 'MISSING'}\n")
    return right


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(client: Client, request: str, file: dict[str, Any], folder: Path) -> None:
    name = Path(file["name"]).name  # never out of the folder
    part, digest, size = folder / f".{name}.part", hashlib.sha256(), 0
    with client.open("GET", f"/v1/footage-requests/{request}/files/{name}") as answer, part.open("wb") as out:
        while piece := answer.read(_CHUNK):
            out.write(piece)
            digest.update(piece)
            size += len(piece)
            _progress(name, size, file["size"])
    if digest.hexdigest() != file["sha256"]:
        part.unlink()
        raise Failed(f"{name} arrived damaged.", hint="Download it again; the gateway counts how often.")
    part.rename(folder / name)


def _progress(name: str, done: int, size: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{name}  {100 * done // max(1, size):3d} %" + ("\n" if done >= size else ""))
        sys.stderr.flush()


def _act(client: Client, request: str, act: str, body: dict[str, Any] | None) -> Any:
    return client.call("POST", f"/v1/footage-requests/{request}/{act}", body=body)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    import yaml  # noqa: PLC0415 -- only who gives a file pays for it; YAML reads JSON too

    try:
        found = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 -- BaseLoader makes strings, lists and mappings only
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Failed(f"{file} cannot be read: {error}", exit_code=Exit.USAGE, hint="Give a YAML or JSON file.") from None
    if not isinstance(found, dict):
        raise Failed(f"{file} holds no fields.", exit_code=Exit.USAGE, hint="Write one `name: value` a line.")
    return found


def _told(request: dict[str, Any], output: Format) -> None:
    brief = ("id", "state", "reason", "case_number", "requester", "cameras", "start", "end", "submitted_at")
    tell(request if output is not Format.TABLE else {name: request[name] for name in brief}, output)
