"""UDP ports that talks share: one pair of them speaks to many loudspeakers, so that the kernel takes one packet for all in one call."""

import socket
from collections import deque
from collections.abc import Callable, Sequence

from gateway.drivers.rtp.udp import UdpPair

_KEPT = 4  # reports of one device that wait to be asked for; the latest counts


class Pairs:
    """All pairs, by our own address. Two talks with devices behind one address (NAT) never share one."""

    def __init__(self) -> None:
        self._pairs: dict[str, list[_Shared]] = {}  # bounded by the talks under way

    def take(self, local: str, address: str) -> "Seat":
        """A seat for a talk with the device at `address`. Raises Unreachable when no port is left."""
        known = self._pairs.setdefault(local, [])
        pair = next((pair for pair in known if not pair.has(address)), None)
        if pair is None:
            pair = _Shared(UdpPair(local), known.remove)
            known.append(pair)
        pair.join(address)
        return Seat(pair, address)


class _Shared:
    """A pair that is open as long as somebody sits on it."""

    def __init__(self, pair: UdpPair, gone: "Callable[[_Shared], None]") -> None:
        self.pair = pair
        self._gone = gone
        self._waiting: dict[str, deque[bytes]] = {}

    def has(self, address: str) -> bool:
        return address in self._waiting

    def join(self, address: str) -> None:
        self._waiting[address] = deque(maxlen=_KEPT)

    def leave(self, address: str) -> None:
        self._waiting.pop(address, None)
        if not self._waiting:
            self._gone(self)
            self.pair.close()

    def reports(self, address: str) -> Sequence[bytes]:
        """What the device there reported; what comes from nobody that is spoken to is dropped."""
        for report, sender in self.pair.reports_from():
            if sender in self._waiting:
                self._waiting[sender].append(report)
        kept = self._waiting.get(address)
        if kept is None:
            return ()
        found = list(kept)
        kept.clear()
        return found


class Seat:
    """One talk's place on a pair: it sends to its own device, and only what that device reports is its own."""

    def __init__(self, shared: _Shared, address: str) -> None:
        self.port = shared.pair.port
        self.destination = (address, 0)
        self._shared = shared
        self._open = True

    @property
    def socket(self) -> socket.socket:
        """What RTP is sent from, to `destination`; not connected."""
        return self._shared.pair.socket

    def connect(self, port: int) -> None:
        self.destination = (self.destination[0], port)

    def send(self, packet: bytes) -> bool:
        try:
            return self.socket.sendto(packet, self.destination) == len(packet)
        except OSError:  # the queue is full, or there is no way
            return False

    def reports(self) -> Sequence[bytes]:
        return self._shared.reports(self.destination[0])

    def close(self) -> None:
        if self._open:
            self._open = False
            self._shared.leave(self.destination[0])
