"""What can happen to the city, by name: one module each, with what is to come as data."""

from collections.abc import Mapping
from typing import Final

from simulators.scenarios import clock_storm, firmware_wave, flapping, hostile, power_cut, switch_down
from simulators.scenarios.script import Scenario

SCENARIOS: Final[Mapping[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        power_cut.SCENARIO,
        switch_down.SCENARIO,
        firmware_wave.SCENARIO,
        clock_storm.SCENARIO,
        flapping.SCENARIO,
        hostile.SCENARIO,
    )
}
