"""Bringing devices in and keeping the list true: bulk edits, uplinks that the switches propose, devices that are found."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from gateway.ctl.client import Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, column, harmless, say, show, tell
from gateway.ctl.session import Output, client_of

_LOOK_S: Final = 0.3
_WHERE: Final = ("id", "kind", "group", "district", "vendor", "model")
_SECRETS: Final = ("password", "snmp_community", "snmp_write_community", "snmp_auth_key", "snmp_priv_key")


uplinks = typer.Typer(no_args_is_help=True)
discover = typer.Typer(no_args_is_help=True)


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
    body = {"select": _selection(where), "set": dict(_settable(put)), "comment": comment, "dry_run": dry_run}
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


def _settable(given: Sequence[str]) -> Sequence[tuple[str, str]]:
    """What --set names; no secret, which a command line would tell to others."""
    pairs = _pairs(given, "--set")
    secret = next((name for name, _ in pairs if name in _SECRETS), None)
    if secret is not None:
        hint = f"Import a file with the columns id and {secret}."
        raise Failed(f"{secret} is a secret: a command line can be read by others.", exit_code=Exit.USAGE, hint=hint)
    return pairs


def _pairs(given: Sequence[str], option: str) -> Sequence[tuple[str, str]]:
    wrong = next((pair for pair in given if "=" not in pair), None)
    if wrong is not None:
        raise Failed(f"{option} {wrong!r} is no FIELD=VALUE.", exit_code=Exit.USAGE, hint=f"{option} vendor=Dahua")
    return [(name.strip(), value) for name, _, value in (pair.partition("=") for pair in given)]


# -- uplinks ----------------------------------------------------------------------------------------------------------


@uplinks.command("survey")
def survey(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """Ask all switches for their neighbours, and wait until they are asked."""
    client = client_of(ctx)
    run = follow(client, client.call("POST", "/v1/uplinks/surveys"), "/v1/uplinks/surveys")
    tell(run, output)


@uplinks.command("list")
def list_uplinks(
    ctx: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="agreed, proposed, contradicts or unknown.")] = None,
    kind: Annotated[str | None, typer.Option(help="camera, speaker, recorder or switch.")] = None,
    group: Annotated[str | None, typer.Option(help="Those of a camera group.")] = None,
    switch: Annotated[str | None, typer.Option(help="What hangs on a switch, by the inventory or by its own word.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """The uplink of every device: what the inventory says, and what the switches say."""
    found = client_of(ctx).every("/v1/uplinks", most=limit, status=status, kind=kind, group=group, switch=switch)
    columns = [*map(column, ("device", "status")), Column("INVENTORY", _inventory), Column("PROPOSED", _proposed), column("reason")]
    show(found, [*columns, *(column(name, wide=True) for name in ("kind", "name", "group"))], output)


@uplinks.command("accept")
def accept_uplinks(
    ctx: typer.Context,
    devices: Annotated[list[str] | None, typer.Argument(help="Their devices; without, all whose uplink the inventory lacks.")] = None,
    *,
    comment: Annotated[str, typer.Option(help="Why; it goes into the audit record.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Take proposed uplinks into the inventory, all or nothing; what contradicts it only by name."""
    body = {"devices": devices or None, "comment": comment, "dry_run": dry_run}
    show_difference(client_of(ctx).call("POST", "/v1/uplinks/proposals/accept", body=body), output)


# -- discovery --------------------------------------------------------------------------------------------------------


@discover.command("run")
def run_discovery(
    ctx: typer.Context,
    ranges: Annotated[list[str] | None, typer.Argument(help="Parts of discovery.ranges; without, all of them.")] = None,
    *,
    multicast: Annotated[bool, typer.Option(help="Probe by multicast, too, where the configuration says so.")] = True,
    identify: Annotated[
        bool, typer.Option(help="Ask strangers who they are, with the log-ins that the configuration has for them.")
    ] = True,
    output: Output = Format.TABLE,
) -> None:
    """Look for devices, and wait until that is done."""
    client = client_of(ctx)
    body = {"ranges": ranges or None, "multicast": multicast, "identify": identify}
    tell(follow(client, client.call("POST", "/v1/discovery/runs", body=body), "/v1/discovery/runs"), output)


@discover.command("list")
def list_proposals(
    ctx: typer.Context,
    *,
    kind: Annotated[str | None, typer.Option(help="new, moved, replaced, detail or conflict.")] = None,
    state: Annotated[str, typer.Option(help="open, accepted or dismissed.")] = "open",
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """What was found, and what it would change."""
    found = client_of(ctx).every("/v1/discovery/proposals", most=limit, kind=kind, state=state)
    columns = [
        *map(column, ("id", "kind", "device")),
        *(_seen(name) for name in ("address", "vendor", "model")),
        *(_seen(name, wide=True) for name in ("serial", "macs", "logins")),
        column("changes"),
        _seen("trouble"),
    ]
    show(found, [*columns, *(column(name, wide=True) for name in ("recognised_by", "others", "last_seen"))], output)


@discover.command("accept")
def accept_proposals(
    ctx: typer.Context,
    proposals: Annotated[list[str] | None, typer.Argument(help="P-…; several are taken together.")] = None,
    *,
    kind: Annotated[str | None, typer.Option(help="All open ones of a kind instead: moved, replaced or detail.")] = None,
    put: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE; a new device needs id and name at least.")] = None,
    comment: Annotated[str, typer.Option(help="Why; it goes into the audit record.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Take what was found into the inventory, all or nothing."""
    client, values = client_of(ctx), dict(_settable(put or []))
    rest = {"comment": comment, "dry_run": dry_run}
    if (kind is None) == (not proposals):
        raise Failed("Name proposals, or a kind.", exit_code=Exit.USAGE, hint="gatewayctl discover list")
    ids = proposals or [proposal["id"] for proposal in client.every("/v1/discovery/proposals", kind=kind)]
    if not ids:
        raise Failed(f"There is no open proposal of the kind {kind}.", exit_code=Exit.REFUSED, hint="gatewayctl discover list")
    if values and len(ids) > 1:
        raise Failed("--set is for one proposal.", exit_code=Exit.USAGE, hint="Take them one by one.")
    if len(ids) == 1:
        done = client.call("POST", f"/v1/discovery/proposals/{ids[0]}/accept", body={"values": values, **rest})
    else:
        done = client.call("POST", "/v1/discovery/proposals/accept", body={"ids": ids, **rest})
    show_difference(done, output)


@discover.command("dismiss")
def dismiss_proposal(
    ctx: typer.Context,
    proposal: Annotated[str, typer.Argument(help="P-…")],
    *,
    comment: Annotated[str, typer.Option(help="Why; it goes into the audit record.")] = "",
) -> None:
    """Put something that was found aside; found again, it stays aside."""
    client_of(ctx).call("POST", f"/v1/discovery/proposals/{proposal}/dismiss", body={"comment": comment})
    say(f"{proposal} is put aside")


# -- what they share --------------------------------------------------------------------------------------------------


def follow(client: Client, run: dict[str, Any], path: str) -> dict[str, Any]:
    """Wait until a run is done, telling a terminal how far it is. Failed when it did not come to its end."""
    while run["state"] in ("waiting", "running"):
        time.sleep(_LOOK_S)
        run = client.get(f"{path}/{run['id']}")
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{run['asked']} of {run['total']} asked, {run['answered']} answered ")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    if run["state"] == "failed":
        raise Failed(f"{run['id']} failed: {'; '.join(run['troubles'][-1:])}", exit_code=Exit.FAILED, hint="Start it again.")
    return run


def _seen(name: str, *, wide: bool = False) -> Column:
    """The column of one field of what was seen."""
    return Column(name.upper(), lambda item: item["seen"][name], wide)


def _inventory(item: Mapping[str, Any]) -> object:
    return _place(item["uplink"], item["uplink_port"])


def _proposed(item: Mapping[str, Any]) -> object:
    found = item["proposed"]
    return found and f"{_place(found['uplink'], found['port'])} ({', '.join(found['evidence'])})"


def _place(uplink: str | None, port: int | None) -> str | None:
    return uplink and (uplink if port is None else f"{uplink} port {port}")
