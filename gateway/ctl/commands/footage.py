"""Footage from a terminal: file a request, decide on one, see what each waits for, and hand over."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.ctl.client import Client
from gateway.ctl.commands import (
    footage_brought,
    footage_coverage,
    footage_holds,
    footage_links,
    footage_media,
    footage_package,
    footage_papers,
    footage_progress,
    footage_sending,
    footage_viewings,
)
from gateway.ctl.commands.footage_route import route_of
from gateway.ctl.commands.footage_times import long_ago, window_of
from gateway.ctl.commands.speak import circle_of
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, say, tell
from gateway.ctl.session import Output, client_of
from gateway.ctl.spans import span

app = typer.Typer(no_args_is_help=True)
for part in (
    footage_coverage,
    footage_progress,
    footage_package,
    footage_papers,
    footage_links,
    footage_viewings,
    footage_media,
    footage_sending,
    footage_brought,
    footage_holds,
):
    part.add_to(app)

RequestId = Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")]
Note = Annotated[str, typer.Option(help="What shall stand in the record.")]
Reason = Annotated[str, typer.Option("--note", help="Why.")]


@app.command()
def request(
    ctx: typer.Context,
    *,
    file: Annotated[Path | None, typer.Option("--from", help="A YAML or JSON file with all fields; options go before it.")] = None,
    kind: Annotated[str | None, typer.Option(help="police, authority or citizen.", show_default="police")] = None,
    requester: Annotated[str | None, typer.Option(help="The officer who asks.")] = None,
    unit: Annotated[str | None, typer.Option()] = None,
    badge: Annotated[str | None, typer.Option(help="The number of a work id; a citizen's identity card.")] = None,
    second_officer: Annotated[str | None, typer.Option(help="Two officers come.")] = None,
    case_number: Annotated[str | None, typer.Option()] = None,
    case_kind: Annotated[str | None, typer.Option(help="A code of: gatewayctl footage register")] = None,
    legal_basis: Annotated[str | None, typer.Option(help="A code of: gatewayctl footage register")] = None,
    authorising_document: Annotated[str | None, typer.Option(help="The number of the 调取证据通知书 or letter.")] = None,
    approval_letter: Annotated[str | None, typer.Option()] = None,
    purpose: Annotated[str | None, typer.Option()] = None,
    destination: Annotated[str | None, typer.Option()] = None,
    contact: Annotated[str | None, typer.Option(help="How the requester is reached.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="Give it several times for several.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="All cameras of a group.")] = None,
    cell: Annotated[list[str] | None, typer.Option(help="All cameras of a grid cell.")] = None,
    circle: Annotated[str | None, typer.Option(help="All cameras within R metres of a place.", metavar="LAT,LON,R")] = None,
    route: Annotated[str | None, typer.Option(help="All cameras along a way, by its corners.", metavar="'LAT,LON LAT,LON …'")] = None,
    direction: Annotated[str | None, typer.Option(help="Along it: forward, backward or either.", show_default="either")] = None,
    slowest: Annotated[float | None, typer.Option(help="Along it, in km/h.", show_default="3")] = None,
    fastest: Annotated[float | None, typer.Option(help="Along it, in km/h.", show_default="30")] = None,
    corridor: Annotated[float | None, typer.Option(help="Metres from it within which a camera sees it.", show_default="50")] = None,
    start: Annotated[str | None, typer.Option(help="2026-03-01T08:00:00+08:00; without an offset it is this machine's time.")] = None,
    end: Annotated[str | None, typer.Option(help="As --start.")] = None,
    length: Annotated[str | None, typer.Option("--for", help="Instead of --end: 10m, 1h30m; 10m when neither is given.")] = None,
    tolerance: Annotated[str | None, typer.Option(help="How far memory may be out, at both ends: 5m.")] = None,
    urgent: Annotated[bool, typer.Option("--urgent")] = False,
    emergency: Annotated[str | None, typer.Option(help="danger-to-life, missing-person or hot-pursuit: goes ahead at once.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """File a request; another person has to approve it. An emergency goes ahead at once: viewed only, until confirmed."""
    mine = {"ctx", "file", "urgent", "output", "camera", "group", "cell", "start", "end", "length", "tolerance"}
    mine |= {"direction", "slowest", "fastest", "corridor"}
    fields = {name: value for name, value in locals().items() if name not in mine and name != "mine"}
    fields |= {"cameras": camera, "groups": group, "cells": cell, "urgency": "urgent" if urgent else None}
    fields["route"] = route_of(route, direction=direction, slowest_kmh=slowest, fastest_kmh=fastest, corridor_m=corridor)
    fields["circle"] = circle_of(circle) if circle else None
    fields["tolerance_s"] = span(tolerance).total_seconds() if tolerance else None
    body = _read(file) | {name: value for name, value in fields.items() if value} | window_of(start, end, length)
    try:
        filed = client_of(ctx).call("POST", "/v1/footage-requests", body=body)
    except Failed as failed:
        raise _by_options(failed) from None
    _told(filed, output)
    act = "confirm" if emergency else "approve"
    if long_ago(filed["end"], asked_at=filed["submitted_at"]):
        say("It lies more than a year back: hardly any recorder keeps footage for so long. Is the year right?")
    if filed["missing"]:
        options = " ".join(f"--{name.replace('_', '-')} …" for name in filed["missing"])
        say(f"Before anything is handed over the register needs: gatewayctl footage amend {filed['id']} {options}")
    say(f"A second person has to {act} it: gatewayctl footage {act} {filed['id']}; then: gatewayctl footage progress {filed['id']}")


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
def confirm(ctx: typer.Context, request: RequestId, *, note: Note = "", output: Output = Format.TABLE) -> None:
    """Say as a second person that an emergency rightly went ahead."""
    _told(_act(client_of(ctx), request, "confirm", {"note": note}), output)


@app.command()
def revoke(ctx: typer.Context, request: RequestId, *, note: Reason, output: Output = Format.TABLE) -> None:
    """Take an emergency back; what was fetched for it is removed."""
    _told(_act(client_of(ctx), request, "revoke", {"note": note}), output)


@app.command("give-up")
def give_up(ctx: typer.Context, request: RequestId, *, note: Reason, output: Output = Format.TABLE) -> None:
    """Say that what failed is not to be had."""
    _told(_act(client_of(ctx), request, "give-up", {"note": note}), output)


@app.command()
def close(
    ctx: typer.Context,
    request: RequestId,
    *,
    found: Annotated[bool, typer.Option("--found/--nothing-found", help="Whether what was looked for was seen.")],
    note: Note = "",
    output: Output = Format.TABLE,
) -> None:
    """Say that it was viewed here and that no copy is taken."""
    _told(_act(client_of(ctx), request, "close", {"found_something": found, "note": note}), output)


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
def status(ctx: typer.Context, request: RequestId, *, output: Output = Format.TABLE) -> None:
    """Where a request stands. `progress` waits until there is nothing left to do."""
    _told(client_of(ctx).get(f"/v1/footage-requests/{request}"), output)


def _act(client: Client, request: str, act: str, body: dict[str, Any] | None) -> Any:
    return client.call("POST", f"/v1/footage-requests/{request}/{act}", body=body)


_OPTIONS: Final = {"cameras": "--camera", "groups": "--group", "cells": "--cell", "urgency": "--urgent", "tolerance_s": "--tolerance"}


def _by_options(failed: Failed) -> Failed:
    """The same refusal, each fault at the option that it is about."""

    def named(fault: str) -> str:
        pointer, _, detail = fault.partition(": ")
        name = pointer.split("/")[1] if pointer.startswith("/") else ""
        return f"{_OPTIONS.get(name, '--' + name.replace('_', '-'))}: {detail}" if name else fault

    hint = failed.hint or ("gatewayctl footage request --help, or all fields in a file: --from FILE" if failed.faults else "")
    return Failed(str(failed), exit_code=failed.exit_code, hint=hint, faults=[named(one) for one in failed.faults], status=failed.status)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    import yaml  # only who gives a file pays for it; YAML reads JSON too

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
