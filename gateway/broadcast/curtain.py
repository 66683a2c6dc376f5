"""The curtain: all deliveries of a broadcast that are ready begin in one moment, and are said to play before the first packet."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from gateway.broadcast.journal import Journal
from gateway.broadcast.pacing.stream import Pacer, Stream
from gateway.clock import Clock
from gateway.domain.broadcast import Delivery
from gateway.errors import GatewayError


class Entrant(Protocol):
    """One that waits for the curtain; `stream`: what is sent to it, None where its device plays by itself."""

    delivery: Delivery
    stream: Stream | None
    stopped: bool

    def begin(self) -> Delivery | None:
        """The delivery as it is once its sound begins, or goes on, now; None when it may not."""
        ...

    def goes_on_from(self, before: Delivery) -> bool:
        """Whether nobody has stopped it, or asked it to give way, since it was `before`."""
        ...

    def must_be_in_time(self) -> None:
        """End what is said to play, and would begin after its time."""
        ...


class Curtain:
    """Rises once for all parts that are ready; who comes later begins when ready. Before each rise PLAYING is made durable."""

    def __init__(self, parts: Iterable[Entrant], *, clock: Clock, journal: Journal, pacer: Pacer, patience_s: float) -> None:
        """`patience_s`: how long those that are ready wait for the others."""
        self._present = set(parts)  # who may rise, again after an interruption
        self._awaited = set(self._present)
        self._patience_s = patience_s
        self._ready: dict[Entrant, asyncio.Future[None]] = {}
        self._clock = clock
        self._journal = journal
        self._pacer = pacer
        self._up = False
        self._somebody = asyncio.Event()
        self._stirred = asyncio.Event()

    def join(self, part: Entrant) -> None:
        """One more shall be waited for: in the place of one that has not left yet."""
        self._present.add(part)
        self._awaited.add(part)

    async def rise(self, part: Entrant) -> None:
        """Return once the part's stream has begun. Raises what kept it from beginning."""
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready[part] = begun
        self._awaited.discard(part)
        self._somebody.set()
        self._stirred.set()
        try:
            await begun
        finally:
            if self._ready.get(part) is begun:
                del self._ready[part]

    def leave(self, part: Entrant) -> None:
        """Nobody shall wait for `part`."""
        self._present.discard(part)
        self._awaited.discard(part)
        self._stirred.set()

    async def run(self) -> None:
        """Work until every part has left."""
        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._lose_patience(), name="patience")
            while self._present:
                await self._stirred.wait()
                self._stirred.clear()
                if self._ready and (self._up or not self._awaited):
                    self._up = True
                    await self._begin()
            patience.cancel()

    async def _lose_patience(self) -> None:
        """Those who are ready wait so long for the others and no longer."""
        await self._somebody.wait()
        await self._clock.sleep(self._patience_s)
        self._up = True
        self._stirred.set()

    async def _begin(self) -> None:
        wave, self._ready = self._ready, {}
        playing: dict[Entrant, tuple[Delivery, Delivery]] = {}

        def sent() -> list[Delivery]:
            """Asked inside the transaction, so that who was stopped, or turned away, meanwhile is not said to play."""
            waiting = [part for part, begun in wave.items() if not begun.done()]
            playing.update({part: (part.delivery, begun) for part in waiting if (begun := part.begin()) is not None})
            return [begun for _, begun in playing.values()]

        try:
            await self._journal.commit(sent)
        except GatewayError as error:
            _tell(wave.values(), error)
            return
        going = [part for part, (before, _) in playing.items() if part.goes_on_from(before) and not wave[part].done()]
        for part in playing:
            if part in going:
                part.delivery = playing[part][1]
                part.must_be_in_time()  # the store may have taken long
            else:
                self._journal.put(part.delivery)  # the store was told that it plays
        going = [part for part in going if not part.stopped]
        self._pacer.start(dict.fromkeys(part.stream for part in going if part.stream is not None))  # one may be of many
        _tell((wave[part] for part in going), None)


def _tell(waiting: Iterable[asyncio.Future[None]], error: GatewayError | None) -> None:
    for begun in waiting:
        if begun.done():
            continue
        if error is None:
            begun.set_result(None)
        else:
            begun.set_exception(error)
