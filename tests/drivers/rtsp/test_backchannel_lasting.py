"""A talk while it lasts."""

import asyncio
import contextlib

import pytest

from gateway.drivers.rtsp.messages import encode_frame
from tests.drivers.rtp.test_reports import report
from tests.drivers.rtsp.peer import Asked, Peer, Reply, listening
from tests.drivers.rtsp.talking import brief, opened
from tests.waiting import until


async def test_a_speaker_that_does_not_read_gets_whole_frames_or_none() -> None:
    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with listening(Peer(after_play=deaf)) as peer:
        session = await opened(peer)
        sent = [session.send(bytes(1400), timestamp=0, marker=False) for _ in range(20_000)]
        assert sent[0]
        assert not sent[-1]
        await session.close()


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


async def test_a_device_that_leaves_a_question_without_an_answer_is_asked_another_one_in_time() -> None:
    script = {"SETUP": brief, "GET_PARAMETER": lambda p, a: None}
    async with listening(Peer(script=script)) as peer, asyncio.timeout(10):
        session = await opened(peer)
        await peer.until(lambda: peer.methods().count("OPTIONS") == 2)
        assert peer.methods()[-3:] == ["GET_PARAMETER", "OPTIONS", "OPTIONS"]
        await session.close()


async def test_a_session_whose_time_is_told_in_capitals_is_kept_alive_in_time() -> None:
    def setup(peer: Peer, asked: Asked) -> Reply:
        return Reply(headers={"Session": f"{peer.session};Timeout=2", "Transport": asked.headers["transport"]})

    async with listening(Peer(script={"SETUP": setup})) as peer, asyncio.timeout(10):
        session = await opened(peer)
        await peer.until(lambda: "GET_PARAMETER" in peer.methods())
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
