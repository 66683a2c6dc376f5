"""When each device started last and since when each port is as it is, learnt from the journal of the city."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from simulators.city import City, SimDevice
from simulators.faults import PROTOCOLS, Answer
from simulators.journal import Entry
from simulators.snmp.ber import Oid
from simulators.state import State
from simulators.traps import Trap
from simulators.wires import Port
from simulators.wiring import LINE_BACK

T = TypeVar("T")
ONE_START_S: Final = 1.0
TABLES_KEPT: Final = 32
"""Tables of neighbours that are kept while they are walked."""
_LINK_EVENTS: Final = frozenset({"dark", "lit", "fault", "healed"})


@dataclass(slots=True)
class Link:
    """A port that changed: since when (seconds since the epoch) it is `up`, and how long it was down before, since its switch started."""

    up: bool
    since: float
    down_s: float = 0.0


class History:
    """`epoch`: when the simulation began. Only what changed costs memory."""

    def __init__(self, city: City, state: State) -> None:
        self._city, self._state = city, state
        self.epoch = state.now()
        self.restarts: Counter[str] = Counter()
        self._started: dict[str, float] = {}
        self._links: dict[Port, Link] = {}
        self._quirks: dict[tuple[str, str], float] = {}
        self._tables: dict[tuple[str, Oid], tuple[tuple[int, int, int], Any]] = {}
        state.journal.watchers.append(self._note)

    def close(self) -> None:
        self._state.journal.watchers.remove(self._note)

    def started(self, device: SimDevice) -> float | None:
        """When it started anew, None when it did not since the epoch."""
        return self._started.get(device.id)

    def link(self, switch: SimDevice, port: int) -> Link | None:
        """None for a port that is as it was at the epoch."""
        return self._links.get((switch.id, port))

    def quirk_since(self, device: SimDevice, switch: str) -> float:
        """Since when it has a quirk that it has."""
        return self._quirks.get((device.id, switch), self.epoch)

    def kept(self, device_id: str, table: Oid, make: Callable[[], T]) -> T:
        """A table of one device as it was made last, for as long as nothing happened to the city and the second is the same."""
        stamp = (self._state.journal.last, len(self._state.faults), int(self._state.now()))
        found = self._tables.get((device_id, table))
        if found is None or found[0] != stamp:
            self._tables.pop((device_id, table), None)
            found = self._tables[device_id, table] = (stamp, make())
            if len(self._tables) > TABLES_KEPT:
                del self._tables[next(iter(self._tables))]
        made: T = found[1]
        return made

    # -- what is learnt

    def _note(self, entry: Entry) -> None:
        device = self._city.by_id(entry.device)
        if device is None:
            return
        if entry.what == "reboot" or (entry.what == "lit" and entry.detail != LINE_BACK):
            self._restart(device, entry.at)
        if entry.what == "quirk":
            self._quirks[device.id, entry.detail] = entry.at
        if entry.what in _LINK_EVENTS:
            self._watch_link(device, entry.at)

    def _restart(self, device: SimDevice, at: float) -> None:
        """Take up a restart; power that comes back and a reboot that follows from it are one."""
        if at - self._started.get(device.id, -math.inf) < ONE_START_S:
            return
        self.restarts[device.id] += 1
        self._started[device.id] = at
        for (switch, _), link in self._links.items() if device.kind == "switch" else ():
            if switch == device.id:
                link.since, link.down_s = at, 0.0
        if device.snmp is not None and not self._state.dark(device):
            self._state.traps.send(device, Trap.COLD_START)

    def _watch_link(self, device: SimDevice, at: float) -> None:
        """See whether the port that a device hangs on has changed with it, and let the switch tell."""
        switch, port = self._city.by_id(device.uplink), (device.uplink, device.uplink_port)
        if switch is None:
            return
        up, before = not is_dead(self._state, device), self._links.get(port, Link(up=True, since=self.epoch))
        if up is before.up:
            return
        self._links[port] = Link(up, at, before.down_s + (at - before.since if up else 0.0))
        if not self._state.dark(switch):
            self._state.traps.send(switch, Trap.LINK_UP if up else Trap.LINK_DOWN, device.uplink_port)


def is_dead(state: State, device: SimDevice) -> bool:
    """A device that is silent or refuses on every protocol has lost its power or its cable."""
    fault = state.fault(device)
    return fault.answer in {Answer.SILENT, Answer.REFUSE} and set(fault.protocols) == set(PROTOCOLS)
