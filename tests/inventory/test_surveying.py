"""Uplinks proposed by a small city's own switches, over SNMP on real sockets: asked, judged, taken, and never guessed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import yaml

from demo.processes import free_port
from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.events import Actor, ActorKind
from gateway.domain.uplinks import Doubt, Neighbour, Status, SwitchView, infer
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.errors import Conflict, InvalidInput
from gateway.inventory.runs import Errands, Run, RunState
from gateway.inventory.service import InventoryService
from gateway.inventory.surveying import UplinkSurveyor
from gateway.storage.store import Store
from simulators import city as simulated
from simulators.faults import Answer, Fault
from simulators.inventory import inventory as inventory_file
from simulators.serving import running
from simulators.state import State
from simulators.wiring import below, ports_of
from tests.waiting import stopped, until

ANNA = Actor(ActorKind.USER, "anna")


@dataclass
class Town:
    """A simulated city that answers, and a gateway's inventory of it, of which the test leaves out what it likes."""

    planned: simulated.City
    state: State
    store: Store
    city: City
    inventory: InventoryService
    surveyor: UplinkSurveyor
    drivers: Drivers

    async def know(self, *without: str) -> None:
        """Import the plan without these columns."""
        plan = yaml.safe_load("".join(inventory_file(self.planned)))
        for device in plan["devices"]:
            for column in without:
                device.pop(column, None)
        await self.inventory.import_file(yaml.safe_dump(plan, allow_unicode=True).encode(), "city.yaml", actor=ANNA)
        async with self.store.read() as tx:
            self.drivers.renew(await tx.inventory.load_credentials())

    async def survey(self) -> Run:
        run = self.surveyor.start(by=ANNA)
        await until(lambda: run.ended_at, within_s=60)
        return run

    @property
    def truth(self) -> dict[str, tuple[str, int]]:
        return {device.id: (device.uplink, device.uplink_port) for device in self.planned.devices if device.uplink}

    @property
    def known(self) -> dict[str, tuple[str, int | None]]:
        return {device.id: (device.uplink, device.uplink_port) for device in self.city.devices.values() if device.uplink}


@pytest.fixture
async def town(store: Store, clock: SimulatedClock) -> AsyncIterator[Town]:
    planned = simulated.plan(seed=3, groups=40, speakers=9, http_port=free_port(0), rtsp_port=1, snmp_port=free_port(0))
    city, state, real = City(), State(), SystemClock()
    inventory = InventoryService(store, city, clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(planned, state, control=("127.0.0.1", 0), only=("http", "snmp")))
        drivers = await stack.enter_async_context(Drivers(city, real, Profiles([]), walk_every_s=60))
        errands = Errands(clock)
        surveyor = UplinkSurveyor(
            store=store,
            city=city,
            clock=real,
            inventory=inventory,
            errands=errands,
            neighbours_of=drivers.neighbours_of,
            addresses_of=drivers.addresses_of,
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        task = group.create_task(errands.run())
        yield Town(planned, state, store, city, inventory, surveyor, drivers)
        await stopped(task)


async def test_with_all_uplinks_deleted_the_switches_restore_them_n_of_n_right_and_0_wrong(town: Town) -> None:
    await town.know("uplink", "uplink_port")
    assert not town.known
    run = await town.survey()
    assert (run.state, run.troubles) == (RunState.DONE, [])
    tops = [device.id for device in town.planned.devices if not device.uplink]
    assert run.found == {"agreed": 0, "proposed": len(town.truth), "contradicts": 0, "unknown": len(tops)}
    done, devices = await town.surveyor.accept(None, actor=ANNA, comment="survey of today")
    assert (done.applied, len(devices)) == (True, len(town.truth))
    right = {key for key, place in town.known.items() if town.truth[key] == place}
    assert (len(right), len(town.known) - len(right)) == (len(town.truth), 0), f"{len(right)} of {len(town.truth)} right"
    assert len(town.truth) > 140
    verdicts = await town.surveyor.verdicts()
    assert {verdicts[DeviceId(key)].status for key in town.truth} == {Status.AGREED}, "judged anew against what was just taken"
    assert {verdicts[DeviceId(key)].doubt for key in tops} == {Doubt.TOP}


async def test_hardware_addresses_that_the_inventory_lacks_are_learnt_from_the_devices_themselves(town: Town) -> None:
    await town.know("uplink", "uplink_port", "mac")
    run = await town.survey()
    assert run.total == run.asked == len(town.planned.devices)
    found = {key: one.proposal for key, one in (await town.surveyor.verdicts()).items() if one.proposal}
    wrong = [key for key, proposal in found.items() if (proposal.uplink, proposal.port) != town.truth[key]]
    assert (len(found), wrong) == (len(town.truth), [])


async def test_what_contradicts_the_inventory_is_shown_and_taken_only_by_name(town: Town) -> None:
    await town.know()
    moved = next(device for device in town.city.of_kind(DeviceKind.CAMERA))
    elsewhere = next(device.id for device in town.city.of_kind(DeviceKind.SWITCH) if device.id != moved.uplink)
    wrong = f"id,uplink,uplink_port\n{moved.id},{elsewhere},7\n".encode()
    await town.inventory.import_file(wrong, "wrong.csv", actor=ANNA)
    run = await town.survey()
    assert (run.found["contradicts"], run.found["proposed"], run.found["agreed"]) == (1, 0, len(town.truth) - 1)
    with pytest.raises(InvalidInput, match="no proposed uplink"):
        await town.surveyor.accept(None, actor=ANNA)
    shown, _ = await town.surveyor.accept([moved.id], actor=ANNA, dry_run=True)
    assert str(next(iter(shown.diff.changes))).endswith(f"uplink: {elsewhere} → {moved.uplink}; uplink_port: 7 → {moved.uplink_port}")
    assert town.city.devices[moved.id].uplink == elsewhere
    await town.surveyor.accept([moved.id], actor=ANNA)
    assert town.known == town.truth


async def test_a_silent_switch_leaves_its_devices_unknown_and_nothing_guessed(town: Town) -> None:
    await town.know("uplink", "uplink_port")
    silent = next(device for device in town.planned.of_kind("switch") if device.uplink and len(town.planned.children(device.id)) > 1)
    town.state.faults[silent.id] = Fault(Answer.SILENT, protocols=("snmp",))
    run = await town.survey()
    assert run.trouble_count == 1
    assert run.troubles[0].startswith(f"{silent.id}: ")
    verdicts = await town.surveyor.verdicts()
    for child in town.planned.children(silent.id):
        assert (verdicts[DeviceId(child.id)].proposal, verdicts[DeviceId(child.id)].doubt) == (None, Doubt.BEHIND_TRUNKS)
    mine = verdicts[DeviceId(silent.id)].proposal
    assert mine is not None
    assert (mine.uplink, mine.port) == town.truth[silent.id], "its neighbour above tells where it hangs"


async def test_one_survey_at_a_time_and_before_the_first_all_is_unknown(town: Town) -> None:
    await town.know()
    assert {verdict.status for verdict in (await town.surveyor.verdicts()).values()} == {Status.UNKNOWN}
    town.surveyor.start(by=ANNA)
    with pytest.raises(Conflict) as raised:
        town.surveyor.start(by=ANNA)
    assert raised.value.code == "run-under-way"


@pytest.mark.parametrize("with_lldp", [True, False])
def test_the_tables_of_the_whole_planned_city_restore_every_uplink_and_none_is_wrong(with_lldp: bool) -> None:
    planned = simulated.plan()
    devices = {
        DeviceId(one.id): Device(DeviceId(one.id), DeviceKind(one.kind), one.name, one.address, mac=one.mac) for one in planned.devices
    }
    views = []
    for switch in planned.of_kind("switch"):
        ports, above = ports_of(planned, switch), planned.by_id(switch.uplink)
        beside = [(port, one) for port, one in enumerate((*ports[:-1], above), 1) if one is not None]
        seen = {one.mac: port for port, one in beside}
        seen |= {deep.mac: port for port, one in beside if one.kind == "switch" and one is not above for deep in below(planned, one)}
        heard = tuple(Neighbour(port, frozenset({one.mac}), one.id, one.kind == "switch") for port, one in beside) if with_lldp else ()
        root_port = len(ports) if above else 0
        views.append(SwitchView(DeviceId(switch.id), frozenset({switch.mac}), heard, seen, root_port=root_port))
    found = {key: (one.proposal.uplink, one.proposal.port) for key, one in infer(devices, {}, views).items() if one.proposal}
    assert found == {one.id: (one.uplink, one.uplink_port) for one in planned.devices if one.uplink}
    assert len(found) == 2_686, "of 2,726 devices; 40 aggregation switches hang on nothing"
