"""The parts of the trap service by themselves: the ring and its limits, our engine's count of starts, what is told again."""

import fcntl
import os
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.devices import DeviceId
from gateway.errors import InvalidInput
from gateway.traps import engine, receiving
from gateway.traps.receiving import Intake, Receiving
from gateway.traps.telling import AGAIN_S, BURST, EVERY_S, Teller


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    heard, _ = receiving.listen("127.0.0.1", 0, buffer_bytes=1 << 20)
    with heard, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(heard.getsockname())
        yield heard, sender


def intake(heard: socket.socket, now: Now, *, rate: float = 1.0, burst: float = 5.0) -> tuple[Intake, Counter[str]]:
    counts: Counter[str] = Counter()
    return Intake(heard, counts, lambda address: address == "127.0.0.1", rate=rate, burst=burst, monotonic=now), counts


def test_a_source_has_its_burst_and_then_its_rate(sockets: tuple[socket.socket, socket.socket]) -> None:
    heard, sender = sockets
    now = Now()
    made, counts = intake(heard, now)
    for _ in range(20):
        sender.send(b"x")
    made.drain()
    assert (len(made.ring), counts["limited"]) == (5, 15)
    now.seconds += 3
    for _ in range(20):
        sender.send(b"x")
    made.drain()
    assert (len(made.ring), counts["limited"]) == (8, 32)


def test_a_full_ring_lets_the_newest_go_and_takes_again_when_there_is_room(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, sender = sockets
    monkeypatch.setattr(receiving, "RING", 3)
    made, counts = intake(heard, Now(), burst=100)
    for number in range(5):
        sender.send(bytes((number,)))
    made.drain()
    assert [datagram.data for datagram in made.ring] == [b"\0", b"\1", b"\2"]
    assert counts["ring_full"] == 2
    assert made.pop().data == b"\0"
    sender.send(b"z")
    made.drain()
    assert made.ring[-1].data == b"z"


def test_the_ring_is_bounded_in_octets_too(sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    heard, sender = sockets
    monkeypatch.setattr(receiving, "RING_BYTES", 2_500)
    made, counts = intake(heard, Now(), burst=100)
    for _ in range(4):
        sender.send(bytes(1_000))
    made.drain()
    assert (len(made.ring), counts["ring_full"]) == (2, 2)


def test_where_a_datagram_was_sent_to_is_known(sockets: tuple[socket.socket, socket.socket]) -> None:
    heard, sender = sockets
    made, _ = intake(heard, Now())
    sender.send(b"x")
    made.drain()
    assert made.pop().local == socket.inet_aton("127.0.0.1")


# -- our engine


def test_the_socket_may_have_a_descriptor_beyond_a_thousand(sockets: tuple[socket.socket, socket.socket]) -> None:
    heard, sender = sockets
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_048:
        pytest.skip("no descriptor beyond a thousand is allowed here")
    orders, daemon = os.pipe()
    told, reports = os.pipe()
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_048), hard))
    try:
        with socket.socket(fileno=fcntl.fcntl(heard.fileno(), fcntl.F_DUPFD_CLOEXEC, 1_500)) as high:
            hello = {"engine": {"id": "8000000001", "boots": 1}, "rate": 1.0, "burst": 5}
            receiving_ = Receiving(high, orders, reports, hello)
            sender.send(b"x")
            os.close(daemon)  # so that it ends after a turn
            receiving_.run()
        assert receiving_.counts["received"] == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in (orders, told, reports):
            os.close(descriptor)


def test_an_engine_keeps_its_id_and_counts_its_starts(tmp_path: Path) -> None:
    first, second = engine.started(tmp_path), engine.started(tmp_path)
    assert first.engine_id == second.engine_id and (first.boots, second.boots) == (1, 2)
    assert first.engine_id[0] & 0x80 and 5 <= len(first.engine_id) <= 32
    assert [path.name for path in tmp_path.iterdir()] == [engine.FILE]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"engine_id": "zz", "boots": 1}', '{"engine_id": "80", "boots": 1}',
                                  '{"engine_id": "8000000005", "boots": 2147483646}'])  # fmt: skip
def test_a_file_that_holds_something_else_is_told_and_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / engine.FILE).write_text(text)
    with pytest.raises(InvalidInput) as caught:
        engine.started(tmp_path)
    assert caught.value.code == "trap-engine"
    assert (tmp_path / engine.FILE).read_text() == text


# -- what is told


def test_the_same_is_told_once_a_minute_with_how_often_it_came() -> None:
    teller, device = Teller(), DeviceId("SW-1")
    told = [teller.tell(device, "1.3.1", "3", second) for second in range(int(AGAIN_S) + 1)]
    assert told == [0, *[None] * (int(AGAIN_S) - 1), int(AGAIN_S) - 1]
    assert teller.tell(device, "1.3.1", "4", 0.0) == 0


def test_a_device_is_told_of_in_a_burst_and_then_at_a_pace_and_others_do_not_wait_for_it() -> None:
    teller = Teller()
    told = [teller.tell(DeviceId("SW-1"), "1.3.1", str(number), 0.0) for number in range(100)]
    assert told.count(0) == BURST
    assert teller.tell(DeviceId("SW-2"), "1.3.1", "1", 0.0) == 0
    later = [teller.tell(DeviceId("SW-1"), "1.3.2", str(number), 10 * EVERY_S) for number in range(100)]
    assert later.count(0) == 10
