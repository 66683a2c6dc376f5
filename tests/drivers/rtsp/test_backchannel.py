"""The way to a speaker: how the backchannel is set up, and what is sent by it."""

import socket
import struct

import pytest

from gateway.drivers.rtsp.backchannel import SpeakerRtsp, open_audio
from gateway.drivers.rtsp.session import Transport
from gateway.errors import NotSupported
from tests.drivers.rtsp.peer import SPEAKER_SDP, Asked, Peer, Reply, listening
from tests.drivers.rtsp.talking import UDP, opened

REQUIRED = "www.onvif.org/ver20/backchannel"


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


@pytest.mark.parametrize("given", ["RTP/AVP/TCP; Unicast; Interleaved=6-7", "RTP/AVP/TCP ; interleaved = 6 - 7 ; unicast"])
async def test_the_channel_that_a_device_chose_is_taken_however_it_is_written(given: str) -> None:
    script = {"SETUP": lambda peer, asked: Reply(headers={"Session": peer.session, "Transport": given})}
    async with listening(Peer(script=script)) as peer:
        session = await opened(peer)
        assert session.send(bytes(160), timestamp=0, marker=True)
        await peer.until(lambda: len(peer.frames) == 1)
        await session.close()
    assert peer.frames[0][0] == 6


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


@pytest.mark.parametrize("first", Transport)
async def test_a_device_that_answers_with_another_transport_is_asked_for_the_next_one(first: Transport) -> None:
    over = {Transport.TCP: "RTP/AVP/TCP;unicast;interleaved=4-5", Transport.UDP: "RTP/AVP;unicast;server_port=40000-40001"}
    (other,) = set(Transport) - {first}
    script = {"SETUP": lambda peer, asked: Reply(headers={"Session": peer.session, "Transport": over[other]})}
    async with listening(Peer(script=script)) as peer:
        session = await opened(peer, SpeakerRtsp(transports=(first, other), all_tracks=False))
        assert (session.line.channel, session.line.destination) == ((4, None) if other is Transport.TCP else (None, ("127.0.0.1", 40_000)))
        await session.close()
        with pytest.raises(NotSupported) as refused:
            await opened(peer, SpeakerRtsp(transports=(first,), all_tracks=False))
        assert refused.value.code == "no-transport"


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


async def test_a_medium_that_nobody_can_read_is_left_alone() -> None:
    async with listening(Peer(sdp=SPEAKER_SDP + "m=application/TP-LINK 0 RTP/AVP smart/1/90000\na=control:track4\n")) as peer:
        session = await opened(peer, SpeakerRtsp())
        assert [asked.url.rpartition("/")[2] for asked in peer.asked if asked.method == "SETUP"] == ["video", "back"]
        await session.close()


async def test_of_two_backchannels_one_is_set_up() -> None:
    second = "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000\na=sendonly\na=control:other\n"
    async with listening(Peer(sdp=SPEAKER_SDP + second)) as peer:
        session = await opened(peer, SpeakerRtsp())
        await session.close()
        assert [asked.url.rpartition("/")[2] for asked in peer.asked if asked.method == "SETUP"] == ["video", "back"]


OWN_VIEW = SPEAKER_SDP.replace("a=recvonly", "a=sendonly").partition("m=audio")[0]
MICROPHONE = "m=audio 0 RTP/AVP 0\na=sendonly\na=control:microphone\n"
BACK = "m=audio 0 RTP/AVP 8\na=recvonly\na=control:back\n"


BY_THE_BOOK = MICROPHONE.replace("a=sendonly\n", "") + BACK.replace("recvonly", "sendonly")


@pytest.mark.parametrize("audio", [MICROPHONE + BACK, BACK, BY_THE_BOOK])
async def test_a_device_that_writes_directions_from_its_own_side_is_spoken_to_where_it_listens(audio: str) -> None:
    async with listening(Peer(sdp=OWN_VIEW + audio)) as peer:
        session = await opened(peer)
        assert peer.last("SETUP").url.endswith("/back")
        await session.close()


async def test_a_microphone_is_not_spoken_to() -> None:
    async with listening(Peer(sdp=OWN_VIEW + MICROPHONE)) as peer:
        with pytest.raises(NotSupported) as refused:
            await opened(peer)
        assert refused.value.code == "no-backchannel"


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
