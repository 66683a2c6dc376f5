"""Reads what a device's profile names and judges it: one GET a visit, and the tables less often."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.drivers.base import Target
from gateway.drivers.profiles import Profile, Profiles
from gateway.drivers.snmp.engine import Oid, PollEngine, Value
from gateway.drivers.snmp.sensors import Readings, evaluate, text

_SYS_DESCR, _SYS_OBJECT_ID = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0"
_DEVICES = 20_000  # devices remembered; the longest unvisited is forgotten and met anew


@dataclass(frozen=True, slots=True)
class Reading:
    """One visit: the verdict, and whether a v3 agent came back as another engine."""

    readings: Readings
    engine_id_changed: bool = False


@dataclass(slots=True)
class _Known:
    target: Target
    profile: Profile
    tables: dict[Oid, Sequence[tuple[Oid, Value]]]
    walked_at: float


class SensorReader:
    """Over one engine for all devices. `walk_every_s`: how old a table may be; the values of single objects are always new."""

    def __init__(self, engine: PollEngine, profiles: Profiles, *, clock: Clock, walk_every_s: float = 60.0) -> None:
        self._engine = engine
        self._profiles = profiles
        self._clock = clock
        self._walk_every_s = walk_every_s
        self._known: OrderedDict[DeviceId, _Known] = OrderedDict()

    async def read(self, target: Target, *, timeout_s: float) -> Reading:
        """Read and judge. Raises what the engine raises; `timeout_s` bounds each of its exchanges."""
        known = self._known.get(target.device)
        if known is None or known.target != target:
            known = await self._meet(target, timeout_s)
        self._known.move_to_end(target.device)
        reply = await self._engine.get(target, known.profile.oids, timeout_s=timeout_s)
        if self._clock.monotonic() - known.walked_at >= self._walk_every_s:
            known.tables = {root: await self._engine.walk(target, root, timeout_s=timeout_s) for root in known.profile.walks}
            known.walked_at = self._clock.monotonic()
        return Reading(evaluate(known.profile, reply.values, known.tables), reply.engine_id_changed)

    async def alive(self, target: Target, *, timeout_s: float) -> bool:
        """Whether a v3 agent answers a stranger; False for v1 and v2c, which cannot be asked."""
        return await self._engine.alive(target, timeout_s=timeout_s)

    async def _meet(self, target: Target, timeout_s: float) -> _Known:
        """Find the device's profile: the inventory's, else by what the device says of itself."""
        profile = self._profiles.by_name.get(target.profile)
        if profile is None:
            values = (await self._engine.get(target, (_SYS_DESCR, _SYS_OBJECT_ID), timeout_s=timeout_s)).values
            profile = self._profiles.choose(
                target.profile, object_id=text(values[_SYS_OBJECT_ID] or ""), description=text(values[_SYS_DESCR] or "")
            )
        known = self._known[target.device] = _Known(target, profile, {}, walked_at=-self._walk_every_s)
        if len(self._known) > _DEVICES:
            self._known.popitem(last=False)
        return known
