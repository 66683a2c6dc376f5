"""One packet to many RTSP connections, through the ring and by a call each: whole frames and whole messages for everybody, whoever else
reads nothing or hangs up."""

import select
import socket
import struct
from collections.abc import Iterator

import pytest

from gateway.broadcast.pacing.core import Chorus, Conductor, Numbers, Packet, Shape, Whole
from gateway.broadcast.pacing.wire import QUEUE_BYTES, RING_FROM, TcpLine, Wire
from tests.broadcast.pacing.rings import WAYS, Way, ring_of

SHAPE = Shape(8_000, 160, b"\xd5")
LARGE = Shape(1_000_000, 20_000, b"\xd5")
COUNT = RING_FROM + 4
MESSAGE = b"OPTIONS * RTSP/1.0\r\nCSeq: 7\r\n\r\n"


class Peer:
    """A loudspeaker's end of a connection, with so many bytes of room. `received` is what it has read."""

    def __init__(self, listener: socket.socket, number: int, room: int) -> None:
        ours = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room // 2)
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours.connect(listener.getsockname())
        self.socket, _ = listener.accept()
        self.socket.setblocking(False)
        self.line = TcpLine(number, ours, 0)
        self.received = b""

    def read(self) -> None:
        try:
            while data := self.socket.recv(1 << 16):
                self.received += data
        except BlockingIOError:
            pass

    def make_room(self) -> None:
        """Read until there is room for more."""
        while not select.select([], [self.line.socket], [], 0.01)[1]:
            self.read()
        self.read()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def parts(self) -> tuple[list[int], int]:
        """The packets that came, by their sequence numbers, and how many messages between them; nothing else may have come."""
        numbers, messages, rest = [], 0, self.received
        while rest:
            if rest.startswith(MESSAGE):
                messages, rest = messages + 1, rest[len(MESSAGE) :]
                continue
            assert rest[:4] == b"$\x00\x00\xac"
            assert len(rest) >= 176
            assert rest[16:176] == bytes(160)
            numbers.append(struct.unpack_from("!H", rest, 6)[0])
            rest = rest[176:]
        return numbers, messages


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    """The first one has little room."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(COUNT)
        made = [Peer(listener, number, 1 << (18 if number else 14)) for number in range(COUNT)]
        yield made
        for peer in made:
            peer.socket.close()
            peer.line.socket.close()


class Stage:
    """One chorus for all of them, sent to turn by turn."""

    def __init__(self, way: Way, peers: list[Peer], shape: Shape = SHAPE) -> None:
        self.ring = way()
        self.wire = Wire(self.ring)
        self.chorus = Chorus(
            Whole(bytes(shape.packet_bytes * 5_000), shape), [peer.line for peer in peers], payload_type=8, numbers=Numbers(1, 0, 0)
        )
        self.conductor = Conductor()
        self.conductor.begin([self.chorus], 0.0)
        self.turns = 0

    def turn(self, times: int = 1) -> list[int]:
        """Who was lost by that."""
        ended = []
        for _ in range(times):
            ended += self.conductor.turn(0.02 * self.turns, self.wire.send)
            self.turns += 1
        return [each.listener.number for each in ended]


@pytest.fixture
def stage(way: Way, peers: list[Peer]) -> Iterator[Stage]:
    made = Stage(way, peers)
    yield made
    if made.ring is not None:
        made.ring.close()


@WAYS
def test_everybody_gets_every_packet_in_order(stage: Stage, peers: list[Peer]) -> None:
    assert stage.turn(20) == []
    for peer in peers:
        peer.read()
        assert peer.parts() == (list(range(20)), 0)


@WAYS
def test_who_is_slow_misses_whole_packets_and_nobody_else_any(stage: Stage, peers: list[Peer]) -> None:
    slow, *others = peers
    for _ in range(5):
        missed = slow.line.dropped
        while slow.line.dropped < missed + 20:
            assert stage.turn() == []
            for peer in others:
                peer.read()
        slow.make_room()
    stage.turn()
    for peer in others:
        peer.read()
    while not slow.line.clear:
        slow.make_room()
        slow.line.flush()
    slow.read()
    numbers, _ = slow.parts()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == stage.turns - 1
    assert stage.chorus.tally(slow.line).dropped == stage.turns - len(numbers) == 100
    assert all(peer.parts()[0] == list(range(stage.turns)) for peer in others)


@WAYS
def test_who_reads_nothing_for_a_second_is_lost_alone(stage: Stage, peers: list[Peer]) -> None:
    lost = []
    while not lost:
        lost = stage.turn()
        for peer in peers[1:]:
            peer.read()
    assert lost == [0]
    assert peers[0].line.dropped >= 50
    assert all(peer.parts()[0] == list(range(stage.turns)) for peer in peers[1:])


@WAYS
def test_who_resets_is_lost_at_once_and_alone(stage: Stage, peers: list[Peer]) -> None:
    assert stage.turn(3) == []
    peers[3].reset()
    peers[COUNT - 1].reset()
    assert sorted(stage.turn()) == [3, COUNT - 1]
    assert stage.turn(3) == []
    for peer in peers[:3] + peers[4:-1]:
        peer.read()
        assert peer.parts() == (list(range(7)), 0)


@WAYS
def test_messages_go_between_frames_and_before_what_is_due_after_them(stage: Stage, peers: list[Peer]) -> None:
    jammed, quick = peers[0], peers[1]
    stage.turn(2)
    quick.line.write(MESSAGE)
    while jammed.line._waiting_bytes + len(MESSAGE) <= QUEUE_BYTES:
        jammed.line.write(MESSAGE)
    for _ in range(10):
        jammed.line.write(MESSAGE)
        assert jammed.line._waiting_bytes <= QUEUE_BYTES
    stage.turn(2)
    while not jammed.line.clear:
        jammed.make_room()
        stage.turn()
    jammed.make_room()  # our queue is empty, but the kernel's may be full
    stage.turn()
    for peer in peers:
        peer.read()
    assert quick.parts() == (list(range(stage.turns)), 1)
    numbers, messages = jammed.parts()
    assert numbers[:2] == [0, 1]
    assert numbers[2] >= 4
    assert numbers[-1] == stage.turns - 1
    assert jammed.received.rindex(MESSAGE) < jammed.received.index(b"$\x00\x00\xac", 2 * 176 + 1)
    assert messages * len(MESSAGE) > QUEUE_BYTES
    assert peers[2].parts() == (list(range(stage.turns)), 0)


@WAYS
def test_of_a_frame_that_is_taken_in_part_the_rest_follows_before_anything_else(way: Way, peers: list[Peer]) -> None:
    stage, slow, size = Stage(way, peers, LARGE), peers[0], 16 + LARGE.packet_bytes
    while slow.line.dropped < 8:
        assert stage.turns < 500
        assert stage.turn() == []
        for peer in peers[1:]:
            peer.read()
        if not slow.line.clear:
            slow.make_room()
    while not slow.line.flush():
        slow.make_room()
    for peer in peers:
        peer.read()
    frames = [slow.received[at : at + size] for at in range(0, len(slow.received), size)]
    numbers = [int.from_bytes(frame[6:8]) for frame in frames]
    assert all(frame[:4] == b"$\x00" + (size - 4).to_bytes(2) and frame[16:] == bytes(size - 16) for frame in frames)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == stage.turns - slow.line.dropped
    assert all(len(peer.received) == stage.turns * size for peer in peers[1:])
    if stage.ring is not None:
        stage.ring.close()


@WAYS
def test_who_left_is_sent_nothing_by_the_next_turn(stage: Stage, peers: list[Peer]) -> None:
    stage.turn(2)
    gone = stage.conductor.stop(peers[5].line)
    assert gone is not None
    assert gone.tally.packets == 2
    peers[5].line.socket.close()
    stage.turn(2)
    for peer in peers:
        peer.read()
    assert peers[5].parts()[0] == [0, 1]
    assert peers[6].parts()[0] == [0, 1, 2, 3]


@WAYS
def test_lines_of_several_channels_and_sizes_are_served(way: Way, peers: list[Peer]) -> None:
    for peer in peers[::2]:
        peer.line.channel = 2
    stage = Stage(way, peers)
    packet = Packet(bytes(160), 0, False)
    assert not stage.wire.send(stage.chorus, packet)
    for peer in peers:
        peer.read()
        assert peer.received[1] == peer.line.channel
        assert len(peer.received) == 176


def test_after_a_kernel_that_puts_a_frame_off_each_is_sent_to_by_a_call(peers: list[Peer]) -> None:
    stage = Stage(ring_of, peers)
    assert stage.turn() == []
    while not peers[0].line.dropped:
        stage.turn()
        for peer in peers[1:]:
            peer.read()
    sends = stage.wire._choirs[stage.chorus]._parts[0]._sends
    struct.pack_into("=I", sends.requests, 28, 0)  # the first one's may wait: no MSG_DONTWAIT
    peers[0].line._tail = b""
    peers[0].line.unclear.clear()
    assert stage.turn() == [0]
    assert not stage.wire.batched
    assert stage.turn(3) == []
    for peer in peers[1:]:
        peer.read()
        assert peer.parts() == (list(range(stage.turns)), 0)
    assert stage.ring is not None
    stage.ring.close()
