"""The health policy against a naive model of its words, over ten thousand random lives: thresholds, complaints, blindness and the damper.

The model keeps nothing but the list of all visits, and answers every question by looking back over it from the beginning.
"""

import os
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, HealthState, Outcome
from gateway.domain.policy import FLAPPING, REACH, Limits, PolicyState, judge

LIVES = int(os.environ.get("POLICY_LIVES", "10000"))
CAMERA = DeviceId("camera-1")
START = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN, UP, DEGRADED, DOWN = HealthState.UNKNOWN, HealthState.UP, HealthState.DEGRADED, HealthState.DOWN


@dataclass(frozen=True, slots=True)
class Visit:
    at: datetime
    reach: Outcome
    checks: tuple[tuple[str, Outcome], ...] = ()

    def results(self) -> list[CheckResult]:
        told = [(REACH, self.reach), *self.checks]
        return [
            CheckResult(CAMERA, check, outcome, self.at, "" if outcome is Outcome.OK else f"{check}-{outcome}") for check, outcome in told
        ]


class Model:
    """What the issue says, word by word."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.visits: list[Visit] = []
        self.changes: list[datetime] = []
        self.turns: list[datetime] = []
        self.holds: list[datetime] = []
        self.apparent = UNKNOWN

    def see(self, visit: Visit) -> HealthState:
        if self._turned(visit):
            self.turns.append(visit.at)
        self.visits.append(visit)
        before, self.apparent = self.apparent, self._state(visit)
        changed = before is not self.apparent and UNKNOWN not in (before, self.apparent)
        if changed:
            self.changes.append(visit.at)
        if (changed or visit.at in self.turns) and (self._held(visit.at) or self._restless(visit.at)):
            self.holds.append(visit.at + self.limits.flap_hold)
        return DEGRADED if self.held else self.apparent

    @property
    def held(self) -> bool:
        return self._held(self.visits[-1].at) and self.apparent is not UNKNOWN

    def _held(self, now: datetime) -> bool:
        return any(now < until for until in self.holds)

    def _restless(self, now: datetime) -> bool:
        within = [[at for at in moments if now - at < self.limits.flap_window] for moments in (self.changes, self.turns)]
        return max(map(len, within)) > self.limits.flap_changes

    def _turned(self, visit: Visit) -> bool:
        known = [each for each in self.visits if each.reach is not Outcome.UNKNOWN]
        return bool(known) and visit.reach is not Outcome.UNKNOWN and visit.reach is not known[-1].reach

    def _complains(self, end: int) -> bool:
        """Whether any check's last word, of those that could be made, was a warning or a failure."""
        words = {check: outcome for each in self.visits[:end] for check, outcome in each.checks if outcome is not Outcome.UNKNOWN}
        return any(outcome is not Outcome.OK for outcome in words.values())

    def _row(self, holds: "list[bool]") -> int:
        return next((number for number, one in enumerate(reversed(holds)) if not one), len(holds))

    def _state(self, visit: Visit) -> HealthState:
        limits, state, count = self.limits, self.apparent, len(self.visits)
        if visit.reach is Outcome.UNKNOWN:
            blind = self._row([each.reach is Outcome.UNKNOWN for each in self.visits])
            return UNKNOWN if blind >= limits.blind else state
        seen = [(number, each) for number, each in enumerate(self.visits, 1) if each.reach is not Outcome.UNKNOWN]
        if visit.reach is Outcome.FAIL:
            return DOWN if self._row([each.reach is Outcome.FAIL for _, each in seen]) >= limits.failure else state
        ill = self._complains(count)
        answers = self._row([each.reach is Outcome.OK for _, each in seen])
        wells = self._row([each.reach is Outcome.OK and not self._complains(number) for number, each in seen])
        ills = self._row([each.reach is Outcome.OK and self._complains(number) for number, each in seen])
        if state is UNKNOWN or (state is DOWN and answers >= limits.recovery):
            return DEGRADED if ill else UP
        if state is UP and ills >= limits.degrade:
            return DEGRADED
        if state is DEGRADED and wells >= limits.recovery:
            return UP
        return state


def a_life(chance: random.Random) -> tuple[Limits, list[Visit]]:
    """Random thresholds, and visits that mostly go on as they did, so that rows come about."""
    limits = Limits(
        failure=chance.randint(1, 4),
        recovery=chance.randint(1, 3),
        degrade=chance.randint(1, 3),
        blind=chance.randint(1, 4),
        flap_changes=chance.choice([1, 2, 3, 6, 1_000]),
        flap_window=timedelta(minutes=chance.choice([2, 10])),
        flap_hold=timedelta(minutes=chance.choice([1, 5])),
    )
    now, reach, visits = START, Outcome.OK, []
    steadiness = chance.choice([0.3, 0.7, 0.9])
    for _ in range(chance.randint(1, 40)):
        now += timedelta(seconds=chance.choice([10, 30, 30, 120]))
        if chance.random() > steadiness:
            reach = chance.choice([Outcome.OK, Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN])
        checks = [(check, chance.choice(list(Outcome))) for check in ("clock", "snmp") if chance.random() < 0.4]
        visits.append(Visit(now, reach, tuple(checks) if reach is Outcome.OK else ()))
    return limits, visits


@pytest.mark.parametrize("part", range(10))
def test_the_policy_agrees_with_the_model_over_ten_thousand_lives(part: int) -> None:
    chance, downs, holds = random.Random(part), 0, 0
    for _ in range(LIVES // 10):
        limits, visits = a_life(chance)
        model, state = Model(limits), PolicyState(CAMERA)
        for visit in visits:
            before = state
            state, transition = judge(state, visit.results(), limits, visit.at)
            assert state.state is model.see(visit), (limits, visits[: len(model.visits)])
            assert model.held <= (state.reason == FLAPPING)
            assert (transition is not None) == (before.state is not state.state)
            downs += state.state is DOWN
            holds += model.held
    assert downs > 100 < holds, "the lives are such that it matters"


def test_the_model_has_teeth() -> None:
    """A policy that counts one visit less is found out."""
    chance, found = random.Random(1), 0
    for _ in range(500):
        limits, visits = a_life(chance)
        model, state = Model(limits), PolicyState(CAMERA)
        for visit in visits:
            state, _ = judge(state, visit.results(), replace(limits, failure=max(1, limits.failure - 1)), visit.at)
            found += state.state is not model.see(visit)
    assert found > 50
