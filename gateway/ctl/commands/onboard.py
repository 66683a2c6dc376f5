"""Bringing devices in and keeping the list true: bulk edits."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, harmless, say, tell
from gateway.ctl.session import Output, client_of

_WHERE: Final = ("id", "kind", "group", "district", "vendor", "model")
_SECRETS: Final = ("password", "snmp_community", "snmp_write_community", "snmp_auth_key", "snmp_priv_key")


def add_to(app: typer.Typer) -> None:
    app.command()(edit)


def edit(
    ctx: typer.Context,
    *,
    where: Annotated[list[str], typer.Option(help=f"FIELD=VALUE, and all must fit: {', '.join(_WHERE)}; several ids are all meant.")],
    put: Annotated[list[str], typer.Option("--set", help="FIELD=VALUE, as an import file calls it; FIELD= empties it.")],
    comment: Annotated[str, typer.Option(help="Why; it goes into the audit record.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Set fields of many devices, all or nothing; the difference goes to standard output."""
    values = dict(_pairs(put, "--set"))
    secret = next((name for name in values if name in _SECRETS), None)
    if secret is not None:
        hint = "Import a file with the columns id and " + secret + "."
        raise Failed(f"{secret} is a secret: a command line can be read by others.", exit_code=Exit.USAGE, hint=hint)
    body = {"select": _selection(where), "set": values, "comment": comment, "dry_run": dry_run}
    show_difference(client_of(ctx).call("POST", "/v1/devices/bulk", body=body), output)


def show_difference(done: Mapping[str, Any], output: Format) -> None:
    """What an import changed, or would: a line a thing."""
    if output in {Format.JSON, Format.YAML}:
        tell(done, output)
        return
    sys.stdout.writelines(harmless(line) + "\n" for line in done["lines"])
    say("done" if done["applied"] else "nothing was changed")


def _selection(where: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _pairs(where, "--where"):
        if name not in _WHERE:
            raise Failed(f"--where knows no {name!r}.", exit_code=Exit.USAGE, hint=f"It knows {', '.join(_WHERE)}.")
        if name == "id":
            found.setdefault("ids", []).append(value)
        elif name in found:
            raise Failed(
                f"--where {name} stands twice.", exit_code=Exit.USAGE, hint="All that is named must fit; several ids may be named."
            )
        else:
            found[name] = value
    return found


def _pairs(given: Sequence[str], option: str) -> Sequence[tuple[str, str]]:
    wrong = next((pair for pair in given if "=" not in pair), None)
    if wrong is not None:
        raise Failed(f"{option} {wrong!r} is no FIELD=VALUE.", exit_code=Exit.USAGE, hint=f"{option} vendor=Dahua")
    return [(name.strip(), value) for name, _, value in (pair.partition("=") for pair in given)]
