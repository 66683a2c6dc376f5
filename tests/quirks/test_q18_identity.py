"""Q18: serial numbers that all units share, endpoint references that last until the next boot, and answers with the probe's own id."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.broadcast.verification import verification
from gateway.clock import Clock, SimulatedClock, SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.discovery import Kind, Sighting, findings
from gateway.domain.health import Board, CheckResult, Introduction, Outcome, Standing
from gateway.domain.quirks import Quirk, Quirks
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.discovery import discover
from gateway.drivers.snmp.reader import Reading
from gateway.errors import DeadlineExceeded, WrongDevice
from gateway.health.checks import onvif
from gateway.health.checks.subject import Subject, Tools
from simulators.city import SimDevice
from simulators.discovery import server
from simulators.faults import Fault
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q18")
SHARED = Quirks({"shared-serial": Quirk("Q18", "shared-serial", {"serial": "123456789"})})
CLOCK = SystemClock()


class NoSensors:
    """Of a camera that speaks no SNMP, and so is silent."""

    async def read(self, target: Target, *, timeout_s: float) -> Reading:
        raise DeadlineExceeded(f"{target.device} did not answer within {timeout_s} s")


def entry(street: Street, camera: SimDevice, **known: str) -> Device:
    ports = Ports(onvif=street.city.http_port)
    return Device(DeviceId(camera.id), DeviceKind.CAMERA, camera.name, camera.address, ports=ports, **known)


def asked_by(street: Street, camera: SimDevice, device: Device, clock: Clock) -> tuple[OnvifDevice, Tools]:
    """A driver of a camera with that quirk, and what a health check works with."""
    target = Target(device.id, camera.address, device.ports, Credentials(camera.username, camera.password), quirks=SHARED)
    driver = OnvifDevice(target, Http(), clock)
    return driver, Tools(onvif_of=lambda _: driver, target_of=lambda _: target, sensors=NoSensors(), clock=clock)


def identity_in(results: Sequence[CheckResult]) -> CheckResult:
    """What was found of the identity."""
    return next(result for result in results if result.check == "identity")


async def identity_of(street: Street, camera: SimDevice, device: Device) -> CheckResult:
    """What the health check says of a camera's identity."""
    _, tools = asked_by(street, camera, device, CLOCK)
    return identity_in(await onvif.check(Subject(device, CLOCK.monotonic()), tools))


async def test_units_with_one_serial_number_are_told_by_their_hardware(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "shared-serial", {"serial": "123456789"})
    device = entry(street, camera, serial=camera.serial, vendor=camera.vendor, model=camera.model, mac=camera.mac)

    right = await identity_of(street, camera, device)
    assert (right.outcome, right.facts["serial"], right.facts["rests_on"]) == (Outcome.OK, "123456789", "hardware")

    street.state.faults[camera.id] = Fault(mac="02:99:99:99:99:99")
    swapped = await identity_of(street, camera, device)
    assert (swapped.outcome, swapped.reason, swapped.facts["expected_hardware"]) == (Outcome.FAIL, "wrong-device", camera.mac)


async def test_the_check_says_when_the_hardware_was_asked_for_and_does_not_ask_each_time(street: Street) -> None:
    camera, clock = street.camera, SimulatedClock(datetime.fromtimestamp(street.clock.now, UTC))
    street.state.switch_quirk(camera, "shared-serial", {"serial": "123456789"})
    device = entry(street, camera, serial=camera.serial, vendor=camera.vendor, model=camera.model, mac=camera.mac)
    driver, tools = asked_by(street, camera, device, clock)
    first = identity_in(await onvif.check(Subject(device, clock.monotonic()), tools))
    street.state.faults[camera.id] = Fault(mac="02:99:99:99:99:99")
    street.clock.now += 61
    await clock.advance(61)
    second = identity_in(await onvif.check(Subject(device, clock.monotonic()), tools))
    assert first.introduction == Introduction(device.place, 0.0, 0.0)
    assert (second.outcome, second.introduction) == (Outcome.OK, Introduction(device.place, 61.0, 0.0))

    board, city = Board(), City()
    city.replace(devices=[device])
    board.put(Standing(device.id, facts={"identity": second.facts}, introduction=second.introduction))
    verify = verification(city=city, board=board, clock=clock, identity_of=lambda _: driver, quirks_of=lambda _: SHARED)
    with pytest.raises(WrongDevice):
        await verify(device.id)


async def test_without_a_hardware_address_the_check_says_what_identity_rests_on(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "shared-serial", {"serial": "123456789"})
    found = await identity_of(street, camera, entry(street, camera, serial=camera.serial, vendor=camera.vendor, model=camera.model))
    assert (found.outcome, found.facts["rests_on"]) == (Outcome.OK, "address and model")


async def test_a_device_cannot_escape_the_comparison_by_claiming_to_be_of_such_a_model(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "shared-serial", {"serial": "123456789"})
    device = entry(street, camera, serial=camera.serial, vendor="Other maker", model=camera.model, mac=camera.mac)
    assert (await identity_of(street, camera, device)).reason == "wrong-device"


async def test_a_device_with_a_new_reference_after_each_boot_is_known_by_its_address(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "uuid-per-boot", {})
    async with server.listen(street.city, street.state, "lo", port=0) as port:
        before = await discover(CLOCK, listen_s=0.1, source="127.0.0.1", to=(camera.address, port))
        street.state.rebooted(camera)
        after = await discover(CLOCK, listen_s=0.1, source="127.0.0.1", to=(camera.address, port))
    assert before[0].reference != after[0].reference
    known = replace(entry(street, camera), endpoint=before[0].reference)
    [seen] = [Sighting(found.address, found.reference) for found in after]
    assert findings([seen], {known.id: known}) == [], "it is who it was, whatever it calls itself now"
    [elsewhere] = findings([replace(seen, address="127.0.0.9")], {known.id: known})
    assert elsewhere.kind is Kind.NEW, "and who answers elsewhere under a new reference is nobody that we know"


async def test_an_answer_that_carries_the_probes_own_id_is_one(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "probe-echoes-message-id", {})
    async with server.listen(street.city, street.state, "lo", port=0) as port:
        found = await discover(CLOCK, listen_s=0.1, source="127.0.0.1", to=(camera.address, port))
    assert [one.address for one in found] == [camera.address]
