"""Lets a scenario happen to the running demo, and holds what the gateway says of it against what the simulators say was done."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import aiohttp

from demo import city, owed, trouble
from demo.observer import Observer
from demo.owed import Saying
from demo.standing import say

USUAL_INTERVAL_S: Final = 30.0
"""The interval for which the scenarios' times are written."""
POLL_S: Final = 1.0
SLOTS: Final = 256
"""How many visits the gateway makes at once (`health.concurrency`)."""
SETTLED_S: Final = 6.0
"""So long nothing may change before a scenario begins."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The gateway's health settings in the demo, and what follows from them. Times in seconds."""

    interval_s: float = USUAL_INTERVAL_S
    timeout_s: float = 5.0

    @property
    def factor(self) -> float:
        """What a scenario's times are multiplied by."""
        return self.interval_s / USUAL_INTERVAL_S

    @property
    def sure_s(self) -> float:
        """After so long the gateway must have noticed: a round, two visits more, each to its deadline, and a moment."""
        return (
            max(self.interval_s + 2 * min(10.0, self.interval_s / 3) + 3 * (self.timeout_s + 1), 2 * (self.interval_s + self.timeout_s))
            + self.interval_s / 6
        )

    def crowd_s(self, silent: int) -> float:
        """How much longer it takes when so many fall silent at once: each holds a slot for three deadlines."""
        return 3 * (self.timeout_s + 1) * silent / SLOTS

    @property
    def well_again_s(self) -> float:
        """After so long everything must be as before: the longest pause that a dead device has by then, two rounds, and the flap hold."""
        return 6 * self.interval_s + 20

    @property
    def silent_s(self) -> float:
        """So long nobody may be told anything before the alerts are counted: longer than a message waits for company."""
        return self.interval_s + 12

    @property
    def settings(self) -> Mapping[str, float]:
        return {"interval_s": self.interval_s, "timeout_s": self.timeout_s, "flap_hold_s": 2 * self.interval_s}


async def played(observer: Observer, layout: city.Layout, name: str, *, seed: int, scale: float, pace: Pace) -> dict[str, object]:
    """The whole scenario judged: {"injected", "reported", "missed", "false", "seconds_to_report", …}."""
    before = await settled(observer)
    earlier = {one["id"] for one in await _incidents(observer)}
    mark = await _last_entry(observer)
    told = len(observer.desk.messages)
    async with _listening(observer) as sayings:
        ended = await happen(observer, name, seed=seed, scale=scale, pace=pace)
        moved = await _correct_credentials(observer, layout, mark)
        unwell = await _until_well(observer, before, within_s=pace.well_again_s)
        well_after_s = round(time.monotonic() - ended, 1)
        await _until_all_is_resolved(observer, earlier, within_s=pace.interval_s + 10)
        if name in ALERTS:
            await _until_told(observer, within_s=pace.well_again_s, silent_s=pace.silent_s)
    journal = (await observer.street(f"/journal?since={mark}"))["entries"]
    hit = owed.touched(journal)
    due = owed.injections(journal, sure_s=pace.sure_s + pace.crowd_s(sum(hit.values())))
    verdict = owed.judge(due, sayings, touched=hit | dict.fromkeys(moved, True), near=_neighbours(layout, set(hit)))
    return {
        "scenario": name,
        "devices_hit": len(hit),
        "injected": [one.told() for one in due],
        "reported": verdict.reported,
        "missed": [*verdict.missed, *unwell],
        "false": verdict.false,
        "seconds_to_report": verdict.seconds,
        "seconds_to_well_again": well_after_s,
        "incidents": await _troubles(observer, layout, name, due, earlier),
        "alerts": observer.desk.since(told),
    }


async def _troubles(observer: Observer, layout: city.Layout, name: str, due: Sequence[owed.Injection], earlier: set[str]) -> dict[str, Any]:
    """The incidents of the scenario, judged."""
    incidents = [one for one in await _incidents(observer) if one["id"] not in earlier]
    members = {one["id"]: await _members(observer, one["id"]) for one in incidents}
    dark = {one.device for one in due if one.state == "down"}
    return trouble.told(incidents, members, trouble.Loss.of(dark, city.uplinks(layout)), name)


ALERTS: Final[Mapping[str, Mapping[str, tuple[int, int]]]] = {
    "switch-down": {"problem": (1, 1), "recovery": (1, 1)},
    "power-cut": {"problem": (1, 3), "recovery": (1, 3)},
}
"""How many messages the duty desk may get, from and to."""


def wrong_alerts(report: Mapping[str, Any]) -> list[str]:
    """What of the report's alerts is not as promised."""
    told = report["alerts"]
    bounds = ALERTS.get(report["scenario"], {}).items()
    return [f"alerts: {told[what]} of {what}, not {least} to {most}" for what, (least, most) in bounds if not least <= told[what] <= most]


async def begin(observer: Observer, name: str, *, seed: int, scale: float, pace: Pace) -> Mapping[str, Any]:
    """Let it begin; what the simulators say that it is."""
    wanted = {"seed": seed, "scale": scale, "pace": pace.factor}
    async with observer.http.post(f"{observer.control}/scenarios/{name}", json=wanted) as answer:
        answer.raise_for_status()
        told = await answer.json()
    return next(one for one in told["scenarios"] if one["name"] == name)


async def steps(observer: Observer, mark: int) -> AsyncIterator[Mapping[str, Any]]:
    """What happens in the scenario, as it happens, to its end."""
    while True:
        entries = (await observer.street(f"/journal?since={mark}"))["entries"]
        for entry in entries:
            mark = entry["number"]
            if entry["what"] == "scenario":
                yield entry
                if entry["detail"] == "ended":
                    return
        await asyncio.sleep(POLL_S)


async def happen(observer: Observer, name: str, *, seed: int, scale: float, pace: Pace) -> float:
    """Play it to its end; gives the monotonic moment of that."""
    mark = await _last_entry(observer)
    told = await begin(observer, name, seed=seed, scale=scale, pace=pace)
    say(f"{name}: {told['says']} It takes {told['ends_s'] * pace.factor:.0f} s.")
    async for step in steps(observer, mark):
        say(f"{name}: {step['detail']}")
    return time.monotonic()


async def _last_entry(observer: Observer) -> int:
    entries = (await observer.street("/journal?since=0"))["entries"]
    return entries[-1]["number"] if entries else 0


# -- what the gateway says -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _listening(observer: Observer) -> AsyncIterator[list[Saying]]:
    """What the gateway says from now on, by its event stream."""
    sayings: list[Saying] = []
    headers = {"Authorization": f"Bearer {observer.keys['viewer']}"}
    url = f"{observer.gateway}/v1/events?types=device.state,device.notice"
    async with observer.http.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=1 << 20) as stream:
        stream.raise_for_status()
        listener = asyncio.create_task(_listen(stream, sayings), name="event stream")
        try:
            yield sayings
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener


async def _listen(stream: aiohttp.ClientResponse, sayings: list[Saying]) -> None:
    async for line in stream.content:
        if line.startswith(b"data: ") and b'"cursor"' in line:
            event = json.loads(line[6:])
            data = event["data"]
            at = datetime.fromisoformat(event["at"]).timestamp()
            sayings.append(Saying(event["subject"], at, data.get("after", ""), data["reason"], data.get("facts", {})))


async def _incidents(observer: Observer, query: str = "") -> list[dict[str, Any]]:
    """All incidents, the oldest first."""
    items: list[dict[str, Any]] = (await observer.call("viewer", "GET", f"/v1/incidents?limit=1000{query}"))["items"]
    return items[::-1]


async def _members(observer: Observer, incident: str) -> frozenset[str]:
    """Everybody who ever was in it."""
    found: set[str] = set()
    path = f"/v1/incidents/{incident}/members?limit=1000"
    while path:
        page = await observer.call("viewer", "GET", path)
        found |= {one["id"] for one in page["items"]}
        path = f"/v1/incidents/{incident}/members?limit=1000&cursor={page['next']}" if page["next"] else ""
    return frozenset(found)


async def _until_all_is_resolved(observer: Observer, earlier: set[str], *, within_s: float) -> None:
    """Give the incidents that were opened a moment to see that everybody is back."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if all(one["id"] in earlier for one in await _incidents(observer, "&live=true")):
            return
        await asyncio.sleep(POLL_S)


async def _standings(observer: Observer) -> dict[str, tuple[str, str]]:
    """Every device's state and reason."""
    found: dict[str, tuple[str, str]] = {}
    path = "/v1/devices?limit=1000"
    while path:
        page = await observer.call("viewer", "GET", path)
        found |= {device["id"]: (device["state"], device["reason"]) for device in page["items"]}
        path = f"/v1/devices?limit=1000&cursor={page['next']}" if page.get("next") else ""
    return found


async def _counts(observer: Observer) -> Mapping[str, int]:
    """How many devices are in each state."""
    states: Mapping[str, int] = (await observer.call("viewer", "GET", "/v1/health/summary"))["states"]
    return states


async def settled(observer: Observer) -> dict[str, tuple[str, str]]:
    """How everything stands once nothing changes any more and nobody is unknown."""
    still_since, before = time.monotonic(), await _counts(observer)
    while before["unknown"] or time.monotonic() - still_since < SETTLED_S:
        await asyncio.sleep(POLL_S)
        now = await _counts(observer)
        if now != before:
            still_since, before = time.monotonic(), now
    return await _standings(observer)


async def _until_well(observer: Observer, before: Mapping[str, tuple[str, str]], *, within_s: float) -> list[dict[str, Any]]:
    """Wait until everything is as it was; who is not, when that takes too long."""
    deadline = time.monotonic() + within_s
    wanted = Counter(state for state, _ in before.values())
    while time.monotonic() < deadline:
        if all(wanted[state] == count for state, count in (await _counts(observer)).items()) and not _unwell(
            before, await _standings(observer)
        ):
            return []
        await asyncio.sleep(POLL_S)
    return _unwell(before, await _standings(observer))


async def _until_told(observer: Observer, *, within_s: float, silent_s: float) -> None:
    """Wait until no incident is open and no message waits any more."""
    deadline = time.monotonic() + within_s
    silent_since = time.monotonic()
    before = -1
    while time.monotonic() < deadline:
        live = (await observer.call("viewer", "GET", "/v1/incidents?state=open&limit=1"))["items"]
        queued = sum(one["queued"] for one in (await observer.call("viewer", "GET", "/v1/alert-channels"))["items"])
        if live or queued or len(observer.desk.messages) != before:
            silent_since, before = time.monotonic(), len(observer.desk.messages)
        elif time.monotonic() - silent_since > silent_s:
            return
        await asyncio.sleep(POLL_S)


def _unwell(before: Mapping[str, tuple[str, str]], now: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"device": device, "what": "not as before", "state": state, "reason": reason}
        for device, (state, reason) in now.items()
        if state != before[device][0]
    ]


# -- what an operator does -------------------------------------------------------------------------------------------------


REFUSALS = ('"password"', '"busy"')
"""Faults after which a gateway may hold credentials for bad: another password, and a bare 401."""


async def _correct_credentials(observer: Observer, layout: city.Layout, mark: int) -> set[str]:
    """Let credentials be tried again that are known to be bad, as an operator would: by imports that change the device and change it back.

    Another password in between would be tried as well, and lock the gateway out of cameras that count. Gives the devices: who is visited in
    between is not where the inventory has it, and rightly called down.
    """
    journal = (await observer.street(f"/journal?since={mark}"))["entries"]
    faults = [entry for entry in journal if entry["what"] == "fault"]
    devices = {entry["device"] for entry in faults if any(refusal in entry["detail"] for refusal in REFUSALS)}
    for device in devices:
        row = city.inventory_row(layout, device)
        for content in (city.elsewhere(row), row):
            await observer.call("admin", "POST", "/v1/inventory/imports?name=correction.yaml", data=content.encode())
    return devices


def _neighbours(layout: city.Layout, hit: set[str]) -> set[str]:
    """Who hangs on a device that was hit, or has one on its ports."""
    uplinks = city.uplinks(layout)
    return {uplinks[device] for device in hit} | {device for device, uplink in uplinks.items() if uplink in hit}
