"""The HTTP server takes what is HTTP within its bounds, answers in order, and hears loopback only."""

import asyncio
import contextlib
import socket

import pytest

from simulators import http
from simulators.control import Control
from tests.simulators.street import Street, envelope, parse

CLOCK = envelope("<tds:GetSystemDateAndTime/>")


def request(body: bytes = CLOCK, *, method: str = "POST", version: str = "1.1", more: str = "") -> bytes:
    return f"{method} /onvif/device_service HTTP/{version}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@pytest.mark.parametrize("address", ["127.0.0.1", "127.95.255.254", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_heard(address: str) -> None:
    assert http.is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.127.1", "8.8.8.8", "::ffff:10.0.0.1", "fe80::1", "", "1127.0.0.1", "::"])
def test_nobody_else_is_heard(address: str) -> None:
    assert not http.is_loopback(address)


async def test_a_peer_that_does_not_come_by_loopback_is_closed_unheard(street: Street) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as routed:
        try:
            routed.connect(("192.0.2.1", 9))  # sends nothing: asks only which of our addresses would be used
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = routed.getsockname()[0]
    async with http.listen(lambda _: Control(street.city, street.state), port=0) as port:
        by_loopback, near = await asyncio.open_connection("127.0.0.1", port)
        by_network, far = await asyncio.open_connection(own, port)
        for writer in (near, far):
            writer.write(b"GET /counters HTTP/1.1\r\nConnection: close\r\n\r\n")

        assert b"200 OK" in await asyncio.wait_for(by_loopback.read(), 60)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(by_network.read(), 60) == b""
        near.close()
        far.close()


async def test_an_address_without_a_device_is_closed_at_once(street: Street) -> None:
    reader, writer = await asyncio.open_connection("127.94.0.1", street.city.http_port)

    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_a_connection_carries_several_requests_in_order(street: Street) -> None:
    whoami = envelope("<tds:GetHostname/>")
    received = await street.raw(street.camera, request() + request(whoami) + request(more="Connection: close\r\n"))

    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.index(b"GetHostnameResponse") > received.index(b"GetSystemDateAndTimeResponse")


async def test_a_request_may_come_byte_by_byte(street: Street) -> None:
    reader, writer = await asyncio.open_connection(street.camera.address, street.city.http_port)
    for byte in request(more="Connection: close\r\n"):
        writer.write(bytes((byte,)))
        await writer.drain()

    assert parse(await asyncio.wait_for(reader.read(), 60)).status == 200
    writer.close()


async def test_http_1_0_is_closed_after_the_answer(street: Street) -> None:
    assert parse(await street.raw(street.camera, request(version="1.0"))).status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 262145\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n", 404),
        (b"GET /onvif/device_service HTTP/1.1\r\nConnection: close\r\n\r\n", 405),
    ],
)
async def test_what_is_too_much_or_no_request_is_refused_by_name(street: Street, sent: bytes, status: int) -> None:
    assert parse(await street.raw(street.camera, sent)).status == status


async def test_a_taken_port_is_an_error(street: Street) -> None:
    with pytest.raises(OSError, match="in use"):
        async with http.listen(lambda _: None, port=street.city.http_port):
            pass


async def test_idle_connections_are_dropped(street: Street) -> None:
    async with http.listen(lambda _: Control(street.city, street.state), host="127.0.0.1", port=0, idle_s=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
