"""Many clocks go wrong at once: some by minutes, some by hours."""

from collections.abc import Sequence

from simulators.city import SimDevice
from simulators.faults import Fault
from simulators.scenarios.script import Scenario, Stage, Step

OFFSETS_S = (90.0, -150.0, 600.0, 3_600.0, -3_600.0, 28_800.0, -28_800.0)
ENDS_S = 150.0


def plan(stage: Stage) -> Sequence[Step]:
    chosen = stage.some([device for device in stage.city.devices if device.kind in {"camera", "recorder", "speaker"}], 300)
    return (Step(0.0, f"the time server is gone: {len(chosen)} clocks are wrong", lambda: _go_wrong(stage, chosen)),)


def _go_wrong(stage: Stage, devices: Sequence[SimDevice]) -> None:
    for device in devices:
        stage.ail(device, Fault(clock_offset_s=stage.chance.choice(OFFSETS_S)))


SCENARIO = Scenario("clock-storm", "Many clocks go wrong by minutes and by hours, then are set right.", ENDS_S, plan)
