"""Which notifications become events: not the same one again and again, and not more of one device than anybody would read."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.domain.devices import DeviceId

AGAIN_S: Final = 60.0
"""The same notification of a device is told again after so long, with how often it came meanwhile."""
BURST: Final = 20.0
EVERY_S: Final = 6.0
"""Events of one device: so many at once, then one each so many seconds."""
REMEMBERED: Final = 20_000


@dataclass(slots=True)
class _Told:
    at: float
    unsaid: int = 0


class Teller:
    """Decides by device, notification and key. Remembers a bounded number of them, the latest."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[DeviceId, str, str], _Told] = OrderedDict()
        self._buckets: OrderedDict[DeviceId, tuple[float, float]] = OrderedDict()
        self.unsaid = 0

    def tell(self, device: DeviceId, trap: str, key: str, now: float) -> int | None:
        """How often it came since it was told last, itself not counted; None when it is not to be told now."""
        place = (device, trap, key)
        told = self._told.get(place)
        if (told is not None and now - told.at < AGAIN_S) or not self._may(device, now):
            told = self._told.setdefault(place, _Told(-AGAIN_S)) if told is None else told
            told.unsaid += 1
            self.unsaid += 1
            self._trim()
            return None
        unsaid = told.unsaid if told else 0
        self._told[place] = _Told(now)
        self._told.move_to_end(place)
        self._trim()
        return unsaid

    def _may(self, device: DeviceId, now: float) -> bool:
        tokens, at = self._buckets.get(device, (BURST, now))
        tokens = min(BURST, tokens + (now - at) / EVERY_S)
        self._buckets[device] = (tokens - 1 if tokens >= 1 else tokens, now)
        self._buckets.move_to_end(device)
        return tokens >= 1

    def _trim(self) -> None:
        for kept in (self._told, self._buckets):
            while len(kept) > REMEMBERED:
                kept.popitem(last=False)
