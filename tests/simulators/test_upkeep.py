"""What a device's owner does to it from afar: its clock set, the device started anew."""

import pytest

from simulators.city import SimDevice
from tests.simulators.street import NOW, Answer, Street, security

A_MINUTE_LATE = (
    "<tds:DateTimeType>Manual</tds:DateTimeType><tds:DaylightSavings>false</tds:DaylightSavings><tds:UTCDateTime>"
    "<tt:Time><tt:Hour>14</tt:Hour><tt:Minute>12</tt:Minute><tt:Second>20</tt:Second></tt:Time>"
    "<tt:Date><tt:Year>2026</tt:Year><tt:Month>9</tt:Month><tt:Day>21</tt:Day></tt:Date></tds:UTCDateTime>"
)


async def test_a_clock_that_is_set_shows_the_new_time_and_wants_it_in_logins(street: Street) -> None:
    assert (await street.call(street.camera, "tds", "SetSystemDateAndTime", A_MINUTE_LATE)).status == 200

    assert street.state.device_time(street.camera) == pytest.approx(NOW - 60)
    clock = await street.call(street.camera, "tds", "GetSystemDateAndTime", header="")
    assert (clock.texts("DateTimeType"), clock.texts("Minute")[0]) == (["Manual"], "12")
    old = security(street.camera.username, street.camera.password, NOW)
    assert (await street.call(street.camera, "tds", "GetDeviceInformation", header=old)).subcodes[-1] == "ter:NotAuthorized"
    assert (await street.call(street.camera, "tds", "GetDeviceInformation")).status == 200


async def test_a_clock_that_follows_ntp_is_right_at_once(street: Street) -> None:
    await street.call(street.camera, "tds", "SetSystemDateAndTime", A_MINUTE_LATE)
    by_ntp = "<tds:DateTimeType>NTP</tds:DateTimeType><tds:DaylightSavings>false</tds:DaylightSavings>"
    await street.call(street.camera, "tds", "SetSystemDateAndTime", by_ntp)

    assert street.state.device_time(street.camera) == pytest.approx(NOW)


@pytest.mark.parametrize("wrong", ["<tt:Month>13</tt:Month>", "<tt:Month>x</tt:Month>", ""])
async def test_a_time_that_does_not_exist_is_refused(street: Street, wrong: str) -> None:
    before = street.state.device_time(street.camera)
    inner = A_MINUTE_LATE.replace("<tt:Month>9</tt:Month>", wrong)

    assert (await street.call(street.camera, "tds", "SetSystemDateAndTime", inner)).subcodes[-1] == "ter:InvalidDateTime"
    assert street.state.device_time(street.camera) == before


async def rebooted(street: Street, device: SimDevice) -> Answer:
    return await street.call(device, "tds", "SystemReboot")


async def test_a_reboot_is_told_to_whoever_asked_and_stands_in_the_journal(street: Street) -> None:
    told: list[SimDevice] = []
    street.state.at_reboot(told.append)

    assert (await rebooted(street, street.camera)).texts("Message") != []
    assert told == [street.camera]
    assert [(entry.what, entry.device) for entry in street.state.journal.since(0)] == [("reboot", street.camera.id)]


async def test_a_reboot_ends_searches(street: Street) -> None:
    search = await street.call(street.recorder, "tse", "FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT60S</tse:KeepAliveTime>")
    token = f"<tse:SearchToken>{search.texts('SearchToken')[0]}</tse:SearchToken>"
    assert (await street.call(street.recorder, "tse", "GetSearchState", token)).status == 200

    await rebooted(street, street.recorder)
    assert (await street.call(street.recorder, "tse", "GetSearchState", token)).subcodes[-1] == "ter:InvalidToken"
