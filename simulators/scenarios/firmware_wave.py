"""A vendor's cameras reboot in batches and come back with another firmware, some with a wrong clock."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from simulators.city import SimDevice
from simulators.faults import Fault
from simulators.scenarios.script import Scenario, Stage, Step

BATCHES = 4
BATCH_S = 15.0
REBOOT_S = 12.0
ENDS_S = 160.0
SHARE_OF_CLOCKS = 0.1
CLOCK_S = 3600.0
UPDATED = "{} build 261120"


def plan(stage: Stage) -> Sequence[Step]:
    cameras = stage.city.of_kind("camera")
    vendor = Counter(camera.vendor for camera in cameras).most_common(1)[0][0]
    chosen = stage.some([camera for camera in cameras if camera.vendor == vendor], 200)
    batches = [chosen[number::BATCHES] for number in range(BATCHES)]
    return [
        Step(number * BATCH_S, f"batch {number + 1}: {len(batch)} cameras of {vendor} take new firmware", partial(_update, stage, batch))
        for number, batch in enumerate(batches)
        if batch
    ]


def _update(stage: Stage, batch: Sequence[SimDevice]) -> None:
    for camera in batch:
        wrong = stage.chance.random() < SHARE_OF_CLOCKS
        stage.ail(camera, Fault(firmware=UPDATED.format(camera.firmware), clock_offset_s=CLOCK_S if wrong else 0.0))
    stage.reboot(batch, dark_s=REBOOT_S)


SCENARIO = Scenario("firmware-wave", "Cameras of one vendor reboot in batches with new firmware, rolled back at the end.", ENDS_S, plan)
