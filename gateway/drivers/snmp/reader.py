"""Reads what a device's profile names and judges it: one GET a visit, and the tables less often."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.domain.devices import DeviceId, SnmpVersion
from gateway.drivers.base import Target
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.model import Profile, Traits
from gateway.drivers.snmp.engine import Oid, PollEngine, Value, silence, snmp_credentials
from gateway.drivers.snmp.sensors import Readings, evaluate, text
from gateway.errors import AuthenticationFailed

_SYS_DESCR, _SYS_OBJECT_ID = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0"
_SUSPICION_S = 600.0  # a suspicion may be wrong: lost answers look like it
_DEVICES = 20_000  # devices remembered; the longest unvisited is forgotten and met anew


@dataclass(frozen=True, slots=True)
class Reading:
    """One visit: the verdict, and whether a v3 agent came back as another engine."""

    readings: Readings
    engine_id_changed: bool = False


@dataclass(frozen=True, slots=True)
class _Refusal:
    target: Target
    error: AuthenticationFailed
    until: float


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
        self._refused: dict[DeviceId, _Refusal] = {}

    async def read(self, target: Target, *, timeout_s: float) -> Reading:
        """Read and judge. Raises what the engine raises; `timeout_s` bounds each of its exchanges.

        Credentials that a v3 agent refused are not tried again until they change or `forget` is called (rule 5): the agent is only
        asked whether it is alive, and the refusal is raised again.
        """
        await self._not_refused(target, timeout_s)
        try:
            return await self._read(target, timeout_s)
        except AuthenticationFailed as error:
            self._remember_refusal(target, error)
            raise

    def forget(self, device: DeviceId) -> None:
        """Let credentials that were refused be tried again, and find the device's profile anew."""
        self._refused.pop(device, None)
        self._known.pop(device, None)

    async def _read(self, target: Target, timeout_s: float) -> Reading:
        known = self._known.get(target.device)
        if known is None or known.target != target:
            known = await self._meet(target, timeout_s)
        self._known.move_to_end(target.device)
        reply = await self._engine.get(target, known.profile.oids, timeout_s=timeout_s)
        if self._clock.monotonic() - known.walked_at >= self._walk_every_s:
            known.tables = {root: await self._engine.walk(target, root, timeout_s=timeout_s) for root in known.profile.walks}
            known.walked_at = self._clock.monotonic()
        return Reading(evaluate(known.profile, reply.values, known.tables), reply.engine_id_changed)

    async def _not_refused(self, target: Target, timeout_s: float) -> None:
        refusal = self._refused.get(target.device)
        if refusal is None:
            return
        if refusal.target != target or self._clock.monotonic() >= refusal.until:
            del self._refused[target.device]
            return
        if not await self._engine.alive(target, timeout_s=timeout_s):
            raise silence(target)
        raise AuthenticationFailed(str(refusal.error), code=refusal.error.code, hint=refusal.error.hint)

    def _remember_refusal(self, target: Target, error: AuthenticationFailed) -> None:
        if snmp_credentials(target).version is not SnmpVersion.V3:
            return
        pause_s = _SUSPICION_S if error.code == "privacy-key-suspected" else math.inf
        self._refused[target.device] = _Refusal(target, error, self._clock.monotonic() + pause_s)
        if len(self._refused) > _DEVICES:
            del self._refused[next(iter(self._refused))]

    async def _meet(self, target: Target, timeout_s: float) -> _Known:
        """Find the device's profile: the inventory's, else by what the device says of itself."""
        profile = self._profiles.by_name.get(target.profile)
        if profile is None:
            values = (await self._engine.get(target, (_SYS_DESCR, _SYS_OBJECT_ID), timeout_s=timeout_s)).values
            traits = Traits(object_id=text(values[_SYS_OBJECT_ID] or ""), description=text(values[_SYS_DESCR] or ""))
            profile = self._profiles.choose(target.profile, traits)
        known = self._known[target.device] = _Known(target, profile, {}, walked_at=-self._walk_every_s)
        if len(self._known) > _DEVICES:
            self._known.popitem(last=False)
        return known
