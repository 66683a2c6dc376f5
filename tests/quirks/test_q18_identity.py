"""Q18: serial numbers that all units share, endpoint references that last until the next boot, and answers with the probe's own id."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.discovery import Kind, Sighting, findings
from gateway.domain.health import CheckResult, Outcome
from gateway.domain.quirks import Quirk, Quirks
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.discovery import discover
from gateway.drivers.snmp.reader import Reading
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
    async def read(self, target: Target, *, timeout_s: float) -> Reading:
        raise NotImplementedError


def entry(street: Street, camera: SimDevice, **known: str) -> Device:
    ports = Ports(onvif=street.city.http_port)
    return Device(DeviceId(camera.id), DeviceKind.CAMERA, camera.name, camera.address, ports=ports, **known)


async def identity_of(street: Street, camera: SimDevice, device: Device) -> CheckResult:
    """What the health check says of a camera's identity."""
    target = Target(device.id, camera.address, device.ports, Credentials(camera.username, camera.password), quirks=SHARED)
    driver = OnvifDevice(target, Http(), CLOCK)
    tools = Tools(onvif_of=lambda _: driver, target_of=lambda _: target, sensors=NoSensors(), clock=CLOCK)
    results: Sequence[CheckResult] = await onvif.check(Subject(device, CLOCK.monotonic()), tools)
    return next(result for result in results if result.check == "identity")


async def test_units_with_one_serial_number_are_told_by_their_hardware(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "shared-serial", {"serial": "123456789"})
    device = entry(street, camera, serial=camera.serial, vendor=camera.vendor, model=camera.model, mac=camera.mac)

    right = await identity_of(street, camera, device)
    assert (right.outcome, right.facts["serial"], right.facts["rests_on"]) == (Outcome.OK, "123456789", "hardware")

    street.state.faults[camera.id] = Fault(mac="02:99:99:99:99:99")
    swapped = await identity_of(street, camera, device)
    assert (swapped.outcome, swapped.reason, swapped.facts["expected_hardware"]) == (Outcome.FAIL, "wrong-device", camera.mac)


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
