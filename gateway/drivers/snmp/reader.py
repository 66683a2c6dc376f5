"""Reads what a device's profile names and judges it: one GET a visit, and the tables less often."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.domain.devices import DeviceId, SnmpVersion
from gateway.domain.restarts import TICKS_A_SECOND, Uptimes, boots_stuck, restarted
from gateway.drivers.base import Target
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.model import Profile, Traits
from gateway.drivers.snmp.engine import Oid, PollEngine, Value, silence, snmp_credentials
from gateway.drivers.snmp.sensors import Readings, evaluate, text
from gateway.errors import AuthenticationFailed, DeadlineExceeded

_SYS_DESCR, _SYS_OBJECT_ID = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0"
_SYS_UPTIME, _HR_SYSTEM_UPTIME = "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.25.1.1.0"
_ENGINE_BOOTS, _ENGINE_TIME = "1.3.6.1.6.3.10.2.1.2.0", "1.3.6.1.6.3.10.2.1.3.0"
_UPTIMES = (_SYS_UPTIME, _HR_SYSTEM_UPTIME, _ENGINE_TIME, _ENGINE_BOOTS)
_SUSPICION_S = 600.0  # a suspicion may be wrong: lost answers look like it
_DEVICES = 20_000  # devices remembered; the longest unvisited is forgotten and met anew


@dataclass(frozen=True, slots=True)
class Reading:
    """One visit: the verdict, and whether a v3 agent came back as another engine.

    `restarted`: when the device started anew since the last visit, by our clock, None when it did not; the fact `restarted` keeps it.
    `boots_stuck`: its engine started anew without counting that in snmpEngineBoots.
    """

    readings: Readings
    engine_id_changed: bool = False
    restarted: datetime | None = None
    boots_stuck: bool = False


@dataclass(frozen=True, slots=True)
class _Refusal:
    target: Target
    error: AuthenticationFailed
    until: float


@dataclass(slots=True)
class _Known:
    """`oids`: what one GET reads, the uptimes that the device turned out to have included. `told_at`: when `uptimes` were read."""

    target: Target
    profile: Profile
    tables: dict[Oid, Sequence[tuple[Oid, Value]]]
    walked_at: float
    oids: tuple[Oid, ...]
    uptimes: Uptimes = Uptimes()  # noqa: RUF009 -- frozen
    told_at: float = 0.0
    restarted: str = ""


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
        reply = await self._engine.get(target, known.oids, timeout_s=timeout_s)
        if self._clock.monotonic() - known.walked_at >= self._walk_every_s:
            known.tables = await self._tables(target, known.profile, timeout_s)
            known.walked_at = self._clock.monotonic()
        start, stuck = self._watch_uptimes(known, reply.values)
        readings = evaluate(known.profile, reply.values, known.tables)
        if known.restarted:
            readings = replace(readings, facts={**readings.facts, "restarted": known.restarted})
        return Reading(readings, reply.engine_id_changed, start, stuck)

    async def _tables(self, target: Target, profile: Profile, timeout_s: float) -> dict[Oid, Sequence[tuple[Oid, Value]]]:
        """The tables of an agent that has just answered: what is lost of them is no silence any more."""
        try:
            return {root: await self._engine.walk(target, root, timeout_s=timeout_s) for root in profile.walks}
        except DeadlineExceeded as error:
            raise DeadlineExceeded(f"{target.address} answered, but its tables did not come to an end in time", code="slow") from error

    def _watch_uptimes(self, known: _Known, values: Mapping[Oid, Value]) -> tuple[datetime | None, bool]:
        """When the device started anew since the last visit, if it did, and whether its engine did without counting it."""
        before, now = known.uptimes, self._clock.monotonic()
        after, elapsed_s = Uptimes(*(_number(values.get(oid)) for oid in _UPTIMES)), now - known.told_at
        if before == Uptimes():  # the first visit: what it does not have is not asked again
            known.oids = tuple(oid for oid in known.oids if oid in known.profile.oids or values.get(oid) is not None)
        known.uptimes, known.told_at = after, now
        if before == Uptimes() or not restarted(before, after, elapsed_s=elapsed_s):
            return None, before != Uptimes() and boots_stuck(before, after, elapsed_s=elapsed_s)
        ticks = after.agent if after.host is None else after.host
        start = self._clock.now() - timedelta(seconds=(ticks or 0) / TICKS_A_SECOND)
        known.restarted = start.isoformat(timespec="seconds")
        return start, boots_stuck(before, after, elapsed_s=elapsed_s)

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
        known = self._known[target.device] = _Known(
            target, profile, {}, walked_at=-self._walk_every_s, oids=tuple(dict.fromkeys((*profile.oids, *_UPTIMES)))
        )
        if len(self._known) > _DEVICES:
            self._known.popitem(last=False)
        return known


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) else None
