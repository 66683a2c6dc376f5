"""Pairs of UDP ports, for RTP and RTCP."""

import socket
from collections.abc import Sequence

from gateway.errors import Unreachable

_PAIR_TRIES = 16
# Linux, ip(7): never fragment, and believe no message about the path: our packets are small, and the kernel then need not number them.
_MTU_DISCOVER, _MTU_PROBE = 10, 3
_REPORTS_AT_ONCE, _REPORT_LIMIT = 256, 1_500


class UdpPair:
    """An even port for RTP and the odd one above for RTCP (RFC 3550, 11), connected to the inventory's address alone."""

    def __init__(self, local_address: str) -> None:
        self._family = socket.AF_INET6 if ":" in local_address else socket.AF_INET
        self._rtp, self._rtcp = self._bind(local_address)
        self.port: int = self._rtp.getsockname()[1]

    def _bind(self, address: str) -> tuple[socket.socket, socket.socket]:
        for _ in range(_PAIR_TRIES):
            first = self._socket(address, 0)
            port = first.getsockname()[1]
            try:
                if port % 2 == 0:
                    return first, self._socket(address, port + 1)
            except OSError:
                pass
            first.close()
        raise Unreachable("no free pair of UDP ports for RTP", code="no-ports")

    def _socket(self, address: str, port: int) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            if self._family == socket.AF_INET:
                made.setsockopt(socket.IPPROTO_IP, _MTU_DISCOVER, _MTU_PROBE)
            made.bind((address, port))
        except OSError:
            made.close()
            raise
        return made

    @property
    def socket(self) -> socket.socket:
        """The one for RTP."""
        return self._rtp

    def connect(self, address: str, port: int) -> None:
        self._rtp.connect((address, port))
        self._rtcp.connect((address, port + 1))

    def send(self, packet: bytes) -> bool:
        try:
            return self._rtp.send(packet) == len(packet)
        except OSError:  # the queue is full, or an ICMP error of an earlier packet is reported
            return False

    def reports_from(self) -> Sequence[tuple[bytes, str]]:
        """The RTCP packets that wait, `_REPORTS_AT_ONCE` at the most, each with its sender's address."""
        found: list[tuple[bytes, str]] = []
        try:
            while len(found) < _REPORTS_AT_ONCE:
                report, sender = self._rtcp.recvfrom(_REPORT_LIMIT)
                found.append((report, sender[0]))
        except OSError:
            pass
        return found

    def reports(self) -> Sequence[bytes]:
        """The RTCP packets that wait, `_REPORTS_AT_ONCE` at the most: a device that floods costs no more than that."""
        found: list[bytes] = []
        try:
            while len(found) < _REPORTS_AT_ONCE:
                found.append(self._rtcp.recv(_REPORT_LIMIT))
        except OSError:  # none is left, or an ICMP error is told here
            pass
        return found

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()
