"""Discovery: what is found, from whom, and what hostile answers can do, which is nothing."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.drivers.onvif import discovery
from gateway.drivers.onvif.discovery import Found, discover
from gateway.errors import Unreachable
from simulators.city import plan
from simulators.discovery import server
from simulators.state import State

MATCH = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header><a:MessageID>{own}</a:MessageID>{relation}</s:Header><s:Body>'
    "<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>{reference}</a:Address></a:EndpointReference>"
    "<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/name/x</d:Scopes><d:XAddrs>{xaddrs}</d:XAddrs>"
    "</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
)
PLACE = "http://127.0.0.9:8080/onvif/device_service"


def match(asked: str, *, own: str = "urn:uuid:own", relates: bool = True, reference: str = "urn:uuid:device", xaddrs: str = PLACE) -> bytes:
    relation = f"<a:RelatesTo>{asked}</a:RelatesTo>" if relates else ""
    return MATCH.format(own=own, relation=relation, reference=reference, xaddrs=xaddrs).encode()


@asynccontextmanager
async def answering(answers: Callable[[str], list[bytes]]) -> AsyncIterator[tuple[str, int]]:
    """Somebody on 127.0.0.7 who answers each first probe with what `answers` gives for its MessageID."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.7", 0))

        def hear() -> None:
            data, peer = sock.recvfrom(65_535)
            asked = re.search(rb"MessageID[^>]*>([^<]+)<", data)
            assert asked is not None
            for answer in answers(asked.group(1).decode()):
                sock.sendto(answer, peer)

        asyncio.get_running_loop().add_reader(sock, hear)
        try:
            yield sock.getsockname()
        finally:
            asyncio.get_running_loop().remove_reader(sock)


async def found_with(answers: Callable[[str], list[bytes]]) -> list[Found]:
    async with answering(answers) as place:
        return list(await discover(SystemClock(), listen_s=0.1, source="127.0.0.1", to=place))


async def test_all_devices_of_a_simulated_city_are_found() -> None:
    city, state = plan(seed=3, groups=3, speakers=2), State()
    async with server.listen(city, state, "lo", port=0) as port:
        found = await discover(SystemClock(), listen_s=1.0, source="127.0.0.1", to=(server.GROUP, port))
    assert {one.address for one in found} == {device.address for device in city.devices if device.kind != "switch"}
    assert {(one.path, one.port) for one in found} == {("/onvif/device_service", city.http_port)}
    assert len({one.reference for one in found}) == len(found)


async def test_an_answer_counts_for_the_address_that_it_came_from() -> None:
    [found] = await found_with(lambda asked: [match(asked)])
    assert (found.address, found.path, found.port) == ("127.0.0.7", "/onvif/device_service", 8080)


@pytest.mark.parametrize(
    ("xaddrs", "path", "port"),
    [
        ("https://10.0.0.1/a", "/a", 443),
        ("http://[::1]/a http://x/b", "/a", 80),
        ("http://host:8106:8106/a http://host/b", "/b", 80),
        ("file:///etc/passwd", "", 0),
        ("http://[bad/a", "", 0),
        ("http://host:99999/a", "", 0),
        ("", "", 0),
    ],
)
async def test_only_path_and_port_of_an_address_are_taken(xaddrs: str, path: str, port: int) -> None:
    [found] = await found_with(lambda asked: [match(asked, xaddrs=xaddrs)])
    assert (found.path, found.port) == (path, port)


@pytest.mark.parametrize(
    "answers",
    [
        lambda _asked: [match("urn:uuid:another")],
        lambda _asked: [match("", relates=False)],
        lambda asked: [match(asked) + b" " * discovery.LARGEST],
        lambda asked: [b"<!DOCTYPE a>" + match(asked)],
        lambda asked: [match(asked)[:-9]],
        lambda _asked: [b"", b"\x00", b"<a/>", b"\xff" * 1400],
        lambda asked: [b"<a>" * 200 + asked.encode()],
    ],
)
async def test_what_is_no_answer_to_our_probe_is_not_taken(answers: Callable[[str], list[bytes]]) -> None:
    assert await found_with(answers) == []


async def test_one_address_cannot_say_more_than_its_share() -> None:
    found = await found_with(lambda asked: [match(asked, reference=f"urn:uuid:{number}") for number in range(200)])
    assert 0 < len(found) <= discovery.MOST_FROM_ONE


async def test_nothing_is_kept_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MOST_FOUND", 3)
    assert len(await found_with(lambda asked: [match(asked, reference=f"urn:uuid:{number}") for number in range(9)])) == 3


async def test_a_source_that_is_not_ours_is_said_to_be_none() -> None:
    with pytest.raises(Unreachable, match=r"nothing can be sent from 192\.0\.2\.1"):
        await discover(SystemClock(), listen_s=0.1, source="192.0.2.1")


@settings(max_examples=200)
@given(data=st.binary(max_size=300) | st.tuples(st.integers(0, 600), st.binary(max_size=9)).map(lambda cut: match("x")[: cut[0]] + cut[1]))
def test_no_datagram_breaks_the_search(data: bytes) -> None:
    discovery._Asked().hear(data, "127.0.0.1")
