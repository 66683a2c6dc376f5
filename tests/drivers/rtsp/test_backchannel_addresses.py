"""Where a talk goes: a device redirects it nowhere."""

import asyncio
import socket

import pytest

from gateway.domain.devices import Credentials, Ports
from gateway.drivers.base import Target
from gateway.drivers.rtsp.backchannel import SpeakerRtsp
from gateway.drivers.rtsp.connection import base_url
from gateway.errors import DeviceError, DeviceFault, ProtocolError
from tests.drivers.rtsp.peer import SPEAKER_SDP, Asked, Peer, Reply, listening
from tests.drivers.rtsp.talking import UDP, opened


@pytest.mark.parametrize("port", ["server_port={}-1", "Server_Port = {} - 1"])
async def test_udp_packets_go_to_the_inventorys_address_and_nowhere_else(port: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        elsewhere = f"destination=127.0.0.9;source=127.0.0.9;{port.format(ear.getsockname()[1])}"

        def setup(peer: Peer, asked: Asked) -> Reply:
            return Reply(headers={"Session": peer.session, "Transport": f"RTP/AVP;unicast;{elsewhere}"})

        async with listening(Peer(script={"SETUP": setup})) as peer:
            session = await opened(peer, UDP)
            assert session.send(b"sound", timestamp=0, marker=True)
            packet = await asyncio.get_running_loop().sock_recv(ear, 100)
            await session.close()
        assert packet[12:] == b"sound"
        assert peer.last("SETUP").headers["transport"].startswith("RTP/AVP;unicast;client_port=")


@pytest.mark.parametrize("transport", ["RTP/AVP;unicast", "RTP/AVP;unicast;server_port=80-81", "RTP/AVP;server_port=99999-1"])
async def test_a_device_cannot_aim_our_packets_at_system_ports(transport: str) -> None:
    async with listening(Peer(script={"SETUP": lambda p, a: Reply(headers={"Session": p.session, "Transport": transport})})) as peer:
        with pytest.raises(ProtocolError):
            await opened(peer, UDP)
        await peer.gone.wait()


async def test_urls_that_a_device_names_are_reduced_to_their_path() -> None:
    sdp = SPEAKER_SDP.replace("a=control:back", "a=control:rtsp://evil.example:99/other?x=1").replace(
        "a=control:*", "a=control:rtsp://10.0.0.1/all"
    )

    def describe(peer: Peer, asked: Asked) -> Reply:
        return Reply(headers={"Content-Base": "rtsp://user:pw@203.0.113.9:8554/base/"}, body=sdp)

    async with listening(Peer(script={"DESCRIBE": describe})) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.last("SETUP").url == f"rtsp://127.0.0.1:{peer.port}/other?x=1"
        assert peer.last("PLAY").url == f"rtsp://127.0.0.1:{peer.port}/all"
        assert peer.connections == 1


@pytest.mark.parametrize(
    ("base", "control", "asked"),
    [
        ("rtsp://h/cam/", "trackID=1", "/cam/trackID=1"),
        ("rtsp://h/cam", "trackID=1", "/cam/trackID=1"),
        ("rtsp://h/cam?channel=1&subtype=0/", "trackID=1", "/cam?channel=1&subtype=0/trackID=1"),
        ("rtsp://h/cam/", "/absolute", "/absolute"),
        ("rtsp://rtsp://h:554/cam/", "trackID=1", "/cam/trackID=1"),
    ],
)
async def test_relative_controls_are_appended_to_the_base(base: str, control: str, asked: str) -> None:
    sdp = SPEAKER_SDP.replace("a=control:back", f"a=control:{control}")
    async with listening(Peer(script={"DESCRIBE": lambda p, a: Reply(headers={"Content-Base": base}, body=sdp)})) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.last("SETUP").url == f"rtsp://127.0.0.1:{peer.port}{asked}"


@pytest.mark.parametrize("control", ["a b", "x\x7f", "é"])
async def test_a_control_with_odd_characters_is_the_devices_fault(control: str) -> None:
    async with listening(Peer(sdp=SPEAKER_SDP.replace("a=control:back", f"a=control:{control}"))) as peer:
        with pytest.raises(ProtocolError):
            await opened(peer)


async def test_a_redirect_is_not_followed() -> None:
    async with listening(Peer(script={"DESCRIBE": lambda p, a: Reply("302 Moved", {"Location": "rtsp://203.0.113.9/"})})) as peer:
        with pytest.raises(DeviceFault) as caught:
            await opened(peer)
        assert caught.value.code == "rtsp-302"


async def test_a_path_that_is_none_is_refused_before_anything_is_sent() -> None:
    async with listening(Peer()) as peer:
        with pytest.raises(DeviceError):
            await opened(peer, SpeakerRtsp(path="/a b"))
    assert not peer.asked


def test_the_ports_of_the_inventory_are_used_for_ipv6_too() -> None:
    target = Target("d", "::1", Ports(rtsp=8554), Credentials())
    assert base_url(target, "x?y=1") == "rtsp://[::1]:8554/x?y=1"
