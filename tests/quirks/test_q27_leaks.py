"""Q27: clients that leak: engines, parsed WSDLs, sockets and memory that grow with devices or with failed calls."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pysnmp.hlapi.v3arch.asyncio import SnmpEngine

from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif import wsdl
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.soap import MEDIA, PTZ
from gateway.errors import DeviceError
from simulators.faults import Answer, Fault
from tests.quirks.agents import CITY, SWITCH, USER_SWITCH, Agents, answering
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q27")

NAME = ("1.3.6.1.2.1.1.5.0",)
GROWN_KIB = 96
"""What a thousand failed calls may leave behind: less than a tenth of a KiB each."""


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    async with answering() as running:
        yield running


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def failing(call: Callable[[], Awaitable[object]], times: int) -> None:
    for _ in range(times):
        try:
            await call()
        except DeviceError:
            continue
        raise AssertionError("the call was to fail")


async def grown_kib(call: Callable[[], Awaitable[object]], *, times: int) -> float:
    """What `times` failed calls leave in memory, once the first of them have filled every cache."""
    await failing(call, times // 4)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await failing(call, times)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / 1024


# -- SNMP


async def test_failed_polls_leave_one_socket_a_device_and_no_memory(agents: Agents) -> None:
    nobody = replace(agents.target(SWITCH), ports=Ports(snmp=9))

    async def poll() -> None:
        await agents.engine.get(nobody, NAME, timeout_s=1)

    await failing(poll, 1)
    gc.collect()  # what other tests left behind is not counted
    files = open_files()
    assert await grown_kib(poll, times=400) < GROWN_KIB
    assert open_files() <= files


async def test_one_engine_serves_all_devices_whose_keys_are_wrong(agents: Agents) -> None:
    right = agents.target(USER_SWITCH)
    assert right.credentials.snmp is not None
    wrong = replace(right, credentials=Credentials(snmp=replace(right.credentials.snmp, auth_key="another-secret")))
    for number in range(12):
        device = replace(wrong, device=DeviceId(f"SW-{number}"))
        await failing(lambda device=device: agents.engine.get(device, NAME, timeout_s=5), 2)
    gc.collect()
    assert sum(isinstance(found, SnmpEngine) for found in gc.get_objects()) <= 1


async def test_a_city_s_switches_are_polled_through_one_socket_each_however_often(agents: Agents) -> None:
    await asyncio.gather(*(agents.read(one) for one in CITY.devices))
    files = open_files()
    for _ in range(5):
        await asyncio.gather(*(agents.read(one) for one in CITY.devices))
    assert open_files() <= files


# -- ONVIF


def cameras(street: Street) -> list[OnvifDevice]:
    http = Http()
    return [
        OnvifDevice(
            Target(DeviceId(one.id), one.address, Ports(onvif=street.city.http_port), Credentials(one.username, one.password)),
            http,
            SystemClock(),
        )
        for one in street.city.of_kind("camera")
    ]


async def test_one_wsdl_a_service_is_parsed_for_all_cameras(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    load = wsdl._load
    monkeypatch.setattr(wsdl, "_load", lambda file: (parsed.append(file), load(file))[1])
    monkeypatch.setattr(wsdl.WSDLS, "_schemas", {})
    await wsdl.WSDLS.warm(MEDIA, PTZ)
    for one in cameras(street):
        try:
            await one.presets("", timeout_s=5)
        except DeviceError:
            continue
    assert sorted(parsed) == ["media.wsdl", "ptz.wsdl"]


@pytest.mark.parametrize("answer", [Answer.REFUSE, Answer.GARBAGE, Answer.NOT_XML, Answer.WRONG_OPERATION, Answer.TRUNCATED])
async def test_failed_calls_leave_neither_sockets_nor_memory(street: Street, answer: Answer) -> None:
    ours = next(one for one in cameras(street) if one.target.device == street.camera.id)
    street.state.faults[street.camera.id] = Fault(answer=answer)
    await failing(lambda: ours.check(timeout_s=5), 1)
    files = open_files()
    assert await grown_kib(lambda: ours.check(timeout_s=5), times=200) < GROWN_KIB
    assert open_files() <= files + 1
