"""WS-Discovery of the simulated devices: who answers a probe, with what, from where, and how fast."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from lxml import etree

from simulators.city import City, SimDevice, plan
from simulators.discovery import server
from simulators.faults import Answer, Fault
from simulators.state import State

DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WAIT_S = 3.0


@dataclass(frozen=True)
class Town:
    city: City
    state: State
    port: int

    @property
    def devices(self) -> list[SimDevice]:
        return [device for device in self.city.devices if device.kind != "switch"]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    city, state = plan(seed=3, groups=3, speakers=2), State()
    async with server.listen(city, state, "lo", port=0) as port:
        yield Town(city, state, port)


@contextmanager
def ear(*, port: int = 0) -> Iterator[socket.socket]:
    """A socket of somebody else on loopback; with a `port`, one that hears what goes to the group."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(server.GROUP) + socket.inet_aton("127.0.0.1"))
            sock.bind((server.GROUP, port))
        else:
            sock.bind(("127.0.0.1", 0))
        yield sock


async def heard(sock: socket.socket, wanted: int, *, wait_s: float = WAIT_S) -> list[tuple[etree._Element, str]]:
    """What comes, with its source: until there are `wanted`, or nothing came for so long."""
    found: list[tuple[etree._Element, str]] = []
    while len(found) < wanted:
        try:
            data, peer = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(sock, 65_535), wait_s)
        except TimeoutError:
            break
        found.append((etree.fromstring(data), peer[0]))
    return found


def question(inner: str, action: str = "Probe", message_id: str = "urn:uuid:1") -> bytes:
    return (
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{ADDRESSING}" xmlns:d="{DISCOVERY}" '
        'xmlns:x="http://www.onvif.org/ver10/network/wsdl" xmlns:y="http://www.onvif.org/ver10/device/wsdl"><s:Header>'
        f"<a:Action>{DISCOVERY}/{action}</a:Action><a:MessageID>{message_id}</a:MessageID></s:Header>"
        f"<s:Body><d:{action}>{inner}</d:{action}></s:Body></s:Envelope>"
    ).encode()


def text(answer: etree._Element, name: str) -> str:
    return next((element.text or "" for element in answer.iter(f"{{*}}{name}")), "")


async def test_every_device_answers_a_probe_from_its_own_address(town: Town) -> None:
    with ear() as sock:
        sock.sendto(question("<d:Types>x:NetworkVideoTransmitter</d:Types>"), (server.GROUP, town.port))
        answers = await heard(sock, len(town.devices))
    assert sorted(source for _, source in answers) == sorted(device.address for device in town.devices)
    for answer, source in answers:
        assert text(answer, "RelatesTo") == "urn:uuid:1"
        assert text(answer, "XAddrs") == f"http://{source}:{town.city.http_port}/onvif/device_service"


@pytest.mark.parametrize(
    ("inner", "answered"),
    [
        ("", True),
        ("<d:Types>y:Device</d:Types>", True),
        ("<d:Types>x:NetworkVideoTransmitter y:Device</d:Types>", True),
        ("<d:Types>x:Device</d:Types>", False),
        ("<d:Types>unknown:Device</d:Types>", False),
        ("<d:Types>x:NetworkVideoDisplay</d:Types>", False),
        ("<d:Scopes>onvif://www.onvif.org/type/video_encoder</d:Scopes>", True),
        ("<d:Scopes>ONVIF://WWW.onvif.org/type</d:Scopes>", True),
        ("<d:Scopes>onvif://www.onvif.org/typ</d:Scopes>", False),
        ("<d:Scopes>onvif://www.onvif.org/type onvif://www.onvif.org/nowhere</d:Scopes>", False),
        (f'<d:Scopes MatchBy="{DISCOVERY}/strcmp0">onvif://www.onvif.org/type</d:Scopes>', False),
        (f'<d:Scopes MatchBy="{DISCOVERY}/strcmp0">onvif://www.onvif.org/type/video_encoder</d:Scopes>', True),
        ('<d:Scopes MatchBy="urn:guess">onvif://www.onvif.org/type</d:Scopes>', False),
    ],
)
async def test_a_camera_answers_a_probe_to_its_own_address_when_types_and_scopes_mean_it(town: Town, inner: str, answered: bool) -> None:
    camera = town.city.of_kind("camera")[0]
    with ear() as sock:
        sock.sendto(question(inner), (camera.address, town.port))
        sock.sendto(question("", message_id="urn:uuid:2"), (camera.address, town.port))  # this one is always answered
        answers = await heard(sock, 2 if answered else 1)
    assert [text(answer, "RelatesTo") for answer, _ in answers] == (["urn:uuid:1", "urn:uuid:2"] if answered else ["urn:uuid:2"])
    assert {source for _, source in answers} == {camera.address}


async def test_a_reference_is_resolved_to_its_device_alone(town: Town) -> None:
    camera, other = town.city.of_kind("camera")[:2]
    with ear() as sock:
        sock.sendto(question(""), (camera.address, town.port))
        [(told, _)] = await heard(sock, 1)
        reference = next(told.iter(f"{{{ADDRESSING}}}Address")).text
        asked = question(f"<a:EndpointReference><a:Address>{reference}</a:Address></a:EndpointReference>", "Resolve", "urn:uuid:3")
        sock.sendto(asked, (other.address, town.port))
        sock.sendto(asked, (server.GROUP, town.port))
        [(resolved, source)] = await heard(sock, 1)
    assert (source, text(resolved, "RelatesTo")) == (camera.address, "urn:uuid:3")
    assert etree.QName(resolved[1][0]).localname == "ResolveMatches"


async def test_a_question_that_is_repeated_is_answered_once(town: Town) -> None:
    with ear() as sock:
        for _ in range(3):
            sock.sendto(question(""), (server.GROUP, town.port))
        sock.sendto(question("", message_id="urn:uuid:2"), (server.GROUP, town.port))
        answers = await heard(sock, 2 * len(town.devices))
    told = [text(answer, "RelatesTo") for answer, _ in answers]
    assert (told.count("urn:uuid:1"), told.count("urn:uuid:2")) == (len(town.devices), len(town.devices))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 100,
        b"<a/>",
        question("").replace(b"<s:Body>", b"<s:Boy>"),
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + question(""),
        question("x" * 9000),
        question("", action="Hello"),
        question("").replace(b"urn:uuid:1", b""),
    ],
)
async def test_what_is_no_question_is_not_answered_and_does_no_harm(town: Town, data: bytes) -> None:
    camera = town.city.of_kind("camera")[0]
    with ear() as sock:
        sock.sendto(data, (camera.address, town.port))
        sock.sendto(question("", message_id="urn:uuid:2"), (camera.address, town.port))
        [(answer, _)] = await heard(sock, 1)
    assert text(answer, "RelatesTo") == "urn:uuid:2"


async def test_a_silent_device_is_not_found(town: Town) -> None:
    camera = town.city.of_kind("camera")[0]
    town.state.faults[camera.id] = Fault(Answer.SILENT)
    with ear() as sock:
        sock.sendto(question(""), (server.GROUP, town.port))
        answers = await heard(sock, len(town.devices) - 1)
    assert camera.address not in {source for _, source in answers}
    assert len(answers) == len(town.devices) - 1


async def test_devices_say_hello_bye_and_after_a_reboot_hello_again() -> None:
    city, state = plan(seed=3, groups=1, speakers=0), State()
    devices = [device for device in city.devices if device.kind != "switch"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with ear(port=port) as sock:
        async with server.listen(city, state, "lo", port=port):
            hellos = await heard(sock, len(devices))
            state.rebooted(devices[0])
            [(again, _)] = await heard(sock, 1)
        byes = await heard(sock, len(devices))
    for said, name in ((hellos, "Hello"), ([(again, devices[0].address)], "Hello"), (byes, "Bye")):
        assert {text(message, "Action") for message, _ in said} == {f"{DISCOVERY}/{name}"}
    assert {source for _, source in hellos} == {source for _, source in byes} == {device.address for device in devices}
    first = next(message for message, source in hellos if source == devices[0].address)
    instances = [next(message.iter(f"{{{DISCOVERY}}}AppSequence")).get("InstanceId", "") for message in (first, again)]
    assert int(instances[1]) == int(instances[0]) + 1


async def test_the_answers_of_a_whole_city_are_paced() -> None:
    city, state = plan(seed=3, groups=200, speakers=20), State()
    devices = [device for device in city.devices if device.kind != "switch"]
    moments: list[float] = []
    async with server.listen(city, state, "lo", port=0) as port:
        with ear() as sock:
            sock.sendto(question(""), (server.GROUP, port))
            loop = asyncio.get_running_loop()
            while len(moments) < len(devices):
                await asyncio.wait_for(loop.sock_recv(sock, 65_535), WAIT_S)
                moments.append(time.monotonic())
    assert moments[-1] - moments[0] > 0.8 * max(server.MAX_DELAY_S, len(devices) / server.ANSWERS_A_SECOND)


async def test_no_interface_but_loopback_is_taken_outside_a_network_namespace() -> None:
    if server.in_a_namespace():
        pytest.skip("this is a network namespace")
    with pytest.raises(ValueError, match="inside a network namespace only"):
        async with server.listen(plan(groups=1, speakers=0), State(), "eth0", port=0):
            pass
