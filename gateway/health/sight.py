"""Whether we see anything at all: when nobody answers any more, it is the gateway that is blind."""

from collections import deque

from gateway.clock import Clock

WINDOW_S = 10.0
ENOUGH = 20  # visits in the window, below which silence everywhere is thought possible
_REMEMBERED = 1_000


class Sight:
    """Fed with every visit to a device that was not already dead, and with every answer.

    `blind`: from when the last `WINDOW_S` had `ENOUGH` visits and not one answer, until somebody answers. That nobody is left who was not
    already dead is no sight.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._visits: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)
        self._answers = 0
        self._blind = False

    def note(self, *, answered: bool) -> None:
        if len(self._visits) == _REMEMBERED:
            self._forget_oldest()
        self._visits.append((self._clock.monotonic(), answered))
        self._answers += answered
        self._blind = not answered and (self._blind or self._sees_nobody())

    @property
    def blind(self) -> bool:
        return self._blind

    def _sees_nobody(self) -> bool:
        horizon = self._clock.monotonic() - WINDOW_S
        while self._visits and self._visits[0][0] < horizon:
            self._forget_oldest()
        return len(self._visits) >= ENOUGH and not self._answers

    def _forget_oldest(self) -> None:
        self._answers -= self._visits.popleft()[1]
