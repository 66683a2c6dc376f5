"""The power of ports, over real SNMP with simulated switches: off and on, never left off, and never somebody else's."""

import asyncio
import contextlib
import operator
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.clock import SimulatedClock
from gateway.control import power
from gateway.control.power import POWER_EVENT, Cycled, PowerDesk, PowerOutcome
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.events import Actor, ActorKind, Event
from gateway.drivers.base import Target
from gateway.drivers.snmp.engine import PollEngine
from gateway.drivers.snmp.neighbours import SwitchTables, read_neighbours
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.power import ADMIN_ENABLE, PortPower
from gateway.drivers.snmp.reference import PysnmpEngine
from gateway.errors import Conflict, GatewayError, NotFound, NotSupported
from gateway.storage.power import PowerCycle
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from simulators.city import SimDevice
from simulators.wiring import set_port, set_power
from tests.simulators.snmp_block import AGGREGATION, BRANCH, CAMERA, CITY, SPEAKER, SWITCH, Block, snmp_block
from tests.waiting import until

ACTOR = Actor(ActorKind.API_KEY, "k1")
ID = DeviceId(CAMERA.id)


@dataclass
class Bench:
    """A desk over the block's switches; `others` are further devices of the inventory."""

    block: Block
    store: Store
    clock: SimulatedClock
    city: City
    engine: PollEngine
    ports: PortPower
    write_community: str = "m4yor"

    def entry(self, device: SimDevice, **changed: object) -> Device:
        facts = {"uplink": DeviceId(device.uplink) or None, "uplink_port": device.uplink_port or None, "mac": device.mac} | changed
        return Device(DeviceId(device.id), DeviceKind(device.kind), device.id, device.address, **facts)

    def inventory(self, *devices: Device) -> None:
        self.city.replace(devices=devices or [self.entry(device) for device in CITY.devices])

    def target_of(self, name: DeviceId) -> Target:
        device = CITY.by_id(name)
        assert device is not None and device.snmp is not None
        snmp = device.snmp
        login = SnmpCredentials(
            SnmpVersion(snmp.version), snmp.community, snmp.user, snmp.auth_protocol, snmp.auth_key, snmp.priv_protocol, snmp.priv_key
        )
        return Target(name, device.address, Ports(snmp=self.block.server.port), Credentials(snmp=login))

    def writing_to(self, name: DeviceId) -> Target:
        target = self.target_of(name)
        assert target.credentials.snmp is not None
        login = target.credentials.snmp
        community = self.write_community if login.community else ""
        return replace(target, credentials=Credentials(snmp=replace(login, community=community)))

    async def survey(self, name: DeviceId, switches: frozenset[str]) -> SwitchTables:
        return await read_neighbours(self.engine, self.target_of(name), switches=switches, timeout_s=8)

    def desk(self) -> PowerDesk:
        return PowerDesk(
            store=self.store,
            city=self.city,
            clock=self.clock,
            ports=self.ports,
            survey=self.survey,
            target_of=self.target_of,
            writing_to=self.writing_to,
        )

    def is_fed(self, switch: SimDevice, port: int) -> bool:
        return (switch.id, port) not in self.block.state.wires.unpowered

    async def events(self) -> list[Event]:
        return [event for event in await self.store.events.read_after(0, limit=100) if event.type == POWER_EVENT]

    async def unfinished(self) -> list[PowerCycle]:
        async with self.store.read() as tx:
            return list(await tx.power.unfinished())

    async def cycle(self, desk: PowerDesk, device: SimDevice = CAMERA, *, reason: str = "hangs") -> Cycled:
        """A whole cycle, the time in between passed."""
        task = asyncio.create_task(desk.cycle(DeviceId(device.id), reason=reason, actor=ACTOR))
        await until(task.done, within_s=60, meanwhile=lambda: self.clock.advance(1))
        return await task


@pytest.fixture
async def bench(store: Store, clock: SimulatedClock) -> AsyncIterator[Bench]:
    reading, writing = GufoEngine(try_s=0.5), PysnmpEngine(try_s=0.5)
    async with snmp_block() as block:
        made = Bench(block, store, clock, City(), reading, PortPower(reading, lambda: writing))
        made.inventory()
        yield made
        await reading.close()
        await writing.close()


@contextlib.asynccontextmanager
async def at_work(bench: Bench) -> AsyncIterator[PowerDesk]:
    desk = bench.desk()
    task = asyncio.create_task(desk.run())
    await asyncio.sleep(0)
    try:
        yield desk
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def desk(bench: Bench) -> AsyncIterator[PowerDesk]:
    async with at_work(bench) as running:
        yield running


async def test_a_camera_s_port_is_off_and_on_again_and_it_is_on_record(bench: Bench, desk: PowerDesk) -> None:
    done = await bench.cycle(desk, reason="no picture since noon")
    assert (done.switch, done.port, done.outcome) == (SWITCH.id, 1, PowerOutcome.DONE)
    told = [(entry.what, entry.detail) for entry in bench.block.state.journal.since(0) if entry.device == SWITCH.id]
    assert told == [("poe", "1 off"), ("poe", "1 on")]
    assert await bench.unfinished() == []
    (event,) = await bench.events()
    assert (event.subject, event.data["outcome"], event.data["reason"], event.data["actor"]) == (
        CAMERA.id, "done", "no picture since noon", "api-key:k1"
    )  # fmt: skip
    async with bench.store.read() as tx:
        (row,) = [row for row in await tx.audit.page(limit=10) if row.entry.action == "device.power-cycle"]
    assert (row.entry.subject, row.entry.data["reason"]) == (CAMERA.id, "no picture since noon")


async def test_a_port_of_a_v3_switch_is_switched_too(bench: Bench, desk: PowerDesk) -> None:
    camera = bench.entry(CAMERA, uplink=DeviceId(AGGREGATION.id), uplink_port=3, mac="")
    bench.inventory(camera, bench.entry(AGGREGATION))
    done = await bench.cycle(desk)
    assert (done.switch, done.outcome) == (AGGREGATION.id, PowerOutcome.DONE)
    assert bench.is_fed(AGGREGATION, 3)


# -- never left off


async def test_a_port_that_is_off_when_the_daemon_ends_is_switched_on_before_it_has_ended(bench: Bench) -> None:
    async with at_work(bench) as desk:
        asking = asyncio.create_task(desk.cycle(ID, reason="hangs", actor=ACTOR))
        await until(lambda: not bench.is_fed(SWITCH, 1))
    assert bench.is_fed(SWITCH, 1)
    assert [cycle.device for cycle in await bench.unfinished()] == [ID]
    with contextlib.suppress(asyncio.CancelledError):
        await asking


async def test_a_port_that_was_off_when_the_daemon_was_killed_is_switched_on_at_its_next_start(bench: Bench) -> None:
    set_port(CITY, bench.block.state, SWITCH, 1, powered=False)
    await left_behind(bench)
    async with at_work(bench):
        await until(lambda: bench.is_fed(SWITCH, 1))
        await until(bench.unfinished, wanted=operator.not_)
    (event,) = await bench.events()
    assert (event.data["outcome"], event.data["actor"]) == ("unknown", "system:gateway")


async def test_a_switch_that_is_silent_at_the_next_start_is_asked_until_it_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "TIMEOUT_S", 0.6)
    set_port(CITY, bench.block.state, SWITCH, 1, powered=False)
    set_power(CITY, bench.block.state, SWITCH, on=False)
    await left_behind(bench)
    with capture_logs() as lines:
        async with at_work(bench):
            await until(lambda: [line for line in lines if line["event"] == "power.not_on_yet"])
            assert await bench.unfinished()
            set_power(CITY, bench.block.state, SWITCH, on=True)
            await until(bench.unfinished, wanted=operator.not_, within_s=60, meanwhile=lambda: bench.clock.advance(5))
    assert bench.is_fed(SWITCH, 1)


async def test_whoever_asked_may_go_away_in_between(bench: Bench, desk: PowerDesk) -> None:
    asking = asyncio.create_task(desk.cycle(ID, reason="hangs", actor=ACTOR))
    await until(lambda: not bench.is_fed(SWITCH, 1))
    asking.cancel()
    await until(bench.unfinished, wanted=operator.not_, meanwhile=lambda: bench.clock.advance(1))
    assert bench.is_fed(SWITCH, 1)


async def test_a_switch_that_does_not_say_what_it_did_makes_the_outcome_unknown(bench: Bench, desk: PowerDesk) -> None:
    bench.write_community = "not-the-one"
    done = await bench.cycle(desk)
    assert done.outcome is PowerOutcome.UNKNOWN
    assert bench.is_fed(SWITCH, 1)
    assert await bench.unfinished() == []


# -- never somebody else's


async def refused(bench: Bench, desk: PowerDesk, device: SimDevice = CAMERA) -> str:
    with pytest.raises(GatewayError) as caught:
        await bench.cycle(desk, device)
    assert all(bench.is_fed(SWITCH, port) for port in range(1, 8))
    assert await bench.unfinished() == [] and await bench.events() == []
    return caught.value.code


@pytest.mark.parametrize(
    "facts", [{"uplink": None}, {"uplink_port": None}, {"uplink": DeviceId("SW-gone")}, {"uplink": DeviceId(SPEAKER.id)}]
)
async def test_a_port_that_the_inventory_does_not_name_is_left_alone(bench: Bench, desk: PowerDesk, facts: dict[str, object]) -> None:
    bench.inventory(bench.entry(CAMERA, **facts), bench.entry(SWITCH), bench.entry(SPEAKER))
    assert await refused(bench, desk) == "power-port-unknown"


async def test_a_port_with_another_device_on_it_is_left_alone(bench: Bench, desk: PowerDesk) -> None:
    bench.inventory(bench.entry(CAMERA), bench.entry(SWITCH), bench.entry(BRANCH, uplink=DeviceId(SWITCH.id), uplink_port=1))
    assert await refused(bench, desk) == "power-port-shared"


async def test_a_port_at_which_the_switch_sees_another_device_is_left_alone(bench: Bench, desk: PowerDesk) -> None:
    bench.inventory(bench.entry(CAMERA, uplink_port=5), bench.entry(SWITCH), bench.entry(SPEAKER, uplink=None, uplink_port=None))
    assert await refused(bench, desk) == "power-port-contradicted"


async def test_a_port_at_which_another_switch_is_seen_is_left_alone(bench: Bench, desk: PowerDesk) -> None:
    camera = bench.entry(CAMERA, uplink=DeviceId(AGGREGATION.id), uplink_port=7, mac="")
    bench.inventory(camera, bench.entry(AGGREGATION))
    with pytest.raises(Conflict) as caught:
        await bench.cycle(desk)
    assert caught.value.code == "power-port-contradicted" and "another switch" in str(caught.value)


async def test_a_hung_device_that_the_switch_has_forgotten_is_no_contradiction(bench: Bench, desk: PowerDesk) -> None:
    bench.block.state.darken([CAMERA])
    done = await bench.cycle(desk)
    assert done.outcome is PowerOutcome.DONE


async def test_a_switch_is_not_cycled_nor_what_does_not_exist(bench: Bench, desk: PowerDesk) -> None:
    assert await refused(bench, desk, BRANCH) == "power-not-fed"
    with pytest.raises(NotFound):
        await desk.cycle(DeviceId("nobody"), reason="?", actor=ACTOR)


async def test_a_port_without_power_over_ethernet_is_told_so(bench: Bench, desk: PowerDesk) -> None:
    bench.inventory(bench.entry(CAMERA, uplink_port=48), bench.entry(SWITCH))
    with pytest.raises(NotSupported) as caught:
        await bench.cycle(desk)
    assert caught.value.code == "no-port-power"


async def test_a_port_that_somebody_has_switched_off_stays_off(bench: Bench, desk: PowerDesk) -> None:
    set_port(CITY, bench.block.state, SWITCH, 1, powered=False)
    with pytest.raises(Conflict) as caught:
        await bench.cycle(desk)
    assert caught.value.code == "power-off-already"
    assert not bench.is_fed(SWITCH, 1)


# -- rarely


async def test_a_device_is_cycled_once_in_ten_minutes(bench: Bench, desk: PowerDesk) -> None:
    await bench.cycle(desk)
    with pytest.raises(Conflict) as caught:
        await bench.cycle(desk)
    assert caught.value.code == "power-cycled-recently"
    await bench.clock.advance(timedelta(minutes=10).total_seconds())
    assert (await bench.cycle(desk)).outcome is PowerOutcome.DONE


async def test_a_switch_is_not_cycled_port_after_port(bench: Bench, desk: PowerDesk) -> None:
    for number in range(4):
        await left_behind(bench, device=f"C-{number}", ended=True)
    with pytest.raises(Conflict) as caught:
        await bench.cycle(desk)
    assert caught.value.code == "power-switch-often"


async def test_nothing_is_switched_while_the_desk_is_not_at_work(bench: Bench) -> None:
    with pytest.raises(Conflict) as caught:
        await bench.desk().cycle(ID, reason="hangs", actor=ACTOR)
    assert caught.value.code == "power-not-ready"


async def left_behind(bench: Bench, *, device: str = CAMERA.id, ended: bool = False) -> None:
    """What a daemon has written down before it was killed."""
    port = PowerCycle(
        f"P-{device}", DeviceId(device), DeviceId(SWITCH.id), f"{ADMIN_ENABLE}.1.1", 1, str(ACTOR), "hangs", bench.clock.now()
    )

    async def change(tx: Tx) -> None:
        await tx.power.begin(port)
        if ended:
            await tx.power.end(port.id, outcome="done", now=bench.clock.now())

    await bench.store.writer.write(change, lane=Lane.FOOTAGE)
