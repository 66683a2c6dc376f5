"""Live pictures as a client gets them, interleaved and over UDP."""

import asyncio
import base64
import itertools
import re
import socket
from collections.abc import AsyncIterator

import av
import pytest

from tests.simulators.block import CAMERA, TALKING_CAMERA, Block, rtsp_block
from tests.simulators.rtsp_client import BACKCHANNEL, Client, Packet, pictures, rtcp_types

START = b"\x00\x00\x00\x01"


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with rtsp_block() as running:
        yield running


async def played(client: Client) -> str:
    """Set up the picture interleaved, play; the session."""
    session = (await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")).session
    assert (await client.ask("PLAY", Session=session, Range="npt=0.000-")).status == 200
    return session


async def take(client: Client, count: int) -> list[Packet]:
    """Packets up to the end of `count` pictures."""
    packets: list[Packet] = []
    while sum(packet.marker for packet in packets) < count:
        channel, data = await client.frame()
        if channel == 2:
            packets.append(Packet.parse(data))
    return packets


async def test_the_description_carries_parameter_sets_that_open_a_decoder(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        answer = await client.ask("DESCRIBE", Accept="application/sdp")
    assert answer.headers["content-base"] == client.url + "/"
    sdp = answer.body.decode()
    assert "a=control:trackID=0" in sdp
    sets = [base64.b64decode(part) for part in re.search(r"sprop-parameter-sets=(\S+)", sdp)[1].split(",")]
    assert [nal[0] & 31 for nal in sets] == [7, 8]
    assert f"profile-level-id={sets[0][1:4].hex().upper()}" in sdp


async def test_the_first_picture_comes_at_once_and_decodes(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        await client.ask("DESCRIBE")
        await played(client)
        found = pictures(await take(client, 3))
    decoder = av.CodecContext.create("h264", "r")
    stream = [av.Packet(b"".join(START + nal for nal in picture.nals)) for picture in found]
    frames = [frame for packet in stream for frame in decoder.decode(packet)] + decoder.decode(None)
    assert [nal[0] & 31 for nal in found[0].nals] == [7, 8, 6, 5, 5]
    assert [(frame.width, frame.height) for frame in frames] == [(320, 180)] * 3


async def test_pictures_come_in_real_time_with_timestamps_to_match(block: Block) -> None:
    async with block.client(CAMERA, "live/sub") as client:
        await client.ask("DESCRIBE")
        await played(client)
        started = asyncio.get_running_loop().time()
        found = pictures(await take(client, 9))
        passed = asyncio.get_running_loop().time() - started
    steps = {(after.first.timestamp - before.first.timestamp) % 2**32 for before, after in itertools.pairwise(found)}
    assert steps == {7200}
    assert 0.5 < passed < 1.5  # eight pictures of 80 ms after the first


async def test_play_tells_where_sequence_and_time_begin(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        session = (await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")).session
        answer = await client.ask("PLAY", Session=session)
        (first, *_) = await take(client, 1)
    assert answer.headers["rtp-info"] == f"url={client.url}/trackID=0;seq={first.sequence};rtptime={first.timestamp}"
    assert answer.headers["range"] == "clock=20260502T000000.000Z-"


async def test_requests_are_answered_while_pictures_flow_and_pause_stops_them(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        session = await played(client)
        for _ in range(3):
            await take(client, 1)
            assert (await client.ask("GET_PARAMETER", Session=session)).status == 200
        assert (await client.ask("PAUSE", Session=session)).status == 200
        client.frames.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.2)
        assert (await client.ask("PLAY", Session=session)).status == 200
        assert pictures(await take(client, 1))[0].nals[-1][0] & 31 == 5


async def test_a_sender_report_follows_the_first_pictures(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        await played(client)
        frames = [await client.frame() for _ in range(20)]
    reports = [data for channel, data in frames if channel == 3]
    assert rtcp_types(reports[0]) == [200, 202]
    assert int.from_bytes(reports[0][8:12], "big") - 2_208_988_800 == int(block.clock())


async def test_live_over_udp_leaves_from_the_cameras_own_address(block: Block) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        async with block.client(CAMERA, "live/main") as client:
            answer = await client.ask("SETUP", "trackID=0", Transport=f"RTP/AVP;unicast;client_port={port}-{port + 1}")
            await client.ask("PLAY", Session=answer.session)
            received: list[tuple[Packet, str, int]] = []
            async with asyncio.timeout(60):
                while sum(packet.marker for packet, _, _ in received) < 2:
                    data, (address, source) = await loop.sock_recvfrom(sock, 2048)
                    received.append((Packet.parse(data), address, source))
            await client.ask("TEARDOWN", Session=answer.session)
    server_port = int(answer.headers["transport"].split("server_port=")[1].split("-")[0])
    assert {(address, source) for _, address, source in received} == {(CAMERA.address, server_port)}
    assert len(pictures([packet for packet, _, _ in received])) == 2
    assert f"ssrc={received[0][0].ssrc:08X}" in answer.headers["transport"]


async def test_a_client_that_stops_reading_costs_no_memory_and_resumes_at_a_key_picture(block: Block) -> None:
    """Pictures are dropped while the client does not read: what waits for it stays below the high-water mark."""
    async with block.client(CAMERA, "live/main", limit=1024) as client:
        await played(client)
        (connection,) = block.server.connections
        connection.transport.set_write_buffer_limits(high=4096)
        (session,) = block.server.book.by_id.values()
        assert session.live is not None
        connection.transport.write(b"$\x09\xff\xff" + b"\x00" * 65535)  # a frame of another channel fills the way
        connection.pause_writing()
        waiting = connection.transport.get_write_buffer_size()
        frame = block.server.live._frame
        for tick in range(200):
            session.live.tick(frame + tick)
        assert connection.transport.get_write_buffer_size() <= waiting
        connection.resume_writing()
        sent = session.live._stream.packets
        for tick in range(200, 226):
            session.live.tick(frame + tick)
        assert session.live._stream.packets > sent


async def test_a_camera_with_a_loudspeaker_offers_both_ways(block: Block) -> None:
    async with block.client(TALKING_CAMERA, "live/main") as client:
        plain = (await client.ask("DESCRIBE")).body.decode()
        both = (await client.ask("DESCRIBE", **BACKCHANNEL)).body.decode()
    assert "m=audio" not in plain
    assert both.index("m=video") < both.index("m=audio")
    assert both.count("a=sendonly") == 1
