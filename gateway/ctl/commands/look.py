"""Looking: lists, also as they change, one thing in full, the events."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.commands.broadcasts import LISTED
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.live import since
from gateway.ctl.output import Column, Format, Rows, column, line, local, show, tell, write_line
from gateway.ctl.session import Output, client_of


@dataclass(frozen=True, slots=True)
class Resource:
    """A noun of the API: where its list is, and what a table shows of it."""

    path: str
    columns: Sequence[Column]
    events: str = ""  # what tells of its changes, for --watch


def title(item: Mapping[str, Any]) -> str:
    """An incident's title in English, else in Chinese, else its cause."""
    words = item.get("title") or {}
    return str(words.get("en") or words.get("zh") or (item.get("cause") or {}).get("name") or "")


def places(item: Mapping[str, Any]) -> str:
    """What a maintenance window covers, in a few words."""
    if item.get("everything"):
        return "everything"
    named = [(name, item.get(name) or []) for name in ("devices", "groups", "cells", "districts", "vendors")]
    return "; ".join(f"{name} {', '.join(some[:3])}{' …' if len(some) > 3 else ''}" for name, some in named if some)


def _place(item: Mapping[str, Any]) -> object:
    position = item.get("position")
    return position and f"{position['latitude']:.6f},{position['longitude']:.6f}"


def _columns(always: str, wide: str = "") -> list[Column]:
    return [*map(column, always.split()), *(column(name, wide=True) for name in wide.split())]


RESOURCES: Mapping[str, Resource] = {
    "devices": Resource(
        "/v1/devices",
        [
            *_columns("id kind name state reason since group", "address vendor model serial cell uplink clock_offset_s last_seen"),
            Column("POSITION", _place, wide=True),
        ],
        events="device.state",
    ),
    "incidents": Resource(
        "/v1/incidents",
        [
            *_columns("id severity state"),
            Column("SINCE", lambda item: since(item.get("opened_at"))),
            Column("DEVICES", lambda item: item.get("devices")),
            Column("WHAT", title),
            Column("BY", lambda item: item.get("acknowledger") or item.get("acknowledged_by") or None),
            Column("ASSIGNEE", lambda item: item.get("assignee") or None),
            *_columns("", "reason snoozed_until resolved_at escalation_level kinds districts"),
        ],
        "incident.*",
    ),
    "maintenance": Resource(
        "/v1/maintenance-windows",
        [
            *_columns("id in_force"),
            Column("WHAT", places),
            Column("FROM", lambda item: since((item.get("span") or item).get("start"))),
            Column("UNTIL", lambda item: since((item.get("span") or item).get("end"))),
            *_columns("rrule reason"),
            Column("CREATED BY", lambda item: item.get("creator") or item.get("created_by")),
            *_columns("", "timezone duration_minutes cancelled_at"),
        ],
        "maintenance.*",
    ),
    "excuses": Resource(
        "/v1/health/excuses",
        [
            *_columns("id state kind"),
            Column("WHAT", places),
            *_columns("start end reason evidence proposed_by decided_by", "incident note proposed_at decided_at"),
        ],
        "excuse.*",
    ),
    "orders": Resource(
        "/v1/work-orders",
        [
            *_columns("id state severity maintainer"),
            Column("SINCE", lambda item: since(item.get("opened_at"))),
            Column("DEVICES", lambda item: item.get("device_count")),
            *_columns("incident what", "technician opened_by paused closing_note ended_at"),
        ],
        "work-order.*",
    ),
    "groups": Resource("/v1/camera-groups", _columns("id name states street district", "cell devices")),
    "cells": Resource("/v1/grid-cells", _columns("code name devices states street district")),
    "zones": Resource("/v1/zones", _columns("id name speakers")),
    "clips": Resource("/v1/clips", _columns("id name duration_ms created_at", "size created_by")),
    "broadcasts": Resource("/v1/broadcasts", LISTED, "broadcast.*"),
    "footage": Resource(
        "/v1/footage-requests",
        _columns("id state case_number requester submitted_at reason", "unit cameras start end decided_at"),
        "footage.request",
    ),
    "evidence": Resource("/v1/evidence", _columns("request name camera fetched size start end downloads", "sha256")),
    "keys": Resource("/v1/keys", _columns("id name roles scopes created_at expires_at revoked_at", "username max_speakers last_used_at")),
}
_FILTERS = {
    "devices": {"kind", "state", "group", "cell", "zone", "search"},
    "incidents": {"state", "severity", "device"},
    "orders": {"state", "severity", "device"},
    "excuses": {"state"},
    "footage": {"state", "case"},
    "evidence": {"case"},
}

Name = Annotated[str, typer.Argument(help="Its id.", metavar="ID")]
Noun = Annotated[str, typer.Argument(help=f"One of: {', '.join(RESOURCES)}.", metavar="WHAT")]


def add_to(app: typer.Typer) -> None:
    for command in (get, describe, events):
        app.command()(command)


def get(
    ctx: typer.Context,
    what: Noun,
    *,
    kind: Annotated[str | None, typer.Option(help="Devices: camera, speaker, recorder or switch.")] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Devices: up, down, …; incidents: open, acknowledged, resolved; footage: submitted, …"),
    ] = None,
    group: Annotated[str | None, typer.Option(help="Devices: those of a camera group.")] = None,
    cell: Annotated[str | None, typer.Option(help="Devices: those of a grid cell.")] = None,
    zone: Annotated[str | None, typer.Option(help="Devices: the speakers of a zone.")] = None,
    search: Annotated[str | None, typer.Option(help="Devices: part of an id, name, address or serial number.")] = None,
    case: Annotated[str | None, typer.Option(help="Footage: a case number.")] = None,
    severity: Annotated[str | None, typer.Option(help="Incidents: critical, major, minor, warning.")] = None,
    device: Annotated[str | None, typer.Option(help="Incidents: those that a device is or was part of.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with each that changes, until Ctrl-C.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """List things."""
    resource = _resource(what)
    given = {"kind": kind, "state": state, "group": group, "cell": cell, "zone": zone, "search": search, "case": case}
    given |= {"severity": severity, "device": device}
    wanted = {name: value for name, value in given.items() if value is not None}
    strange = sorted(wanted.keys() - _FILTERS.get(what, set()))
    if strange:
        hint = f"gatewayctl get {what} lists all of them."
        raise Failed(f"{what} cannot be narrowed by --{strange[0]}.", exit_code=Exit.USAGE, hint=hint)
    if "case" in wanted:
        wanted["case_number"] = wanted.pop("case")
    client = client_of(ctx)
    if watch:
        _watch(client, what, wanted, limit, output)
        return
    items = client.get(resource.path)["items"] if what == "keys" else client.every(resource.path, most=limit, **wanted)
    show(items, resource.columns, output)


def describe(ctx: typer.Context, what: Noun, name: Name, *, output: Output = Format.TABLE) -> None:
    """Show one thing in full; of a device also what it has been through lately, of an incident its history."""
    client = client_of(ctx)
    path = f"{_resource(what).path}/{name}"
    thing = _key(client.get("/v1/keys")["items"], name) if what == "keys" else client.get(path)
    if what == "devices":
        thing["transitions"] = list(client.every(f"{path}/transitions", most=10))
    if what == "incidents":
        thing["history"] = list(client.every(f"{path}/history"))
    if output in {Format.JSON, Format.YAML}:
        tell(thing, output)
        return
    lists = {
        field: thing.pop(field)
        for field in ("transitions", "deliveries", "coverage", "files", "custody", "members", "history")
        if field in thing
    }
    tell(thing, output)
    for field, items in lists.items():
        if items:
            sys.stdout.write(f"\n{field}\n")
            show(items, [column(part) for part in items[0] if output is Format.WIDE or part not in _DETAILS], output)


def events(
    ctx: typer.Context,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    after: Annotated[int | None, typer.Option(min=0, help="Begin after this cursor; else, without -f, with the last 20 events.")] = None,
    types: Annotated[str | None, typer.Option(help="Only these, by comma; device.* takes all that begin so.")] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="table or json (a line an event).")] = Format.TABLE,
) -> None:
    """Show events: with -f as they happen; without, the last ones, or those after a cursor, up to now."""
    client = client_of(ctx)
    write: Callable[[Mapping[str, Any]], None] = line if output is Format.JSON else _brief
    if follow:
        _each(client.events(after=after, types=types), write)
        return
    latest = client.get("/v1/health/summary")["event_cursor"]
    first = max(0, latest - 20) if after is None else after
    if first < latest:
        _each(_until(client.events(after=first), latest, types), write)


def _watch(client: Client, what: str, wanted: Mapping[str, Any], limit: int, output: Format) -> None:
    """List, then print each thing that changes, as it is then: what fits the filters, and what was shown and fits them no longer."""
    resource = RESOURCES[what]
    if not resource.events:
        watched = ", ".join(name for name, one in RESOURCES.items() if one.events)
        raise Failed(f"{what} cannot be watched.", exit_code=Exit.USAGE, hint=f"These can: {watched}.")
    cursor = client.get("/v1/health/summary")["event_cursor"]
    items = list(client.every(resource.path, most=limit, **wanted))
    rows = Rows(resource.columns, output)
    rows.heads(items)
    sys.stdout.flush()
    shown = {item["id"] for item in items}
    for event in client.events(after=cursor, types=resource.events):
        if event["type"] == "gap":
            raise Failed("Some changes are gone for good.", hint=f"gatewayctl get {what} --watch begins anew.")
        item = _as_it_is(client, f"{resource.path}/{event['subject']}")
        if item is not None and (item["id"] in shown or _fits(item, wanted)):
            shown.add(item["id"])
            rows.row(item)


def _as_it_is(client: Client, path: str) -> dict[str, Any] | None:
    """One thing now; None when it is gone, or was no thing but an event of them all."""
    try:
        found: dict[str, Any] = client.get(path)
    except Failed as failed:
        if failed.exit_code is Exit.REFUSED:
            return None
        raise
    return found


def _fits(item: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """What can be told from the thing itself; a zone, a search or a device of an incident is only that of the beginning."""
    return wanted.keys().isdisjoint({"zone", "search", "device"}) and all(item.get(name) == value for name, value in wanted.items())


_LISTS = ("transitions", "deliveries", "coverage", "files", "custody", "members", "history")
_DETAILS = frozenset({"facts", "detail", "sha256", "encoding", "clock_offset_s", "recorded"})


def _resource(what: str) -> Resource:
    if what not in RESOURCES:
        raise Failed(f"There is no {what!r}.", exit_code=Exit.USAGE, hint=f"There are: {', '.join(RESOURCES)}.")
    return RESOURCES[what]


def _key(keys: Iterable[dict[str, Any]], name: str) -> dict[str, Any]:
    found = next((key for key in keys if key["id"] == name), None)
    if found is None:
        raise Failed(f"There is no key {name!r}.", exit_code=Exit.REFUSED, hint="gatewayctl get keys")
    return found


def _until(found: Iterable[dict[str, Any]], last: int, types: str | None) -> Iterable[dict[str, Any]]:
    wanted = types.split(",") if types else ["*"]
    for event in found:
        if any(event["type"] == one or (one.endswith("*") and event["type"].startswith(one[:-1])) for one in wanted):
            yield event
        if event.get("cursor", 0) >= last:
            return


def _each(found: Iterable[dict[str, Any]], write: Callable[[Mapping[str, Any]], None]) -> None:
    for event in found:
        write(event)


def _brief(event: Mapping[str, Any]) -> None:
    if event["type"] == "gap":
        raise Failed("Some events are gone for good.", hint="gatewayctl get devices shows how things are now.")
    at = datetime.fromisoformat(event["at"]).astimezone().strftime("%H:%M:%S")
    plain = {name: value for name, value in event["data"].items() if not isinstance(value, (dict, list))}
    told = " ".join(f"{name}={local(value) if isinstance(value, str) else value}" for name, value in plain.items())
    write_line("  ".join((at, str(event["cursor"]), event["type"], event["subject"], told)).replace("\n", " ").rstrip())
    sys.stdout.flush()
