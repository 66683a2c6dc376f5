"""What the gateway owes for each thing that was done to the city, and whether it said so: pure, out of journal, events and standings.

| done to a device | owed |
| --- | --- |
| without power or line, long enough | down |
| often without line, each time briefly | degraded, `flapping` |
| an answer that cannot be used | down or degraded with one of its reasons (`ANSWERS`) |
| a clock off by more than 5 s | degraded, `clock-drift`, or `wrong-time-zone` where the offset is a zone's |
| another password; another serial number | degraded, `bad-credentials`; `wrong-device` |
| another address | down: nobody answers at the old one |
| new firmware | the notice `firmware-changed` with the old and the new |
| slower, within the deadline; URLs of somebody else; a picture that is worth nothing; a full disk | nothing of its health |

Long enough is what the health settings need to be sure (`Pace.sure_s`). *Missed* is what was owed and not said before it was healed, and a
device that is not as it was before, some time after the end. *False* is a change of a device to which nothing was done and that is no
neighbour of one (the switch on whose port it hangs, the devices on its own ports), and a device called down that had a voice throughout.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

CLOCK_LIMIT_S: Final = 5.0
WRONG_CLOCK: Final = ("clock-drift", "wrong-time-zone")
FLAPS: Final = 4
ANSWERS: Final[Mapping[str, tuple[str, ...]]] = {
    "silent": ("service-silent", "timeout"),
    "refuse": ("closed", "reset", "refused"),
    "reset": ("reset", "closed"),
    "truncated": ("truncated",),
    "drip": ("slow",),
    "half-open": ("slow",),
    "garbage": ("not-http",),
    "not-xml": ("malformed", "wrong-operation", "not-http"),
    "wrong-operation": ("wrong-operation",),
    "redirect": ("redirect",),
    "endless": ("too-large", "slow"),
    "gzip-bomb": ("too-large",),
    "dtd": ("dtd",),
    "busy": ("too-many-connections", "busy", "bad-credentials"),
}
"""The reasons that fit each hostile answer. A bare 401 cannot be told from a wrong password: what matters is that it is tried again."""
_SILENCING: Final = frozenset({"silent", "refuse", "reset"})


@dataclass(frozen=True, slots=True)
class Saying:
    """One thing that the gateway said of a device: a state with its reason, or a notice ("") with its reason and facts."""

    device: str
    at: float
    state: str
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Injection:
    """`what` was done to `device` from `at` until `until`; `state` ("" for a notice) and one of `reasons` are owed; () for any reason."""

    device: str
    what: str
    at: float
    until: float
    state: str
    reasons: tuple[str, ...] = ()

    def met_by(self, saying: Saying) -> bool:
        """Whether it says what is owed. A moment's slack at the end: what was found before it was healed is committed after."""
        fits = saying.state == self.state and (not self.reasons or saying.reason in self.reasons)
        return fits and saying.device == self.device and self.at <= saying.at <= self.until + 2.0

    def told(self) -> dict[str, str]:
        owed = f"{self.state} {' | '.join(self.reasons)}".strip()
        return {"device": self.device, "what": self.what, "owed": owed}


def injections(journal: Iterable[Mapping[str, Any]], *, sure_s: float) -> list[Injection]:
    """What is owed for a journal, in the order in which it was done. `sure_s`: how long an ill must last to be owed."""
    owed: list[Injection] = []
    for device, entries in _by_device(journal).items():
        dark = list(_spans(entries, "dark", "lit"))
        owed += [Injection(device, "dark", at, until, "down") for _, at, until in dark if until - at >= sure_s]
        short = [at for _, at, until in dark if until - at < sure_s]
        if len(short) >= FLAPS:
            owed.append(Injection(device, "comes and goes", short[0], dark[-1][2] + sure_s, "degraded", ("flapping",)))
        for detail, at, until in _spans(entries, "fault", "healed"):
            if until - at >= sure_s:
                owed += _of_fault(device, _fault(detail), at, until)
        for detail, at, until in _clocks(entries):
            if abs(float(detail)) > CLOCK_LIMIT_S and until - at >= sure_s:
                owed.append(Injection(device, "clock", at, until, "degraded", WRONG_CLOCK))
    return sorted(owed, key=lambda one: (one.at, one.device))


def _of_fault(device: str, fault: Mapping[str, Any], at: float, until: float) -> Iterable[Injection]:
    answer = fault.get("answer", "silent" if fault.get("loss") == 1.0 else "")
    if answer in _SILENCING or fault.get("address"):
        yield Injection(device, answer or "moved", at, until, "down", ANSWERS.get(answer, ()))
    elif answer in ANSWERS:
        yield Injection(device, answer, at, until, "degraded", ANSWERS[answer])
    if fault.get("password"):
        yield Injection(device, "password", at, until, "degraded", ("bad-credentials",))
    if fault.get("serial"):
        yield Injection(device, "swapped", at, until, "degraded", ("wrong-device",))
    if abs(fault.get("clock_offset_s", 0.0)) > CLOCK_LIMIT_S:
        yield Injection(device, "clock", at, until, "degraded", WRONG_CLOCK)
    if fault.get("firmware") and not fault.get("serial"):
        yield Injection(device, "firmware", at, until, "", ("firmware-changed",))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of everything that was owed. `seconds`: by what was done, how long each took to be said."""

    reported: Sequence[dict[str, Any]]
    missed: Sequence[dict[str, Any]]
    false: Sequence[dict[str, Any]]
    seconds: Mapping[str, Mapping[str, float]]


def judge(owed: Sequence[Injection], sayings: Sequence[Saying], *, touched: Mapping[str, bool], near: set[str]) -> Verdict:
    """Hold what was said against what was owed. `touched`: who was hit, and whether it lost its voice; `near`: their neighbours."""
    by_device: dict[str, list[Saying]] = defaultdict(list)
    for saying in sayings:
        by_device[saying.device].append(saying)
    reported, missed, took = [], [], defaultdict(list)
    for one in owed:
        found = next((saying for saying in by_device[one.device] if one.met_by(saying)), None)
        if found is None:
            missed.append(one.told())
            continue
        after_s = round(found.at - one.at, 1)
        took[one.what].append(after_s)
        reported.append(
            {**one.told(), "reason": found.reason, "after_s": after_s, **({"facts": dict(found.facts)} if not one.state else {})}
        )
    wrong = [_told(saying) for saying in sayings if saying.state and _is_false(saying, touched, near)]
    return Verdict(reported, missed, wrong, {what: _spread(seconds) for what, seconds in took.items()})


def _is_false(saying: Saying, touched: Mapping[str, bool], near: set[str]) -> bool:
    if saying.device not in touched:
        return saying.device not in near or saying.state == "down"
    return saying.state == "down" and not touched[saying.device]


def touched(journal: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Who was hit by anything, and whether that could take its voice."""
    hit: dict[str, bool] = {}
    for entry in journal:
        if entry["device"]:
            fault = _fault(entry["detail"]) if entry["what"] == "fault" else {}
            mute = entry["what"] == "dark" or fault.get("answer") in _SILENCING or bool(fault.get("address") or fault.get("loss"))
            hit[entry["device"]] = hit.get(entry["device"], False) or mute
    return hit


def _told(saying: Saying) -> dict[str, Any]:
    return {"device": saying.device, "state": saying.state, "reason": saying.reason}


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"count": len(ordered), "median": ordered[len(ordered) // 2], "most": ordered[-1]}


# -- the journal's spans of time -----------------------------------------------------------------------------------------


def _by_device(journal: Iterable[Mapping[str, Any]]) -> Mapping[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in journal:
        if entry["device"]:
            found[entry["device"]].append(entry)
    return found


def _spans(entries: Iterable[Mapping[str, Any]], begin: str, end: str) -> Iterable[tuple[str, float, float]]:
    """(detail, from, until) of each pair; one that is not over yet ends with the last entry."""
    open_: tuple[str, float] | None = None
    last = 0.0
    for entry in entries:
        last = entry["at"]
        if entry["what"] == begin:
            if open_ is not None:
                yield (*open_, last)
            open_ = entry["detail"], last
        elif entry["what"] == end and open_ is not None:
            yield (*open_, last)
            open_ = None
    if open_ is not None:
        yield (*open_, last)


def _clocks(entries: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, float, float]]:
    """(offset, from, until) of each time that a clock was set to something by a reboot."""
    changes = [entry for entry in entries if entry["what"] == "clock"]
    for change, following in itertools.pairwise(changes):
        yield change["detail"], change["at"], following["at"]


def _fault(detail: str) -> Mapping[str, Any]:
    try:
        found = json.loads(detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
