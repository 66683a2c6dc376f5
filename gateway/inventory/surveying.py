"""Uplinks as the switches tell them: all switches of the inventory asked for their neighbours, and what follows from it for each device."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.events import Actor, NewEvent
from gateway.domain.identity import hardware_address
from gateway.domain.uplinks import Status, SwitchView, Verdict, figures, infer
from gateway.drivers.snmp.neighbours import SwitchTables
from gateway.errors import GatewayError, InvalidInput
from gateway.inventory.raw import Noun, RawFile, RawRow
from gateway.inventory.runs import Errands, Run
from gateway.inventory.service import ImportResult, InventoryService
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

SURVEYED_EVENT: Final = "uplinks.surveyed"
SURVEY: Final = "uplink-survey"
SWITCHES_AT_ONCE: Final = 8
DEVICES_AT_ONCE: Final = 8
PAUSE_S: Final = 0.05
"""Of each of those at once after each device: at most 160 are asked in a second, and no switch twice."""

ReadNeighbours = Callable[[DeviceId, frozenset[str]], Awaitable[SwitchTables]]
ReadAddresses = Callable[[DeviceId], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Survey:
    """What the last survey brought: the switches' views, and hardware addresses that the inventory lacks."""

    at: datetime
    views: tuple[SwitchView, ...]
    addresses: Mapping[DeviceId, tuple[str, ...]]


class UplinkSurveyor:
    """Surveys the switches on demand, and holds what they told against the inventory as it is now. Nothing is applied by itself.

    `errands`: who carries the surveys out.
    """

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        inventory: InventoryService,
        errands: Errands,
        neighbours_of: ReadNeighbours,
        addresses_of: ReadAddresses,
    ) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._inventory = inventory
        self.errands = errands
        self._neighbours_of = neighbours_of
        self._addresses_of = addresses_of
        self._survey: Survey | None = None
        self._judged: tuple[Survey | None, Mapping[DeviceId, Device], Mapping[DeviceId, Verdict]] | None = None
        self._judging = asyncio.Lock()

    def start(self, *, by: Actor) -> Run:
        """Begin a survey. Conflict (`run-under-way`) while an errand of the inventory is not done yet."""
        return self.errands.start(SURVEY, self._carry_out, by=by)

    def run_of(self, run_id: str) -> Run:
        """NotFound."""
        return self.errands.get(run_id, SURVEY)

    @property
    def surveyed_at(self) -> datetime | None:
        """When the last survey ended; None when there was none since the daemon's start."""
        return self._survey.at if self._survey else None

    async def verdicts(self) -> Mapping[DeviceId, Verdict]:
        """For each device of the inventory, by id, what the last survey says of its uplink."""
        async with self._judging:
            devices, survey = self._city.devices, self._survey
            if self._judged is None or self._judged[0] is not survey or self._judged[1] is not devices:
                views, addresses = (survey.views, survey.addresses) if survey else ((), {})
                self._judged = (survey, devices, await asyncio.to_thread(infer, devices, addresses, views))
            return self._judged[2]

    async def accept(
        self, wanted: Collection[DeviceId] | None, *, actor: Actor, comment: str = "", dry_run: bool = False
    ) -> tuple[ImportResult, Sequence[DeviceId]]:
        """Import the proposed uplinks of the devices `wanted`; with None those of all devices whose uplink the inventory lacks.

        What contradicts the inventory is taken only of devices that are named. InvalidInput (`no-proposal`) when there is nothing to take
        of one that is named, or nothing at all; else what an import raises. All of it or nothing.
        """
        verdicts = await self.verdicts()
        rows = list(_rows(verdicts.values(), wanted))
        without = sorted(set(wanted or ()) - {row.text("id") for row in rows})
        if without or not rows:
            name = f" for {without[0]}" if without else ""
            raise InvalidInput(f"There is no proposed uplink{name}.", code="no-proposal", hint="GET /v1/uplinks tells why.")
        file = RawFile(nouns=frozenset({Noun.DEVICES}), rows=rows)
        done = await self._inventory.import_rows(file, "proposed uplinks", actor=actor, comment=comment, dry_run=dry_run)
        return done, [DeviceId(row.text("id")) for row in rows]

    # -- the survey -------------------------------------------------------------------------------------------------------------------

    async def _carry_out(self, run: Run) -> None:
        devices = self._city.devices
        switches = [device for device in devices.values() if device.kind is DeviceKind.SWITCH and device.enabled]
        nameless = [device for device in devices.values() if device.kind is not DeviceKind.SWITCH and device.enabled and not device.mac]
        known = frozenset(device.mac for device in switches if device.mac)
        run.total = len(switches) + len(nameless)
        views: list[SwitchView] = []
        addresses: dict[DeviceId, tuple[str, ...]] = {}

        async def survey(switch: Device) -> None:
            told = await self._neighbours_of(switch.id, known)
            views.append(told.view)
            for trouble in told.troubles:
                run.trouble(f"{switch.id}: {trouble}")

        async def learn(device: Device) -> None:
            told = await self._addresses_of(device.id)
            addresses[device.id] = tuple(mac for address in told if (mac := hardware_address(address)))

        await self._each(nameless, learn, run, at_once=DEVICES_AT_ONCE)
        await self._each(switches, survey, run, at_once=SWITCHES_AT_ONCE)
        self._survey = Survey(self._clock.now(), tuple(sorted(views, key=lambda view: view.switch)), addresses)
        run.found.update(figures((await self.verdicts()).values()))
        await self._tell(run)

    async def _each(self, devices: Iterable[Device], visit: Callable[[Device], Awaitable[None]], run: Run, *, at_once: int) -> None:
        """`visit` every device, some at a time, with a pause after each; one that fails is written down."""
        waiting = iter(devices)

        async def worker() -> None:
            for device in waiting:
                run.asked += 1
                try:
                    await visit(device)
                    run.answered += 1
                except GatewayError as error:
                    run.trouble(f"{device.id}: {error.code}")
                await self._clock.sleep(PAUSE_S)

        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(worker(), name=f"{run.id}-{number}")

    async def _tell(self, run: Run) -> None:
        event = NewEvent(SURVEYED_EVENT, run.id, self._clock.now(), {"switches": run.answered, **run.found, "by": str(run.by)})

        async def write(tx: Tx) -> None:
            tx.emit(event)

        await self._store.writer.write(write, lane=Lane.HEALTH)


def _rows(verdicts: Iterable[Verdict], wanted: Collection[DeviceId] | None) -> Iterable[RawRow]:
    for verdict in verdicts:
        proposal = verdict.proposal
        takes = verdict.device in wanted if wanted is not None else verdict.status is Status.PROPOSED
        if proposal is not None and takes:
            values = {"id": str(verdict.device), "uplink": str(proposal.uplink)}
            port = {} if proposal.port is None else {"uplink_port": str(proposal.port)}
            yield RawRow(Noun.DEVICES, f"device {verdict.device}", {**values, **port})
