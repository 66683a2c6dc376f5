"""Client transactions (RFC 3261, 17.1; RFC 6026): a request is sent until it is answered, an answer is heard once.

    INVITE   CALLING → PROCEEDING → ACCEPTED (2xx, 64·T1)   → OVER
                                  → COMPLETED (300-699, D)  → OVER
    others   TRYING  → PROCEEDING → COMPLETED (K)           → OVER

Pure: `now` is an argument, in seconds of a monotonic clock; what has to be sent is returned.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.drivers.sip.messages import branch_of, sequence_of
from gateway.drivers.textual import Headers, Request, Response


@dataclass(frozen=True, slots=True)
class Timing:
    """RFC 3261, 17.1.1.1, in seconds: a round trip, the longest pause between repetitions, how long a message lives in the network."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def patience(self) -> float:
        """After this time without an answer there is none (timers B, F, M)."""
        return 64 * self.t1


STANDARD: Final = Timing()


class State(StrEnum):
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    OVER = "over"


class Kind(StrEnum):
    """What kind of answer a response is."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx-6xx"


INVITE_STEPS: Final = {
    (State.CALLING, Kind.PROVISIONAL): State.PROCEEDING,
    (State.CALLING, Kind.SUCCESS): State.ACCEPTED,
    (State.CALLING, Kind.FAILURE): State.COMPLETED,
    (State.PROCEEDING, Kind.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Kind.SUCCESS): State.ACCEPTED,
    (State.PROCEEDING, Kind.FAILURE): State.COMPLETED,
    (State.ACCEPTED, Kind.SUCCESS): State.ACCEPTED,  # repeated: whoever called acknowledges again
    (State.COMPLETED, Kind.FAILURE): State.COMPLETED,  # repeated: the transaction acknowledges again
}
OTHER_STEPS: Final = {
    (State.TRYING, Kind.PROVISIONAL): State.PROCEEDING,
    (State.TRYING, Kind.SUCCESS): State.COMPLETED,
    (State.TRYING, Kind.FAILURE): State.COMPLETED,
    (State.PROCEEDING, Kind.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Kind.SUCCESS): State.COMPLETED,
    (State.PROCEEDING, Kind.FAILURE): State.COMPLETED,
}
_WAITING: Final = frozenset({State.CALLING, State.TRYING})
_UNANSWERED: Final = frozenset({State.CALLING, State.TRYING, State.PROCEEDING})


def kind_of(response: Response) -> Kind:
    return Kind.PROVISIONAL if response.status < 200 else Kind.SUCCESS if response.status < 300 else Kind.FAILURE


class ClientTransaction:
    """One request of ours. The caller sends `request` once when it begins, then whatever `tick` and `take` return."""

    def __init__(self, request: Request, *, reliable: bool, now: float, timing: Timing = STANDARD) -> None:
        """`reliable`: over TCP, which repeats by itself."""
        self.request = request
        self.timed_out = False
        self._invite = request.method == "INVITE"
        self._steps = INVITE_STEPS if self._invite else OTHER_STEPS
        self._state = State.CALLING if self._invite else State.TRYING
        self._reliable = reliable
        self._timing = timing
        self._interval = timing.t1
        self._branch, self._sequence = branch_of(request.headers), sequence_of(request.headers)
        self._again: float | None = None if reliable else now + self._interval
        self._end: float | None = now + timing.patience

    @property
    def state(self) -> State:
        return self._state

    @property
    def due(self) -> float | None:
        """When `tick` has something to do next; None: nothing is left to do by itself."""
        times = [time for time in (self._again, self._end) if time is not None]
        return min(times, default=None)

    def matches(self, response: Response) -> bool:
        """RFC 3261, 17.1.3."""
        return branch_of(response.headers) == self._branch and sequence_of(response.headers) == self._sequence

    def tick(self, now: float) -> Request | None:
        """What has to be sent again now. Ends the transaction when its time is over; `timed_out` if that was before an answer."""
        if self._end is not None and now >= self._end:
            self.timed_out = self._state in _UNANSWERED
            self._over()
            return None
        if self._again is None or now < self._again:
            return None
        doubled = 2 * self._interval
        self._interval = doubled if self._invite else min(doubled, self._timing.t2)
        self._again = now + self._interval
        return self.request

    def take(self, response: Response, now: float) -> tuple[bool, Request | None]:
        """A response that `matches`: whether it is news to the caller, and the ACK that goes out, if one does.

        News are provisional answers, the first final one, and every 2xx to an INVITE, which the caller acknowledges each time.
        """
        kind = kind_of(response)
        before = self._state
        step = self._steps.get((before, kind))
        if step is None:
            return False, None
        self._state = step
        self._arm(step, before, now)
        if step is State.COMPLETED and self._invite:
            return before is not State.COMPLETED, acknowledgement(self.request, response)
        return True, None

    def hush(self) -> None:
        """Repeat the request no more; answers are still heard until the time is over."""
        self._again = None

    def _arm(self, state: State, before: State, now: float) -> None:
        """The timers of the state that was entered; in PROCEEDING others repeat every T2, an INVITE waits for its caller's patience."""
        if state is before:
            return
        if state is State.PROCEEDING:
            if self._invite:
                self._again = self._end = None
            elif not self._reliable:
                self._interval, self._again = self._timing.t2, now + self._timing.t2
            return
        self._again = None
        absorb = self._timing.patience if self._invite else self._timing.t4
        self._end = now + absorb if state is State.ACCEPTED or not self._reliable else now

    def _over(self) -> None:
        self._state, self._again, self._end = State.OVER, None, None


def acknowledgement(invite: Request, refusal: Response) -> Request:
    """The ACK of an answer that is no 2xx: part of the transaction, with its branch (RFC 3261, 17.1.1.3)."""
    number, _ = sequence_of(invite.headers)
    return _within(invite, "ACK", number, refusal.headers.get("To"))


def cancellation(invite: Request) -> Request:
    """The CANCEL of an INVITE that was answered provisionally (RFC 3261, 9.1)."""
    number, _ = sequence_of(invite.headers)
    return _within(invite, "CANCEL", number, invite.headers.get("To"))


def _within(invite: Request, method: str, number: int, to: str) -> Request:
    kept = [("Route", route) for route in invite.headers.all("Route")]
    fields = [("Via", invite.headers.get("Via")), ("Max-Forwards", "70"), *kept, ("From", invite.headers.get("From")), ("To", to)]
    fields += [("Call-ID", invite.headers.get("Call-ID")), ("CSeq", f"{number} {method}")]
    return Request(method, invite.uri, Headers(fields))
