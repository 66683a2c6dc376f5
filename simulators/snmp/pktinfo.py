"""One datagram socket for all addresses of the city: what came says where to, what goes says where from (Linux, IP_PKTINFO)."""

import socket
import struct
from collections.abc import Iterator
from typing import Final

from simulators.http import is_loopback

IP_PKTINFO: Final = 8  # Linux, linux/in.h; the socket module names it only from Python 3.12 on
BATCH: Final = 256
"""Datagrams taken in one turn of the loop."""
BUFFER_BYTES: Final = 4 * 1024 * 1024
_HEAD: Final = socket.CMSG_SPACE(12)

Address = tuple[str, int]


def bound(port: int) -> socket.socket:
    """The socket on `port` of all addresses (0: any free one). Raises OSError when it is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind(("0.0.0.0", port))
    except OSError:
        sock.close()
        raise
    return sock


def received(sock: socket.socket) -> Iterator[tuple[bytes, bytes, Address]]:
    """What waits: the datagram, the address that it was sent to, who sent it. A peer that is not on loopback goes unheard."""
    for _ in range(BATCH):
        try:
            data, control, _, peer = sock.recvmsg(65_535, _HEAD)
        except (BlockingIOError, ConnectionRefusedError):
            return
        if control and is_loopback(peer[0]):
            yield data, control[0][2][8:12], peer


def send_from(sock: socket.socket, data: bytes, local: bytes, peer: Address) -> bool:
    """Send from an address; False for what does not fit into the socket, which is lost as on a wire."""
    source = struct.pack("=i4s4s", 0, local, b"\x00\x00\x00\x00")
    try:
        sock.sendmsg((data,), ((socket.IPPROTO_IP, IP_PKTINFO, source),), 0, peer)
    except OSError:
        return False
    return True
