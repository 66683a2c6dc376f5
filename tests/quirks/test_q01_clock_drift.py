"""Q1: signatures are refused when the clock drifts, and a reboot sets a camera's clock years back."""

import pytest

from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from simulators.faults import Fault
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q1")


async def test_a_camera_whose_clock_is_half_a_year_off_is_signed_for_by_its_own_clock(street: Street) -> None:
    camera = street.camera
    street.state.switch_quirk(camera, "strict-created", {"within_s": 20})
    target = Target(DeviceId(camera.id), camera.address, Ports(onvif=street.city.http_port), Credentials(camera.username, camera.password))
    device = OnvifDevice(target, Http(), SystemClock())
    street.state.faults[camera.id] = Fault(clock_offset_s=-183 * 86_400)

    assert (await device.check(timeout_s=5))[1].serial == camera.serial
    street.state.faults[camera.id] = Fault(clock_offset_s=0.0)
    assert (await device.check(timeout_s=5))[1].serial == camera.serial
    assert street.state.counters["http.digest_skewed.camera"] == 0
