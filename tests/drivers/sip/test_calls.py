"""Calls to a simulated horn over real sockets: what it does, and what the gateway makes of it."""

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest

from demo import sound
from gateway.broadcast.pacing.local import LocalPacer
from gateway.broadcast.pacing.stream import Stream, StreamEnd
from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.speaking import Carrier, SipHabits
from gateway.drivers.base import Descriptor, LastWord, Target
from gateway.drivers.refusals import AGAIN_AFTER_S, Door, Refusals
from gateway.drivers.sip.agent import Outbound, SipAgent, Way
from gateway.drivers.sip.exchange import ExchangeBooks
from gateway.drivers.sip.manner import SipManner
from gateway.drivers.sip.session import SipSession, open_call
from gateway.drivers.sip.speaker import SipSpeaker
from gateway.drivers.sip.transactions import Timing
from gateway.errors import AuthenticationFailed, Busy, DeadlineExceeded, DeviceFault, NotSupported, ProtocolError, Unreachable
from gateway.media.clips import ClipPreparer
from simulators.city import SimDevice, plan
from simulators.faults import Fault
from simulators.heard import HeardSession
from simulators.sip import server as sip
from simulators.state import State
from tests.drivers.books import Books
from tests.simulators.street import free_ports
from tests.waiting import stopped, until

ENCODINGS = ("PCMA", "PCMU")
BRISK = Timing(t1=0.02, t2=0.16, t4=0.2)


@dataclass
class Pole:
    """One simulated horn, the gateway's agent and what it knows of the horn."""

    horn: SimDevice
    state: State
    server: sip.SipServer
    target: Target
    agent: SipAgent

    def takes_calls(self, **habits: object) -> None:
        self.state.habits[self.horn.id] = self.state.habits_of(self.horn).changed(habits)

    async def call(self, *, timeout_s: float = 5, prefer: tuple[str, ...] = ENCODINGS, **manner: object) -> SipSession:
        return await open_call(self.agent, self.target, prefer=prefer, timeout_s=timeout_s, manner=SipManner(SipHabits(**manner)))

    @property
    def talks(self) -> list[HeardSession]:
        return list(self.state.heard_by(self.horn).sessions)

    @property
    def in_a_call(self) -> bool:
        horn = self.server.horn_at(self.horn.address)
        return horn is not None and horn.call is not None

    def speaker(self) -> SipSpeaker:
        return SipSpeaker(self.agent, lambda: self.target, SystemClock())


@pytest.fixture(params=["MD5", "SHA-256"])
async def pole(request: pytest.FixtureRequest) -> AsyncIterator[Pole]:
    planned = plan(seed=7, groups=4, speakers=1, telephones=1, sip_port=free_ports(1)[0])
    city = replace(planned, devices=tuple(replace(device, rtsp_algorithm=request.param) for device in planned.devices))
    horn, state, agent = city.of_kind("speaker")[0], State(), SipAgent(timing=BRISK)
    target = Target(DeviceId("horn"), horn.address, Ports(sip=city.sip_port), Credentials(horn.username, horn.password))
    async with sip.serve(city, city.sip_port, state) as server:
        yield Pole(horn, state, server, target, agent)
    agent.close()


async def say(session: SipSession, audio: bytes) -> None:
    """Every packet in time, and none dropped."""
    pacer, stream = LocalPacer(SystemClock()), Stream(session, audio)
    pacing = asyncio.create_task(pacer.run())
    pacer.start([stream])
    assert await stream.finished is StreamEnd.PLAYED
    assert stream.figures.dropped == 0
    await stopped(pacing)


@pytest.mark.parametrize("transport", Carrier)
async def test_the_horn_plays_what_is_said(pole: Pole, transport: Carrier) -> None:
    clip = await ClipPreparer().prepare(sound.wav(sound.speech_like(0.5)))
    session = await pole.call(carrier=transport)
    assert session.format.encoding == pole.horn.audio[0]
    await say(session, clip.encodings[session.format.encoding])
    await session.close()
    (talk,) = pole.talks
    assert (talk.packets, talk.refused, talk.missing_samples, pole.in_a_call) == (25, 0, 0, False)
    heard = sound.read_wav(pole.state.heard[pole.horn.id].wav(0))
    assert sound.snr_db(array.array("h", clip.pcm), heard, longest_lead_s=1) > 30


async def test_the_horns_own_order_of_encodings_counts(pole: Pole) -> None:
    for prefer in (("PCMA", "PCMU"), ("PCMU", "PCMA")):
        session = await pole.call(prefer=prefer)
        assert session.format.encoding == next(name for name in pole.horn.audio if name in prefer)
        await session.close()


async def test_sound_goes_to_the_address_of_the_inventory_whatever_the_horn_describes(pole: Pole) -> None:
    pole.takes_calls(wrong_address="203.0.113.77")
    session = await pole.call()
    await say(session, b"\xd5" * 480)
    await session.close()
    assert [talk.packets for talk in pole.talks] == [3]


async def test_a_ringing_horn_is_waited_for(pole: Pole) -> None:
    pole.takes_calls(rings_s=0.1)
    session = await pole.call()
    await session.close()
    assert len(pole.talks) == 1


async def test_a_call_that_nobody_takes_is_taken_back(pole: Pole) -> None:
    pole.takes_calls(answers=False)
    with pytest.raises(DeadlineExceeded) as given_up:
        await pole.call(timeout_s=0.2)
    assert given_up.value.code == "unanswered"
    assert not pole.in_a_call
    assert not pole.talks


async def test_a_call_that_is_cancelled_by_its_caller_is_taken_back(pole: Pole) -> None:
    pole.takes_calls(answers=False)
    calling = asyncio.create_task(pole.call())
    await until(lambda: pole.in_a_call)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert not pole.in_a_call


async def test_a_horn_in_another_call_is_busy(pole: Pole) -> None:
    first = await pole.call()
    with pytest.raises(Busy):
        await pole.call()
    assert not first.ended
    await first.close()
    assert not pole.in_a_call


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (302, ProtocolError, "redirect"),
        (404, DeviceFault, "sip-404"),
        (480, DeviceFault, "sip-480"),
        (403, AuthenticationFailed, "forbidden"),
        (486, Busy, "busy"),
        (488, NotSupported, "no-common-encoding"),
        (503, Busy, "busy"),
        (600, Busy, "busy"),
        (606, NotSupported, "no-common-encoding"),
    ],
)
async def test_a_refusal_is_told_by_what_can_be_done_next(pole: Pole, status: int, error: type[Exception], code: str) -> None:
    pole.takes_calls(refuses=status)
    with pytest.raises(error) as refused:
        await pole.call()
    assert refused.value.code == code  # type: ignore[attr-defined]  # a DeviceError


async def test_a_horn_that_takes_calls_without_sound_is_not_spoken_to(pole: Pole) -> None:
    pole.takes_calls(no_audio=True)
    with pytest.raises(NotSupported) as refused:
        await pole.call()
    assert refused.value.code == "refuses-audio"
    assert not pole.in_a_call


async def test_a_wrong_password_is_tried_once(pole: Pole) -> None:
    pole.target = replace(pole.target, credentials=Credentials(pole.horn.username, "wrong"))
    speaker = pole.speaker()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed) as caught:
            await speaker.open(prefer=ENCODINGS, timeout_s=5)
        assert "retry_credentials" in caught.value.hint
    assert pole.state.counters["sip.digest_bad.speaker"] == 1
    speaker.try_again()
    with pytest.raises(AuthenticationFailed):
        await speaker.open(prefer=ENCODINGS, timeout_s=5)
    assert pole.state.counters["sip.digest_bad.speaker"] == 2


async def test_a_password_that_another_door_refused_is_not_shown_to_a_horn_and_one_that_asks_for_none_is_spoken_to(pole: Pole) -> None:
    refusals = Refusals()
    refusals.note(pole.target, Door.BACKCHANNEL, AuthenticationFailed("refused at another door"))
    speaker = SipSpeaker(pole.agent, lambda: pole.target, SystemClock(), refusals)
    with pytest.raises(AuthenticationFailed, match="at another door"):
        await speaker.open(prefer=ENCODINGS, timeout_s=5)
    assert {name for name in pole.state.counters if "digest" in name} == {"sip.digest_none.speaker"}
    pole.takes_calls(open=True)
    await (await speaker.open(prefer=ENCODINGS, timeout_s=5)).close()


async def test_a_horn_forgives_what_it_refused_only_when_it_takes_the_password(pole: Pole) -> None:
    clock, books = SimulatedClock(), Books()
    speaker = SipSpeaker(pole.agent, lambda: pole.target, clock, Refusals(books, clock))

    async def is_refused() -> None:
        pole.state.faults[pole.horn.id] = Fault(password="another")
        with pytest.raises(AuthenticationFailed):
            await speaker.open(prefer=ENCODINGS, timeout_s=5)
        del pole.state.faults[pole.horn.id]

    async def is_spoken_to() -> None:
        await (await speaker.open(prefer=ENCODINGS, timeout_s=5)).close()

    async def after(waits: float) -> None:
        await clock.advance(waits * AGAIN_AFTER_S)
        books.accepted_at = clock.monotonic()

    await is_refused()
    await after(1)
    pole.takes_calls(open=True)
    await is_spoken_to()
    pole.takes_calls(open=False)
    await is_refused()
    await after(1)
    with pytest.raises(AuthenticationFailed):
        await is_spoken_to()
    await after(1)
    await is_spoken_to()
    await is_refused()
    await after(1)
    await is_spoken_to()


async def test_a_horn_that_hangs_up_ends_the_session(pole: Pole) -> None:
    pole.takes_calls(hangs_up_after_s=0.05)
    session = await pole.call()
    await until(lambda: session.ended)
    assert not session.send(b"\xd5" * 160, timestamp=0, marker=True)
    await session.close()
    assert not pole.in_a_call


@pytest.mark.parametrize("every", [3, 4, 5])
async def test_lost_messages_are_made_up_for(pole: Pole, every: int) -> None:
    pole.takes_calls(drops_every=every)
    session = await pole.call()
    assert session.send(b"\xd5" * 160, timestamp=0, marker=True)
    await session.close()
    await until(lambda: not pole.in_a_call)
    assert len(pole.talks) == 1


async def test_a_session_timer_that_the_horn_demands_is_kept(pole: Pole) -> None:
    pole.takes_calls(session_s=90)
    session = await pole.call()
    await session.close()
    assert not pole.in_a_call


async def test_a_horn_that_hears_before_it_takes_the_call_is_spoken_to_at_once(pole: Pole) -> None:
    pole.takes_calls(early=True, answers=False)
    session = await pole.call(early_media=True)
    await say(session, b"\xd5" * 480)
    await session.close()
    assert [talk.packets for talk in pole.talks] == [3]
    assert not pole.in_a_call


async def test_others_wait_until_the_call_is_taken(pole: Pole) -> None:
    pole.takes_calls(early=True, answers=False)
    with pytest.raises(DeadlineExceeded):
        await pole.call(timeout_s=0.2)
    assert [talk.packets for talk in pole.talks] == [0]


@pytest.mark.parametrize("relays", [True, False])
async def test_a_call_by_way_of_an_exchange_goes_to_its_address_and_shows_its_password(pole: Pole, relays: bool) -> None:
    exchange, device = pole.horn, "127.32.77.1"
    way = Way(exchange.address, pole.target.ports.sip)
    pole.agent.outbound = Outbound(way, "street.example", Credentials(exchange.username, exchange.password), relays_sound=relays)
    pole.target = Target(DeviceId("horn"), device, Ports(sip=9), Credentials("8001", "its own"))
    session = await pole.call()
    horn = pole.server.horn_at(exchange.address)
    assert horn is not None
    assert horn.call is not None
    assert horn.call.invite.uri == "sip:8001@street.example"
    assert horn.call.invite.field("route") == f"<sip:{exchange.address}:{way.port};lr>"
    assert f"sip:{exchange.username}@street.example" in horn.call.invite.field("from")
    await say(session, b"\xd5" * 160)
    await session.close()
    await until(lambda: relays or pole.state.counters[f"sip.audio_astray.{device}"] == 1)
    assert [talk.packets for talk in pole.talks] == [1 if relays else 0]
    assert not pole.in_a_call


def by_way_of_an_exchange(pole: Pole, password: str, clock: SimulatedClock, count: int) -> list[SipSpeaker]:
    """Loudspeakers behind an exchange, which the horn plays, and of which the gateway has this password."""
    exchange, books = pole.horn, ExchangeBooks(clock)
    pole.agent.outbound = Outbound(Way(exchange.address, pole.target.ports.sip), "street.example", Credentials(exchange.username, password))
    behind = [Target(DeviceId(f"horn-{n}"), f"127.32.77.{n}", Ports(sip=9), Credentials(f"800{n}")) for n in range(1, count + 1)]
    return [SipSpeaker(pole.agent, partial(replace, target), clock, exchange=books) for target in behind]


async def test_a_password_that_an_exchange_refuses_is_said_for_two_loudspeakers_and_again_ever_later(pole: Pole) -> None:
    clock = SimulatedClock()
    speakers, said = by_way_of_an_exchange(pole, "wrong", clock, 4), []
    for wait_s in (0, 0, AGAIN_AFTER_S, AGAIN_AFTER_S, AGAIN_AFTER_S, AGAIN_AFTER_S):
        await clock.advance(wait_s)
        for speaker in speakers:
            with pytest.raises(AuthenticationFailed) as refused:
                await speaker.open(prefer=ENCODINGS, timeout_s=5)
            assert refused.value.code == "bad-credentials"
        said.append(pole.state.counters["sip.digest_bad.speaker"])
    assert said == [2, 2, 3, 3, 4, 4]
    speakers[3].try_again()
    with pytest.raises(AuthenticationFailed):
        await speakers[3].open(prefer=ENCODINGS, timeout_s=5)
    assert pole.state.counters["sip.digest_bad.speaker"] == 5


async def test_an_exchange_that_lets_some_in_is_not_given_up_for_one_that_it_refuses(pole: Pole) -> None:
    clock = SimulatedClock()
    refused, *others = by_way_of_an_exchange(pole, pole.horn.password, clock, 3)
    outbound = pole.agent.outbound
    assert outbound is not None
    for number, speaker in enumerate(others, 1):
        pole.agent.outbound = replace(outbound, credentials=Credentials(pole.horn.username, "wrong"))
        with pytest.raises(AuthenticationFailed):
            await refused.open(prefer=ENCODINGS, timeout_s=5)
        pole.agent.outbound = outbound
        await (await speaker.open(prefer=ENCODINGS, timeout_s=5)).close()
        await until(lambda: not pole.in_a_call)
        await clock.advance(AGAIN_AFTER_S * 2**number)
        assert pole.state.counters["sip.digest_bad.speaker"] == number


async def test_a_call_whose_connection_broke_is_ended_over_another_one(pole: Pole) -> None:
    session = await pole.call(carrier=Carrier.TCP)
    for stream in tuple(pole.server.streams):
        stream.transport.abort()
    await until(lambda: not pole.server.streams)
    assert pole.in_a_call
    await session.close()
    assert not pole.in_a_call


async def test_what_the_horn_says_to_have_missed_is_known(pole: Pole) -> None:
    pole.takes_calls(reports_s=0.05)
    session = await pole.call()
    assert session.missed is None
    for at in (0, 160, 640):
        assert session.send(b"\xd5" * 160, timestamp=at, marker=at == 0)
    await until(lambda: session.missed == 2)
    await session.close()
    assert session.missed == 2


async def test_nobody_at_the_address_is_told_at_once(pole: Pole) -> None:
    pole.target = replace(pole.target, ports=Ports(sip=free_ports(1)[0]))
    began = asyncio.get_running_loop().time()
    for transport in Carrier:
        with pytest.raises(Unreachable) as refused:
            await pole.call(carrier=transport)
        assert refused.value.code == "refused"
    assert asyncio.get_running_loop().time() - began < 1


async def test_a_telephone_tells_who_it_is_and_lets_us_in(pole: Pole) -> None:
    told = await pole.speaker().ask(timeout_s=5)
    assert told.refused is None
    assert (told.identity.manufacturer, told.identity.model, told.identity.firmware) == ("Fanvil", pole.horn.model, pole.horn.firmware)
    assert told.hardware.addresses == (pole.horn.mac,)
    assert pole.state.is_verified(pole.horn)


async def test_a_telephone_that_refuses_the_password_is_alive_all_the_same(pole: Pole) -> None:
    pole.target = replace(pole.target, credentials=Credentials(pole.horn.username, "wrong"))
    speaker = pole.speaker()
    for _ in range(3):
        told = await speaker.ask(timeout_s=5)
        assert (told.identity.model, told.refused is not None) == (pole.horn.model, True)
        with pytest.raises(AuthenticationFailed):
            await speaker.identity(timeout_s=5)
    assert pole.state.counters["sip.digest_bad.speaker"] == 1


@pytest.mark.parametrize("transport", Carrier)
async def test_a_call_that_its_caller_cannot_end_any_more_is_ended_by_the_heir(pole: Pole, transport: Carrier) -> None:
    wills: list[tuple[bytes, Descriptor]] = []
    settled: list[str] = []

    def heir(farewell: LastWord, signalling: Descriptor) -> Callable[[], None]:
        wills.append((farewell(), signalling))
        return partial(settled.append, "settled")

    pole.agent.heir = heir
    session = await pole.call(carrier=transport)
    ((words, signalling),) = wills
    assert pole.in_a_call and not settled
    os.write(signalling.fileno(), words)
    await until(lambda: not pole.in_a_call)
    await session.close()
    assert settled == ["settled"]


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, Target]]:
    """A horn's end of the wire, without a horn."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as horn:
        horn.bind(("127.0.0.1", 0))
        horn.setblocking(False)
        yield horn, Target(DeviceId("horn"), "127.0.0.1", Ports(sip=horn.getsockname()[1]), Credentials("horn", ""))


async def test_a_horn_that_describes_itself_while_it_rings_need_not_do_so_again() -> None:
    loop, agent = asyncio.get_running_loop(), SipAgent(timing=BRISK)
    with listening() as (horn, target):
        calling = asyncio.create_task(open_call(agent, target, prefer=ENCODINGS, timeout_s=5))
        invite, caller = await loop.sock_recvfrom(horn, 65_536)
        await loop.sock_sendto(horn, told(invite, "183 Session Progress", SOUND), caller)
        await loop.sock_sendto(horn, told(invite, "200 OK"), caller)
        session = await calling
        assert (session.format.encoding, session.line.socket.getpeername()[1]) == ("PCMA", 40_000)
        await session.close()
        agent.close()


async def test_a_horn_whose_port_is_the_last_one_is_told_from_a_fault_of_ours() -> None:
    loop, agent = asyncio.get_running_loop(), SipAgent(timing=BRISK)
    with listening() as (horn, target):
        calling = asyncio.create_task(open_call(agent, target, prefer=ENCODINGS, timeout_s=5))
        invite, caller = await loop.sock_recvfrom(horn, 65_536)
        await loop.sock_sendto(horn, told(invite, "200 OK", SOUND.replace("40000", "65535")), caller)
        with pytest.raises(ProtocolError):
            await calling
        agent.close()


@pytest.mark.parametrize(("status", "code"), [("100 Trying", "timeout"), ("180 Ringing", "unanswered")])
async def test_a_horn_that_an_exchange_tries_to_reach_does_not_ring_yet(status: str, code: str) -> None:
    loop, agent = asyncio.get_running_loop(), SipAgent(timing=BRISK)
    with listening() as (horn, target):
        calling = asyncio.create_task(open_call(agent, target, prefer=ENCODINGS, timeout_s=0.2))
        invite, caller = await loop.sock_recvfrom(horn, 65_536)
        await loop.sock_sendto(horn, told(invite, status), caller)
        while not (request := await loop.sock_recv(horn, 65_536)).startswith(b"CANCEL "):
            pass
        await loop.sock_sendto(horn, told(request, "200 OK"), caller)
        await loop.sock_sendto(horn, told(invite, "487 Request Terminated"), caller)
        with pytest.raises(DeadlineExceeded) as given_up:
            await calling
        assert given_up.value.code == code
        agent.close()


async def test_a_call_has_its_heir_before_the_horn_is_told_that_it_stands() -> None:
    loop, unread = asyncio.get_running_loop(), list[bytes]()
    with listening() as (horn, target):

        def heir(_farewell: LastWord, _signalling: Descriptor) -> Callable[[], None]:
            with contextlib.suppress(BlockingIOError):
                unread.append(horn.recv(65_536))  # over loopback all that was sent has come
            return lambda: None

        agent = SipAgent(timing=BRISK)
        agent.heir = heir
        calling = asyncio.create_task(open_call(agent, target, prefer=ENCODINGS, timeout_s=5))
        invite, caller = await loop.sock_recvfrom(horn, 65_536)
        await loop.sock_sendto(horn, told(invite, "200 OK", SOUND), caller)
        session = await calling
        assert unread == []
        while not (await loop.sock_recv(horn, 65_536)).startswith(b"ACK "):
            pass
        await session.close()
        agent.close()


async def test_a_loudspeaker_that_asks_for_its_own_password_behind_an_exchange_does_not_see_the_exchanges() -> None:
    clock, agent, exchange = SimulatedClock(), SipAgent(timing=BRISK), ExchangeBooks(SimulatedClock())
    with listening() as (wire, target):
        way = Way(target.address, target.ports.sip)
        agent.outbound = Outbound(way, "street.example", Credentials("gateway", "secret"))
        for _ in range(3):
            answering = asyncio.create_task(asks_twice(wire))
            with pytest.raises(AuthenticationFailed) as refused:
                await SipSpeaker(agent, lambda: target, clock, exchange=exchange).open(prefer=ENCODINGS, timeout_s=5)
            assert refused.value.code == "forbidden"
            shown = [invite for invite in await answering if invite.startswith(b"INVITE ")]
            assert [b'realm="exchange"' in invite for invite in shown] == [False, True]
            assert not any(b'realm="horn"' in invite for invite in shown)
        assert exchange.known_bad() is None
        agent.close()


async def asks_twice(wire: socket.socket) -> list[bytes]:
    """What comes until the end of a call that the exchange asks a password for, and then the loudspeaker behind it."""
    loop, came = asyncio.get_running_loop(), list[bytes]()
    proxy, own = ("407 Proxy Authentication Required", "Proxy", "exchange"), ("401 Unauthorized", "WWW", "horn")
    while sum(request.startswith(b"ACK ") for request in came) < 2:
        request, caller = await loop.sock_recvfrom(wire, 65_536)
        came.append(request)
        if request.startswith(b"INVITE "):
            status, who, realm = own if b"Proxy-Authorization" in request else proxy
            await loop.sock_sendto(wire, told(request, f'{status}\r\n{who}-Authenticate: Digest realm="{realm}", nonce="{realm}"'), caller)
    return came


SOUND = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"


def told(request: bytes, status: str, body: str = "") -> bytes:
    """What a horn answers."""
    kept = [line for line in request.decode().split("\r\n") if line.split(":")[0].lower() in {"via", "from", "call-id", "cseq"}]
    to = next(line for line in request.decode().split("\r\n") if line.lower().startswith("to:"))
    fields = [*kept, f"{to};tag=1", "Contact: <sip:horn@127.0.0.1>", "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
    return "\r\n".join([f"SIP/2.0 {status}", *fields, "", body]).encode()
