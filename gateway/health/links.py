"""Our own links to the devices: whether their cables carry anything, as the kernel says (sysfs, /sys/class/net/NAME/carrier).

What is asked of names (DNS) plays no part here: devices are literal addresses of the inventory, so a name server that is gone makes nobody
silent. It can only keep notifiers from their receivers, and shows in their own log of deliveries.
"""

from collections.abc import Sequence
from pathlib import Path

from gateway.clock import Clock

SYSFS = Path("/sys/class/net")
_FRESH_S = 0.5  # how long one look holds; a cable that was out for less than that costs nobody a deadline


class OwnLinks:
    """The network interfaces `names` below `folder`; each is looked at again only when the last look is old."""

    def __init__(self, names: Sequence[str], clock: Clock, *, folder: Path = SYSFS) -> None:
        self._carriers = {name: folder / name / "carrier" for name in names}
        self._clock = clock
        self._lost: tuple[str, ...] = ()
        self._looked_at = float("-inf")
        self._lost_at = float("-inf")

    def look(self) -> Sequence[str]:
        """Those that carry nothing now: no cable, switched off, or not there at all."""
        now = self._clock.monotonic()
        if self._carriers and now - self._looked_at >= _FRESH_S:
            self._looked_at = now
            self._lost = tuple(name for name, carrier in self._carriers.items() if not _carries(carrier))
        if self._lost:
            self._lost_at = now
        return self._lost

    def lost_since(self, moment: float) -> bool:
        """Whether one of them was seen to carry nothing at any time from `moment` (monotonic) until now."""
        self.look()
        return self._lost_at >= moment


def _carries(carrier: Path) -> bool:
    try:
        return carrier.read_bytes().strip() == b"1"
    except OSError:  # EINVAL of one that is switched off, ENOENT of one that is gone
        return False
