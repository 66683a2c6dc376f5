from dataclasses import replace

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers

HORN = Device(DeviceId("SPK-1"), DeviceKind.SPEAKER, "horn", "127.0.0.1")


async def test_a_device_that_has_moved_is_asked_and_spoken_to_where_it_is_now_before_all_is_renewed(clock: SimulatedClock) -> None:
    city = City()
    city.replace(devices=[HORN])
    async with Drivers(city, clock, Profiles([]), walk_every_s=60) as drivers:
        drivers.renew({})
        onvif, _ = drivers.onvif_of(HORN.id), drivers.speaker_of(HORN.id)
        city.replace(devices=[replace(HORN, address="127.0.0.2")])
        assert drivers.onvif_of(HORN.id).target.address == "127.0.0.2"
        city.replace(devices=[replace(HORN, address="127.0.0.3")])
        drivers.speaker_of(HORN.id)
        assert onvif.target.address == "127.0.0.3"
