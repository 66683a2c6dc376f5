"""How long checks take and how they end, counted for the metrics."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.domain.health import CheckResult, Outcome

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class Times:
    """The results of one check: how many took at most each of `BOUNDS_S` and no less than the one before, and all of them together."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def note(self, took_s: float) -> None:
        self.counts[bisect_left(BOUNDS_S, took_s)] += 1
        self.total_s += took_s


class CheckTimes:
    """Fed with every result; what it holds is bounded by the checks there are."""

    def __init__(self) -> None:
        self._times: dict[str, Times] = {}
        self._outcomes: Counter[tuple[str, Outcome]] = Counter()

    def note(self, results: Iterable[CheckResult]) -> None:
        for result in results:
            times = self._times.get(result.check)
            if times is None:
                times = self._times[result.check] = Times()
            times.note(result.took_ms / 1_000)
            self._outcomes[result.check, result.outcome] += 1

    @property
    def times(self) -> Mapping[str, Times]:
        """The times of each check by its name; a visit's checks count from the visit's beginning."""
        return self._times

    @property
    def outcomes(self) -> Mapping[tuple[str, Outcome], int]:
        """How often each check ended how."""
        return self._outcomes
