"""One aggregation switch and one pole's switch die: what hangs on them cannot be reached until they are back."""

from collections.abc import Sequence

from simulators.scenarios.script import Scenario, Stage, Step
from simulators.wiring import below

DARK_S = 125.0


def plan(stage: Stage) -> Sequence[Step]:
    switches = stage.city.of_kind("switch")
    gathering = [switch for switch in switches if not switch.uplink]
    first = stage.chance.choice(gathering)
    lost = [first, *below(stage.city, first)]
    elsewhere = [switch for switch in switches if switch.uplink and switch not in lost] if len(gathering) > 1 else []
    for pole in stage.some(elsewhere, 1) if elsewhere else ():
        lost += [pole, *below(stage.city, pole)]
    return (
        Step(0.0, f"{first.id} and another switch die: {len(lost)} devices are beyond reach", lambda: stage.darken(lost)),
        Step(DARK_S, "the switches are back", lambda: stage.power(lost)),
    )


SCENARIO = Scenario("switch-down", "An aggregation switch and a pole's switch die and come back.", DARK_S, plan)
