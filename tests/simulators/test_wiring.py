"""Taking a port or a switch down silences what hangs on it, and nothing else."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from simulators.city import City, SimDevice
from simulators.state import State
from simulators.wiring import below, ports_of, set_port, set_power
from tests.simulators.block import city_of, device
from tests.simulators.street import Street

CORE = device("switch", 1)
POLE = device("switch", 2, uplink=CORE.id, uplink_port=3)
CAMERA = device("camera", 1, uplink=POLE.id, uplink_port=1)
SPEAKER = device("speaker", 1, uplink=POLE.id, uplink_port=5)
OTHER = device("camera", 2, uplink=CORE.id, uplink_port=4)
RECORDER = device("recorder", 1, uplink=CORE.id, uplink_port=20)
CITY = city_of(CORE, POLE, CAMERA, SPEAKER, OTHER, RECORDER)


def dark(state: State, city: City = CITY) -> set[str]:
    return {one.id for one in city.devices if state.dark(one)}


def ids(*devices: SimDevice) -> set[str]:
    return {one.id for one in devices}


def test_a_port_takes_the_switch_behind_it_and_all_that_hangs_there() -> None:
    state = State()
    set_port(CITY, state, CORE, 3, up=False)
    assert dark(state) == ids(POLE, CAMERA, SPEAKER)
    set_port(CITY, state, CORE, 3, up=True)
    assert dark(state) == set()


def test_a_switch_without_power_takes_everything_below_and_gives_it_back() -> None:
    state = State()
    set_power(CITY, state, CORE, on=False)
    assert dark(state) == ids(*CITY.devices)
    set_power(CITY, state, CORE, on=True)
    assert dark(state) == set()


def test_what_is_cut_twice_stays_dark_until_both_are_mended() -> None:
    state = State()
    set_port(CITY, state, POLE, 1, up=False)
    set_power(CITY, state, CORE, on=False)
    set_power(CITY, state, CORE, on=True)
    assert dark(state) == ids(CAMERA)
    set_port(CITY, state, POLE, 1, up=True)
    assert dark(state) == set()


def test_power_over_ethernet_is_all_that_a_camera_has_and_nothing_to_a_recorder() -> None:
    state = State()
    set_port(CITY, state, POLE, 1, powered=False)
    set_port(CITY, state, CORE, 20, powered=False)
    assert dark(state) == ids(CAMERA)


def test_a_switch_whose_uplink_is_off_is_gone_with_its_pole() -> None:
    state = State()
    set_port(CITY, state, POLE, len(ports_of(CITY, POLE)), up=False)
    assert dark(state) == ids(POLE, CAMERA, SPEAKER)


def test_what_somebody_else_darkened_stays_dark() -> None:
    state = State()
    state.darken([CAMERA], scenario="storm")
    set_power(CITY, state, POLE, on=False)
    set_power(CITY, state, POLE, on=True)
    assert dark(state) == ids(CAMERA)


def test_the_journal_tells_the_port_and_whom_it_took() -> None:
    state = State()
    set_port(CITY, state, POLE, 1, up=False)
    set_port(CITY, state, POLE, 1, up=False)
    told = [(entry.what, entry.device, entry.detail) for entry in state.journal.since(0)]
    assert told == [("port", POLE.id, "1 off"), ("dark", CAMERA.id, f"{POLE.id} port 1")]
    with pytest.raises(ValueError, match="has the ports 1 to 8"):
        set_port(CITY, state, POLE, 9, up=False)


def test_a_city_wired_in_a_ring_comes_to_an_end() -> None:
    ring = city_of(device("switch", 1, uplink="SWITCH-2", uplink_port=1), device("switch", 2, uplink="SWITCH-1", uplink_port=1))
    assert [one.id for one in below(ring, ring.devices[0])] == ["SWITCH-2"]


# -- the control API


@pytest.fixture
async def control(street: Street) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{street.control_port}") as http:
        yield http


async def test_a_port_is_switched_off_over_the_control_api(street: Street, control: aiohttp.ClientSession) -> None:
    path = f"/switches/{street.camera.uplink}"
    async with control.post(f"{path}/ports/{street.camera.uplink_port}", json={"admin": "down"}) as answer:
        shown = (await answer.json())["ports"][street.camera.uplink_port - 1]
    assert shown == {"port": street.camera.uplink_port, "device": street.camera.id, "admin": "down", "poe": "on", "dark": True}
    assert street.state.dark(street.camera)
    async with control.post(f"{path}/power", json={"on": False}) as answer:
        assert (await answer.json())["dark"]


@pytest.mark.parametrize(("path", "body", "status"), [
    ("ports/1", {"admin": "sideways"}, 400), ("ports/99", {"admin": "down"}, 400), ("ports/1", {}, 400), ("power", {"on": "no"}, 400),
    ("power", {}, 400), ("ports/1", [], 400), ("fans", {}, 404)])  # fmt: skip
async def test_what_no_switch_can_do_is_refused(street: Street, control: aiohttp.ClientSession, path: str, body: Any, status: int) -> None:
    async with control.post(f"/switches/{street.camera.uplink}/{path}", json=body) as answer:
        assert answer.status == status
    async with control.post(f"/switches/{street.camera.id}/{path}", json=body) as answer:
        assert answer.status == 404
