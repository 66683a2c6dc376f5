"""ICMP echoes over real sockets, and replies that are none."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers import echo
from gateway.drivers.echo import Echoes, request, token_of

TOKEN = bytes(range(16))


def permitted() -> bool:
    opened = echo._socket()
    if opened is not None:
        opened.close()
    return opened is not None


async def test_a_host_that_is_there_answers() -> None:
    if not permitted():
        pytest.skip("neither net.ipv4.ping_group_range nor CAP_NET_RAW permits an echo")
    echoes = Echoes(loopback=True)
    assert await echoes.answered("127.77.0.1", 5.0) is True
    assert await echoes.answered("127.77.0.2", 5.0) is True
    echoes.close()


async def test_of_the_loopback_network_of_names_and_of_ipv6_nothing_is_asked() -> None:
    echoes = Echoes()
    for address in ("127.0.0.1", "camera.example", "::1"):
        assert await echoes.answered(address, 5.0) is None
    echoes.close()


async def test_an_answer_that_does_not_come_in_time_is_none() -> None:
    echoes = Echoes(loopback=True)
    deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # takes what is sent, and nobody answers
    deaf.setblocking(False)
    echoes._socket = deaf
    assert await echoes.answered("127.77.0.1", 0.01) is False
    deaf.close()


async def test_where_it_is_not_permitted_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refused)
    echoes = Echoes(loopback=True)
    assert await echoes.answered("127.77.0.1", 5.0) is None
    assert await echoes.answered("127.77.0.1", 5.0) is None


def test_a_request_has_a_checksum_that_adds_up_to_nothing() -> None:
    assert echo._checksum(request(7, TOKEN)) == 0


def test_a_reply_is_known_with_an_ip_header_and_without() -> None:
    reply = b"\0" + request(7, TOKEN)[1:]
    assert token_of(reply) == TOKEN
    assert token_of(b"\x46" + bytes(23) + reply) == TOKEN
    assert token_of(request(7, TOKEN)) == b""


@given(st.binary(max_size=200))
def test_whatever_comes_is_read(datagram: bytes) -> None:
    assert len(token_of(datagram)) in (0, 16)
