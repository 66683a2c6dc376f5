"""The trap service: hears what devices tell unasked, believes little of it, and has the rest looked at."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.domain.alarms import Alarm, Alarms, Change, TrapRule, merged, result_of
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId
from gateway.domain.events import NewEvent
from gateway.domain.health import Board, CheckResult
from gateway.drivers.base import Target
from gateway.drivers.snmp.ber import Value
from gateway.drivers.snmp.notifications import Notification
from gateway.drivers.snmp.sensors import text
from gateway.errors import Conflict, GatewayError, Overloaded, StorageFailed
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from gateway.traps import engine
from gateway.traps.child import ReceiverProcess, Told
from gateway.traps.receiving import listen
from gateway.traps.telling import Teller
from gateway.traps.visiting import Visits

log = structlog.get_logger()

TRAP_EVENT: Final = "device.trap"
SWEEP_S: Final = 5.0
REST: Final = 1.0
"""How long the loop is left to others after a batch, as a share of what that took: what waits, waits in the ring and in the kernel."""
_ROWS_TOLD: Final = 16
_KEY_LIMIT: Final = 128
_INTRODUCED: Final = 100  # devices met between two turns of the loop
_OF_SOCKET: Final = "kernel_dropped"  # the kernel's count, which goes on as long as the socket does
_LOST: Final = (_OF_SOCKET, "ring_full", "limited", "unanswered")
_OLD: Final = "engine-boots-stuck"  # the quirk of agents whose messages look old after each restart


@dataclass(frozen=True, slots=True)
class TrapSettings:
    """Where to listen; `buffer_bytes` is what is asked of the kernel; a source tells `per_device_s` a second, after a burst of `burst`."""

    port: int
    host: str = "0.0.0.0"  # noqa: S104 -- the port is off unless it is set
    buffer_bytes: int = 4 << 20
    per_device_s: float = 10.0
    burst: int = 100


@dataclass(frozen=True, slots=True)
class TrapFigures:
    """How the service fares: what came, by what became of it; `buffer_bytes` as the kernel granted it, 0 while nothing is listened to."""

    counts: Mapping[str, int]
    strangers: Sequence[str]
    buffer_bytes: int
    alarms: int


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a notification comes to; `concerned`: whom it is about, None for nobody that we know."""

    rule: TrapRule
    key: str
    text: str
    concerned: DeviceId | None


class Report(Protocol):
    """Takes what was found of a device without a visit; False when the store did not (`HealthService.report`)."""

    async def __call__(self, device: DeviceId, results: Sequence[CheckResult], /) -> bool: ...


class TrapService:
    """Receives for all devices of `city`; `load` before `run`, `renew` after every change of the inventory.

    `target_of`, `rules_of`: how a device is logged in to and what its notifications mean, raising NotFound. `report`: takes complaints;
    `visit`: checks a device now. An inform is acknowledged when what it told has been stored.
    """

    def __init__(
        self,
        settings: TrapSettings,
        *,
        city: City,
        board: Board,
        store: Store,
        clock: Clock,
        folder: Path,
        target_of: Callable[[DeviceId], Target],
        rules_of: Callable[[DeviceId], Mapping[str, TrapRule]],
        report: Report,
        visit: Callable[[DeviceId], Awaitable[object]],
    ) -> None:
        self._settings = settings
        self._city = city
        self._board = board
        self._store = store
        self._clock = clock
        self._folder = folder
        self._target_of = target_of
        self._rules_of = rules_of
        self._report = report
        self._alarms = Alarms()
        self._teller = Teller()
        self._visits = Visits(visit, clock)
        self._socket: socket.socket | None = None
        self._granted = 0
        self._receiver: ReceiverProcess | None = None
        self._changed = asyncio.Event()
        self._unstored = 0
        self._said: dict[str, int] = {}
        self._unreported: set[DeviceId] = set()

    async def load(self) -> None:
        """Take up the alarms that were open when the last run ended. Raises StorageFailed."""
        async with self._store.read() as tx:
            alarms = await tx.alarms.load()
        self._alarms.apply(Change(raised=tuple(alarms)))
        self._unreported |= {alarm.device for alarm in alarms}

    def renew(self) -> None:
        """The inventory has changed: who may tell us something is to be known anew."""
        self._changed.set()

    async def run(self) -> None:
        """Receive until cancelled. Raises Conflict when the port cannot be listened on, ReceiverEnded when the process ends."""
        self._open()
        try:
            start = await asyncio.to_thread(engine.started, self._folder)
            hello = {
                "engine": {"id": start.engine_id.hex(), "boots": start.boots},
                "rate": self._settings.per_device_s,
                "burst": self._settings.burst,
            }
            assert self._socket is not None
            async with ReceiverProcess(self._socket, hello) as self._receiver, asyncio.TaskGroup() as group:
                self._said = {_OF_SOCKET: self._said.get(_OF_SOCKET, 0)}  # the process counts the rest from nothing
                self._changed.set()
                group.create_task(self._introduce(self._receiver), name="traps: who may tell")
                group.create_task(self._visits.run(), name="traps: visits")
                group.create_task(self._sweep(), name="traps: alarms that are over")
                await self._hear(self._receiver)
        except asyncio.CancelledError:
            self._close()
            raise
        finally:
            self._receiver = None

    @property
    def figures(self) -> TrapFigures:
        heard = self._receiver.counts if self._receiver else {}
        ours = {"unstored": self._unstored, "unsaid": self._teller.unsaid, "visits_missed": self._visits.missed}
        strangers = tuple(self._receiver.strangers) if self._receiver else ()
        return TrapFigures({**heard, **ours}, strangers, self._granted, len(self._alarms))

    @property
    def alarms(self) -> Iterable[Alarm]:
        """Those that are open."""
        return self._alarms

    @property
    def receiver_pid(self) -> int | None:
        return self._receiver.pid if self._receiver else None

    # -- the socket and the process behind it

    def _open(self) -> None:
        """The socket outlives the receiving process: what comes while that starts anew waits in the kernel."""
        if self._socket is not None:
            return
        host, port = self._settings.host, self._settings.port
        try:
            self._socket, self._granted = listen(host, port, buffer_bytes=self._settings.buffer_bytes)
        except OSError as error:
            hint = "ports below 1024 need CAP_NET_BIND_SERVICE; see docs/operate/traps.md" if isinstance(error, PermissionError) else ""
            raise Conflict(f"UDP port {port} of {host}: {error.strerror or error}", code="cannot-listen", hint=hint) from error
        told = log.warning if self._granted < self._settings.buffer_bytes else log.info
        told("traps.listening", host=host, port=port, buffer_bytes=self._granted, wanted_bytes=self._settings.buffer_bytes)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._granted = None, 0
        self._said.clear()

    async def _introduce(self, receiver: ReceiverProcess) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            sources: dict[str, list[dict[str, Any]]] = {}
            for number, device in enumerate([device for device in self._city.devices.values() if device.enabled]):
                if number % _INTRODUCED == 0:
                    await asyncio.sleep(0)
                if entry := self._entry(device):
                    sources.setdefault(device.address, []).append(entry)
            receiver.introduce(sources)

    def _entry(self, device: Device) -> dict[str, Any] | None:
        """What the receiving process must know to believe a device; secrets go by its standard input and nowhere else."""
        try:
            target = self._target_of(device.id)
        except GatewayError:
            return None  # gone meanwhile
        snmp = target.credentials.snmp
        entry: dict[str, Any] = {"device": device.id}
        if snmp is not None:
            entry["snmp"] = asdict(snmp)
        return entry | {"lenient": True} if _OLD in target.quirks else entry

    async def _hear(self, receiver: ReceiverProcess) -> None:
        async for batch in receiver.batches():
            began = self._clock.monotonic()
            if await self._take(batch):
                receiver.taken(told.number for told in batch)
            self._say_what_was_lost(receiver.counts)
            await self._clock.sleep(REST * (self._clock.monotonic() - began))

    def _say_what_was_lost(self, counts: Mapping[str, int]) -> None:
        lost = {name: counts[name] for name in _LOST if counts.get(name, 0) > self._said.get(name, 0)}
        if lost:
            self._said.update(lost)
            log.warning("traps.lost", **lost)

    # -- what is told

    async def _take(self, batch: Sequence[Told]) -> bool:
        """Store what a batch tells, then let it count; False when the store did not take it: then nothing of it does, but the hints."""
        if not batch:
            return True
        now, monotonic = self._clock.now(), self._clock.monotonic()
        events: list[NewEvent] = []
        changes: list[Change] = []
        hints: dict[DeviceId, None] = {}
        for told in batch:
            device = self._city.devices.get(DeviceId(told.device))
            if device is None:
                continue
            meant = self._meaning(device, told.notification)
            change = self._alarms.change(meant.rule, device.id, meant.concerned, key=meant.key, text=meant.text, now=now)
            self._alarms.apply(change)
            changes.append(change)
            if meant.concerned is not None and (meant.rule.raises or meant.rule.clears or meant.rule.restarts):
                hints[meant.concerned] = None
            unsaid = self._teller.tell(device.id, told.notification.trap, meant.key, monotonic)
            if unsaid is not None:
                data = _told(told, meant) | {"effect": change.effect.value, "repeated": unsaid}
                events.append(NewEvent(TRAP_EVENT, device.id, now, data))
        whole = merged(changes)
        stored = await self._write(whole, events)
        if stored:
            await self._complain(whole.devices)
        else:
            self._unstored += len(batch)
            for change in reversed(changes):
                self._alarms.apply(Change(raised=change.over, over=change.raised))
        for hinted in hints:
            self._visits.want(hinted)
        return stored

    def _meaning(self, device: Device, notification: Notification) -> _Meaning:
        """What it means; mere news where nobody says."""
        try:
            rule = self._rules_of(device.id).get(notification.trap) or TrapRule(notification.trap, "")
        except GatewayError:
            rule = TrapRule(notification.trap, "")
        key = _read(notification, rule.key)[:_KEY_LIMIT]
        concerned: DeviceId | None = device.id
        if rule.of_port:  # whoever the inventory has there
            concerned = next((behind.id for behind in self._city.behind(device.id) if str(behind.uplink_port) == key), None)
        return _Meaning(rule, key, _read(notification, rule.text), concerned)

    async def _write(self, change: Change, events: Sequence[NewEvent]) -> bool:
        if change == Change() and not events:
            return True
        touched = {alarm.place: self._alarms.at(alarm.place) for alarm in (*change.raised, *change.over)}

        async def store(tx: Tx) -> None:
            await tx.alarms.close(sorted(place for place, alarm in touched.items() if alarm is None))
            await tx.alarms.open([alarm for alarm in touched.values() if alarm is not None])
            for event in events:
                tx.emit(event)

        try:
            await self._store.writer.write(store, lane=Lane.HEALTH)
        except (StorageFailed, Overloaded) as error:
            log.warning("traps.not_stored", events=len(events), reason=error.code)
            return False
        return True

    async def _complain(self, devices: Iterable[DeviceId]) -> None:
        """Let the health service know what the alarms about these come to; whom it could not take is told again by the next sweep."""
        now = self._clock.now()
        wanted = sorted(devices)
        taken = await asyncio.gather(*(self._report(device, [result_of(device, self._alarms.of(device), now)]) for device in wanted))
        self._unreported |= {device for device, done in zip(wanted, taken, strict=True) if not done}

    async def _sweep(self) -> None:
        """End the alarms that are over without a clear."""
        while True:
            again, self._unreported = self._unreported, set()
            await self._complain(again | self._alarms.lasting(self._clock.now(), timedelta(seconds=SWEEP_S)))
            await self._clock.sleep(SWEEP_S)
            seen = {alarm.device: self._board[alarm.device].last_seen for alarm in self._alarms if alarm.device in self._city.devices}
            change = self._alarms.stale(seen, self._clock.now())
            self._alarms.apply(change)
            if await self._write(change, ()):
                await self._complain(change.devices)
            else:
                self._alarms.apply(Change(raised=change.over))


def _read(notification: Notification, oid: str) -> str:
    """The value of the object `oid`, or of an instance of it, as clean text; "" for none."""
    if not oid:
        return ""
    for name, value in notification.bindings:
        if name == oid or name.startswith(oid + "."):
            return text("" if value is None else value)
    return ""


def _told(told: Told, meant: _Meaning) -> dict[str, Any]:
    return {
        "trap": told.notification.trap[:_KEY_LIMIT],
        "name": meant.rule.event,
        "version": told.version,
        "inform": told.notification.inform,
        "key": meant.key,
        "text": meant.text,
        "about": meant.concerned,
        "values": {name[:_KEY_LIMIT]: _shown(value) for name, value in told.notification.bindings[:_ROWS_TOLD]},
    }


def _shown(value: Value) -> int | str | None:
    return value if isinstance(value, int | None) else text(value)
