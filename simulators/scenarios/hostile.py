"""Each hostile answer, and each other ill of one device, on a camera of its own."""

from collections.abc import Sequence
from typing import Final

from simulators.city import SimDevice
from simulators.faults import Answer, Fault
from simulators.scenarios.script import Scenario, Stage, Step
from simulators.views import View

ENDS_S = 125.0
ILLS: Final = (
    *(Fault(answer=answer) for answer in Answer if answer is not Answer.NORMAL),
    Fault(delay_s=0.3, jitter_s=0.4),
    Fault(loss=1.0),
    Fault(clock_offset_s=-7_200.0),
    Fault(password="another password"),  # noqa: S106 -- nobody's
    Fault(serial="SWAPPED-0001", mac="02:00:5e:00:53:01", model="SWAPPED"),
    Fault(address="127.95.255.1"),
    Fault(view=View.BLACK),
    Fault(view=View.FROZEN),
    Fault(clock_offset_s=7_200.0, delay_s=0.2, firmware="V9.9.9"),
)
"""The last one: several at once."""


def plan(stage: Stage) -> Sequence[Step]:
    victims = stage.chance.sample(stage.city.of_kind("camera"), min(len(ILLS), len(stage.city.of_kind("camera")) // 2))
    return (Step(0.0, f"{len(victims)} cameras turn on us, each in its own way", lambda: _turn(stage, victims)),)


def _turn(stage: Stage, victims: Sequence[SimDevice]) -> None:
    for camera, ill in zip(victims, ILLS, strict=False):
        stage.ail(camera, ill)
    for recorder in stage.some(stage.city.of_kind("recorder"), 1):
        stage.ail(recorder, Fault(disk_full=True))


SCENARIO = Scenario("hostile", "Each hostile answer and each other ill, on a camera of its own.", ENDS_S, plan)
