"""The pacer's process, on real sockets: what leaves it, when it is stopped, when it dies, and when the daemon does."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pacing.live import LiveSource, encode
from gateway.broadcast.pacing.stream import Stream, StreamEnd
from gateway.broadcast.pacing.wire import RING_FROM
from gateway.clock import SystemClock
from gateway.drivers.base import Heir, no_heir
from gateway.drivers.rtsp.backchannel import Backchannel, SpeakerRtsp, open_audio
from gateway.drivers.rtsp.session import Transport
from gateway.errors import DeviceError
from tests.drivers.rtsp.peer import Asked, Login, Peer, Reply, listening
from tests.waiting import until

SOUND = bytes(range(1, 161)) * 20
PACKETS = [SOUND[at : at + 160] for at in range(0, len(SOUND), 160)]


class Ear:
    """A loudspeaker of the tests, over UDP or inside its RTSP connection; `packets` are those of RTP that came."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.peer = Peer(script={"SETUP": self._set_up})
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._heard: list[bytes] = []

    def _set_up(self, peer: Peer, asked: Asked) -> Reply:
        told = asked.headers["transport"]
        if self.transport is Transport.UDP:
            told += f";server_port={self._socket.getsockname()[1]}-1"
        return Reply(headers={"Session": peer.session, "Transport": told})

    @property
    def packets(self) -> list[bytes]:
        if self.transport is Transport.TCP:
            return [packet for _, packet in self.peer.frames]
        with contextlib.suppress(BlockingIOError):
            while True:
                self._heard.append(self._socket.recv(2000))
        return self._heard

    @property
    def sound(self) -> bytes:
        return b"".join(packet[12:] for packet in self.packets)

    async def opened(self, heir: Heir = no_heir) -> Backchannel:
        manner = SpeakerRtsp(transports=(self.transport,), all_tracks=False)
        return await open_audio(self.peer.target, prefer=["PCMA"], timeout_s=5, manner=manner, heir=heir)

    def close(self) -> None:
        self._socket.close()


@contextlib.asynccontextmanager
async def ears(*transports: Transport) -> AsyncIterator[list[Ear]]:
    async with contextlib.AsyncExitStack() as stack:
        made = [Ear(transport) for transport in transports]
        for ear in made:
            stack.callback(ear.close)
            await stack.enter_async_context(listening(ear.peer))
        yield made


@pytest.fixture
async def told() -> list[dict]:
    return []


@contextlib.asynccontextmanager
async def running(made: ChildPacer) -> AsyncIterator[ChildPacer]:
    task = asyncio.create_task(made.run())
    await made.ready()
    assert made.standing.apart
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def pacer(told: list[dict]) -> AsyncIterator[ChildPacer]:
    async with running(ChildPacer(SystemClock(), tell=lambda what: told.append(dict(what)))) as made:
        yield made


BOTH = pytest.mark.parametrize("transport", Transport)


@BOTH
async def test_the_whole_sound_arrives_once_and_in_order(pacer: ChildPacer, transport: Transport) -> None:
    async with ears(transport) as (ear,):
        session = await ear.opened()
        stream = Stream(session, SOUND, lead_in_s=0.04)
        pacer.start([stream])
        assert await stream.finished is StreamEnd.PLAYED
        await stream.returned
        await until(lambda: len(ear.packets) == 22)
        await session.close()
        assert ear.sound == b"\xd5" * 320 + SOUND
        heads = [struct.unpack("!BBHII", packet[:12]) for packet in ear.packets]
        assert [head[1] for head in heads] == [0x88] + [0x08] * 21
        assert [(head[2] - heads[0][2]) & 0xFFFF for head in heads] == list(range(22))
        assert [(head[3] - heads[0][3]) & 0xFFFFFFFF for head in heads] == [160 * number for number in range(22)]
        assert len({head[4] for head in heads}) == 1
        figures = stream.figures
        assert (figures.packets, figures.dropped, figures.encoding) == (22, 0, "PCMA")
        assert (figures.last_packet_at - figures.first_packet_at).total_seconds() > 0.40
        assert ear.peer.methods()[-1] == "TEARDOWN"


async def test_all_who_begin_together_hear_the_same_packets(pacer: ChildPacer) -> None:
    async with ears(*[Transport.UDP, Transport.TCP] * 3) as several:
        streams = [Stream(await ear.opened(), SOUND) for ear in several]
        pacer.start(streams)
        assert {await stream.finished for stream in streams} == {StreamEnd.PLAYED}
        for ear in several:
            await until(lambda ear=ear: len(ear.packets) == 20)
            assert ear.packets == several[0].packets
        for stream in streams:
            await stream.returned
            await stream.session.close()


@BOTH
async def test_who_is_stopped_hears_nothing_more_and_the_others_all(pacer: ChildPacer, transport: Transport) -> None:
    async with ears(transport, transport) as (first, second):
        streams = [Stream(await ear.opened(), SOUND) for ear in (first, second)]
        pacer.start(streams)
        await until(lambda: len(first.packets) > 3)
        pacer.stop(streams[0])
        assert streams[0].finished.done()
        await streams[0].returned
        heard = streams[0].figures.packets
        assert await streams[1].finished is StreamEnd.PLAYED
        await until(lambda: len(second.packets) == 20)
        assert len(first.packets) == heard < 20
        for stream in streams:
            await stream.returned
            await stream.session.close()


@BOTH
async def test_silence_for_all_needs_no_order_to_be_read(pacer: ChildPacer, transport: Transport) -> None:
    async with ears(transport) as (ear,):
        stream = Stream(await ear.opened(), SOUND * 5)
        pacer.start([stream])
        await until(lambda: len(ear.packets) > 3)
        pacer._child.page.silence()
        await stream.returned
        assert await stream.finished is StreamEnd.STOPPED
        heard = stream.figures.packets
        later = Stream(stream.session, SOUND)
        pacer.start([later])
        assert await later.finished is StreamEnd.PLAYED
        await later.returned
        await until(lambda: len(ear.packets) == heard + 20)
        numbers = [struct.unpack("!H", packet[2:4])[0] for packet in ear.packets]
        assert [(number - numbers[0]) & 0xFFFF for number in numbers] == list(range(heard + 20))
        await stream.session.close()


async def test_keep_alives_and_answers_go_between_the_frames(pacer: ChildPacer) -> None:
    async with ears(Transport.TCP) as (ear,):
        setup = ear._set_up

        def short(peer: Peer, asked: Asked) -> Reply:
            reply = setup(peer, asked)
            reply.headers["Session"] += ";timeout=2"
            return reply

        async def ask(peer: Peer) -> None:
            peer.writer.write(b"OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 7\r\n\r\n")

        ear.peer.script["SETUP"], ear.peer.after_play = short, ask
        stream = Stream(await ear.opened(), SOUND * 4)
        pacer.start([stream])
        assert await stream.finished is StreamEnd.PLAYED
        await stream.returned
        await until(lambda: len(ear.packets) == 80)
        assert "GET_PARAMETER" in ear.peer.methods()
        assert ear.sound == SOUND * 4
        await stream.session.close()
        assert len(ear.peer.said) == 1


@BOTH
async def test_when_the_pacer_dies_its_streams_say_so_and_the_next_one_plays(pacer: ChildPacer, told: list, transport: Transport) -> None:
    async with ears(transport) as (ear,):
        stream = Stream(await ear.opened(), SOUND * 5)
        pacer.start([stream])
        await until(lambda: len(ear.packets) > 3)
        os.kill(pacer.standing.pid, signal.SIGKILL)
        assert await stream.finished is StreamEnd.DIED
        await stream.returned
        heard = len(ear.packets)
        await stream.session.close()
        assert ear.peer.methods()[-1] == "TEARDOWN"
        await until(lambda: pacer.standing.apart)
        assert pacer.standing.restarts == 1
        assert [what["deliveries"] for what in told] == [1]
        again = Stream(await ear.opened(), SOUND)
        pacer.start([again])
        assert await again.finished is StreamEnd.PLAYED
        await again.returned
        await until(lambda: len(ear.packets) == heard + 20)
        await again.session.close()


async def test_a_pacer_that_hangs_is_killed(pacer: ChildPacer, told: list) -> None:
    pid = pacer.standing.pid
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: told)
    await until(lambda: pacer.standing.apart and pacer.standing.pid != pid)
    assert pacer.standing.restarts == 1


@BOTH
async def test_when_the_daemon_is_gone_it_falls_silent_and_says_goodbye(pacer: ChildPacer, transport: Transport) -> None:
    async with ears(transport) as (ear,):
        stream = Stream(await ear.opened(), SOUND * 50)
        pacer.start([stream])
        await until(lambda: len(ear.packets) > 3)
        pacer._child.control.shutdown(socket.SHUT_WR)
        await until(lambda: "TEARDOWN" in ear.peer.methods())
        heard = len(ear.packets)
        assert await stream.finished is StreamEnd.DIED
        await stream.returned
        await stream.session.close()
        assert len(ear.packets) == heard


@BOTH
async def test_when_the_daemon_is_gone_sessions_that_nobody_sends_to_are_ended_too(pacer: ChildPacer, transport: Transport) -> None:
    async with ears(transport, transport) as (before, after):
        pacer.bequeath(await before.opened())
        stream = Stream(session := await after.opened(), SOUND)
        pacer.bequeath(session)
        pacer.start([stream])
        await stream.returned
        pacer._child.control.shutdown(socket.SHUT_WR)
        await until(lambda: all("TEARDOWN" in ear.peer.methods() for ear in (before, after)))
        assert [ear.peer.methods().count("TEARDOWN") for ear in (before, after)] == [1, 1], "each is told once"


@BOTH
async def test_when_the_daemon_is_gone_a_session_that_was_being_set_up_is_ended_too(pacer: ChildPacer, transport: Transport) -> None:
    async with ears(transport) as (ear,):
        ear.peer.login = Login(qop=True)
        ear.peer.script["PLAY"] = lambda _peer, _asked: None  # the device takes its time
        opening = asyncio.ensure_future(ear.opened(pacer.inherit))
        await until(lambda: "PLAY" in ear.peer.methods())
        pacer._child.control.shutdown(socket.SHUT_WR)
        await until(lambda: "TEARDOWN" in ear.peer.methods())
        assert ear.peer.login.accepts(ear.peer.last("TEARDOWN"))
        counts = [re.search(r"nc=(\w+)", asked.headers.get("authorization", "")) for asked in ear.peer.asked]
        used = [found[1] for found in counts if found]
        assert used == sorted(set(used))
        opening.cancel()
        await asyncio.wait([opening])


async def test_a_session_that_could_not_be_set_up_leaves_nothing_to_be_said(pacer: ChildPacer) -> None:
    async with ears(Transport.UDP) as (ear,):
        ear.peer.script["PLAY"] = lambda _peer, _asked: Reply("454 Session Not Found")
        with pytest.raises(DeviceError):
            await ear.opened(pacer.inherit)
        assert not pacer._wills


async def test_a_session_that_was_closed_is_not_ended_again(pacer: ChildPacer) -> None:
    async with ears(Transport.UDP, Transport.UDP) as (closed, other):
        session = await closed.opened()
        settle = pacer.bequeath(session)
        pacer.bequeath(await other.opened())
        await session.close()
        settle()
        pacer._child.control.shutdown(socket.SHUT_WR)
        await until(lambda: "TEARDOWN" in other.peer.methods())
        assert closed.peer.methods().count("TEARDOWN") == 1


async def test_a_device_that_hangs_up_is_lost_at_once(pacer: ChildPacer) -> None:
    async with ears(Transport.TCP, Transport.UDP) as several:
        streams = [Stream(await ear.opened(), SOUND * 50) for ear in several]
        pacer.start(streams)
        for ear, stream in zip(several, streams, strict=True):
            await until(lambda ear=ear: len(ear.packets) > 3)
            ear.peer.writer.close()
            assert await stream.finished is StreamEnd.LOST
            await stream.returned
            await stream.session.close()


async def test_who_does_not_read_gets_whole_frames_and_is_lost_after_a_second(pacer: ChildPacer) -> None:
    async def deaf(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with ears(Transport.TCP) as (ear,):
        ear.peer.after_play = deaf
        session = await ear.opened()
        small = Stream(session, bytes(8 << 20))
        small.shape = small.shape._replace(packet_samples=1400, clock_rate=1_400_000)
        pacer.start([small])
        assert await small.finished is StreamEnd.LOST
        await small.returned
        assert small.figures.dropped > 0
        await session.close()


@BOTH
async def test_a_live_sound_is_said_as_it_comes(pacer: ChildPacer, transport: Transport) -> None:
    pcm = [struct.pack("<160h", *range(100 * number, 100 * number + 160)) for number in range(10)]
    async with ears(transport) as (ear,):
        source = LiveSource()
        stream = Stream(await ear.opened(), source)
        pacer.start([stream])
        for frame in pcm:
            said = encode(frame, "PCMA")
            source.push(frame)
            await until(lambda said=said: any(packet[12:] == said for packet in ear.packets))
        source.close()
        assert await stream.finished is StreamEnd.PLAYED
        await stream.returned
        spoken = [packet[12:] for packet in ear.packets if packet[12:] != b"\xd5" * 160]
        assert spoken == [encode(frame, "PCMA") for frame in pcm]
        await stream.session.close()


@pytest.mark.parametrize("batched", [pytest.param(True, id="io_uring"), pytest.param(False, id="a-call-each")])
async def test_of_many_connections_each_hears_all_and_who_hangs_up_is_lost_alone(batched: bool) -> None:
    async with running(ChildPacer(SystemClock(), batched=batched)) as pacer, ears(*[Transport.TCP] * (RING_FROM + 4)) as several:
        if batched and not pacer.standing.batched:
            pytest.skip(pacer.standing.why)
        assert pacer.standing.batched == batched
        streams = [Stream(await ear.opened(), SOUND) for ear in several]
        pacer.start(streams)
        await until(lambda: len(several[2].packets) > 3)
        several[2].peer.writer.close()
        ends = [await stream.finished for stream in streams]
        assert ends == [StreamEnd.LOST if number == 2 else StreamEnd.PLAYED for number in range(len(streams))]
        for ear in several[:2] + several[3:]:
            await until(lambda ear=ear: len(ear.packets) == 20)
            assert ear.sound == SOUND
        again = [Stream(stream.session, SOUND) for stream in streams if stream is not streams[2]]
        pacer.start(again)
        await until(lambda: len(several[0].packets) > 23)
        os.kill(pacer.standing.pid, signal.SIGKILL)
        assert {await stream.finished for stream in again} == {StreamEnd.DIED}
        await until(lambda: pacer.standing.apart)
        assert pacer.standing.batched == batched
        for stream in streams:
            await stream.returned
            await stream.session.close()


_WITHOUT_RING = """#!{python}
import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x0005_0001), (0x06, 0, 0, 0x7FFF_0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("@HP", len(rules), ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""
"""Runs Python where io_uring_setup(2) is forbidden, as containers do."""


async def test_where_the_kernel_forbids_io_uring_it_says_so_and_plays_all_the_same(tmp_path: Path) -> None:
    (without := tmp_path / "python").write_text(_WITHOUT_RING.format(python=sys.executable))
    without.chmod(0o700)
    async with running(ChildPacer(SystemClock(), python=str(without))) as pacer, ears(*[Transport.TCP] * RING_FROM) as several:
        assert not pacer.standing.batched
        assert "io_uring: Operation not permitted" in pacer.standing.why
        streams = [Stream(await ear.opened(), SOUND) for ear in several]
        pacer.start(streams)
        assert {await stream.finished for stream in streams} == {StreamEnd.PLAYED}
        for ear, stream in zip(several, streams, strict=True):
            await until(lambda ear=ear: ear.sound == SOUND)
            await stream.returned
            await stream.session.close()


async def test_the_process_holds_nothing_but_the_standard_library(pacer: ChildPacer) -> None:
    with open(f"/proc/{pacer.standing.pid}/maps") as maps:  # noqa: ASYNC230, PTH123 -- a file of the kernel's
        assert "site-packages" not in maps.read()
