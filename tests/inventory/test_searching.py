"""Searches of a simulated street on real sockets: what is found, who is spoken to, what is tried, and what people make of it."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from demo.processes import free_port
from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, DeviceId, DeviceKind, SnmpCredentials, SnmpVersion
from gateway.domain.discovery import Kind
from gateway.domain.events import Actor, ActorKind
from gateway.domain.quirks import Quirk, Quirks
from gateway.drivers.onvif.discovery import sweep
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.drivers.strangers import Login
from gateway.errors import Conflict, InvalidInput
from gateway.inventory.logins import TrialLogin, read_logins
from gateway.inventory.runs import Errands, Run, RunState
from gateway.inventory.searching import Rules, SearchService
from gateway.inventory.service import InventoryService
from gateway.storage.discovery import Proposal, ProposalState
from gateway.storage.store import Store
from simulators import city as simulated
from simulators.discovery import server
from simulators.inventory import inventory as inventory_file
from simulators.serving import running
from simulators.state import State
from tests.waiting import stopped, until

ANNA = Actor(ActorKind.USER, "anna")
CAMERAS = IPv4Network("127.16.0.0/28")
SWITCHES = IPv4Network("127.64.0.0/28")
RIGHT = TrialLogin("ours", (IPv4Network("127.0.0.0/8"),), Credentials("gateway", "s3cret-trial"))
WRONG = TrialLogin("wrong", (IPv4Network("127.0.0.0/8"),), Credentials("gateway", "guess"))
COMMUNITY = TrialLogin("ro", (SWITCHES,), Credentials(snmp=SnmpCredentials(SnmpVersion.V2C, community="r3ad-only")))
PROFILES = Path(__file__).parent.parent.parent / "configs" / "profiles"


@dataclass
class Town:
    """A simulated street that can be discovered, and a gateway that knows of it what the test lets it know."""

    planned: simulated.City
    state: State
    store: Store
    city: City
    inventory: InventoryService
    searches: SearchService
    base: Rules

    def allow(self, **rules: object) -> None:
        """Configure the search anew, as a restart would."""
        made = replace(self.base, **rules)
        old = self.searches
        self.searches = SearchService(
            store=self.store,
            city=self.city,
            clock=old._clock,
            inventory=self.inventory,
            errands=old.errands,
            strangers=old._strangers,
            quirks_of=old._quirks_of,
            rules=made,
        )

    async def know(self, *kinds: str, but: Mapping[str, str] = {}) -> None:
        """Import the devices of these kinds; `but`: addresses that the inventory has wrong, by id."""
        devices = [replace(device, address=but.get(device.id, device.address), uplink="") for device in self.planned.devices]
        known = replace(self.planned, devices=tuple(device for device in devices if device.kind in kinds), zones=())
        text = "".join(inventory_file(known))
        await self.inventory.import_file(re.sub(r"channels:\n(  - .*\n)*", "", text).encode(), "city.yaml", actor=ANNA)

    async def search(self, **how: object) -> Run:
        run = self.searches.start(by=ANNA, **how)
        await until(lambda: run.ended_at, within_s=60)
        assert run.state is RunState.DONE, run.troubles
        return run

    async def open(self, kind: Kind | None = None) -> dict[str, Proposal]:
        """The open proposals that would change something, by address."""
        return {
            proposal.finding.sighting.address: proposal
            for proposal, applies in await self.searches.proposals()
            if proposal.state is ProposalState.OPEN and applies and kind in (None, proposal.finding.kind)
        }


@pytest.fixture
async def town(store: Store, clock: SimulatedClock) -> AsyncIterator[Town]:
    planned = simulated.plan(seed=3, groups=6, speakers=2, http_port=free_port(0), rtsp_port=1, snmp_port=free_port(0))
    devices = [
        replace(device, username="gateway", password="s3cret-trial")
        if device.kind != "switch"
        else replace(device, snmp=simulated.Snmp("v2c", "r3ad-only"))
        for device in planned.devices
    ]
    planned = replace(planned, devices=tuple(devices))
    city, state, real = City(), State(), SystemClock()
    inventory = InventoryService(store, city, clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(planned, state, control=("127.0.0.1", 0), only=("http", "snmp")))
        probes = await stack.enter_async_context(server.listen(planned, state, "lo", port=0))
        drivers = await stack.enter_async_context(Drivers(city, real, Profiles.load(PROFILES), walk_every_s=60))
        errands = Errands(clock)
        rules = Rules(
            ranges=(CAMERAS, SWITCHES),
            addresses_per_s=1000,
            listen_s=0.6,
            onvif_ports=(planned.http_port,),
            snmp_port=planned.snmp_port,
            probe_port=probes,
            logins=(RIGHT,),
        )
        searches = SearchService(
            store=store,
            city=city,
            clock=real,
            inventory=inventory,
            errands=errands,
            strangers=drivers.strangers,
            quirks_of=drivers.quirks_of,
            rules=rules,
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        task = group.create_task(errands.run())
        yield Town(planned, state, store, city, inventory, searches, rules)
        await stopped(task)


def in_range(town: Town, place: IPv4Network = CAMERAS) -> list[simulated.SimDevice]:
    return [device for device in town.planned.devices if IPv4Address(device.address) in place]


async def test_strangers_are_found_identified_and_come_in_as_an_import_with_the_login_that_they_took(town: Town) -> None:
    cameras = in_range(town)
    run = await town.search()
    assert (run.answered, run.found["new"]) == (len(cameras), len(cameras))
    found = await town.open(Kind.NEW)
    assert set(found) == {camera.address for camera in cameras}
    for camera in cameras:
        seen = found[camera.address].finding.sighting
        assert (seen.vendor, seen.model, seen.serial, seen.macs) == (camera.vendor, camera.model, camera.serial, (camera.mac,))
        assert (seen.kind, seen.logins, seen.trouble) == (DeviceKind.CAMERA, ("ours",), "")
        assert seen.reference.startswith("urn:uuid:")
    camera = cameras[0]
    proposal = found[camera.address]
    with pytest.raises(InvalidInput) as lacking:
        await town.searches.accept([proposal.id], {"id": "CAM-9"}, actor=ANNA)
    assert [str(fault.why) for fault in lacking.value.faults] == ["name is missing"]
    done = await town.searches.accept([proposal.id], {"id": "CAM-9", "name": "新枪机"}, actor=ANNA, comment="found on the pole")
    assert (done.applied, done.diff.counts()["added"]) == (True, 1)
    device = town.city.devices[DeviceId("CAM-9")]
    assert (device.address, device.serial, device.mac, device.ports.onvif) == (
        camera.address,
        camera.serial,
        camera.mac,
        town.planned.http_port,
    )
    assert device.endpoint == proposal.finding.sighting.reference
    async with town.store.read() as tx:
        assert (await tx.inventory.load_credentials())[device.id] == Credentials("gateway", "s3cret-trial")
        audit = str(await tx.audit.page(limit=10))
    assert "found on the pole" in audit
    assert "s3cret-trial" not in audit + str(list(done.diff.lines()))
    with pytest.raises(Conflict):
        await town.searches.accept([proposal.id], {"id": "CAM-10", "name": "x"}, actor=ANNA)
    again = await town.search()
    assert again.found["new"] == len(cameras) - 1
    assert camera.address not in await town.open()


@pytest.mark.parametrize("identify", [True, False])
async def test_a_device_that_moved_is_known_again_by_its_reference_and_moves_only_on_somebodys_word(town: Town, identify: bool) -> None:
    camera = in_range(town)[0]
    await town.know("camera", "speaker", "recorder", but={camera.id: "127.16.9.9"})
    learnt = f"id,endpoint\n{camera.id},{server.reference_of(camera, town.state)}\n".encode()
    await town.inventory.import_file(learnt, "learnt.csv", actor=ANNA)
    run = await town.search(identify=identify)
    assert (run.found["moved"], run.found["new"], run.found["conflict"]) == (1, 0, 0)
    [(address, proposal)] = (await town.open(Kind.MOVED)).items()
    assert (address, proposal.finding.device) == (camera.address, camera.id)
    assert "endpoint" in proposal.finding.by
    assert ("serial" in proposal.finding.by) is identify
    assert town.city.devices[DeviceId(camera.id)].address == "127.16.9.9", "never applied by itself"
    await town.searches.accept([proposal.id], {}, actor=ANNA)
    assert town.city.devices[DeviceId(camera.id)].address == camera.address
    assert (await town.search()).found["moved"] == 0


async def test_two_cameras_whose_addresses_were_swapped_are_put_right_by_taking_both(town: Town) -> None:
    one, other = in_range(town)[:2]
    await town.know("camera", "speaker", "recorder")
    lines = [f"{device.id},{server.reference_of(device, town.state)}" for device in (one, other)]
    await town.inventory.import_file("\n".join(["id,endpoint", *lines]).encode(), "learnt.csv", actor=ANNA)
    swapped = f"id,address\n{one.id},{other.address}\n{other.id},{one.address}\n"
    await town.inventory.import_file(swapped.encode(), "swapped.csv", actor=ANNA)
    await town.search()
    moved = await town.open(Kind.MOVED)
    assert {proposal.finding.device for proposal in moved.values()} == {one.id, other.id}
    with pytest.raises(InvalidInput, match="fault"):
        await town.searches.accept([moved[one.address].id], {}, actor=ANNA)
    await town.searches.accept([proposal.id for proposal in moved.values()], {}, actor=ANNA)
    assert [town.city.devices[DeviceId(device.id)].address for device in (one, other)] == [one.address, other.address]


async def test_a_known_devices_reference_is_proposed_where_the_inventory_lacks_it(town: Town) -> None:
    await town.know("camera", "speaker", "recorder")
    run = await town.search()
    assert (run.found["detail"], run.found["new"], run.found["moved"]) == (len(in_range(town)), 0, 0)
    details = await town.open(Kind.DETAIL)
    assert all(set(proposal.finding.changes) == {"endpoint"} for proposal in details.values())
    await town.searches.accept([proposal.id for proposal in details.values()], {}, actor=ANNA)
    assert not await town.open()
    assert town.state.counters["http.digest_good.camera"] == 0, "known devices are never asked with a log-in that is only being tried"


async def test_a_reference_that_is_made_anew_at_each_boot_is_not_proposed(town: Town) -> None:
    await town.know("camera", "speaker", "recorder")
    fickle = in_range(town)[0]
    quirks = Quirks({"uuid-per-boot": Quirk("Q18", "uuid-per-boot", {})})
    town.searches._quirks_of = lambda device: quirks if device == fickle.id else Quirks()
    await town.search()
    assert fickle.address not in await town.open()


async def test_a_wrong_trial_login_never_locks_a_camera_however_often_is_searched(town: Town) -> None:
    cameras = in_range(town)
    for camera in cameras:
        town.state.switch_quirk(camera, "lock-out", {"attempts": 5, "minutes": 30})
    town.allow(logins=(WRONG, replace(WRONG, name="wrong-too", credentials=Credentials("admin", "12345"))), attempts=2)
    for _ in range(4):
        await town.search()
    refused = sum(count for name, count in town.state.counters.items() if name.startswith("http.digest_bad"))
    assert refused <= 2 * len(cameras)
    assert refused >= len(cameras), "they were tried"
    assert {proposal.finding.sighting.trouble for proposal in (await town.open()).values()} == {"attempts-spent"}
    right = [Login("ours", RIGHT.credentials)]
    for camera in cameras:
        told = await town.searches._strangers.by_onvif(camera.address, town.planned.http_port, right, budget=2, timeout_s=5)
        assert (told.login, told.trouble) == ("ours", ""), "none of them is locked"


@pytest.mark.parametrize(
    ("rules", "trouble"),
    [
        ({"logins": ()}, "no-login"),
        ({"logins": (replace(RIGHT, ranges=(IPv4Network("127.99.0.0/16"),)),)}, "no-login"),
        ({"logins": (replace(RIGHT, vendor="no such maker"),)}, "no-login"),
        ({"onvif_ports": (80,)}, "port-not-allowed"),
        ({"attempts": 0}, "attempts-spent"),
        ({"ranges": (SWITCHES,), "multicast_from": (IPv4Address("127.0.0.1"),), "listen_s": 2.5}, "outside-ranges"),
    ],
)
async def test_nobody_is_asked_who_he_is_where_the_configuration_does_not_say_so(
    town: Town, rules: dict[str, object], trouble: str
) -> None:
    town.allow(**rules)
    await town.search()
    found = await town.open(Kind.NEW)
    assert {camera.address for camera in in_range(town)} <= set(found)
    assert {proposal.finding.sighting.trouble for proposal in found.values()} == {trouble}
    asked = [name for name, count in town.state.counters.items() if name.startswith("http.") and count]
    assert not asked


async def test_by_multicast_the_whole_street_is_found(town: Town) -> None:
    town.allow(ranges=(), multicast_from=(IPv4Address("127.0.0.1"),), listen_s=2.5)
    run = await town.search()
    onvif = [device for device in town.planned.devices if device.kind != "switch"]
    assert (run.answered, run.found["new"]) == (len(onvif), len(onvif))
    kinds = {proposal.finding.sighting.address: proposal.finding.sighting.kind for proposal in (await town.open()).values()}
    assert kinds == {device.address: DeviceKind(device.kind) for device in onvif}


async def test_switches_are_found_by_snmp_where_a_community_is_for_them(town: Town) -> None:
    town.allow(logins=(COMMUNITY,), ranges=(SWITCHES,))
    run = await town.search()
    switches = in_range(town, SWITCHES)
    assert (run.answered, run.found["new"]) == (len(switches), len(switches))
    found = await town.open()
    for switch in switches:
        seen = found[switch.address].finding.sighting
        assert (seen.kind, seen.macs, seen.logins) == (DeviceKind.SWITCH, (switch.mac,), ("ro",))
        assert seen.description
    switch = switches[0]
    await town.searches.accept([found[switch.address].id], {"id": "SW-9", "name": "交换机"}, actor=ANNA)
    device = town.city.devices[DeviceId("SW-9")]
    assert (device.kind, device.ports.snmp) == (DeviceKind.SWITCH, town.planned.snmp_port)
    async with town.store.read() as tx:
        assert (await tx.inventory.load_credentials())[device.id].snmp == SnmpCredentials(SnmpVersion.V2C, community="r3ad-only")


async def test_what_was_dismissed_stays_so_when_it_is_found_again(town: Town) -> None:
    await town.search()
    [first, *_] = (await town.open()).values()
    await town.searches.dismiss([first.id], actor=ANNA, comment="the neighbour's")
    await town.search()
    assert first.id not in {proposal.id for proposal in (await town.open()).values()}
    kept = await town.searches.find(first.id)
    assert (kept.state, kept.decided_by, kept.comment, kept.last_seen > first.last_seen) == (
        ProposalState.DISMISSED,
        "user:anna",
        "the neighbour's",
        True,
    )
    with pytest.raises(Conflict):
        await town.searches.accept([first.id], {"id": "X", "name": "x"}, actor=ANNA)


async def test_what_the_configuration_does_not_allow_is_refused_before_anything_is_sent(town: Town) -> None:
    for ranges in ([IPv4Network("127.16.0.0/16")], [IPv4Network("10.0.0.0/8")], [CAMERAS, IPv4Network("127.32.0.1/32")]):
        with pytest.raises(InvalidInput) as refused:
            town.searches.start(by=ANNA, ranges=ranges)
        assert refused.value.code == "outside-ranges"
    town.allow(ranges=())
    with pytest.raises(InvalidInput) as nowhere:
        town.searches.start(by=ANNA)
    assert nowhere.value.code == "discovery-not-configured"


@contextmanager
def ear(address: str, port: int = 0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((address, port))
        yield sock


async def test_a_sweep_sends_packets_to_the_addresses_of_its_ranges_and_to_nobody_else() -> None:
    with ear("127.77.1.1") as first:
        port = first.getsockname()[1]
        with (
            ear("127.77.1.2", port) as second,
            ear("127.77.1.0", port) as below,
            ear("127.77.1.4", port) as above,
            ear("127.77.1.3", port) as last,
        ):
            addresses = [str(address) for address in IPv4Network("127.77.1.0/30").hosts()]
            await sweep(SystemClock(), addresses, per_s=1000, listen_s=0.05, port=port)
            heard = []
            for sock in (first, second, below, above, last):
                try:
                    heard.append(bool(sock.recv(65_535)))
                except BlockingIOError:
                    heard.append(False)
    assert heard == [True, True, False, False, False]


async def test_a_sweep_keeps_its_pace() -> None:
    clock = SimulatedClock()
    counts: list[int] = []
    sweeping = asyncio.ensure_future(
        sweep(clock, [f"127.78.0.{n}" for n in range(1, 101)], per_s=20, listen_s=1, port=9, asked=counts.append)
    )
    for _ in range(50):
        await clock.advance(0.1)
    assert max(counts) <= 20 * 5 + 2
    assert not sweeping.done()
    await clock.advance(5)
    await sweeping
    assert counts[-1] == 100


def test_the_file_of_logins_is_read_with_every_fault_named_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "logins.yaml"
    file.write_text(
        "- {name: ours, ranges: [10.1.0.0/16], vendor: Hikvision, username: gateway, password: 0771}\n"
        "- {name: ro, ranges: [10.1.0.0/16], snmp_community: hunter2}\n",
        encoding="utf-8",
    )
    ours, community = read_logins(file)
    assert (ours.credentials, ours.vendor, ours.over_onvif) == (Credentials("gateway", "0771"), "Hikvision", True)
    assert community.credentials.snmp == SnmpCredentials(SnmpVersion.V2C, community="hunter2")
    assert ours.is_for("10.1.2.3", "name HIKVISION DS-2")
    assert not ours.is_for("10.2.0.1", "hikvision")
    assert not ours.is_for("10.1.2.3", "Dahua")
    file.write_text(
        "- {name: a, password: hunter2, user: x}\n- {ranges: [10.0.0.1/8], username: b}\n- c\n"
        "- {name: a, ranges: [10.0.0.0/8], snmp_version: v2c}\n"
    )
    with pytest.raises(InvalidInput) as caught:
        read_logins(file)
    told = [f"{fault.where}: {fault.why}" for fault in caught.value.faults]
    assert "hunter2" not in str(told)
    for words in ("log-in 1: no key 'user'", "log-in 1: ranges is missing", "log-in 2: ranges: '10.0.0.1/8'", "log-in 2: name is missing"):
        assert any(words in line for line in told), (words, told)
    assert any("log-in 3: must be a mapping" in line for line in told)
    assert any("snmp_community is missing" in line for line in told)
    assert "a: stands twice" in told
