"""The simulated head is where its moves have brought it, at every moment."""

import pytest

from simulators.onvif.head import FULL_SPEED, Axis, Head
from tests.simulators.street import Answer, Street

TOKEN = "<tptz:ProfileToken>{}</tptz:ProfileToken>"


async def move(street: Street, operation: str, inner: str = "") -> Answer:
    profile = next((await street.call(street.camera, "trt", "GetProfiles")).xml.iter("{*}Profiles")).get("token", "")
    answer = await street.call(street.camera, "tptz", operation, TOKEN.format(profile) + inner)
    assert answer.status == 200 or answer.subcodes
    return answer


async def where(street: Street) -> tuple[float, float, float, list[str]]:
    answer = await move(street, "GetStatus")
    turn, zoom = (next(answer.xml.iter("{*}Position")).find(f"{{*}}{name}") for name in ("PanTilt", "Zoom"))
    assert turn is not None
    assert zoom is not None
    states = [element.text or "" for element in next(answer.xml.iter("{*}MoveStatus"))]
    return float(turn.get("x", "")), float(turn.get("y", "")), float(zoom.get("x", "")), states


async def test_a_continuous_move_goes_on_until_it_is_stopped(street: Street) -> None:
    await move(street, "ContinuousMove", '<tptz:Velocity><tt:PanTilt x="1" y="-0.5"/></tptz:Velocity><tptz:Timeout>PT60S</tptz:Timeout>')
    street.clock.now += 2
    assert await where(street) == (pytest.approx(0.5, abs=1e-5), pytest.approx(-0.25, abs=1e-5), 0, ["MOVING", "IDLE"])

    await move(street, "Stop")
    street.clock.now += 5
    assert await where(street) == (pytest.approx(0.5, abs=1e-5), pytest.approx(-0.25, abs=1e-5), 0, ["IDLE", "IDLE"])


async def test_a_continuous_move_ends_by_its_timeout(street: Street) -> None:
    await move(street, "ContinuousMove", '<tptz:Velocity><tt:PanTilt x="-1" y="0"/></tptz:Velocity><tptz:Timeout>PT1.5S</tptz:Timeout>')
    street.clock.now += 30

    assert await where(street) == (pytest.approx(-1.5 * FULL_SPEED, abs=1e-5), 0, 0, ["IDLE", "IDLE"])


async def test_an_absolute_move_takes_its_time_and_arrives(street: Street) -> None:
    await move(street, "AbsoluteMove", '<tptz:Position><tt:PanTilt x="0.5" y="0.1"/><tt:Zoom x="1"/></tptz:Position>')
    street.clock.now += 2
    pan, tilt, zoom, states = await where(street)
    assert (pan, tilt) == (pytest.approx(0.5, abs=1e-5), pytest.approx(0.1, abs=1e-5))
    assert zoom == pytest.approx(0.5, abs=1e-5)
    assert states == ["IDLE", "MOVING"]
    street.clock.now += 2
    assert (await where(street))[2] == pytest.approx(1)


async def test_a_relative_move_starts_from_where_the_head_is(street: Street) -> None:
    for _ in range(2):
        await move(street, "RelativeMove", '<tptz:Translation><tt:PanTilt x="0.2" y="0"/></tptz:Translation>')
        street.clock.now += 10

    assert (await where(street))[0] == pytest.approx(0.4, abs=1e-5)


async def test_a_head_stops_at_its_end(street: Street) -> None:
    await move(street, "ContinuousMove", '<tptz:Velocity><tt:Zoom x="1"/></tptz:Velocity><tptz:Timeout>PT1M</tptz:Timeout>')
    street.clock.now += 59

    assert await where(street) == (0, 0, 1, ["IDLE", "IDLE"])


async def test_a_preset_is_gone_to_set_and_removed(street: Street) -> None:
    await move(street, "GotoPreset", "<tptz:PresetToken>2</tptz:PresetToken>")
    street.clock.now += 10
    assert (await where(street))[:3] == (pytest.approx(0.4, abs=1e-5), pytest.approx(-0.3, abs=1e-5), pytest.approx(0.3, abs=1e-5))

    token = (await move(street, "SetPreset", "<tptz:PresetName>东门</tptz:PresetName>")).texts("PresetToken")[0]
    assert (await move(street, "GetPresets")).texts("Name") == ["路口全景", "人行横道", "早市摊点", "东门"]
    await move(street, "RemovePreset", f"<tptz:PresetToken>{token}</tptz:PresetToken>")
    assert (await move(street, "GotoPreset", f"<tptz:PresetToken>{token}</tptz:PresetToken>")).subcodes[-1] == "ter:NoToken"


async def test_a_place_outside_the_range_is_refused_and_nothing_moves(street: Street) -> None:
    for wrong in ("1.5", "nan", "x", "-2"):
        answer = await move(street, "AbsoluteMove", f'<tptz:Position><tt:PanTilt x="0.5" y="{wrong}"/></tptz:Position>')
        assert answer.subcodes[-1] == "ter:InvalidPosition"
    street.clock.now += 10

    assert (await where(street))[:3] == (0, 0, 0)


async def test_a_fixed_camera_has_no_ptz_service(street: Street) -> None:
    fixed = next(device for device in street.city.of_kind("camera") if not device.ptz and device.auth == "wsse")

    assert (await street.call(fixed, "tptz", "GetNodes")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]


def test_an_axis_asked_anew_goes_on_from_where_it_is() -> None:
    axis = Axis(-1.0, 1.0)
    axis.go(1.0, 0.0, for_s=100.0)
    axis.go_to(0.0, 2.0)

    assert axis.at(2.0) == pytest.approx(2 * FULL_SPEED)
    assert axis.at(3.0) == pytest.approx(FULL_SPEED)
    assert axis.at(50.0) == pytest.approx(0.0)


def test_a_new_head_looks_straight_ahead() -> None:
    assert Head().place(5.0) == (0.0, 0.0, 0.0)
