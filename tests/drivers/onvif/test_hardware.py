"""The hardware addresses that a device tells, and how long they are believed."""

from dataclasses import replace

from gateway.clock import SimulatedClock
from gateway.drivers.base import Hardware
from tests.drivers.devices import Heard, answer, soap
from tests.drivers.onvif.camera import Camera, met


def interfaces(address: str) -> bytes:
    return answer(
        soap(
            "<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces><tt:Info>"
            f"<tt:HwAddress>{address}</tt:HwAddress></tt:Info></tds:NetworkInterfaces></tds:GetNetworkInterfacesResponse>"
        )
    )


async def test_an_answer_is_kept_with_the_time_of_its_question(clock: SimulatedClock) -> None:
    told = ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    camera = Camera(clock, extra={"GetNetworkInterfaces": lambda _: interfaces(told.pop(0))})
    async with met(camera) as (_, onvif):
        assert await onvif.hardware(fresh_s=60, timeout_s=5) == Hardware(("02:00:00:00:00:01",), 0.0)
        await clock.advance(60)
        assert await onvif.hardware(fresh_s=60, timeout_s=5) == Hardware(("02:00:00:00:00:01",), 0.0)
        await clock.advance(1)
        assert await onvif.hardware(fresh_s=60, timeout_s=5) == Hardware(("02:00:00:00:00:02",), 61.0)


async def test_an_answer_of_before_the_device_moved_is_not_kept_for_where_it_is_now(clock: SimulatedClock) -> None:
    def moves(_heard: Heard) -> bytes:
        onvif.retarget(replace(onvif.target, ports=replace(onvif.target.ports, rtsp=onvif.target.ports.rtsp + 1)))
        return interfaces(f"02:00:00:00:00:{onvif.target.ports.rtsp % 100:02}")

    async with met(Camera(clock, extra={"GetNetworkInterfaces": moves})) as (_, onvif):
        first = await onvif.hardware(fresh_s=60, timeout_s=5)
        assert await onvif.hardware(fresh_s=60, timeout_s=5) != first
