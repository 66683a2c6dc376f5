"""The wheel: visits every device once an interval, evenly spread, never more at once than is bounded, and knows when it lags.

All devices stand on a ring, and a cursor goes round it once an interval; each tick starts the visits that have come due since the last.
When the gateway was held up or all slots are taken, the cursor falls behind and goes on from where it stands at its own pace: nobody is
left out and nothing is made up for in a burst.

A device that did not answer leaves the ring, and its visits take slots of another pool, since each may last a whole deadline: whoever is
well waits for nobody who is not. It is visited again soon, so that a loss is confirmed quickly; when it is dead, ever more rarely and from
a small pool, so that a district without power costs little. Its first answer has it visited again soon, so that its return is confirmed
quickly too, and then puts it back. A visit that says nothing, because we lagged ourselves, is made again soon.

When a dead device answers, whoever is dead on the same uplink, or behind it, is visited at once, and so are a few others of the dead,
wherever they hang (`RUMOUR`): what has come back everywhere is noticed everywhere within moments, as a rumour spreads, and what has come
back alone costs a few visits.
"""

import asyncio
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from gateway.clock import Clock

K = TypeVar("K", bound=Hashable)

LATE_S = 0.5
CONFIRMATIONS = 2  # visits of a device that answers again, soon one after the other
RUMOUR = 4  # dead devices anywhere that are visited at once because one has answered

_GOLDEN = 0.6180339887  # large groups begin at different places of the ring


class Pool(Enum):
    """Whose slots a visit takes: of those on the ring, of those that were silent or are returning, of the dead."""

    RING = "ring"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Pace:
    """How the wheel turns. Times in seconds.

    `first_round_s`: how long the first round takes, if that is shorter. `in_flight`: visits at once on the ring, and as many to suspects,
    of them `per_group` to devices of one group (an uplink). `suspect_s`: when a device that did not answer is visited again; after
    `dead_after` misses it waits `dead_s`, each time twice as long up to `dead_max_s`, and needs one of `dead_in_flight` slots. `late_s`:
    how late a tick may be before we say that we lag.
    """

    interval_s: float = 30.0
    first_round_s: float = 20.0
    tick_s: float = 0.2
    in_flight: int = 256
    per_group: int = 8
    suspect_s: float = 10.0
    dead_after: int = 3
    dead_s: float = 30.0
    dead_max_s: float = 240.0
    dead_in_flight: int = 32
    late_s: float = LATE_S


class Wheel(Generic[K]):
    """Calls `visit(key)`, which returns whether the device answered (None: nobody can say) and does not raise; one visit a key at once."""

    def __init__(self, visit: Callable[[K], Awaitable[bool | None]], *, clock: Clock, pace: Pace = Pace()) -> None:
        self._visit = visit
        self._clock = clock
        self._pace = pace
        self._ring: list[K] = []
        self._groups: Mapping[K, Hashable] = {}
        self._cursor = 0
        self._owed = 0.0
        self._first_left = 0
        self._misses: Counter[K] = Counter()
        self._returning: Counter[K] = Counter()  # who answers again, and how many visits are to confirm it
        self._unclear: set[K] = set()  # whose last visit said nothing, and who were well before
        self._woken: set[Hashable] = set()  # where a dead device has answered: itself, its group
        self._rumours = 0  # how many of the dead elsewhere are to be visited for it
        self._waiting: list[tuple[float, int, K]] = []  # a heap of those off the ring: when due, an order, the key
        self._order = itertools.count()
        self._deferred: deque[K] = deque()  # came due while their group was full; at most the ring's length
        self._under_way: dict[K, Pool] = {}
        self._slots: Counter[Pool] = Counter()
        self._per_group: Counter[tuple[Pool, Hashable]] = Counter()
        self._planned = self._late_at = -1.0
        self.lateness_s = 0.0
        self.visits = 0

    def replace(self, groups: Mapping[K, Hashable]) -> None:
        """Turn over these keys from now on; each with the group whose bound it shares, None for none of its own.

        They stand on the ring in their order, but for groups larger than their bound, which are spread all round it: their devices would
        wait for each other, and the well ones for those that are not.
        """
        self._first_left += len(groups.keys() - self._groups.keys())
        self._ring = _spread(groups, self._pace.per_group)
        self._groups = dict(groups)
        self._cursor %= max(1, len(self._ring))
        self._misses = Counter({key: misses for key, misses in self._misses.items() if key in groups})
        self._returning = Counter({key: left for key, left in self._returning.items() if key in groups})
        self._unclear &= groups.keys()
        self._waiting = [entry for entry in self._waiting if entry[2] in groups]
        heapq.heapify(self._waiting)
        self._deferred = deque(key for key in self._deferred if key in groups)

    async def run(self) -> None:
        """Turn until cancelled."""
        self._planned = self._clock.monotonic()
        async with asyncio.TaskGroup() as visits:
            while True:
                self._planned += self._pace.tick_s
                await self._clock.sleep(self._planned - self._clock.monotonic())
                self._notice_lateness()
                for key in self._due():
                    visits.create_task(self._make(key), name=f"visit {key}")

    def heard(self, key: K, *, answered: bool) -> None:
        """Somebody else has visited `key`: its silence is confirmed as soon as one that the wheel has met itself."""
        if not answered and key in self._groups and not self._is_off(key) and key not in self._under_way:
            self._note(key, answered=False)

    def lagged_since(self, moment: float) -> bool:
        """Whether we were held up, at any time from `moment` (monotonic) until now, so long that silence means nothing."""
        now = self._clock.monotonic()
        return self._late_at >= moment or (self._planned >= 0 and now - self._planned > self._pace.late_s)

    def misses(self, key: K) -> int:
        """How many visits in a row went unanswered."""
        return self._misses[key]

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    @property
    def off_the_ring(self) -> int:
        """How many devices are suspected, dead, about to return, or to be visited again because a visit said nothing."""
        return len(self._misses) + len(self._returning) + len(self._unclear)

    # -- what comes due

    def _notice_lateness(self) -> None:
        now = self._clock.monotonic()
        self.lateness_s = max(0.0, now - self._planned)
        if self.lateness_s > self._pace.late_s:
            self._late_at = now
            self._planned = now

    def _due(self) -> Iterable[K]:
        self._wake()
        yield from self._due_again()
        yield from self._due_deferred()
        yield from self._due_on_ring()

    def _due_on_ring(self) -> Iterable[K]:
        if not self._ring:
            return
        self._owed = min(self._owed + self._per_tick(), 2 * self._per_tick() + 1)  # what was not paid by then is not made up for
        while self._owed >= 1 and self._slots[Pool.RING] < self._pace.in_flight:
            key = self._ring[self._cursor]
            self._cursor = (self._cursor + 1) % len(self._ring)
            self._owed -= 1
            self._first_left = max(0, self._first_left - 1)
            if self._is_off(key) or key in self._under_way or key in self._deferred:
                continue
            if self._room_for(key):
                yield self._begin(key)
            else:
                self._deferred.append(key)

    def _due_deferred(self) -> Iterable[K]:
        for _ in range(min(len(self._deferred), 2 * int(self._per_tick()) + 1)):
            key = self._deferred.popleft()
            if key in self._under_way or self._is_off(key):
                continue
            if self._room_for(key):
                yield self._begin(key)
            else:
                self._deferred.append(key)

    def _due_again(self) -> Iterable[K]:
        now = self._clock.monotonic()
        turned_away: list[tuple[float, int, K]] = []
        while self._waiting and self._waiting[0][0] <= now and len(turned_away) < self._pace.in_flight:
            entry = heapq.heappop(self._waiting)
            if self._room_for(entry[2]):
                yield self._begin(entry[2])
            else:
                turned_away.append(entry)
        for entry in turned_away:
            heapq.heappush(self._waiting, entry)

    def _wake(self) -> None:
        """Bring the dead forward: before all others those that hang where somebody has answered, on the same uplink, behind it, or in
        front of it; then some of those that would wait longest."""
        if not self._woken:
            return
        now, woken, rumours = self._clock.monotonic(), self._woken, self._rumours
        self._woken, self._rumours = set(), 0
        waiting: list[tuple[float, int, K]] = []
        for due, order, key in sorted(self._waiting, reverse=True):
            sooner = due
            if due > now and self._dead(key):
                if key in woken or self._groups.get(key) in woken:
                    sooner = now - self._pace.interval_s
                elif rumours > 0:
                    sooner, rumours = now, rumours - 1
            waiting.append((sooner, order, key))
        self._waiting = waiting
        heapq.heapify(self._waiting)

    def _is_off(self, key: K) -> bool:
        return key in self._misses or key in self._returning or key in self._unclear

    def _per_tick(self) -> float:
        round_s = min(self._pace.first_round_s, self._pace.interval_s) if self._first_left else self._pace.interval_s
        return len(self._ring) * self._pace.tick_s / round_s

    def _room_for(self, key: K) -> bool:
        pool, group = self._pool(key), self._groups.get(key)
        if pool is Pool.DEAD:
            return self._slots[pool] < self._pace.dead_in_flight
        return self._slots[pool] < self._pace.in_flight and (group is None or self._per_group[pool, group] < self._pace.per_group)

    def _pool(self, key: K) -> Pool:
        if self._dead(key):
            return Pool.DEAD
        return Pool.SUSPECT if self._is_off(key) else Pool.RING

    def _dead(self, key: K) -> bool:
        return self._misses[key] >= self._pace.dead_after

    # -- one visit

    def _begin(self, key: K) -> K:
        pool = self._under_way[key] = self._pool(key)
        self._slots[pool] += 1
        self._per_group[pool, self._groups.get(key)] += 1
        return key

    async def _make(self, key: K) -> None:
        pool, group = self._under_way[key], self._groups.get(key)
        answered: bool | None = False
        try:
            answered = await self._visit(key)
        finally:
            self.visits += 1
            del self._under_way[key]
            self._slots[pool] -= 1
            self._per_group[pool, group] -= 1
            if not self._per_group[pool, group]:
                del self._per_group[pool, group]
            self._note(key, answered=answered)

    def _note(self, key: K, *, answered: bool | None) -> None:
        self._unclear.discard(key)
        if key not in self._groups:
            del self._misses[key], self._returning[key]
        elif answered:
            self._note_answer(key)
        elif answered is None:
            if not self._is_off(key):
                self._unclear.add(key)
            self._wait_for(key)
        else:
            del self._returning[key]
            self._misses[key] += 1
            self._wait_for(key)

    def _note_answer(self, key: K) -> None:
        """One that was off the ring is visited again soon, a few times, before it goes back there."""
        if self._dead(key):
            self._woken |= {key, self._groups.get(key)} - {None}
            self._rumours += RUMOUR
        left = CONFIRMATIONS if self._misses.pop(key, 0) else self._returning.pop(key, 0) - 1
        if left > 0:
            self._returning[key] = left
            self._wait(key, self._pace.suspect_s)

    def _wait_for(self, key: K) -> None:
        """As long as befits what it has missed so far."""
        beyond = self._misses[key] - self._pace.dead_after
        self._wait(key, self._pace.suspect_s if beyond < 0 else min(self._pace.dead_s * 2 ** min(beyond, 16), self._pace.dead_max_s))

    def _wait(self, key: K, pause_s: float) -> None:
        heapq.heappush(self._waiting, (self._clock.monotonic() + pause_s, next(self._order), key))


def _spread(groups: Mapping[K, Hashable], per_group: int) -> list[K]:
    sizes = Counter(group for group in groups.values() if group is not None)
    placed: Counter[Hashable] = Counter()
    ordinals: dict[Hashable, int] = {}
    places: list[tuple[float, int, K]] = []
    for number, (key, group) in enumerate(groups.items()):
        place = number / len(groups)
        if sizes[group] > per_group:
            shift = ordinals.setdefault(group, len(ordinals)) * _GOLDEN % 1.0
            place, placed[group] = (placed[group] + shift) / sizes[group], placed[group] + 1
        places.append((place, number, key))
    return [key for _, _, key in sorted(places)]
