"""The city as `top` and `get --watch` know it: read once, then kept true by the event stream."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.ctl.client import Client
from gateway.ctl.failure import Failed

STATES = ("unknown", "up", "degraded", "down")
KINDS = ("camera", "speaker", "recorder", "switch")
SEVERITIES = ("critical", "major", "minor", "warning")
RATE_S = 60.0
_REMEMBERED = 10_000  # moments of events, for their rate


@dataclass(slots=True)
class Seen:
    """A device, as far as a picture of the city needs it."""

    kind: str
    group: str | None
    state: str
    reason: str


@dataclass
class Live:
    """Everything that is shown. `take` is given each event; what it cannot keep true by itself makes it `stale`: read again then."""

    server: str
    at: str
    cursor: int
    devices: dict[str, Seen]
    groups: dict[str, str]
    incidents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    stale: bool = False
    clock: Callable[[], float] = time.monotonic
    _moments: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _began: float = field(default_factory=time.monotonic)

    def take(self, event: Mapping[str, Any]) -> bool:
        """Keep up with one event; False when the city must be read anew."""
        if event["type"] == "gap":
            self.stale = True
            return False
        self.cursor, self.at = event["cursor"], event["at"]
        self._moments.append(self.clock())
        if event["type"] == "device.state":
            self._move(event["subject"], event["data"])
        elif event["type"].startswith("incident."):
            self._keep(event["data"].get("incident") or {})
        elif event["type"] == "inventory.imported":
            self.stale = True
        return not self.stale

    def counts(self) -> dict[str, Counter[str]]:
        """How many devices of each kind are in each state."""
        counts = {kind: Counter[str]() for kind in KINDS}
        for device in self.devices.values():
            counts.setdefault(device.kind, Counter())[device.state] += 1
        return counts

    def reasons(self) -> list[tuple[str, int]]:
        """Why those that are not up are not, the most frequent first."""
        return Counter(device.reason for device in self.devices.values() if device.state != "up" and device.reason).most_common()

    def worst(self, most: int) -> list[tuple[str, str, Counter[str], int]]:
        """The groups with the most devices that are down, then degraded: id, name, states, size."""
        states: dict[str, Counter[str]] = {}
        for device in self.devices.values():
            if device.group:
                states.setdefault(device.group, Counter())[device.state] += 1
        ill = [(group, found) for group, found in states.items() if found["down"] or found["degraded"]]
        ill.sort(key=lambda one: (-one[1]["down"], -one[1]["degraded"], one[0]))
        return [(group, self.groups.get(group, ""), found, found.total()) for group, found in ill[:most]]

    def open_incidents(self) -> list[Mapping[str, Any]]:
        """Those that are not resolved: the worst first, of these the open before the acknowledged, the newest first."""
        newest = sorted(self.incidents.values(), key=lambda one: str(one.get("opened_at")), reverse=True)
        return sorted(newest, key=lambda one: (_severity(one), one.get("state") != "open"))

    def per_minute(self) -> float:
        """How many events came in the last minute."""
        now = self.clock()
        while self._moments and self._moments[0] < now - RATE_S:
            self._moments.popleft()
        watched = min(RATE_S, max(1.0, now - self._began))
        return len(self._moments) * 60 / watched

    def _move(self, device: str, data: Mapping[str, Any]) -> None:
        seen = self.devices.get(device)
        if seen is None:
            self.stale = True
            return
        seen.state, seen.reason = data.get("after", "unknown"), data.get("reason", "")

    def _keep(self, incident: Mapping[str, Any]) -> None:
        if "id" not in incident:
            return
        if incident.get("state") == "resolved":
            self.incidents.pop(incident["id"], None)
        else:
            self.incidents[incident["id"]] = incident


def read(client: Client) -> Live:
    """The city as it is now, with the cursor from which to follow it."""
    summary = client.get("/v1/health/summary")
    devices = {one["id"]: Seen(one["kind"], one.get("group"), one["state"], one.get("reason") or "") for one in client.every("/v1/devices")}
    groups = {one["id"]: one["name"] for one in client.every("/v1/camera-groups")}
    incidents = {one["id"]: one for one in live_incidents(client)}
    return Live(client.server, summary["at"], summary["event_cursor"], devices, groups, incidents)


def live_incidents(client: Client) -> Iterator[Mapping[str, Any]]:
    """The incidents that are not resolved; none of a gateway that knows of none, or for a key that may not see them."""
    try:
        yield from client.every("/v1/incidents", live=True)
    except Failed as failed:
        if failed.status not in {403, 404}:
            raise


def since(then: str | None) -> str:
    """A moment in this machine's time, short."""
    return datetime.fromisoformat(then).astimezone().strftime("%m-%d %H:%M") if then else "-"


def _severity(incident: Mapping[str, Any]) -> int:
    return SEVERITIES.index(incident["severity"]) if incident.get("severity") in SEVERITIES else len(SEVERITIES)
