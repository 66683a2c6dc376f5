import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from gateway.broadcast.pacing.core import Chorus, Numbers, Shape, Whole
from gateway.broadcast.pacing.wire import RING_FROM, SHARED_FROM, VECTOR_FROM, UdpLine, Wire
from tests.broadcast.pacing.rings import WAYS, Way

TURNS = 100


def drain(ear: socket.socket) -> list[str]:
    """To which addresses something came."""
    heard = []
    with suppress(BlockingIOError):
        while True:
            _, ancillary, _, _ = ear.recvmsg(2_048, 64)
            heard.append(socket.inet_ntoa(ancillary[0][2][8:12]))
    return heard


@pytest.mark.parametrize("count", [VECTOR_FROM - 1, VECTOR_FROM, SHARED_FROM, SHARED_FROM + 101])
def test_each_of_many_gets_each_packet_once_and_who_cannot_be_reached_is_told(count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        ear.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
        ear.bind(("0.0.0.0", 0))
        ear.setblocking(False)
        ours.bind(("127.0.0.1", 0))
        hosts = [f"127.40.{number // 200}.{number % 200 + 1}" for number in range(count)]
        hosts[0] = hosts[-1] = "192.0.2.1"  # not from an address of loopback
        lines = [UdpLine(number, ours, (host, ear.getsockname()[1])) for number, host in enumerate(hosts)]
        chorus = Chorus(Whole(bytes(160 * TURNS), Shape(8_000, 160, b"\xd5")), lines, payload_type=8, numbers=Numbers(1, 1, 1))
        wire = Wire()
        chorus.voice.begin(0.0)
        for turn in range(TURNS):
            packet = chorus.voice.take(0.02 * turn)
            assert packet is not None
            assert list(wire.send(chorus, packet)) == [lines[0], lines[-1]]
            assert sorted(drain(ear)) == sorted(hosts[1:-1])
            chorus.sent(0.02 * turn, [])
        assert not two_threads(wire, chorus)  # who began together is served by one thread before long
        chorus.changes += 1
        assert list(wire.send(chorus, packet)) == [lines[0], lines[-1]]
        assert not two_threads(wire, chorus)  # and stays so when somebody leaves
    assert sum(thread.name == "second sender" for thread in threading.enumerate()) <= 1


def two_threads(wire: Wire, chorus: Chorus) -> bool:
    return any(getattr(part, "_second", None) is not None for part in wire._choirs[chorus]._parts)


@pytest.mark.parametrize("count", [VECTOR_FROM - 1, VECTOR_FROM])
@pytest.mark.parametrize("connected", [False, True], ids=["addressed", "connected"])
@pytest.mark.parametrize("here", ["127.0.0.1", "::1"])
def test_those_of_one_socket_are_sent_to_alike_by_one_call_and_by_a_call_each(here: str, connected: bool, count: int) -> None:
    family = socket.AF_INET6 if ":" in here else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as ear, socket.socket(family, socket.SOCK_DGRAM) as ours:
        ear.bind((here, 0))
        ear.setblocking(False)
        if connected:
            ours.connect(ear.getsockname())
        lines = [UdpLine(number, ours, None if connected else (here, ear.getsockname()[1])) for number in range(count)]
        chorus = Chorus(Whole(bytes(160), Shape(8_000, 160, b"\xd5")), lines, payload_type=8, numbers=Numbers(1, 1, 1))
        chorus.voice.begin(0.0)
        packet = chorus.voice.take(0.0)
        assert packet is not None
        assert not list(Wire().send(chorus, packet))
        heard = [ear.recv(2_048) for _ in range(count)]
        assert heard == [chorus.header(packet) + bytes(packet.payload)] * count
        with pytest.raises(BlockingIOError):
            ear.recv(2_048)


@WAYS
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_each_of_many_is_sent_to_from_the_socket_of_its_own(way: Way, family: socket.AddressFamily) -> None:
    here = "127.0.0.1" if family == socket.AF_INET else "::1"
    ring = way()
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(2 * RING_FROM + 4)]
        for sock in made:
            sock.bind((here, 0))
            sock.setblocking(False)
        ours, ears = made[::2], made[1::2]
        lines = [UdpLine(number, sock, (here, ear.getsockname()[1])) for number, (sock, ear) in enumerate(zip(ours, ears, strict=True))]
        ours[3].connect(ears[3].getsockname())
        lines[3].destination = None
        unreachable = lines[5:6] if family == socket.AF_INET else []
        for line in unreachable:
            line.destination = ("192.0.2.1", 9)  # not from an address of loopback
        chorus = Chorus(Whole(bytes(160 * TURNS), Shape(8_000, 160, b"\xd5")), lines, payload_type=8, numbers=Numbers(1, 0, 0))
        wire = Wire(ring)
        chorus.voice.begin(0.0)
        for turn in range(TURNS):
            packet = chorus.voice.take(0.02 * turn)
            assert packet is not None
            assert list(wire.send(chorus, packet)) == unreachable
            chorus.sent(0.02 * turn, [])
            for number, (sock, ear) in enumerate(zip(ours, ears, strict=True)):
                if lines[number] not in unreachable:
                    data, sender = ear.recvfrom(2_048)
                    assert (len(data), int.from_bytes(data[2:4]), sender) == (172, turn, sock.getsockname())
    if ring is not None:
        assert ring.addressed
        ring.close()
