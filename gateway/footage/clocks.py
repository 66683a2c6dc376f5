"""How the clock of a device was when it recorded: by what was measured then, else by what came nearest to that."""

from typing import Protocol

from gateway.domain.devices import DeviceId
from gateway.domain.footage import ClockReading, Period, read_clock
from gateway.domain.health import Board
from gateway.storage.store import Store


class Clocks(Protocol):
    """Who knows how devices' clocks were."""

    async def of(self, device: DeviceId, window: Period) -> ClockReading: ...


class KnownClocks:
    """By the history in the store, and today's standing on the board."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board

    async def of(self, device: DeviceId, window: Period) -> ClockReading:
        """How the clock of `device` was during `window`. StorageFailed."""
        async with self._store.read() as tx:
            runs = await tx.clocks.around(device, window)
        return read_clock(runs, window, self._board[device].offset)
