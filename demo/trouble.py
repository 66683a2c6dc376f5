"""What the gateway's incidents ought to be in a scenario, and whether they are: pure, out of the incidents, the journal and the uplinks.

Of a dead switch there is one incident that names it and lists all that hangs on it; of a power cut there are at most `POWER_CUT_MOST`,
with every device that was dark for long enough in one of them. What is only ill, not down, makes at most `COMPLAINTS_MOST`, except
where each device has an ill of its own (`hostile`). When everything is well again, nothing is open.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

POWER_CUT_MOST: Final = 3
COMPLAINTS_MOST: Final = 6


@dataclass(frozen=True, slots=True)
class Loss:
    """What a scenario took away: who was dark for long enough to be owed a word; `roots`: those that nothing dark is in front of."""

    dark: frozenset[str]
    roots: frozenset[str]

    @classmethod
    def of(cls, dark: Iterable[str], uplinks: Mapping[str, str]) -> "Loss":
        lost = frozenset(dark)
        return cls(lost, frozenset(one for one in lost if uplinks.get(one, "") not in lost))


def told(incidents: Sequence[Mapping[str, Any]], members: Mapping[str, frozenset[str]], loss: Loss, scenario: str) -> dict[str, Any]:
    """The part of the report that is about incidents; `wrong` says what is not as it should be. `members`: all of each, by its id."""
    down = [one for one in incidents if one["trouble"] == "down"]
    wrong = [f"{one['id']} is still {one['state']}: {one['title']['en']}" for one in incidents if one["state"] != "resolved"]
    covered = frozenset[str]().union(*(members[one["id"]] for one in down))
    if missing := sorted(loss.dark - covered):
        wrong.append(f"in no incident: {', '.join(missing[:10])} ({len(missing)} devices)")
    if scenario == "switch-down":
        wrong += _switch_down(down, members, loss)
    elif scenario == "power-cut" and len(down) > POWER_CUT_MOST:
        wrong.append(f"{len(down)} incidents of devices that are down, instead of {POWER_CUT_MOST} at most")
    if scenario != "hostile" and len(incidents) - len(down) > COMPLAINTS_MOST:
        wrong.append(f"{len(incidents) - len(down)} incidents of complaints, instead of {COMPLAINTS_MOST} at most")
    return {"down": len(down), "others": len(incidents) - len(down), "told": [_line(one) for one in incidents], "wrong": wrong}


def _switch_down(down: Sequence[Mapping[str, Any]], members: Mapping[str, frozenset[str]], loss: Loss) -> list[str]:
    """One incident for each switch that died, no other, and each lists what hangs on it."""
    causes = sorted(str(one["cause"]["device"]) for one in down)
    if causes != sorted(loss.roots):
        return [f"the incidents name {causes} instead of {sorted(loss.roots)}"]
    listed = sum(len(members[one["id"]] & loss.dark) for one in down)
    return [] if listed == len(loss.dark) else [f"they list {listed} of {len(loss.dark)} devices"]


def _line(incident: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "severity", "state", "devices_most", "reopened", "opened_at", "resolved_at")
    return {"title": incident["title"]["en"], **{name: incident[name] for name in kept}}
