"""The ledger of broadcasts from a terminal: list, describe and explain them, say what came of them, decide on what waits, count them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.ctl.commands.speak import (
    DELIVERIES,
    Cell,
    CircleOption,
    District,
    Group,
    Near,
    PolygonOption,
    Preset,
    Priority,
    Speaker,
    Zone,
    targets_of,
)
from gateway.ctl.download import save
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, column, local, say, show, tell
from gateway.ctl.session import Output, client_of

PATH = "/v1/broadcasts"

app = typer.Typer(no_args_is_help=True)

_OUTCOMES = {"LEFT": "left", "PASSED ON": "passed-on", "NOBODY": "nobody", "OTHER": "other", "NOT SAID": "none"}

_FEW = 40  # characters of a text or a place in a list; `wide` shows all

ToFile = Annotated[Path | None, typer.Option("--file", help="Into a spreadsheet, .xlsx or .csv, instead.")]
Id = Annotated[str, typer.Argument(help="Its id.", metavar="ID")]


def what(item: Mapping[str, Any]) -> str:
    """What was said, in a few words."""
    return _in_short({"speech": item["text"], "clip": f"clip {(item['clip'] or '')[:12]}", "talk": "live talk"}[item["kind"]])


def _in_short(words: str) -> str:
    return words if len(words) <= _FEW else words[: _FEW - 1] + "…"


def _where(item: Mapping[str, Any]) -> str:
    targets = item["targets"]
    named = [f"{name} {', '.join(targets[name])}" for name in ("speakers", "zones", "cells", "groups", "districts") if targets[name]]
    named += [f"view {view['camera']} {view['preset']}".rstrip() for view in targets["views"]]
    named += [name for name in ("polygon", "circle") if targets[name]]
    return "; ".join(named)


def _count_of(outcome: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda row: row["outcomes"].get(outcome, 0)


LISTED = [
    *map(column, ("id", "created_at", "priority")),
    Column("WHAT", what),
    Column("WHERE", lambda item: _in_short(_where(item))),
    column("counts"),
    Column("OUTCOME", lambda item: item["outcome"] and item["outcome"]["outcome_en"]),
    Column("BY", lambda item: item["sender"] or item["actor"]),
    column("text", wide=True),
    Column("ALL OF WHERE", _where, wide=True),
    Column("RECORDING", lambda item: item["recording"]["state"], wide=True),
    *(column(name, wide=True) for name in ("kind", "open", "case", "reason", "not_after", "actor", "approved_by", "approver")),
]

From = Annotated[str | None, typer.Option("--from", help="Ordered then or later: RFC 3339 with an offset.", metavar="TIME")]
To = Annotated[str | None, typer.Option("--to", help="Ordered before.", metavar="TIME")]


@app.command("list")
def list_broadcasts(
    ctx: typer.Context,
    *,
    start: From = None,
    end: To = None,
    speaker: Annotated[str | None, typer.Option(help="At this loudspeaker.")] = None,
    camera: Annotated[str | None, typer.Option(help="For what this camera sees.")] = None,
    group: Annotated[str | None, typer.Option(help="In a camera group.")] = None,
    cell: Annotated[str | None, typer.Option(help="In a grid cell.")] = None,
    district: Annotated[str | None, typer.Option(help="In a district.")] = None,
    operator: Annotated[str | None, typer.Option(help="By whom, as ACTOR says with -o wide.")] = None,
    kind: Annotated[str | None, typer.Option(help="clip, speech or talk.")] = None,
    priority: Annotated[str | None, typer.Option(help="schedule, notice, enforcement, talk or emergency.")] = None,
    outcome: Annotated[str | None, typer.Option(help="left, passed-on, nobody, other; none: nobody has said yet.")] = None,
    case: Annotated[str | None, typer.Option(help="The platform's case number.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Broadcasts, the latest first."""
    asked = {"speaker": speaker, "camera": camera, "group": group, "cell": cell, "district": district, "operator": operator, "case": case}
    asked |= {"kind": kind, "priority": priority, "outcome": outcome, "from": start, "to": end}
    show(client_of(ctx).every(PATH, most=limit, **asked), LISTED, output)


@app.command("describe")
def describe(ctx: typer.Context, name: Id, *, output: Output = Format.TABLE) -> None:
    """One broadcast in full: what became of it at each loudspeaker, what came of it, the pictures beside it."""
    _tell(client_of(ctx).get(f"{PATH}/{name}"), output)


@app.command("explain")
def explain(
    ctx: typer.Context,
    *,
    near: Near = None,
    preset: Preset = None,
    speaker: Speaker = None,
    zone: Zone = None,
    group: Group = None,
    cell: Cell = None,
    district: District = None,
    circle: CircleOption = None,
    polygon: PolygonOption = None,
    priority: Priority = "notice",
    output: Output = Format.TABLE,
) -> None:
    """Which loudspeakers an order would reach now, and why not the others; nothing is sent. 1 when it would be refused."""
    targets = targets_of(
        near=near,
        preset=preset,
        speaker=speaker,
        zone=zone,
        group=group,
        cell=cell,
        district=district,
        circle=circle,
        polygon=polygon,
    )
    told = client_of(ctx).call("POST", f"{PATH}/explain", body={"targets": targets, "priority": priority})
    if output in {Format.JSON, Format.YAML}:
        tell(told, output)
    else:
        show(told["choices"], _CHOICES, output)
    if told["needs_approval"]:
        say(f"it would wait for a second person: {told['reached']} loudspeakers, with this key's other broadcasts of the last minute")
    if told["refusal"] is not None:
        raise Failed(told["refusal"]["detail"], hint=told["refusal"]["hint"])


@app.command("outcome")
def outcome(
    ctx: typer.Context,
    name: Id,
    came: Annotated[str, typer.Argument(help="left (已劝离), passed-on (上报), nobody (无人) or other.", metavar="OUTCOME")],
    *,
    note: Annotated[str, typer.Option(help="What more there is to say; needed with `other`.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Say what came of a broadcast; said again it is a correction, and what was said before stays."""
    _tell(client_of(ctx).call("POST", f"{PATH}/{name}/outcome", body={"outcome": came, "note": note}), output)


@app.command("statistics")
def statistics(
    ctx: typer.Context,
    *,
    start: Annotated[str, typer.Option("--from", help="Ordered then or later: RFC 3339 with an offset.", metavar="TIME")],
    end: Annotated[str | None, typer.Option("--to", help="Ordered before.", metavar="TIME", show_default="now")] = None,
    by: Annotated[str, typer.Option(help="day, month, speaker, cell, district, operator or priority.")] = "day",
    file: ToFile = None,
    output: Output = Format.TABLE,
) -> None:
    """How many broadcasts were ordered and heard, and what came of them."""
    client = client_of(ctx)
    asked = {"from": start, "to": end or client.now().isoformat(), "by": by}
    if file is not None:
        save(client, f"{PATH}/statistics/export", asked | {"format": _kind_of(file)}, file)
        return
    told = client.get(f"{PATH}/statistics", **asked)
    show(told["rows"], _COUNTED, output)


@app.command("export")
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to: NAME.xlsx or NAME.csv.")],
    *,
    start: From = None,
    end: To = None,
    deliveries: Annotated[bool, typer.Option("--deliveries", help="Of a .csv: one row a delivery instead of a broadcast.")] = False,
) -> None:
    """The ledger as a spreadsheet, one row a broadcast and on a second sheet one row a delivery; that you took it is on record."""
    rows = "deliveries" if deliveries else "broadcasts"
    save(client_of(ctx), f"{PATH}/export", {"from": start, "to": end, "format": _kind_of(file), "rows": rows}, file)


def _kind_of(file: Path) -> str:
    kind = file.suffix.removeprefix(".").lower()
    if kind not in {"xlsx", "csv"}:
        raise Failed(f"{file.name}: neither .xlsx nor .csv.", exit_code=Exit.USAGE, hint="Name it so.")
    return kind


@app.command("approve")
def approve(ctx: typer.Context, name: Id, *, output: Output = Format.TABLE) -> None:
    """Let be heard what waits for a second person."""
    _tell(client_of(ctx).call("POST", f"{PATH}/{name}/approve"), output)


@app.command("decline")
def decline(ctx: typer.Context, name: Id, *, output: Output = Format.TABLE) -> None:
    """Refuse what waits for a second person."""
    _tell(client_of(ctx).call("POST", f"{PATH}/{name}/decline"), output)


@app.command("cancel")
def cancel(ctx: typer.Context, name: Id, *, output: Output = Format.TABLE) -> None:
    """Silence one broadcast."""
    _tell(client_of(ctx).call("POST", f"{PATH}/{name}/cancel"), output)


def _tell(broadcast: dict[str, Any], output: Format) -> None:
    if output in {Format.JSON, Format.YAML}:
        tell(broadcast, output)
        return
    recording = broadcast.pop("recording")
    lists = {name: broadcast.pop(name) for name in ("deliveries", "corrected", "pictures", "missing_pictures")}
    said = broadcast.pop("outcome")
    where = _where(broadcast)
    outcome_words = said and f"{said['outcome_zh']} {said['outcome_en']} ({said['name']}, {local(said['at'])}) {said['note']}".rstrip()
    tell(broadcast | {"targets": where, "outcome": outcome_words, "recording": _recording(recording)}, output)
    for name, columns in (("deliveries", DELIVERIES), ("corrected", _SAID), ("pictures", _PICTURES), ("missing_pictures", _MISSING)):
        if lists[name]:
            sys.stdout.write(f"\n{name}\n")
            show(lists[name], columns, output)


def _recording(told: Mapping[str, Any]) -> str:
    """What became of it, in one line: with the hash where it was kept, the reason where it was not."""
    words = [f"{told['state_zh']} {told['state_en']}"]
    if told["reason"]:
        words.append(f"{told['reason_zh']} {told['reason_en']} ({told['reason']})")
    if told["duration_ms"]:
        words.append(f"{told['duration_ms'] / 1000:.1f} s from {local(told['began_at'])}")
    if told["sha256"]:
        words.append(
            f"{told['size']} bytes, SHA-256 {told['sha256']}" + (f", gone since {local(told['keep_until'])}" if told["gone"] else "")
        )
    return "; ".join(words)


_COUNTED = [
    *map(column, ("key", "name", "broadcasts", "deliveries", "heard", "seconds")),
    *(Column(head, _count_of(name)) for head, name in _OUTCOMES.items()),
    *(column(name, wide=True) for name in ("states", "reasons")),
]
_CHOICES = [
    *map(column, ("target", "speaker", "name", "chosen", "reason", "state")),
    Column("DISTANCE M", lambda item: item["view"] and item["view"]["distance_m"]),
    Column("BOND", lambda item: item["view"] and item["view"]["bond"]),
]
_SAID = [*map(column, ("outcome_en", "note", "at", "name"))]
_PICTURES = [*map(column, ("camera", "moment", "at", "first_packet_at", "size", "sha256", "gone"))]
_MISSING = [*map(column, ("camera", "moment", "reason", "reason_en", "at", "detail"))]
