"""Foreign SIP programs take our calls and hear what we say: baresip, SIPp."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from gateway.broadcast.pacing.local import LocalPacer
from gateway.broadcast.pacing.stream import Stream, StreamEnd
from gateway.clock import SystemClock
from gateway.domain.broadcast import DeliveryState, Speech
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.speaking import Carrier, SipHabits
from gateway.drivers.base import Target
from gateway.drivers.sip.agent import SipAgent
from gateway.drivers.sip.manner import SipManner
from gateway.drivers.sip.session import SipSession, open_call
from gateway.errors import AuthenticationFailed, Busy, DeadlineExceeded
from gateway.media.clips import ClipPreparer
from tests.interop.sip_peers import baresip, ear, sipp
from tests.interop.speaking import LEAD_IN_S, spoken
from tests.media.g711 import DECODERS
from tests.media.test_clips import snr_db, tone, wav
from tests.waiting import stopped, until

pytestmark = pytest.mark.interop
SILENCE = {"PCMA": b"\xd5", "PCMU": b"\xff"}
BOTH_WAYS = SipManner(SipHabits(user="horn", one_way=False))  # baresip 1.0 plays nothing of a call that is offered one way


def target(port: int, *login: str) -> Target:
    return Target(DeviceId("horn"), "127.0.0.1", Ports(sip=port), Credentials(*login))


async def say(session: SipSession, audio: bytes) -> None:
    """Every packet in time, and none dropped."""
    pacer, stream = LocalPacer(SystemClock()), Stream(session, audio)
    pacing = asyncio.create_task(pacer.run())
    pacer.start([stream])
    assert await stream.finished is StreamEnd.PLAYED
    assert stream.figures.dropped == 0
    await stopped(pacing)


@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
async def test_baresip_hears_the_whole_clip(encoding: str, tmp_path) -> None:
    clip = await ClipPreparer().prepare(wav(tone(1)))
    agent = SipAgent()
    async with baresip(tmp_path, encoding) as peer:
        session = await open_call(agent, target(peer.port), prefer=("PCMA", "PCMU"), timeout_s=5, manner=BOTH_WAYS)
        assert (session.format.encoding, session.format.packet_samples) == (encoding, 160)
        await say(session, clip.encodings[encoding] + SILENCE[encoding] * 800)  # BYE may overtake what is sent just before it
        await session.close()
        (heard,) = await until(lambda: [played for played in peer.played() if played])
    agent.close()
    assert snr_db(heard[: len(clip.pcm)], clip.pcm) > 30


@dataclass
class Telephone:
    """The peer as a loudspeaker."""

    agent: SipAgent
    target: Target

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> SipSession:
        return await open_call(self.agent, self.target, prefer=prefer, timeout_s=timeout_s, manner=BOTH_WAYS)


@pytest.mark.parametrize("content", [wav(tone(1)), Speech("请离开 Thank you")], ids=["clip", "text"])
@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
async def test_baresip_hears_a_whole_broadcast(encoding: str, content: bytes | Speech, sqlite_url, tmp_path) -> None:
    if isinstance(content, Speech) and shutil.which("espeak-ng") is None:
        pytest.skip("speech from text: espeak-ng is not installed")
    agent = SipAgent()
    async with baresip(tmp_path, encoding) as peer:
        delivery, meant = await spoken(content, Telephone(agent, target(peer.port)), sqlite_url, tmp_path)
        (heard,) = await until(lambda: [played for played in peer.played() if played])
    agent.close()
    figures = delivery.figures
    assert (delivery.state, delivery.reason, figures.encoding, figures.path) == (DeliveryState.DONE, "", encoding, "sip")
    begin = int(LEAD_IN_S * 8000) * 2
    assert snr_db(heard[begin : begin + len(meant)], meant) > 30


async def test_baresip_in_another_call_is_busy(tmp_path) -> None:
    agent = SipAgent()
    async with baresip(tmp_path, "PCMA") as peer:
        session = await open_call(agent, target(peer.port), prefer=("PCMA",), timeout_s=5, manner=BOTH_WAYS)
        with pytest.raises(Busy):
            await open_call(agent, target(peer.port), prefer=("PCMA",), timeout_s=5, manner=BOTH_WAYS)
        assert not session.ended
        await session.close()
    agent.close()


@pytest.mark.parametrize("carrier", Carrier)
@pytest.mark.parametrize("qop", ["", ', qop="auth", algorithm=MD5'], ids=["rfc2069", "qop"])
@pytest.mark.parametrize(("kind", "encoding"), [("0", "PCMU"), ("8", "PCMA")])
async def test_sipp_lets_us_in_hears_the_clip_and_our_bye(carrier: Carrier, qop: str, kind: str, encoding: str, tmp_path) -> None:
    clip = await ClipPreparer().prepare(wav(tone(0.4)))
    agent, manner = SipAgent(), SipManner(SipHabits(carrier=carrier))
    async with (
        sipp(tmp_path, "takes", transport="u1" if carrier is Carrier.UDP else "t1", QOP=qop, TYPE=kind) as peer,
        ear(peer.rtp) as heard,
    ):
        horn = target(peer.port, "operator", "secret")
        session = await open_call(agent, horn, prefer=("PCMA", "PCMU"), timeout_s=5, manner=manner)
        assert session.format.encoding == encoding
        await say(session, clip.encodings[encoding])
        await session.close()
        await peer.judged()
    agent.close()
    assert [packet[1] & 0x7F for packet in heard] == [int(kind)] * 20
    assert snr_db(DECODERS[encoding](b"".join(packet[12:] for packet in heard)), clip.pcm) > 30


@pytest.mark.parametrize(
    ("answer", "code"),
    [("200 OK", None), ("481 Call/Transaction Does Not Exist", None), ("500 Server Internal Error", "sip-500"), ("100 Trying", "timeout")],
)
async def test_what_sipp_answers_to_our_bye_is_told(answer: str, code: str | None, tmp_path) -> None:
    agent = SipAgent()
    async with sipp(tmp_path, "takes", QOP="", TYPE="0", BYE=answer) as peer:
        session = await open_call(agent, target(peer.port, "operator", "secret"), prefer=("PCMA", "PCMU"), timeout_s=5)
        unconfirmed = await session.close()
        await peer.judged()
    agent.close()
    assert (unconfirmed.code if unconfirmed else None) == code


async def test_sipp_does_not_let_us_in_with_another_password(tmp_path) -> None:
    agent = SipAgent()
    async with sipp(tmp_path, "takes", QOP="", TYPE="0") as peer:
        with pytest.raises(AuthenticationFailed):
            await open_call(agent, target(peer.port, "operator", "wrong"), prefer=("PCMA", "PCMU"), timeout_s=5)
        await peer.judged()
    agent.close()


async def test_a_call_that_sipp_does_not_take_is_cancelled(tmp_path) -> None:
    agent = SipAgent()
    async with sipp(tmp_path, "rings") as peer:
        with pytest.raises(DeadlineExceeded) as given_up:
            await open_call(agent, target(peer.port), prefer=("PCMA", "PCMU"), timeout_s=0.5)
        assert given_up.value.code == "unanswered"
        await peer.judged()
    agent.close()
