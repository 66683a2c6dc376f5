"""Loose contacts: some devices come and go, half a minute each time."""

from collections.abc import Sequence
from functools import partial

from simulators.city import SimDevice
from simulators.scenarios.script import Scenario, Stage, Step

AWAY_S = 28.0
THERE_S = 20.0
ENDS_S = 420.0


def plan(stage: Stage) -> Sequence[Step]:
    """Each device has a beat of its own: they do not all come and go together."""
    chosen = stage.some([device for device in stage.city.devices if device.kind == "camera"], 20)
    steps = [Step(0.0, f"{len(chosen)} cameras have a loose contact", lambda: None)]
    for device in chosen:
        at = stage.chance.uniform(0.0, AWAY_S)
        while at + AWAY_S < ENDS_S:
            steps.append(Step(at, "", partial(stage.darken, [device])))
            steps.append(Step(at + AWAY_S, "", partial(_return, stage, device)))
            at += (AWAY_S + THERE_S) * stage.chance.uniform(0.85, 1.15)
    return steps


def _return(stage: Stage, device: SimDevice) -> None:
    """The line is back; the device never lost its power."""
    stage.state.light([device], scenario=stage.name)


SCENARIO = Scenario("flapping", "Some cameras come and go, half a minute each time.", ENDS_S, plan)
