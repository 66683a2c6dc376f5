"""The live screen: how many devices are in which state, what is open, which groups are worst, how much happens."""

import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.ctl.client import Client
from gateway.ctl.commands.look import title
from gateway.ctl.failure import Failed
from gateway.ctl.live import STATES, Live, read
from gateway.ctl.output import harmless, local
from gateway.ctl.session import client_of
from gateway.ctl.spans import ago

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

REDRAW_S = 0.5
ROWS = 12
_MARKS = {"critical": "◆", "major": "▲", "minor": "■", "warning": "●"}
_STYLES = {"critical": "bold red", "major": "dark_orange", "minor": "yellow", "warning": "cyan",
           "down": "red", "degraded": "yellow", "unknown": "bright_black", "up": "green"}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    app.command()(top)


def top(ctx: typer.Context, *, once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False) -> None:
    """Watch how the city is: devices by kind and state, open incidents, the worst groups, why those that are not up are not."""
    client = client_of(ctx)
    if once or not sys.stdout.isatty():
        sys.stdout.write("\n".join(_plain(read(client), datetime.now(UTC))) + "\n")
        return
    _watch(client)


def _watch(client: Client) -> None:
    """Redraw until Ctrl-C. A thread follows the events; what it cannot follow any more is read anew."""
    from rich.live import Live as Screen  # only a terminal is redrawn

    picture = _Followed(client)
    with Screen(screen=True, auto_refresh=False) as screen:
        while True:
            drawn = _drawn(picture.latest, datetime.now(UTC), trouble=picture.trouble, height=screen.console.height)
            screen.update(drawn, refresh=True)
            time.sleep(REDRAW_S)


class _Followed:
    """A picture that a thread keeps true: the `latest` one. `trouble`: why it may be old."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.latest = read(client)
        self.trouble = ""
        threading.Thread(target=self._follow, daemon=True, name="events").start()

    def _follow(self) -> None:
        while True:
            try:
                self._take()
                self.latest = read(self._client)
                self.trouble = ""
            except Failed as failed:
                self.trouble = str(failed)
                time.sleep(2)
                self.latest.stale = True

    def _take(self) -> None:
        """Until something came that asks for the picture to be read anew."""
        if self.latest.stale:
            return
        for event in self._client.events(after=self.latest.cursor):
            self.trouble = ""
            if not self.latest.take(event):
                return


# -- as plain lines ---------------------------------------------------------------------------------------------------


def _plain(live: Live, now: datetime) -> list[str]:
    counts = live.counts()
    lines = [f"{local(live.at)}   {len(live.devices)} devices in {len(live.groups)} groups   {live.server}", ""]
    lines.append(f"{'':10}" + "".join(f"{state:>10}" for state in STATES))
    lines += [f"{kind:10}" + "".join(f"{found[state]:>10}" for state in STATES) for kind, found in counts.items()]
    lines.append(f"{'all':10}" + "".join(f"{sum(found[state] for found in counts.values()):>10}" for state in STATES))
    lines += ["", *(f"{count:>10}  {harmless(reason)}" for reason, count in live.reasons()[:ROWS])]
    incidents = live.open_incidents()
    lines += ["", f"{len(incidents)} open incidents"] + [_incident_line(one, now) for one in incidents[:ROWS]]
    worst = live.worst(ROWS)
    lines += ["", "worst groups"] + [harmless(f"{group:14} {_of(states, size):24} {name}") for group, name, states, size in worst]
    return lines


def _incident_line(one: Mapping[str, Any], now: datetime) -> str:
    who = f"  {_acknowledger(one)}" if one.get("acknowledged_by") else ""
    took = ago(one.get("opened_at"), now)
    return harmless(
        f"{_MARKS.get(one['severity'], '?')} {one['severity']:9} {one['id']:16} {took:>8} {one.get('devices', 0):>5}  {title(one)}{who}"
    )


def _acknowledger(one: Mapping[str, Any]) -> str:
    return str(one.get("acknowledger") or one.get("acknowledged_by") or "")


def _of(states: Mapping[str, int], size: int) -> str:
    told = [f"{states[state]} {state}" for state in ("down", "degraded") if states[state]]
    return f"{', '.join(told)} of {size}"


# -- as a screen ------------------------------------------------------------------------------------------------------


def _drawn(live: Live, now: datetime, *, trouble: str, height: int) -> "RenderableType":
    from rich.columns import Columns
    from rich.console import Group
    from rich.text import Text

    rows = max(3, (height - 16) // 2)
    at = datetime.fromisoformat(live.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    head = Text.assemble(
        (" city gateway ", "reverse bold"),
        f"  {live.server}  {len(live.devices)} devices, {len(live.groups)} groups  {live.per_minute():.0f} events/min  last {at}  ",
        (f"⚠ {harmless(trouble)}", "red") if trouble else ("● live", "green"),
    )
    gap, beside = Text(""), Columns([_states(live), _reasons(live, 6)], padding=(0, 4))
    return Group(head, gap, beside, gap, _incidents(live, rows, now), gap, _worst(live, rows))


def _states(live: Live) -> "Table":
    counts = live.counts()
    table = _table("", *STATES, right=True)
    for kind, found in counts.items():
        table.add_row(kind, *(_number(found[state], state) for state in STATES))
    table.add_row("all", *(_number(sum(found[state] for found in counts.values()), state) for state in STATES))
    return table


def _reasons(live: Live, rows: int) -> "Table":
    table = _table("why not up", "")
    for reason, count in live.reasons()[:rows]:
        table.add_row(harmless(reason), str(count))
    return table


def _incidents(live: Live, rows: int, now: datetime) -> "Table":
    found = live.open_incidents()
    table = _table(f"incidents ({len(found)})", "severity", "since", "devices", "by", "what")
    for one in found[:rows]:
        severity = one["severity"]
        mark = f"[{_STYLES.get(severity, '')}]{_MARKS.get(severity, '?')} {severity}[/]"
        by = _safe(_acknowledger(one))
        table.add_row(one["id"], mark, ago(one.get("opened_at"), now), str(one.get("devices", "")), by, _safe(title(one)))
    return table


def _worst(live: Live, rows: int) -> "Table":
    table = _table("worst groups", "down", "degraded", "of", "name")
    for group, name, states, size in live.worst(rows):
        table.add_row(_safe(group), _number(states["down"], "down"), _number(states["degraded"], "degraded"), str(size), _safe(name))
    return table


def _table(*headings: str, right: bool = False) -> "Table":
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if right and number else "left", no_wrap=True, overflow="ellipsis")
    return table


def _number(count: int, state: str) -> str:
    return f"[{_STYLES[state]}]{count}[/]" if count else "[bright_black]0[/]"


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(harmless(text))
