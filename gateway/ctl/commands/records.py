"""The inventory in and out, and the audit record."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, column, harmless, say, show, tell
from gateway.ctl.session import Output, client_of

IMPORT_TIMEOUT_S = 300.0
IMPORTS = "/v1/inventory/imports"

audit = typer.Typer(no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.command("import")(import_)
    app.command("export")(export)


def import_(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="CSV, XLSX or YAML of devices; GeoJSON of grid cells, streets and districts.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the file does not name.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Import inventory, each file all or nothing; the difference goes to standard output."""
    client = client_of(ctx)
    for file in files:
        query = {"name": file.name, "dry_run": dry_run, "prune": prune}
        data, headers = _bytes(file), {"Content-Type": "application/octet-stream"}
        with client.open("POST", IMPORTS, query=query, data=data, headers=headers, timeout_s=IMPORT_TIMEOUT_S) as answer:
            done = json.load(answer)
        if output in {Format.JSON, Format.YAML}:
            tell(done, output)
            continue
        sys.stdout.writelines(harmless(line) + "\n" for line in done["lines"])
        say(f"{file}: {'imported' if done['applied'] else 'nothing was changed'}")


def export(
    ctx: typer.Context,
    *,
    form: Annotated[str, typer.Option("--format", help="yaml, csv, xlsx or geojson.")] = "yaml",
    to: Annotated[Path | None, typer.Option("--to", help="The file to write. [default: standard output]")] = None,
) -> None:
    """Write the inventory, without secrets, as a file that can be imported again."""
    with client_of(ctx).open("GET", "/v1/inventory/export", query={"format": form}, timeout_s=IMPORT_TIMEOUT_S) as answer:
        data = answer.read()
    if to is None:
        sys.stdout.buffer.write(data)
    else:
        to.write_bytes(data)


@audit.command("list")
def list_(
    ctx: typer.Context,
    *,
    subject: Annotated[str | None, typer.Option(help="What was done to one thing.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Who did what, newest first."""
    columns = [
        *(column(name) for name in ("at", "actor", "action", "subject", "data")),
        *(column(name, wide=True) for name in ("chain", "seq", "hash")),
    ]
    show(client_of(ctx).every("/v1/audit", most=limit, subject=subject), columns, output)


@audit.command()
def verify(
    ctx: typer.Context,
    *,
    against: Annotated[Path | None, typer.Option(help="Heads that --save kept elsewhere: the record must still hold them.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the heads in this file, best on another machine.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Have the whole record walked, row by row. Ends with 1 when it does not hold."""
    with client_of(ctx).open("GET", "/v1/audit/verification", timeout_s=IMPORT_TIMEOUT_S) as answer:
        verdict = json.load(answer)
    broken = [f"{one['chain']}/{one['seq']}: {one['why']}" for one in verdict["broken"]]
    if against is not None:
        broken += _shrunk(json.loads(_bytes(against)), verdict["heads"])
    tell(verdict if output is not Format.TABLE else {"rows": verdict["rows"], "holds": not broken}, output)
    if broken:
        raise Failed("The record does not hold.", faults=broken, hint="Keep the store as it is, and compare it with a backup.")
    if save is not None:
        save.write_text(json.dumps(verdict["heads"], indent=2) + "\n", encoding="utf-8")


def _shrunk(before: dict[str, list[object]], now: dict[str, list[object]]) -> list[str]:
    """Chains that end earlier than they did, or have another row at the same end."""
    found = []
    for chain, (seq, digest) in before.items():
        later_seq, later_digest = now.get(chain, [0, ""])
        if int(str(later_seq)) < int(str(seq)) or (later_seq == seq and later_digest != digest):
            found.append(f"{chain}/{seq}: the head that was kept elsewhere is not there any more")
    return found


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failed(f"{file} cannot be read: {error.strerror}", exit_code=Exit.USAGE, hint="Is the name right?") from None
