"""What the trap bench makes of its notes, and that the storm is what it says."""

import asyncio

import pytest

from bench import traps
from simulators.city import plan


def test_lateness_is_what_is_beyond_an_interval_within_the_windows() -> None:
    notes = {"a": [0.0, 30.0, 60.5], "b": [10.0, 25.0, 56.0]}
    assert sorted(traps.lateness(notes, ["a", "b"], [(55.0, 70.0)])) == [pytest.approx(0.5), pytest.approx(1.0)]
    assert traps.lateness(notes, ["a", "b"], [(20.0, 31.0)]) == [0.0, 0.0]


def test_a_storm_has_as_many_traps_as_it_says_of_all_devices_that_speak_snmp() -> None:
    city = plan(groups=4, speakers=2, snmp_port=0)
    storm = asyncio.run(traps._made(city, 100))
    assert len(storm) == 100
    assert {address for address, _ in storm} == {device.address for device in city.devices if device.snmp is not None}
