"""What is recorded and what is not: before anybody files a request, from recorders and cards; of a request, what was found and fetched."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from gateway.ctl.commands.footage_progress import drawn
from gateway.ctl.commands.footage_times import length_of, window_of
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, harmless, local, tell, write_line
from gateway.ctl.session import Output, client_of

_WIDEST: Final = 120
_TOLD_S: Final = 1.0  # a clock that is less wrong is not worth a word
_RECORDED, _FETCHED, _GAP, _UNKNOWN = "▒", "█", "x", "?"


def add_to(app: typer.Typer) -> None:
    app.command()(coverage)


def coverage(
    ctx: typer.Context,
    request: Annotated[str | None, typer.Argument(help="The id of a request; without one, ask by --camera.", metavar="[REQUEST]")] = None,
    *,
    camera: Annotated[list[str] | None, typer.Option(help="Before a request is filed; several times for several.")] = None,
    start: Annotated[str | None, typer.Option(help="2026-03-01T08:00:00+08:00; without an offset it is this machine's time.")] = None,
    end: Annotated[str | None, typer.Option(help="As --start.")] = None,
    length: Annotated[str | None, typer.Option("--for", help="Instead of --end: 10m, 1h30m; 10m when neither is given.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what is recorded of a window, its gaps, and when it will be overwritten."""
    client = client_of(ctx)
    if (request is None) == (not camera):
        raise Failed(
            "Neither a request nor a camera is named, or both.", exit_code=Exit.USAGE, hint="Give REQUEST, or --camera and --start."
        )
    if request is not None:
        window = client.get(f"/v1/footage-requests/{request}")
        found = {"items": window["coverage"]}
        lines = [line for one in window["coverage"] for line in _of_request(window, one)]
    else:
        window = window_of(start, end, length)
        if "start" not in window:
            raise Failed("No time is given.", exit_code=Exit.USAGE, hint="Give --start, and --end or --for.")
        found = client.get("/v1/footage/coverage", camera=camera, **window)
        lines = [line for one in found["items"] for line in _of_camera(window, one)]
    if output in {Format.JSON, Format.YAML}:
        tell(found, output)
        return
    for line in lines:
        write_line(line)
    if not lines:
        write_line("nothing is known yet: it has not been looked for")


def _of_request(window: Mapping[str, Any], one: Mapping[str, Any]) -> Sequence[str]:
    layers = [(_RECORDED, one["recorded"]), (_FETCHED, one["obtained"]), (_GAP, one["gaps"])]
    offset = one["clock_offset_s"]
    wrong = offset is not None and abs(offset) >= _TOLD_S
    clock = f"  its clock is {abs(offset):g} s {'fast' if offset > 0 else 'slow'}, corrected" if wrong else ""
    head = f"{one['camera']}  {one['state']}{': ' + one['reason'] if one['reason'] else ''}{clock}"
    return [harmless(head), _bar(window, layers), *(_period("gap", gap) for gap in one["gaps"])]


def _of_camera(window: Mapping[str, Any], one: Mapping[str, Any]) -> Sequence[str]:
    layers = [(_RECORDED, one["recorded"]), (_UNKNOWN, one["unknown"]), (_GAP, one["gaps"])]
    told = [f"{name} {length_of(one[f'{name}_s'])}" for name in ("recorded", "gaps", "unknown") if one[f"{name}_s"]]
    why = [
        *filter(None, [one["reason"]]),
        *(f"{holding['device']}: {holding['reason']}" for holding in one["holdings"] if holding["reason"]),
    ]
    head = f"{one['camera']}  {', '.join(told) or 'nothing'}{_overwritten(one['overwrite'])}"
    holes = [_period(gap["lack"], gap) for gap in one["gaps"]] + [_period("unknown", period) for period in one["unknown"]]
    return [harmless(head), _bar(window, layers), *holes, *(harmless(f"  {line}") for line in why)]


def _overwritten(overwrite: Mapping[str, Any] | None) -> str:
    if overwrite is None:
        return ""
    if overwrite["left_s"] is None:
        return f"; nobody can tell when it is overwritten ({overwrite['reason']})"
    return f"; overwritten in {length_of(overwrite['left_s'])} at the earliest ({overwrite['basis']})"


def _bar(window: Mapping[str, Any], layers: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> str:
    return "  " + drawn(window, layers, width=min(_WIDEST, max(20, shutil.get_terminal_size().columns - 4)))


def _period(name: str, period: Mapping[str, Any]) -> str:
    return f"  {name}  {local(period['start'])} → {local(period['end'])}"
