import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.domain.devices import Credentials, Ports
from gateway.drivers.base import Target
from gateway.drivers.refusals import Refusals
from gateway.drivers.rtsp.backchannel import Backchannel, SpeakerRtsp, open_audio
from gateway.drivers.rtsp.connection import base_url
from gateway.drivers.rtsp.messages import encode_frame
from gateway.drivers.rtsp.session import Transport
from gateway.errors import (
    AuthenticationFailed,
    Busy,
    DeadlineExceeded,
    DeviceError,
    DeviceFault,
    NotSupported,
    ProtocolError,
    Unreachable,
)
from tests.drivers.rtp.test_reports import report
from tests.drivers.rtsp.peer import SPEAKER_SDP, Asked, Login, Peer, Reply, listening
from tests.waiting import until

REQUIRED = "www.onvif.org/ver20/backchannel"
ALONE = SpeakerRtsp(all_tracks=False)
UDP = SpeakerRtsp(transports=(Transport.UDP,), all_tracks=False)


async def opened(peer: Peer, manner: SpeakerRtsp = ALONE, *, target: Target | None = None, timeout_s: float = 5) -> Backchannel:
    return await open_audio(target or peer.target, prefer=["PCMA", "PCMU"], timeout_s=timeout_s, manner=manner)


# -- the way to a speaker ---------------------------------------------------------------------------------------------


async def test_every_step_names_the_backchannel_and_play_names_no_range() -> None:
    async with listening(Peer()) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.methods() == ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
        assert {asked.headers.get("require") for asked in peer.asked} == {REQUIRED}
        assert "range" not in peer.last("PLAY").headers
        assert peer.last("SETUP").url.endswith("/back")
        await peer.gone.wait()


async def test_a_device_that_takes_require_for_a_bad_request_is_asked_without_it() -> None:
    def describe(peer: Peer, asked: Asked) -> Reply:
        return Reply("400 Bad Request") if "require" in asked.headers else Reply(body=SPEAKER_SDP)

    async with listening(Peer(script={"DESCRIBE": describe})) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.methods() == ["DESCRIBE", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
        assert "require" not in peer.last("SETUP").headers


async def test_the_preferred_encoding_is_chosen_among_those_of_one_line() -> None:
    async with listening(Peer()) as peer:
        for prefer, payload_type in ((["PCMA", "PCMU"], 8), (["PCMU"], 0)):
            session = await open_audio(peer.target, prefer=prefer, timeout_s=5)
            assert (session.format.encoding, session.format.payload_type) == (prefer[0], payload_type)
            await session.close()


@pytest.mark.parametrize("faster", ["PCMA/16000", "PCMA/8000/2", "PCMU/48000"])
async def test_sound_of_another_clock_or_of_two_channels_is_not_taken_for_ours(faster: str) -> None:
    lines = f"m=audio 0 RTP/AVP 97 8\na=rtpmap:97 {faster}\na=rtpmap:8 PCMA/8000\na=sendonly\na=control:back\n"
    async with listening(Peer(sdp=SPEAKER_SDP.partition("m=audio")[0] + lines)) as peer:
        session = await opened(peer)
        assert (session.format.payload_type, session.format.clock_rate, session.format.packet_samples) == (8, 8000, 160)
        await session.close()


async def test_packets_arrive_whole_and_numbered_on_the_channel_that_the_device_chose() -> None:
    def setup(peer: Peer, asked: Asked) -> Reply:
        return Reply(headers={"Session": peer.session, "Transport": "RTP/AVP/TCP;unicast;interleaved=6-7"})

    async with listening(Peer(script={"SETUP": setup})) as peer:
        session = await opened(peer)
        for number in range(3):
            assert session.send(bytes((number,)) * 160, timestamp=160 * number, marker=number == 0)
        await peer.until(lambda: len(peer.frames) == 3)
        await session.close()
    heads = [struct.unpack("!BBHII", packet[:12]) for channel, packet in peer.frames if channel == 6]
    first = heads[0]
    assert [head[1] for head in heads] == [0x88, 0x08, 0x08]
    assert [(head[2] - first[2]) & 0xFFFF for head in heads] == [0, 1, 2]
    assert [(head[3] - first[3]) & 0xFFFFFFFF for head in heads] == [0, 160, 320]
    assert len({head[4] for head in heads}) == 1
    assert [packet[12:] for _, packet in peer.frames] == [bytes((number,)) * 160 for number in range(3)]


async def test_udp_packets_go_to_the_inventorys_address_and_nowhere_else() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setblocking(False)
        elsewhere = f"destination=127.0.0.9;source=127.0.0.9;server_port={ear.getsockname()[1]}-1"

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


async def test_a_transport_that_is_not_taken_gives_way_to_the_next() -> None:
    def setup(peer: Peer, asked: Asked) -> Reply:
        if "TCP" not in asked.headers["transport"]:
            return Reply("461 Unsupported Transport")
        return Reply(headers={"Session": peer.session, "Transport": asked.headers["transport"]})

    async with listening(Peer(script={"SETUP": setup})) as peer:
        session = await opened(peer, SpeakerRtsp(transports=(Transport.UDP, Transport.TCP), all_tracks=False))
        await session.close()
    async with listening(Peer(script={"SETUP": setup})) as peer:
        with pytest.raises(NotSupported) as caught:
            await opened(peer, UDP)
        assert caught.value.code == "no-transport"


async def test_all_tracks_are_set_up_and_the_pictures_drained() -> None:
    async def pictures(peer: Peer) -> None:
        assert peer.writer is not None
        for _ in range(200):
            peer.writer.write(b"$\x00" + (60_000).to_bytes(2) + bytes(60_000))
        await peer.writer.drain()

    async with listening(Peer(after_play=pictures)) as peer:
        session = await opened(peer, SpeakerRtsp())
        assert peer.methods() == ["DESCRIBE", "SETUP", "SETUP", "PLAY"]
        assert session.send(b"sound", timestamp=0, marker=True)
        await peer.until(lambda: bool(peer.frames))
        assert peer.frames[0][0] == 2
        await session.close()


async def test_after_talks_over_udp_no_port_is_left_open_also_none_of_the_devices_own_tracks() -> None:
    def setup(peer: Peer, asked: Asked) -> Reply:
        return Reply(headers={"Session": peer.session, "Transport": f"{asked.headers['transport']};server_port=40000-40001"})

    async with listening(Peer(script={"SETUP": setup})) as peer:
        for _ in range(2):
            session = await opened(peer, SpeakerRtsp(transports=(Transport.UDP,)))
            await session.close()
        asked = [each.headers["transport"] for each in peer.asked if each.method == "SETUP"]
    ports = [int(transport.rpartition("=")[2].partition("-")[0]) for transport in asked]
    assert len(ports) == 4
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))  # taken as long as somebody has it open


@pytest.mark.parametrize("status", ["404 Not Found", "453 Not Enough Bandwidth", "403 Forbidden", "461 Unsupported Transport"])
async def test_pictures_that_the_device_does_not_give_cost_nobody_the_voice(status: str) -> None:
    def setup(peer: Peer, asked: Asked) -> Reply:
        if asked.url.endswith("video"):
            return Reply(status)
        return Reply(headers={"Session": peer.session, "Transport": asked.headers["transport"]})

    async with listening(Peer(script={"SETUP": setup})) as peer:
        session = await opened(peer, SpeakerRtsp(transports=(Transport.TCP,)))
        assert session.send(b"x" * 160, timestamp=0, marker=True)
        await peer.until(lambda: bool(peer.frames))
        await session.close()
        assert peer.methods() == ["DESCRIBE", "SETUP", "SETUP", "PLAY", "TEARDOWN"]


async def test_of_two_backchannels_one_is_set_up() -> None:
    second = "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000\na=sendonly\na=control:other\n"
    async with listening(Peer(sdp=SPEAKER_SDP + second)) as peer:
        session = await opened(peer, SpeakerRtsp())
        await session.close()
        assert [asked.url.rpartition("/")[2] for asked in peer.asked if asked.method == "SETUP"] == ["video", "back"]


async def test_packets_cover_the_time_that_the_description_names() -> None:
    async with listening(Peer(sdp=SPEAKER_SDP + "a=ptime:40\n")) as peer:
        session = await opened(peer)
        await session.close()
    assert session.format.packet_samples == 320


async def test_zero_timestamps_are_sent_to_those_who_want_them() -> None:
    async with listening(Peer()) as peer:
        session = await opened(peer, SpeakerRtsp(packet_bytes=160, unstamped=True, all_tracks=False))
        session.send(b"x", timestamp=1600, marker=False)
        await peer.until(lambda: bool(peer.frames))
        await session.close()
    assert peer.frames[0][1][4:8] == bytes(4)


async def test_a_speaker_that_does_not_read_gets_whole_frames_or_none() -> None:
    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with listening(Peer(after_play=deaf)) as peer:
        session = await opened(peer)
        sent = [session.send(bytes(1400), timestamp=0, marker=False) for _ in range(20_000)]
        assert sent[0]
        assert not sent[-1]
        await session.close()


# -- who may not redirect us ------------------------------------------------------------------------------------------


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


# -- passwords --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "qop"), [("MD5", False), ("MD5", True), ("SHA-256", False), ("SHA-256", True), ("MD5-sess", True), ("SHA-256-sess", True)]
)
async def test_digest_is_spoken_in_all_its_forms(algorithm: str, qop: bool) -> None:
    async with listening(Peer(login=Login(algorithm=algorithm, qop=qop))) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.methods() == ["DESCRIBE", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
        assert peer.refused == 0


async def test_challenges_that_come_in_one_field_are_told_apart() -> None:
    class Both(Login):
        def challenge(self, *, stale: bool = False) -> str:
            return f'Basic realm="web", {super().challenge(stale=stale)}, Basic realm="page"'

    async with listening(Peer(login=Both())) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.refused == 0


async def test_a_stale_nonce_is_renewed_without_a_wrong_try() -> None:
    async with listening(Peer(login=Login(qop=True, refuses_as_stale=1))) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.refused == 0
        assert peer.methods().count("DESCRIBE") == 3


@pytest.mark.parametrize("rotates", [False, True])
async def test_a_wrong_password_is_tried_once_and_no_more(rotates: bool) -> None:
    async with listening(Peer(login=Login(rotates=rotates))) as peer:
        wrong = replace(peer.target, credentials=Credentials("admin", "wrong"))
        with pytest.raises(AuthenticationFailed) as caught:
            await opened(peer, target=wrong)
        await peer.gone.wait()
    assert peer.refused == 1
    assert (caught.value.code, bool(caught.value.hint)) == ("bad-credentials", True)


async def test_without_a_password_in_the_inventory_none_is_tried() -> None:
    async with listening(Peer(login=Login())) as peer:
        with pytest.raises(AuthenticationFailed, match="inventory has none"):
            await opened(peer, target=replace(peer.target, credentials=Credentials()))
    assert peer.methods() == ["DESCRIBE"]


async def test_an_endless_row_of_stale_nonces_ends() -> None:
    async with listening(Peer(login=Login(refuses_as_stale=1000))) as peer:
        with pytest.raises(AuthenticationFailed) as caught:
            await opened(peer)
    assert len(peer.asked) <= 3
    assert (caught.value.code, bool(caught.value.hint)) == ("stale-nonce", True)


async def test_a_device_that_calls_the_nonce_stale_that_it_gives_again_has_not_refused_the_password() -> None:
    challenge = Reply("401 Unauthorized", {"WWW-Authenticate": 'Digest realm="device", nonce="n", stale=true'})
    async with listening(Peer(script={"PLAY": lambda p, a: challenge})) as peer, asyncio.timeout(10):
        with pytest.raises(AuthenticationFailed) as caught:
            await opened(peer)
        await peer.gone.wait()
    assert caught.value.code == "stale-nonce"
    refusals = Refusals()
    refusals.note(peer.target, caught.value)
    assert refusals.known(peer.target) is None
    assert [asked.method for asked in peer.asked if "authorization" in asked.headers] == ["PLAY", "TEARDOWN"]


def brief(peer: Peer, asked: Asked) -> Reply:
    """A SETUP whose session wants to be kept alive each second."""
    return Reply(headers={"Session": f"{peer.session};timeout=2", "Transport": asked.headers["transport"]})


async def test_a_nonce_that_expires_without_a_word_costs_neither_the_sound_nor_the_farewell() -> None:
    heard: list[str] = []

    def hear(peer: Peer, asked: Asked) -> Reply:
        heard.append(asked.method)
        return Reply()

    script = {"SETUP": brief, "GET_PARAMETER": hear, "TEARDOWN": hear}
    async with listening(Peer(login=Login(one_time=True), script=script)) as peer, asyncio.timeout(10):
        session = await opened(peer)
        await peer.until(lambda: len(heard) == 2)
        assert peer.methods().count("GET_PARAMETER") == 4  # each is repeated at once
        assert not session.ended
        await session.close()
        assert heard == ["GET_PARAMETER", "GET_PARAMETER", "TEARDOWN"]


@pytest.mark.parametrize(("rotates", "tries"), [(False, 1), (True, 2)])  # a nonce that changed may have been all that was wrong
async def test_a_password_that_is_changed_amid_a_talk_ends_it_and_is_not_tried_for_the_farewell(rotates: bool, tries: int) -> None:
    login = Login(rotates=rotates)
    async with listening(Peer(login=login, script={"SETUP": brief})) as peer, asyncio.timeout(10):
        session = await opened(peer)
        login.password = "changed"
        await peer.gone.wait()
        assert session.ended
        await session.close()
        assert peer.refused == tries
        assert (peer.asked[-1].method, peer.asked[-1].headers["session"]) == ("TEARDOWN", peer.session)
        assert "authorization" not in peer.asked[-1].headers


async def test_a_password_that_is_refused_amid_the_set_up_is_not_tried_again_by_the_farewell() -> None:
    challenge = Reply("401 Unauthorized", {"WWW-Authenticate": 'Digest realm="device", nonce="n"'})
    async with listening(Peer(script={"PLAY": lambda p, a: challenge})) as peer, asyncio.timeout(10):
        with pytest.raises(AuthenticationFailed):
            await opened(peer)
        await peer.gone.wait()
        assert [asked.method for asked in peer.asked if "authorization" in asked.headers] == ["PLAY"]
        assert peer.methods()[-1] == "TEARDOWN"


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "error", "code"),
    [
        ("DESCRIBE", "551 Option not supported", NotSupported, "not-supported"),
        ("DESCRIBE", "404 Not Found", DeviceFault, "rtsp-404"),
        ("DESCRIBE", "403 Forbidden", AuthenticationFailed, "forbidden"),
        ("SETUP", "453 Not Enough Bandwidth", Busy, "busy"),
        ("PLAY", "503 Service Unavailable", Busy, "busy"),
        ("PLAY", "500 Internal Server Error", DeviceFault, "rtsp-500"),
    ],
)
async def test_each_status_has_its_error_and_the_session_is_torn_down(method: str, status: str, error: type, code: str) -> None:
    async with listening(Peer(script={method: lambda p, a: Reply(status)})) as peer:
        with pytest.raises(error) as caught:
            await opened(peer)
        await peer.gone.wait()
        assert caught.value.code == code
        assert ("TEARDOWN" in peer.methods()) == (method == "PLAY")


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        (SPEAKER_SDP.replace("a=sendonly\n", ""), "no-backchannel"),
        (SPEAKER_SDP.replace("RTP/AVP 0 8", "RTP/AVP 9"), "no-common-encoding"),
        (SPEAKER_SDP.replace("/8000", "/16000"), "no-common-encoding"),
    ],
)
async def test_a_device_without_a_usable_backchannel_is_said_to_lack_it(sdp: str, code: str) -> None:
    async with listening(Peer(sdp=sdp)) as peer:
        with pytest.raises(NotSupported) as caught:
            await opened(peer)
        assert caught.value.code == code


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "PLAY"])
async def test_one_deadline_covers_the_whole_set_up_and_a_session_is_torn_down(method: str) -> None:
    async with listening(Peer(script={method: lambda p, a: None})) as peer:
        with pytest.raises(DeadlineExceeded):
            await opened(peer, timeout_s=0.2)
        await peer.gone.wait()
        assert ("TEARDOWN" in peer.methods()) == (method == "PLAY")


async def test_a_caller_that_gives_up_during_set_up_leaves_no_session_behind() -> None:
    async with listening(Peer(script={"PLAY": lambda p, a: None})) as peer:
        opening = asyncio.create_task(opened(peer))
        await peer.until(lambda: "PLAY" in peer.methods())
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        await peer.gone.wait()
        assert peer.methods()[-1] == "TEARDOWN"


async def test_a_closed_port_and_a_broken_connection_are_told_apart() -> None:
    async with listening(Peer()) as peer:
        pass
    with pytest.raises(Unreachable) as caught:
        await opened(peer)
    assert caught.value.code == "refused"

    def hang_up(peer: Peer, asked: Asked) -> None:
        assert peer.writer is not None
        peer.writer.close()

    async with listening(Peer(script={"SETUP": hang_up})) as peer:
        with pytest.raises(Unreachable) as caught:
            await opened(peer)
        assert caught.value.code in ("closed", "reset")


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff" * 100,
        b"RTSP/1.0 200 OK\r\nX: " + b"x" * 20_000,
        b"RTSP/1.0 200 OK\r\nContent-Length: 9999999\r\n\r\n",
    ],
)
async def test_garbage_for_an_answer_is_a_protocol_error(garbage: bytes) -> None:
    async with listening(Peer(script={"DESCRIBE": lambda p, a: garbage})) as peer:
        with pytest.raises(ProtocolError):
            await opened(peer)


async def test_the_answer_to_another_request_is_not_taken_for_ours() -> None:
    async with listening(Peer(script={"DESCRIBE": lambda p, a: b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n"})) as peer:
        with pytest.raises(DeadlineExceeded):
            await opened(peer, timeout_s=0.2)


async def test_a_session_that_changes_its_name_is_refused() -> None:
    async with listening(Peer(script={"PLAY": lambda p, a: Reply(headers={"Session": "another"})})) as peer:
        with pytest.raises(ProtocolError):
            await opened(peer)


# -- while it lasts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["501 Not Implemented", "400 Bad Request", "404 Not Found"])
async def test_the_session_is_kept_alive_by_the_method_that_the_device_knows(status: str) -> None:
    script = {"SETUP": brief, "GET_PARAMETER": lambda p, a: Reply(status)}
    async with listening(Peer(script=script, session="9")) as peer:
        session = await opened(peer)
        await peer.until(lambda: "OPTIONS" in peer.methods())
        assert peer.methods()[-2:] == ["GET_PARAMETER", "OPTIONS"]
        assert peer.last("OPTIONS").headers["session"] == "9"
        await peer.until(lambda: peer.methods().count("OPTIONS") == 2)
        assert peer.methods().count("GET_PARAMETER") == 1
        await session.close()


async def test_a_device_that_has_forgotten_the_session_has_ended_it() -> None:
    script = {"SETUP": brief, "GET_PARAMETER": lambda p, a: Reply("454 Session Not Found")}
    async with listening(Peer(script=script)) as peer, asyncio.timeout(10):
        session = await opened(peer)
        await until(lambda: session.ended)
        assert not session.send(b"x", timestamp=0, marker=False)
        await session.close()


async def test_what_the_device_asks_is_answered_between_our_frames() -> None:
    async def ask(peer: Peer) -> None:
        assert peer.writer is not None
        peer.writer.write(b"GET_PARAMETER rtsp://x RTSP/1.0\r\nCSeq: 7\r\n\r\nREDIRECT rtsp://evil/ RTSP/1.0\r\nCSeq: 8\r\n\r\n")

    async with listening(Peer(after_play=ask)) as peer:
        session = await opened(peer)
        session.send(b"x" * 160, timestamp=0, marker=True)
        await peer.until(lambda: len(peer.said) == 2)
        await session.close()
    assert [said.split(b"\r\n")[0] for said in peer.said] == [b"RTSP/1.0 200 OK", b"RTSP/1.0 501 Not Implemented"]
    assert b"CSeq: 7" in peer.said[0]


async def test_a_report_between_the_frames_of_a_connection_is_heard() -> None:
    peer = Peer()
    async with listening(peer):
        session = await opened(peer)
        channel = session.line.channel
        assert channel is not None
        for place, lost in ((channel, 9), (channel + 1, 4)):
            peer.writer.write(encode_frame(place, report(lost)))
        await until(lambda: session.missed == 4)
        await session.close()


async def test_a_device_that_asks_without_reading_is_hung_up_on() -> None:
    async def ask(peer: Peer) -> None:
        assert peer.writer is not None
        question = b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 7\r\n\r\n" * 1000
        with contextlib.suppress(ConnectionError):
            while True:
                peer.writer.write(question)
                await peer.writer.drain()

    async with listening(Peer(after_play=ask)) as peer:
        session = await opened(peer)
        await peer.gone.wait()
        assert not session.send(b"x", timestamp=0, marker=False)
        await session.close()


async def test_after_the_device_hung_up_nothing_is_sent_and_closing_is_quiet() -> None:
    async def leave(peer: Peer) -> None:
        assert peer.writer is not None
        peer.writer.write(b"TEARDOWN rtsp://x RTSP/1.0\r\nCSeq: 7\r\n\r\n")

    async with listening(Peer(after_play=leave)) as peer:
        session = await opened(peer)
        await peer.until(lambda: bool(peer.said))
        assert session.ended
        assert not session.send(b"x", timestamp=0, marker=False)
        await session.close()


async def test_closing_does_not_wait_for_a_device_that_is_silent() -> None:
    async with listening(Peer(script={"TEARDOWN": lambda p, a: None})) as peer:
        session = await opened(peer)
        async with asyncio.timeout(3):
            await session.close()
        assert peer.methods()[-1] == "TEARDOWN"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda p, a: Reply(headers={"Session": p.session}), None),
        (lambda p, a: Reply("454 Session Not Found"), None),
        (lambda p, a: Reply("500 Internal Server Error"), "rtsp-500"),
        (lambda p, a: Reply("453 Not Enough Bandwidth"), "busy"),
        (lambda p, a: None, "timeout"),
        (lambda p, a: p.writer.transport.abort(), "closed"),
    ],
    ids=["confirmed", "nothing-known", "failure", "busy", "silent", "hangs-up"],
)
async def test_closing_tells_what_kept_the_device_from_confirming_the_end(
    answer: Callable[[Peer, Asked], Reply | None], code: str | None
) -> None:
    async with listening(Peer(script={"TEARDOWN": answer})) as peer:
        session = await opened(peer)
        unconfirmed = await session.close()
    assert (unconfirmed.code if unconfirmed else None) == code


async def test_an_end_that_is_confirmed_over_a_new_connection_is_confirmed_and_another_is_not() -> None:
    async def hang_up(peer: Peer) -> None:
        assert peer.writer is not None
        peer.writer.transport.abort()

    for script, code in (({}, None), ({"TEARDOWN": lambda p, a: Reply("500 Oops")}, "rtsp-500")):
        async with listening(Peer(script=script, after_play=hang_up)) as peer:
            session = await opened(peer)
            await peer.gone.wait()
            await until(lambda one=session: one.ended)
            unconfirmed = await session.close()
        assert (unconfirmed.code if unconfirmed else None) == code
    async with listening(Peer(after_play=hang_up)) as peer:
        session = await opened(peer)
        await until(lambda one=session: one.ended)
    unconfirmed = await session.close()
    assert unconfirmed is not None and unconfirmed.code == "refused"


async def test_a_path_that_is_none_is_refused_before_anything_is_sent() -> None:
    async with listening(Peer()) as peer:
        with pytest.raises(DeviceError):
            await opened(peer, SpeakerRtsp(path="/a b"))
    assert not peer.asked


def test_the_ports_of_the_inventory_are_used_for_ipv6_too() -> None:
    target = Target("d", "::1", Ports(rtsp=8554), Credentials())
    assert base_url(target, "x?y=1") == "rtsp://[::1]:8554/x?y=1"


async def test_a_set_up_whose_connection_breaks_is_taken_back_over_a_new_one() -> None:
    def hang_up(peer: Peer, asked: Asked) -> None:
        assert peer.writer is not None
        peer.writer.transport.abort()

    async with listening(Peer(script={"PLAY": hang_up})) as peer:
        with pytest.raises(Unreachable):
            await opened(peer)
        assert peer.connections == 2
        assert (peer.asked[-1].method, peer.asked[-1].headers["session"]) == ("TEARDOWN", peer.session)
