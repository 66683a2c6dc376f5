import socket
from collections.abc import Iterator

import pytest

from gateway.drivers.rtsp.pairs import Pairs, Seat
from tests.waiting import until


@pytest.fixture
def pairs() -> Pairs:
    return Pairs()


@pytest.fixture
def devices() -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for number, sock in enumerate(made):
        sock.bind((f"127.0.9.{number + 1}", 0))
        sock.settimeout(5)
    yield made
    for sock in made:
        sock.close()


def seated(pairs: Pairs, device: socket.socket) -> Seat:
    host, port = device.getsockname()
    seat = pairs.take("127.0.0.1", host)
    seat.connect(port)
    return seat


def test_talks_with_several_devices_share_a_pair_and_each_hears_its_own(pairs: Pairs, devices: list[socket.socket]) -> None:
    seats = [seated(pairs, device) for device in devices]
    assert len({seat.port for seat in seats}) == 1
    for number, (seat, device) in enumerate(zip(seats, devices, strict=True)):
        assert seat.send(bytes([number]))
        assert device.recvfrom(10) == (bytes([number]), ("127.0.0.1", seat.port))
    for seat in seats:
        seat.close()


def test_two_talks_with_devices_behind_one_address_share_nothing(pairs: Pairs, devices: list[socket.socket]) -> None:
    first, second = seated(pairs, devices[0]), seated(pairs, devices[0])
    assert first.port != second.port
    first.close()
    third = seated(pairs, devices[0])
    assert third.port not in (second.port,)
    second.close()
    third.close()


async def test_reports_are_told_to_whose_device_sent_them_and_those_of_strangers_to_nobody(pairs: Pairs, devices: list) -> None:
    first, second = (seated(pairs, device) for device in devices[:2])
    for number, device in enumerate(devices):
        device.sendto(bytes([number]), ("127.0.0.1", first.port + 1))
    assert await until(second.reports) == [b"\x01"]
    assert (first.reports(), first.reports(), second.reports()) == ([b"\x00"], [], [])
    first.close()
    second.close()


def test_ports_are_free_again_when_the_last_talk_has_ended(pairs: Pairs, devices: list[socket.socket]) -> None:
    first, second = (seated(pairs, device) for device in devices[:2])
    port = first.port
    first.close()
    first.close()
    assert second.send(b"x")
    second.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
