"""The ring on the kernel at hand: what leaves it, and what it tells of those who take nothing, little, or are gone."""

import errno
import os
import random
import socket
import struct
from collections.abc import Iterator

import pytest

from gateway.broadcast.pacing.uring import Ring, Sends
from tests.broadcast.pacing.rings import ring_of

FRAME = bytes(range(16))


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(11)]
    for _, theirs in made:
        theirs.setblocking(False)
    yield made
    for sock in (sock for pair in made for sock in pair):
        sock.close()


def sends_to(pairs: list[tuple[socket.socket, socket.socket]], frame: bytes = FRAME) -> Sends:
    sends = Sends([ours.fileno() for ours, _ in pairs], len(frame))
    sends.frame[:] = frame
    return sends


def fill(sock: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(bytes(4_096), socket.MSG_DONTWAIT)


@pytest.mark.parametrize("entries", [1, 4, 8, 64])
def test_each_gets_every_frame_in_order_however_small_the_ring(pairs: list, entries: int) -> None:
    ring = ring_of(entries)
    sends = sends_to(pairs)
    for number in range(40):
        sends.frame[0] = number
        assert ring.send(sends) == []
    for _, theirs in pairs:
        assert theirs.recv(1 << 16) == b"".join(bytes([number]) + FRAME[1:] for number in range(40))
    ring.close()


@pytest.mark.parametrize("entries", [4, 64])
def test_who_has_no_room_or_is_gone_is_told_and_keeps_nobody_waiting(pairs: list, entries: int) -> None:
    ring = ring_of(entries)
    fill(pairs[2][0])
    pairs[5][1].close()
    pairs[10][1].close()
    sends = sends_to(pairs)
    for _ in range(20):
        assert ring.send(sends) == [(2, -errno.EAGAIN), (5, -errno.EPIPE), (10, -errno.EPIPE)]
    assert pairs[3][1].recv(1 << 16) == 20 * FRAME
    assert ring.sound
    ring.close()


def test_a_descriptor_that_was_closed_is_told_for_itself_alone(pairs: list) -> None:
    ring = ring_of(16)
    sends = sends_to(pairs)
    pairs[4][0].close()
    assert ring.send(sends) == [(4, -errno.EBADF)]
    assert pairs[10][1].recv(1 << 16) == FRAME
    ring.close()


def test_of_a_frame_that_was_taken_in_part_so_much_is_told(pairs: list) -> None:
    ring = ring_of(16)
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    sends = sends_to([(ours, theirs)], bytes(100_000))
    told = [odd for _ in range(200) for odd in ring.send(sends)]
    assert 0 < told[0][1] < 100_000
    assert told[-1] == (0, -errno.EAGAIN)
    for sock in (listener, ours, theirs):
        sock.close()
    ring.close()


def test_who_is_skipped_gets_nothing_until_resumed(pairs: list) -> None:
    ring = ring_of(16)
    sends = sends_to(pairs)
    sends.skip(3)
    assert ring.send(sends) == [(3, 0)]
    sends.resume(3)
    assert ring.send(sends) == []
    assert [len(theirs.recv(1 << 16)) for _, theirs in pairs[2:4]] == [32, 16]
    ring.close()


def test_a_frame_of_another_size_is_refused(pairs: list) -> None:
    with pytest.raises(ValueError, match="structures"):
        sends_to(pairs).frame[:] = bytes(17)


def test_thousands_of_turns_with_now_and_then_somebody_odd(pairs: list) -> None:
    """The queues' counters go round many times; each answer belongs to its request."""
    ring, rng = ring_of(8), random.Random(7)
    sends, skipped = sends_to(pairs), set()
    for _ in range(3_000):
        number = rng.randrange(len(pairs))
        (sends.resume if number in skipped else sends.skip)(number)
        skipped ^= {number}
        assert ring.send(sends) == [(number, 0) for number in sorted(skipped)]
        for _, theirs in pairs:
            try:
                assert len(theirs.recv(64)) == 16
            except BlockingIOError:
                pass
    ring.close()


def test_a_kernel_that_puts_a_request_off_is_not_asked_again(pairs: list) -> None:
    ring = ring_of(16)
    fill(pairs[2][0])
    sends = sends_to(pairs)
    struct.pack_into("=I", sends.requests, 2 * 64 + 28, 0)  # may wait: no MSG_DONTWAIT
    assert ring.send(sends) == [(2, -errno.ECANCELED)]
    assert not ring.sound
    ring.close()


def test_what_was_not_taken_up_is_told_as_not_taken(pairs: list) -> None:
    ring = ring_of(16)
    sends = sends_to(pairs)
    descriptor, ring._descriptor = ring._descriptor, os.open("/dev/null", os.O_RDONLY)
    assert ring.send(sends) == [(number, -errno.EAGAIN) for number in range(11)]
    os.close(ring._descriptor)
    ring._descriptor = descriptor
    assert ring.sound
    assert ring.send(sends) == []
    assert pairs[0][1].recv(64) == FRAME
    ring.close()


def test_a_kernel_that_refuses_says_why() -> None:
    ring_of(1).close()
    with pytest.raises(OSError, match="Invalid argument"):
        Ring(0)
