"""Watching a footage request until there is nothing left to do: a bar a camera on a terminal, a line a step elsewhere."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from gateway.ctl.bars import Bar, Bars, bars
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Format, say, tell
from gateway.ctl.session import Output, client_of

POLL_S: Final = 1.0
WORKING: Final = frozenset({"submitted", "approved", "going-ahead", "locating", "holding", "exporting"})
"""States in which a request goes on by itself, or by somebody's decision."""
_GOOD: Final = frozenset({"ready", "handed-over"})
_OPEN: Final = frozenset({"pending", "exporting"})


def add_to(app: typer.Typer) -> None:
    app.command()(progress)


def progress(
    ctx: typer.Context,
    request: Annotated[str, typer.Argument(help="The request's id.", metavar="REQUEST")],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Wait until a request is ready, showing how far it is. Ends with 0 when it is ready, 5 when in part, 1 when not at all."""
    client = client_of(ctx)
    with bars(sizes=False) as shown:
        seen = _Seen(shown)
        while True:
            found = client.get(f"/v1/footage-requests/{request}")
            seen.take(found)
            if found["state"] not in WORKING:
                break
            time.sleep(POLL_S)
    brief = ("id", "state", "reason", "case_number", "cameras", "start", "end")
    tell(found if output is not Format.TABLE else {name: found[name] for name in brief}, output)
    if found["state"] not in _GOOD:
        code = Exit.PARTIAL if found["state"] == "partial" else Exit.FAILED
        raise Failed(f"The request is {found['state']}: {found['reason']}", exit_code=code, hint=f"gatewayctl footage coverage {request}")
    say(next_step(found))


def next_step(found: Mapping[str, Any]) -> str:
    """What is to be done with a request that is ready, or was handed over."""
    named = found["id"]
    if found["kind"] == "citizen":
        return f"shown here, no copy: gatewayctl footage view {named} --viewer … --identity …"
    if found["emergency"] and found["decided_by"] is None:
        return f"viewed only, until a second person has confirmed it: gatewayctl footage confirm {named}"
    if found["missing"]:
        return f"nothing leaves before the register has {', '.join(found['missing'])}: gatewayctl footage amend {named}"
    return f"gatewayctl footage fetch {named}"


class _Seen:
    """What was shown already: a bar for each camera, and the state that was told last."""

    def __init__(self, shown: Bars) -> None:
        self._shown = shown
        self._bars: dict[str, Bar] = {}
        self._state = ""

    def take(self, found: Mapping[str, Any]) -> None:
        if found["state"] != self._state:
            self._state = found["state"]
            say(f"{found['id']} {_told(found)}")
        whole = _seconds(found)
        for one in found["coverage"]:
            bar = self._bars.get(one["camera"]) or self._bars.setdefault(one["camera"], self._shown.add(one["camera"], whole))
            bar.to(fetched(found, one), told=f"{one['state']} {one['reason']} {_pace(found, one['camera'])}".strip())


def fetched(found: Mapping[str, Any], camera: Mapping[str, Any]) -> float:
    """How many seconds of the window of a camera are done with: on the disk, or known to be missing."""
    if camera["state"] not in _OPEN:
        return _seconds(found)
    lacking = _seconds(found) - sum(_within(found, period) for period in camera["recorded"]) if camera["recorded"] else 0.0
    if now := _now(found, camera["camera"]):
        return lacking + float(now["done_s"])
    return lacking + sum(_within(found, file) for file in found["files"] if file["camera"] == camera["camera"])


def _now(found: Mapping[str, Any], camera: str) -> Mapping[str, Any] | None:
    """How far the camera is whose footage is being fetched at this moment."""
    return next((one for one in found.get("progress", ()) if one["camera"] == camera), None)


def _pace(found: Mapping[str, Any], camera: str) -> str:
    now = _now(found, camera)
    if now is None or now["bytes_per_s"] is None:
        return ""
    left = f", {now['left_s']:.0f} s left" if now["left_s"] is not None else ""
    return f"{now['bytes_per_s'] / 1e6:.1f} MB/s{left}"


def _told(found: Mapping[str, Any]) -> str:
    waits = "; waits for a second person: gatewayctl footage approve" if found["state"] == "submitted" else ""
    return f"is {found['state']}{': ' + found['reason'] if found['reason'] else ''}{waits}"


def _seconds(period: Mapping[str, Any]) -> float:
    return (datetime.fromisoformat(period["end"]) - datetime.fromisoformat(period["start"])).total_seconds()


def _within(window: Mapping[str, Any], period: Mapping[str, Any]) -> float:
    start, end = (datetime.fromisoformat(window[name]) for name in ("start", "end"))
    begun, over = (datetime.fromisoformat(period[name]) for name in ("start", "end"))
    return max(0.0, (min(end, over) - max(start, begun)).total_seconds())


def drawn(window: Mapping[str, Any], layers: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], *, width: int) -> str:
    """A line of `width` letters for a window: of each place the letter of the last layer that is there for half of it, · where none is."""
    start, step = datetime.fromisoformat(window["start"]).timestamp(), _seconds(window) / width
    line = []
    for place in range(width):
        middle = start + (place + 0.5) * step
        there = [letter for letter, periods in layers if any(_holds(period, middle) for period in periods)]
        line.append(there[-1] if there else "·")
    return "".join(line)


def _holds(period: Mapping[str, Any], moment: float) -> bool:
    return datetime.fromisoformat(period["start"]).timestamp() <= moment < datetime.fromisoformat(period["end"]).timestamp()
