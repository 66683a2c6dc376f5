"""Power off and on again: a hung device's port at its switch, which is on again at the end whatever happens in between.

The journal in the store has every cycle before the port is switched off. One that is not known to be on again is switched on at the start
of the daemon and, while it runs, again and again until the switch confirms it.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.events import SYSTEM, Actor, AuditEntry, NewEvent
from gateway.domain.uplinks import SwitchView
from gateway.drivers.base import Target
from gateway.drivers.snmp.engine import Oid
from gateway.drivers.snmp.neighbours import SwitchTables
from gateway.errors import Conflict, DeadlineExceeded, DeviceError, GatewayError, NotFound, Overloaded
from gateway.storage.power import PowerCycle
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

POWER_EVENT: Final = "device.power-cycled"
TIMEOUT_S: Final = 8.0
OFF_S: Final = 5.0
"""How long the power is off: the capacitors of a camera are empty by then."""
TRIES: Final = 3
PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
AT_ONCE: Final = 8
PER_DEVICE: Final = timedelta(minutes=10)
"""One cycle of a device in this time: one that needs another so soon needs a person."""
PER_SWITCH: Final = 4
PER_SWITCH_IN: Final = timedelta(minutes=10)
_POWERED: Final = frozenset({DeviceKind.CAMERA, DeviceKind.SPEAKER})


class PowerOutcome(StrEnum):
    """What came of it. UNKNOWN: whether the port was off, or is on again, the switch did not say; it is switched on until it does."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Ports(Protocol):
    """What is asked of a switch (`drivers.snmp.power.PortPower`)."""

    async def find(self, switch: Target, port: int, *, timeout_s: float) -> Oid: ...

    async def is_on(self, switch: Target, port: Oid, *, timeout_s: float) -> bool: ...

    async def set(self, writing: Target, port: Oid, *, on: bool, timeout_s: float) -> None: ...


class Survey(Protocol):
    """What a switch has learnt of who is at its ports (`Drivers.neighbours_of`)."""

    async def __call__(self, switch: DeviceId, switches: frozenset[str], /) -> SwitchTables: ...


@dataclass(frozen=True, slots=True)
class Cycled:
    """What was done, and what came of it."""

    id: str
    device: DeviceId
    switch: DeviceId
    port: int
    outcome: PowerOutcome
    began_at: datetime
    ended_at: datetime


class PowerDesk:
    """Cycles ports. `target_of`: how a switch is read; `writing_to`: how it is written to. Both raise NotFound. `survey`: see `Survey`.

    A cycle is a task of `run`: it ends whatever becomes of who asked for it.
    """

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        ports: Ports,
        survey: Survey,
        target_of: Callable[[DeviceId], Target],
        writing_to: Callable[[DeviceId], Target],
        new_id: Callable[[], str] = lambda: f"P-{secrets.token_hex(6)}",
        off_s: float = OFF_S,
    ) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._ports = ports
        self._survey = survey
        self._target_of = target_of
        self._writing_to = writing_to
        self._new_id = new_id
        self._off_s = off_s
        self._tasks: asyncio.TaskGroup | None = None
        self._busy: set[DeviceId] = set()
        self._open: dict[str, PowerCycle] = {}

    async def run(self) -> None:
        """Finish what was begun, until cancelled; then switch on at once what is still off."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                async with self._store.read() as tx:
                    left = await tx.power.unfinished()
                for cycle in left:
                    self._tasks.create_task(self._keep_trying(cycle), name=f"power of {cycle.device}")
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None
            open_, self._open = self._open, {}
            await asyncio.gather(*(self._last_try(cycle) for cycle in open_.values()))

    async def cycle(self, device_id: DeviceId, *, reason: str, actor: Actor) -> Cycled:
        """Switch the power of a device's port off and on. On the record before the switch is asked.

        Raises NotFound; Conflict where the inventory or the switch itself speaks against it (`power-…`), while the desk is not at work and
        for too many; NotSupported where the switch cannot or will not; DeviceErrors while nothing has been switched yet.
        """
        if self._tasks is None:
            raise Conflict("No port is switched while the gateway starts or ends.", code="power-not-ready")
        device, switch, port = self._place(device_id)
        if switch.id in self._busy:
            raise Conflict(f"Another port of {switch.id} is being switched.", code="power-busy", hint="wait a moment")
        if len(self._busy) >= AT_ONCE:
            raise Overloaded("too many ports are being switched")
        self._busy.add(switch.id)
        task = self._tasks.create_task(_quiet(self._whole(device, switch, port, reason, actor)), name=f"power cycle of {device_id}")
        done = await asyncio.shield(task)
        if isinstance(done, Exception):
            raise done
        return done

    # -- may it be

    def _place(self, device_id: DeviceId) -> tuple[Device, Device, int]:
        """The device, its switch and its port there. Raises where the inventory does not name one port that is the device's alone."""
        device = self._city.devices.get(device_id)
        if device is None:
            raise NotFound(f"there is no device {device_id!r}")
        if device.kind not in _POWERED:
            raise Conflict(f"A {device.kind} is not fed by its port.", code="power-not-fed", hint="cameras and loudspeakers are")
        switch = self._city.devices.get(device.uplink) if device.uplink else None
        if switch is None or switch.kind is not DeviceKind.SWITCH or not device.uplink_port:
            raise Conflict(
                f"The inventory does not say at which port of which switch {device_id} hangs.",
                code="power-port-unknown",
                hint="import uplink and uplink_port",
            )
        others = [other.id for other in self._city.behind(switch.id) if other.uplink_port == device.uplink_port and other.id != device_id]
        if others:
            raise Conflict(
                f"{', '.join(others[:3])} would lose its power, too.", code="power-port-shared", hint="correct uplink_port in the inventory"
            )
        return device, switch, device.uplink_port

    async def _rarely(self, device: DeviceId, switch: DeviceId) -> None:
        now = self._clock.now()
        async with self._store.read() as tx:
            again = await tx.power.since(now - PER_DEVICE, device=device)
            often = await tx.power.since(now - PER_SWITCH_IN, switch=switch)
        if again:
            minutes = int(PER_DEVICE.total_seconds() // 60)
            hint = "if it still hangs, somebody has to go there"
            raise Conflict(f"{device} was cycled within the last {minutes} minutes.", code="power-cycled-recently", hint=hint)
        if often >= PER_SWITCH:
            raise Conflict(f"{often} ports of {switch} were cycled lately.", code="power-switch-often", hint="look at the switch itself")

    def _contradiction(self, device: Device, port: int, seen: SwitchView) -> str:
        """What the switch knows that speaks against the inventory; "" for nothing. Silence is no contradiction: the device hangs."""
        here = [neighbour for neighbour in seen.neighbours if neighbour.port == port]
        for neighbour in here:
            if neighbour.bridge:
                return f"another switch is at port {port} ({neighbour.name or 'nameless'})"
        if port in (seen.root_port, *seen.crowded):
            return f"port {port} leads to other switches"
        at = seen.seen.get(device.mac, port) if device.mac else port
        if at != port:
            return f"{device.id} is seen at port {at}, not at {port}"
        forwarded = {mac for mac, where in seen.seen.items() if where == port}
        macs = forwarded.union(*(neighbour.macs for neighbour in here))
        others = {other.mac: other.id for other in self._city.devices.values() if other.mac and other.id != device.id}
        strangers = sorted(others[mac] for mac in macs if mac in others)
        if strangers:
            return f"{strangers[0]} is seen at port {port}"
        return f"{len(forwarded)} addresses are seen at port {port}" if len(forwarded) > 1 and device.mac not in macs else ""

    # -- one cycle

    async def _whole(self, device: Device, switch: Device, port: int, reason: str, actor: Actor) -> Cycled:
        try:
            target = self._target_of(switch.id)
            await self._rarely(device.id, switch.id)
            found = await self._ports.find(target, port, timeout_s=TIMEOUT_S)
            against = self._contradiction(device, port, (await self._survey(switch.id, frozenset())).view)
            if against:
                hint = "correct uplink and uplink_port in the inventory"
                raise Conflict(f"The switch says otherwise: {against}.", code="power-port-contradicted", hint=hint)
            if not await self._ports.is_on(target, found, timeout_s=TIMEOUT_S):
                raise Conflict(
                    f"The power of port {port} is switched off.", code="power-off-already", hint="somebody meant that: ask first"
                )
            cycle = PowerCycle(
                id=self._new_id(),
                device=device.id,
                switch=switch.id,
                object=found,
                port=port,
                actor=str(actor),
                reason=reason,
                began_at=self._clock.now(),
            )
            await self._begin(cycle, actor)
            return await self._off_and_on(cycle, actor)
        finally:
            self._busy.discard(switch.id)

    async def _off_and_on(self, cycle: PowerCycle, actor: Actor) -> Cycled:
        """From here on the port is on again at the end."""
        self._open[cycle.id] = cycle
        was_off = True
        try:
            await self._set(cycle, on=False)
        except DeadlineExceeded:
            was_off = False  # nobody knows
        except DeviceError:
            await self._end(cycle, PowerOutcome.REFUSED, actor)
            raise
        if was_off:
            await self._clock.sleep(self._off_s)
        if not await self._switched_on(cycle, TRIES):
            assert self._tasks is not None
            self._tasks.create_task(self._keep_trying(cycle), name=f"power of {cycle.device}")
            return await self._told(cycle, PowerOutcome.UNKNOWN, actor)
        return await self._end(cycle, PowerOutcome.DONE if was_off else PowerOutcome.UNKNOWN, actor)

    async def _set(self, cycle: PowerCycle, *, on: bool) -> None:
        await self._ports.set(self._writing_to(cycle.switch), cycle.object, on=on, timeout_s=TIMEOUT_S)

    async def _switched_on(self, cycle: PowerCycle, tries: int) -> bool:
        """Whether the switch has confirmed that the port is on."""
        for attempt in range(tries):
            try:
                with contextlib.suppress(DeadlineExceeded):  # what the port is counts, not what the switch said to us
                    await self._set(cycle, on=True)
                if await self._ports.is_on(self._target_of(cycle.switch), cycle.object, timeout_s=TIMEOUT_S):
                    return True
            except GatewayError as error:
                log.warning("power.not_on_yet", device=cycle.device, switch=cycle.switch, reason=error.code, attempt=attempt + 1)
            if attempt + 1 < tries:
                await self._clock.sleep(PAUSE_S)
        return False

    async def _keep_trying(self, cycle: PowerCycle) -> None:
        """Switch it on until the switch confirms it. A switch that the inventory no longer has is left."""
        self._open[cycle.id] = cycle
        pause = PAUSE_S
        while cycle.switch in self._city.devices:
            if await self._switched_on(cycle, 1):
                break
            await self._clock.sleep(pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause)
        await self._end(cycle, PowerOutcome.UNKNOWN, SYSTEM)

    async def _last_try(self, cycle: PowerCycle) -> None:
        """The daemon ends: once more, at once. The journal has what is left for its next start."""
        try:
            await self._set(cycle, on=True)
        except GatewayError as error:
            log.warning("power.left_for_the_next_start", device=cycle.device, switch=cycle.switch, reason=error.code)

    # -- the record

    async def _begin(self, cycle: PowerCycle, actor: Actor) -> None:
        details = {"switch": cycle.switch, "port": cycle.port, "reason": cycle.reason, "cycle": cycle.id}

        async def change(tx: Tx) -> None:
            await tx.power.begin(cycle)
            tx.record(AuditEntry(actor, "device.power-cycle", cycle.device, cycle.began_at, details))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _end(self, cycle: PowerCycle, outcome: PowerOutcome, actor: Actor) -> Cycled:
        """Write down that the port is on again, or was never switched."""
        ended = replace(cycle, ended_at=self._clock.now(), outcome=outcome.value)
        await self._store.writer.write(partial(_end, cycle=ended, event=_event(ended, outcome, actor)), lane=Lane.FOOTAGE)
        self._open.pop(cycle.id, None)
        return _cycled(ended, outcome)

    async def _told(self, cycle: PowerCycle, outcome: PowerOutcome, actor: Actor) -> Cycled:
        """Tell what is known so far; the journal keeps the cycle open."""
        told = replace(cycle, ended_at=self._clock.now())

        async def change(tx: Tx) -> None:
            tx.emit(_event(told, outcome, actor))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        return _cycled(told, outcome)


async def _end(tx: Tx, *, cycle: PowerCycle, event: NewEvent) -> None:
    assert cycle.ended_at is not None and cycle.outcome is not None
    await tx.power.end(cycle.id, outcome=cycle.outcome, now=cycle.ended_at)
    tx.emit(event)


def _event(cycle: PowerCycle, outcome: PowerOutcome, actor: Actor) -> NewEvent:
    assert cycle.ended_at is not None
    details = {"switch": cycle.switch, "port": cycle.port, "reason": cycle.reason, "cycle": cycle.id, "outcome": outcome.value}
    return NewEvent(POWER_EVENT, cycle.device, cycle.ended_at, {**details, "actor": str(actor)})


def _cycled(cycle: PowerCycle, outcome: PowerOutcome) -> Cycled:
    assert cycle.ended_at is not None
    return Cycled(
        id=cycle.id,
        device=cycle.device,
        switch=cycle.switch,
        port=cycle.port,
        outcome=outcome,
        began_at=cycle.began_at,
        ended_at=cycle.ended_at,
    )


async def _quiet(work: Awaitable[Cycled]) -> Cycled | Exception:
    """What it came to, its failure as a value: in the desk's group it must not bring the others down."""
    try:
        return await work
    except Exception as error:
        return error
