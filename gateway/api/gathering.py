"""Reads what many talkers say together, just before the pacer sends: one wake of the loop for all of them, not one for each frame.

To wake, look at the selector and find the callback costs more than to read a frame. The pacer fetches what has come at multiples of
`LIVE_SLOT_S` of the machine's clock; what is read `AHEAD_S` before one is in time for it, and was not waited for before.
"""

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gateway.broadcast.pacing.core import LIVE_SLOT_S

FROM = 3
"""Connections that are read together; fewer, of 50 frames a second each, wake the loop no more often than the slots do."""
AHEAD_S = 0.003
"""The loop wakes up to one millisecond late, and takes the frames of fifty talkers in two."""
READ_BYTES = 1 << 12
"""At a time: some frames. asyncio's usual 256 KiB cost four times as much as the read itself."""
_READS = 32  # of one connection in a row: more than one that stood still for two seconds has to deliver

Leave = Callable[[], None]


def is_plain(transport: asyncio.BaseTransport | None) -> bool:
    """Whether what its socket has is what was sent: a connection of asyncio's selector loop, and nothing of TLS."""
    return hasattr(transport, "max_size")


@dataclass(slots=True, eq=False)
class _Ear:
    transport: asyncio.Transport
    protocol: asyncio.Protocol
    descriptor: int


class Gathering:
    """The connections of one loop on which people speak.

    Who has joined is read by the loop as ever while they are few. Where a connection ends or breaks, it is left to the loop, which finds
    that out once more and does what it does then.
    """

    def __init__(self) -> None:
        self._ears: dict[int, _Ear] = {}
        self._poll: select.epoll | None = None
        self._next: asyncio.TimerHandle | None = None

    def join(self, transport: asyncio.Transport) -> Leave:
        """Have `transport`, which must be plain, read with the others; what is returned has the loop read it again."""
        ear = _Ear(transport, transport.get_protocol(), transport.get_extra_info("socket").fileno())  # type: ignore[arg-type]  # of a socket
        self._ears[ear.descriptor] = ear
        if self._poll is not None:
            self._gather(self._poll, ear)
        elif len(self._ears) >= FROM:
            self._begin()
        return partial(self._leave, ear)

    def _leave(self, ear: _Ear) -> None:
        if self._ears.get(ear.descriptor) is not ear:
            return
        del self._ears[ear.descriptor]
        if self._poll is not None:
            with suppress(OSError):  # closed: the kernel has forgotten it
                self._poll.unregister(ear.descriptor)
            ear.transport.resume_reading()
            if len(self._ears) < FROM:
                self._end(self._poll)

    def _begin(self) -> None:
        self._poll = select.epoll()
        for ear in self._ears.values():
            self._gather(self._poll, ear)
        self._await_slot()

    def _end(self, poll: select.epoll) -> None:
        self._poll = None
        poll.close()
        if self._next is not None:
            self._next.cancel()
        for ear in self._ears.values():
            ear.transport.resume_reading()

    def _gather(self, poll: select.epoll, ear: _Ear) -> None:
        if not ear.transport.is_closing():
            ear.transport.pause_reading()
            poll.register(ear.descriptor, select.EPOLLIN)

    def _await_slot(self) -> None:
        loop = asyncio.get_running_loop()
        slot = (loop.time() + AHEAD_S) // LIVE_SLOT_S + 1
        self._next = loop.call_at(slot * LIVE_SLOT_S - AHEAD_S, self._read_all)

    def _read_all(self) -> None:
        self._await_slot()
        assert self._poll is not None
        for descriptor, _ in self._poll.poll(0):
            if (ear := self._ears.get(descriptor)) is not None:
                self._read(ear)

    def _read(self, ear: _Ear) -> None:
        for _ in range(_READS):
            try:
                data = os.read(ear.descriptor, READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._leave(ear)
                return
            ear.protocol.data_received(data)
            if len(data) < READ_BYTES or self._ears.get(ear.descriptor) is not ear:
                return
