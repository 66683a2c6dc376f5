"""One aggregation switch dies: whatever hangs on it cannot be reached until it is back, though all of that has its power."""

from collections.abc import Sequence

from simulators.scenarios.script import Scenario, Stage, Step
from simulators.wiring import below

DARK_S = 125.0


def plan(stage: Stage) -> Sequence[Step]:
    gathering = [switch for switch in stage.city.of_kind("switch") if not switch.uplink]
    dead = stage.chance.choice(gathering)
    behind = list(below(stage.city, dead))
    groups = len({device.group for device in behind if device.group})

    def back() -> None:
        stage.power([dead])
        stage.reconnect(behind)

    return (
        Step(0.0, f"{dead.id} dies: {len(behind)} devices of {groups} groups are beyond reach", lambda: stage.darken([dead, *behind])),
        Step(DARK_S, f"{dead.id} is back", back),
    )


SCENARIO = Scenario("switch-down", "One switch dies with all that hangs on it, and comes back.", DARK_S, plan)
