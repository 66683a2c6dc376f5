"""What goes wrong while a talk is set up."""

import asyncio
import contextlib

import pytest

from gateway.errors import AuthenticationFailed, Busy, DeadlineExceeded, DeviceFault, NotSupported, ProtocolError, Unreachable
from tests.drivers.rtsp.peer import SPEAKER_SDP, Asked, Peer, Reply, listening
from tests.drivers.rtsp.talking import opened


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
        b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="a", nonce="b\rc"\r\n\r\n',
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


async def test_an_answer_without_a_number_is_the_one_to_the_only_question() -> None:
    described = f"RTSP/1.0 200 OK\r\nContent-Length: {len(SPEAKER_SDP)}\r\n\r\n{SPEAKER_SDP}".encode()
    async with listening(Peer(script={"DESCRIBE": lambda p, a: described})) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.methods() == ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]


async def test_a_session_that_changes_its_name_is_refused() -> None:
    async with listening(Peer(script={"PLAY": lambda p, a: Reply(headers={"Session": "another"})})) as peer:
        with pytest.raises(ProtocolError):
            await opened(peer)


async def test_a_set_up_whose_connection_breaks_is_taken_back_over_a_new_one() -> None:
    def hang_up(peer: Peer, asked: Asked) -> None:
        assert peer.writer is not None
        peer.writer.transport.abort()

    async with listening(Peer(script={"PLAY": hang_up})) as peer:
        with pytest.raises(Unreachable):
            await opened(peer)
        assert peer.connections == 2
        assert (peer.asked[-1].method, peer.asked[-1].headers["session"]) == ("TEARDOWN", peer.session)
