"""A city in which each device is as odd as its model's profile says is managed like any other."""

from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Outcome
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.health.checks import onvif
from gateway.health.checks.subject import Subject, Tools
from simulators.city import plan
from simulators.quirks import QuirkBook
from simulators.serving import running
from simulators.state import State
from tests.simulators.street import free_ports

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("known_make", [True, False])
async def test_every_device_of_an_odd_city_is_up_whether_the_inventory_knows_its_make_or_not(known_make: bool) -> None:
    http, rtsp, snmp = free_ports(3)
    simulated = QuirkBook.load().dealt(plan(seed=5, groups=12, speakers=8, http_port=http, rtsp_port=rtsp, snmp_port=snmp))
    odd = [device for device in simulated.devices if device.kind != "switch"]
    assert {device.vendor for device in odd if device.quirks} >= {"HIKVISION", "Dahua"}

    clock, city = SystemClock(), City()
    city.replace(
        devices=[
            Device(
                DeviceId(device.id),
                DeviceKind(device.kind),
                device.name,
                device.address,
                ports=Ports(onvif=http, rtsp=rtsp),
                serial=device.serial,
                vendor=device.vendor if known_make else "",
                model=device.model if known_make else "",
            )
            for device in odd
        ]
    )
    logins = {DeviceId(device.id): Credentials(device.username, device.password) for device in odd}
    async with (
        running(simulated, State(), control=("127.0.0.1", 0), only=("http",)),
        Drivers(city, clock, Profiles.load(CONFIGS / "profiles"), walk_every_s=60) as drivers,
    ):
        drivers.renew(logins)
        tools = Tools(drivers.onvif_of, drivers.target_of, drivers.sensors, clock, drivers.recognise)
        for round_ in range(2):
            found = [result for device in city.devices.values() for result in await onvif.check(Subject(device, clock.monotonic()), tools)]
            poor = [(round_, result.device, result.check, result.reason) for result in found if result.outcome is not Outcome.OK]
            assert poor == []
        for device in odd:
            quirks = drivers.model_of(DeviceId(device.id)).quirks
            assert {switch: dict(quirk.parameters) for switch, quirk in quirks.by_switch.items()} == device.quirks
