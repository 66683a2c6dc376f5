"""Sessions over real sockets: who gets in, which states allow what, and when a session ends."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from simulators.city import SimDevice
from simulators.faults import Answer as Ailment
from simulators.faults import Fault
from tests.simulators.block import CAMERA, RECORDER, SHA_CAMERA, SPEAKER, Block, rtsp_block
from tests.simulators.rtsp_client import Client
from tests.waiting import until

TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with rtsp_block() as running:
        yield running


async def set_up(client: Client, transport: str = TCP) -> str:
    answer = await client.ask("SETUP", "trackID=0", Transport=transport)
    assert answer.status == 200
    return answer.session


# -- who gets in ------------------------------------------------------------------------------------------------------


async def test_options_needs_no_login_and_lists_the_methods(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        answer = await client.ask_once("OPTIONS")
    assert answer.status == 200
    assert {"DESCRIBE", "SETUP", "PLAY", "PAUSE", "GET_PARAMETER", "TEARDOWN"} <= set(answer.headers["public"].split(", "))


@pytest.mark.parametrize("camera", [CAMERA, SHA_CAMERA], ids=["MD5", "SHA-256"])
async def test_the_right_password_gets_in_and_the_wrong_one_is_counted(block: Block, camera: SimDevice) -> None:
    async with block.client(camera, "live/main") as client:
        assert (await client.ask("DESCRIBE")).status == 200
    async with block.client(camera, "live/main", password="guess") as stranger:
        assert (await stranger.ask("DESCRIBE")).status == 401
    assert block.state.counters["rtsp.digest_good.camera"] == 1
    assert block.state.counters["rtsp.digest_bad.camera"] == 1


async def test_a_sha_256_device_says_so_in_its_challenge(block: Block) -> None:
    async with block.client(SHA_CAMERA, "live/main") as client:
        challenge = (await client.ask_once("DESCRIBE")).headers["www-authenticate"]
    assert "algorithm=SHA-256" in challenge
    assert 'qop="auth"' in challenge


async def test_a_stale_nonce_gets_a_new_one_and_is_no_wrong_password(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        await client.ask("DESCRIBE")
        block.clock.advance(3600)
        answer = await client.ask_once("DESCRIBE")
        assert answer.status == 401
        assert "stale=true" in answer.headers["www-authenticate"]
        assert (await client.ask("DESCRIBE")).status == 200
    assert block.state.counters["rtsp.digest_bad.camera"] == 0


async def test_basic_credentials_are_refused(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        assert (await client.ask_once("DESCRIBE", Authorization="Basic YWRtaW46c2VjcmV0LTE=")).status == 401


async def test_an_address_that_is_no_device_is_closed_at_once(block: Block) -> None:
    reader, writer = await asyncio.open_connection("127.99.9.9", block.port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await reader.readexactly(1)
    writer.close()


# -- states -----------------------------------------------------------------------------------------------------------


async def test_unknown_paths_methods_features_and_versions_get_their_own_answers(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        assert (await client.ask("RECORD")).status == 501
        answer = await client.ask("DESCRIBE", Require="org.example.nothing")
        assert (answer.status, answer.headers["unsupported"]) == (551, "org.example.nothing")
        assert (await client.ask("DESCRIBE", Accept="text/plain")).status == 406
        client.url = client.url.replace("live/main", "live/third")
        assert (await client.ask("DESCRIBE")).status == 404
        client.writer.write(b"OPTIONS * RTSP/2.0\r\nCSeq: %d\r\n\r\n" % client.cseq)
        assert (await client.answer()).status == 505


@pytest.mark.parametrize("transport", ["RTP/AVP;multicast;port=4000-4001", "RTP/AVP;unicast", "x"])
async def test_a_transport_that_cannot_be_is_461(block: Block, transport: str) -> None:
    async with block.client(CAMERA, "live/main") as client:
        assert (await client.ask("SETUP", "trackID=0", Transport=transport)).status == 461


async def test_a_session_that_does_not_exist_is_454(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        for method in ("PLAY", "PAUSE", "GET_PARAMETER", "TEARDOWN"):
            assert (await client.ask(method, Session="0123456789abcdef")).status == 454
        assert (await client.ask("SETUP", "trackID=0", Transport=TCP, Session="0123456789abcdef")).status == 454


async def test_another_devices_session_does_not_exist_here(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client, block.client(SHA_CAMERA, "live/main") as other:
        session = await set_up(client)
        assert (await other.ask("TEARDOWN", Session=session)).status == 454


async def test_what_the_state_does_not_allow_is_455(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        session = await set_up(client)
        assert (await client.ask("SETUP", "trackID=0", Transport=TCP, Session=session)).status == 455
        assert (await client.ask("PLAY", Session=session)).status == 200
        assert (await client.ask("SETUP", "trackID=0", Transport=TCP, Session=session)).status == 455


async def test_teardown_ends_the_session_and_its_pictures(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        session = await set_up(client)
        await client.ask("PLAY", Session=session)
        await client.frame()
        assert (await client.ask("TEARDOWN", Session=session)).status == 200
        assert (await client.ask("GET_PARAMETER", Session=session)).status == 454
    assert not block.server.book.by_id


# -- time -------------------------------------------------------------------------------------------------------------


async def test_a_session_lives_while_it_is_heard_of_and_expires_after_a_minute_of_silence(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        answer = await client.ask("SETUP", "trackID=0", Transport="RTP/AVP;unicast;client_port=40000-40001")
        assert answer.headers["session"].endswith(";timeout=60")
        session = answer.session
        for _ in range(5):
            block.clock.advance(50)
            block.server.sweep()
            assert (await client.ask("GET_PARAMETER", Session=session)).status == 200
        block.clock.advance(61)
        block.server.sweep()
        assert (await client.ask("GET_PARAMETER", Session=session)).status == 454
    assert block.state.counters["rtsp.expired.camera"] == 1


async def test_a_receiver_report_keeps_a_udp_session_alive(block: Block) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.setblocking(False)
        control.bind(("127.0.0.1", 0))
        port = control.getsockname()[1]
        async with block.client(CAMERA, "live/main") as client:
            answer = await client.ask("SETUP", "trackID=0", Transport=f"RTP/AVP;unicast;client_port={port - 1}-{port}")
            server_port = int(answer.headers["transport"].split("server_port=")[1].split(";")[0].split("-")[1])
            block.clock.advance(50)
            await loop.sock_sendto(control, b"\x80\xc9\x00\x01\x00\x00\x00\x07", (CAMERA.address, server_port))
            await until(lambda: block.server.book.by_id[answer.session].last_seen == block.clock())
            block.clock.advance(50)
            block.server.sweep()
            assert answer.session in block.server.book.by_id


async def test_an_interleaved_session_dies_with_its_connection_and_a_udp_one_does_not(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as first, block.client(CAMERA, "live/main") as second:
        interleaved = await set_up(first)
        over_udp = await set_up(second, "RTP/AVP;unicast;client_port=40002-40003")
    await until(lambda: not block.server.connections)
    assert interleaved not in block.server.book.by_id
    assert over_udp in block.server.book.by_id


async def test_an_idle_connection_without_a_session_is_closed(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        await client.ask("OPTIONS")
        block.clock.advance(121)
        block.server.sweep()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.ask("OPTIONS")


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Ailment.REFUSE, Ailment.RESET, Ailment.TRUNCATED, Ailment.GARBAGE])
async def test_a_broken_device_breaks_the_connection(block: Block, answer: Ailment) -> None:
    block.state.faults[CAMERA.id] = Fault(answer=answer)
    async with block.client(CAMERA, "live/main") as client:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask("OPTIONS")


async def test_a_silent_device_says_nothing_and_a_healed_one_does(block: Block) -> None:
    block.state.faults[CAMERA.id] = Fault(answer=Ailment.SILENT)
    async with block.client(CAMERA, "live/main") as client:
        client.send("OPTIONS")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.05)
        del block.state.faults[CAMERA.id]
        assert (await client.ask("OPTIONS")).status == 200


async def test_a_busy_device_answers_401_without_a_challenge(block: Block) -> None:
    block.state.faults[CAMERA.id] = Fault(answer=Ailment.BUSY)
    async with block.client(CAMERA, "live/main") as client:
        answer = await client.ask_once("DESCRIBE")
    assert answer.status == 401
    assert "www-authenticate" not in answer.headers


async def test_a_device_that_names_foreign_addresses_does_so_in_content_base(block: Block) -> None:
    block.state.faults[CAMERA.id] = Fault(answer=Ailment.FOREIGN_XADDR)
    async with block.client(CAMERA, "live/main") as client:
        answer = await client.ask("DESCRIBE")
    assert "203.0.113.77" in answer.headers["content-base"]
    assert answer.body.endswith(b"\r\n")


async def test_devices_have_the_paths_of_their_kind_only(block: Block) -> None:
    for target, path, status in (
        (SPEAKER, "live/main", 404),
        (RECORDER, "live/main", 404),
        (CAMERA, "audio", 404),
        (SPEAKER, "audio", 200),
    ):
        async with block.client(target, path) as client:
            assert (await client.ask("DESCRIBE")).status == status
