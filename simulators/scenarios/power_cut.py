"""A street without power: its switches, cameras and loudspeakers fall dark, then all come back at once."""

from collections import Counter
from collections.abc import Sequence

from simulators.city import SimDevice
from simulators.scenarios.script import Scenario, Stage, Step

BACK_S = 130.0


def plan(stage: Stage) -> Sequence[Step]:
    district, dark = _district(stage)
    return (
        Step(0.0, f"{district} loses its power: {len(dark)} devices are dark", lambda: stage.darken(dark)),
        Step(BACK_S, f"the power is back: {len(dark)} devices start anew at once", lambda: stage.power(dark)),
    )


def _district(stage: Stage) -> tuple[str, list[SimDevice]]:
    """One of the city's districts and what hangs on its poles; a quarter of the city at most, and fewer with a small scale."""
    districts = Counter(group.district for group in stage.city.groups)
    name = stage.chance.choice(sorted(districts))
    poles = [group.id for group in stage.city.groups if group.district == name]
    most = max(1, min(len(poles), len(stage.city.groups) // 4))
    cut = set(poles[: max(1, min(most, round(len(poles) * stage.scale)))])
    return name, [device for device in stage.city.devices if device.group in cut]


SCENARIO = Scenario("power-cut", "A district loses its power; then everything in it comes back at once.", BACK_S, plan)
