"""Scenarios by the control API: what there is, what runs, begin and end.

One runs at a time. Its steps are timers of the loop; at its end, or when it is ended early, everything that it did is healed. Each step and
the end stand in the journal as `scenario`.
"""

import asyncio
import math
import random
from typing import Any, Final

from simulators.city import City
from simulators.http import Request, Response
from simulators.replies import answered, problem, told
from simulators.scenarios import SCENARIOS
from simulators.scenarios.script import Scenario, Stage, Step
from simulators.state import State

BEGUN: Final = "begun"
ENDED: Final = "ended"


class Playbill:
    def __init__(self, city: City, state: State) -> None:
        self._city, self._state = city, state
        self._stage: Stage | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def answer(self, request: Request, parts: list[str]) -> Response | None:
        """What comes back for a path below /scenarios; None where there is none."""
        match request.method, parts[1:]:
            case "GET", []:
                return answered(self._shown())
            case "POST", [name]:
                return self._begin(name, request)
            case "DELETE", []:
                self.end()
                return answered(self._shown())
        return None

    def end(self) -> None:
        """End what runs, and heal everything that it did."""
        if self._stage is None:
            return
        stage, self._stage = self._stage, None
        for timer in self._timers:
            timer.cancel()
        stage.heal()
        self._note(stage, ENDED)

    def _begin(self, name: str, request: Request) -> Response:
        scenario = SCENARIOS.get(name)
        if scenario is None:
            return problem(404, f"no scenario is called {name[:80]}; there are {', '.join(SCENARIOS)}")
        if self._stage is not None:
            return problem(409, f"{self._stage.name} is running; DELETE /scenarios ends it")
        try:
            wanted = told(request, seed=int, scale=float, pace=float)
            stage = self._stage_for(scenario, **wanted)
        except ValueError as error:
            return problem(400, str(error))
        self._play(scenario, stage)
        return answered(self._shown())

    def _stage_for(self, scenario: Scenario, *, seed: int = 1, scale: float = 1.0, pace: float = 1.0) -> Stage:
        if not (0 < scale <= 100 and 0.01 <= pace <= 100 and math.isfinite(scale * pace)):
            raise ValueError("scale is above 0 and up to 100, pace 0.01 to 100")
        return Stage(scenario.name, self._city, self._state, random.Random(seed), scale, pace)

    def _play(self, scenario: Scenario, stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        self._stage = stage
        self._note(stage, BEGUN)
        steps = scenario.plan(stage)
        self._timers = [loop.call_later(step.at_s * stage.pace, self._take, stage, step) for step in steps]
        self._timers.append(loop.call_later(scenario.ends_s * stage.pace, self.end))

    def _take(self, stage: Stage, step: Step) -> None:
        if step.says:
            self._note(stage, step.says)
        step.act()

    def _note(self, stage: Stage, what: str) -> None:
        self._state.journal.note(self._state.now(), "scenario", detail=what, scenario=stage.name)

    def _shown(self) -> dict[str, Any]:
        return {
            "running": self._stage.name if self._stage else None,
            "scenarios": [{"name": one.name, "says": one.says, "ends_s": one.ends_s} for one in SCENARIOS.values()],
        }
