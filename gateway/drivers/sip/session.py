"""A way to one loudspeaker by telephone: it is called, takes the call by itself, and hears what we say (RFC 3261)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.domain.devices import Credentials
from gateway.domain.speaking import AutoAnswer, SpeakerPath
from gateway.drivers.base import AudioFormat, Line, Target, Write
from gateway.drivers.rtp.numbering import Numbering
from gateway.drivers.rtp.reports import latest_missed
from gateway.drivers.rtp.udp import UdpPair
from gateway.drivers.sip.agent import Conversation, Outbound, SipAgent, Way, deadline
from gateway.drivers.sip.call import Call, Phase, Plan
from gateway.drivers.sip.description import Agreed, agreed, offer
from gateway.drivers.sip.manner import SipManner
from gateway.drivers.sip.messages import encode, seconds
from gateway.drivers.sip.wire import Transport
from gateway.drivers.textual import Response
from gateway.errors import AuthenticationFailed, Busy, DeadlineExceeded, DeviceError, DeviceFault, NotSupported, ProtocolError, Unreachable

FAREWELL_S: Final = 1.0
"""How long `close` waits for the answer to BYE; after that it is repeated in the background, for 32 s."""
RATE: Final = 8_000
_FAREWELL_TAKEN: Final = frozenset({*range(200, 300), 481})
"""481: the device knows nothing of the call any more."""


async def open_call(
    agent: SipAgent,
    target: Target,
    *,
    prefer: Sequence[str],
    timeout_s: float,
    manner: SipManner = SipManner(),  # noqa: B008 -- frozen
    anonymous: bool = False,
) -> "SipSession":
    """Call a horn until it has taken the call, all within `timeout_s`. `prefer`: RTP encoding names, best first. `anonymous`: show no
    password, the horn's or the exchange's.

    Raises Busy when it is in another call, NotSupported (no-common-encoding, refuses-audio), DeadlineExceeded (unanswered, when it rings
    and nobody takes the call), and the other DeviceErrors. No call of ours is left behind: CANCEL or BYE is sent whatever went wrong.
    """
    opening = _Opening(agent, target, manner, prefer, anonymous=anonymous)
    try:
        async with deadline(target, timeout_s):
            return await opening.run()
    except DeadlineExceeded:
        if opening.rang:
            raise DeadlineExceeded(
                f"{target.device}: rings, and nobody takes the call",
                code="unanswered",
                hint="Let the loudspeaker answer calls by itself, for calls from the gateway's address at least.",
            ) from None
        raise


class SipSession:
    """The `AudioSession` of `drivers.base`."""

    path = SpeakerPath.SIP

    def __init__(
        self,
        agent: SipAgent,
        target: Target,
        conversation: Conversation[Call],
        pair: UdpPair,
        audio: AudioFormat,
        *,
        settle: Callable[[], None],
    ) -> None:
        """`settle`: to be called once the call is over."""
        self._agent = agent
        self._target = target
        self._settle = settle
        self._conversation = conversation
        self._pair = pair
        self._format = audio
        self._numbering = Numbering(audio, agent.entropy)
        self._closed = False
        self._missed: int | None = None
        self._tell_ended: Callable[[], None] | None = None
        self._line = Line(
            pair.socket,
            audio.payload_type,
            lend=self._lend,
            returned=self._take_back,
            farewell=self._last_word,
            signalling=conversation.signalling,
        )

    @property
    def let_in(self) -> bool:
        """Whether the call was accepted with our password shown."""
        return self._conversation.machine.let_in

    @property
    def format(self) -> AudioFormat:
        return self._format

    @property
    def line(self) -> Line:
        return self._line

    def _lend(self, _write: Write, ended: Callable[[], None]) -> None:
        """Sound alone goes by the line: a call has a socket of its own for what is said beside it."""
        if self.ended:
            raise Unreachable("the call has ended", code="closed")
        self._tell_ended, self._conversation.changed = ended, self._notice_end

    def _take_back(self, _torn: bool) -> None:
        self._tell_ended = self._conversation.changed = None
        self._numbering.resume(self._line)

    def _notice_end(self) -> None:
        if self.ended and self._tell_ended is not None:
            tell, self._tell_ended = self._tell_ended, None
            tell()

    def _last_word(self) -> bytes:
        return _last_word(self._conversation)

    @property
    def missed(self) -> int | None:
        self._missed = latest_missed(self._pair.reports(), self._missed)
        return self._missed

    @property
    def ended(self) -> bool:
        """Whether nothing can be sent any more: closed by us, or the device hung up."""
        return self._closed or self._conversation.machine.phase not in (Phase.SPEAKING, Phase.RINGING)

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
        """Send one RTP packet without waiting; False when it had to be dropped. `timestamp` counts samples from the start."""
        if self.ended:
            return False
        head = self._numbering.next(self._line, timestamp=timestamp, marker=marker)
        return self._pair.send(head + payload)

    async def close(self) -> DeviceError | None:
        """BYE, whose answer is waited for `FAREWELL_S`."""
        if self._closed:
            return None
        self._closed = True
        try:
            return await leave(self._agent, self._conversation, self._target)
        finally:
            self._settle()
            self._pair.close()


class _Opening:
    """The steps from a target to an open session, with what must be undone when one of them fails."""

    def __init__(self, agent: SipAgent, target: Target, manner: SipManner, prefer: Sequence[str], *, anonymous: bool) -> None:
        self.rang = False
        self._anonymous = anonymous
        self._agent = agent
        self._target = target
        self._manner = manner
        self._encodings = [name for name in manner.habits.codecs or prefer if name in prefer]
        self._pair: UdpPair | None = None
        self._settle: Callable[[], None] | None = None

    async def run(self) -> SipSession:
        conversation: Conversation[Call] | None = None
        try:
            outbound = self._agent.outbound
            way = outbound.way if outbound else Way(self._target.address, self._target.ports.sip, self._manner.transport)
            conversation = await self._agent.open(way, self._call)
            conversation.before = partial(self._bequeath, conversation)
            await conversation.until(self._decided)
            return self._session(conversation)
        except BaseException:
            if conversation is not None:
                self.rang = conversation.machine.rang and conversation.machine.phase is Phase.RINGING
                await leave(self._agent, conversation, self._target)
            self.settle()
            if self._pair is not None:
                self._pair.close()
            raise

    def settle(self) -> None:
        """The call is over: nobody need end it in our place."""
        if self._settle is not None:
            self._settle()

    def _bequeath(self, conversation: Conversation[Call]) -> None:
        """Before the ACK that makes it a call which only BYE ends: without that, the horn gives it up by itself (RFC 3261, 13.3.1.4)."""
        if self._settle is None and conversation.machine.phase is Phase.SPEAKING:
            self._settle = self._agent.heir(partial(_last_word, conversation), conversation.signalling)

    def _decided(self, call: Call) -> bool:
        return call.phase in (Phase.SPEAKING, Phase.OVER) or (self._manner.habits.early_media and call.early is not None)

    def _call(self, host: str, port: int, now: float) -> Call:
        self._pair = UdpPair(host)
        packet_ms = self._manner.habits.packet_ms or 20
        described = offer(
            address=host,
            port=self._pair.port,
            encodings=self._encodings,
            packet_ms=packet_ms,
            one_way=self._manner.habits.one_way,
            session=self._agent.entropy(31),
        )
        plan = Plan(
            device=self._target.device,
            uri=uri_of(self._target, self._manner),
            ours=host_and_port(host, port),
            transport=self._manner.transport.upper(),
            offer=described,
            credentials=self._target.credentials,
            fields=_asking_to_answer(host, self._manner.habits.auto_answer),
        )
        if self._agent.outbound is not None:
            plan = _by_way_of(self._agent.outbound, plan, self._manner.habits.user or self._target.credentials.username)
        if self._anonymous:
            plan = replace(plan, credentials=Credentials())
        return Call(plan, token=self._agent.token, now=now, timing=self._agent.timing)

    def _session(self, conversation: Conversation[Call]) -> SipSession:
        call = conversation.machine
        if call.failure is not None:
            raise call.failure
        if call.refusal is not None:
            raise refused(self._target, call.refusal)
        assert self._pair is not None
        way = agreed(call.described, self._encodings, packet_ms=self._manner.habits.packet_ms)
        outbound = self._agent.outbound
        self._pair.connect(outbound.way.address if outbound and outbound.relays_sound else self._target.address, way.port)
        return SipSession(self._agent, self._target, conversation, self._pair, self._audio_format(way), settle=self.settle)

    def _audio_format(self, way: Agreed) -> AudioFormat:
        samples = round(way.packet_ms * RATE / 1000)
        return AudioFormat(way.encoding, RATE, way.payload_type, samples, self._manner.swallows_s, self._manner.buffers_s)


def _last_word(conversation: Conversation[Call]) -> bytes:
    bye = conversation.machine.farewell()
    return encode(bye) if bye is not None else b""


def _by_way_of(outbound: Outbound, plan: Plan, user: str) -> Plan:
    """The same call through a proxy: everything goes to its address, and it knows who we are."""
    way = outbound.way
    where = host_and_port(way.address, way.port)
    return replace(
        plan,
        uri=f"sip:{user}{'@' if user else ''}{outbound.domain}",
        transport=way.transport.upper(),
        credentials=outbound.credentials,
        caller=outbound.credentials.username or plan.caller,
        home=outbound.domain,
        route=f"sip:{where}{';transport=tcp' if way.transport is Transport.TCP else ''}",
    )


async def leave(agent: SipAgent, conversation: Conversation[Call], target: Target) -> DeviceError | None:
    """Hang up and wait for the other side to have heard it, `FAREWELL_S` at the most; the rest is said in the background.

    What kept it from confirming that until then, None where it has, or has hung up itself.
    """
    try:
        async with asyncio.timeout(FAREWELL_S):
            await conversation.reconnect()
    except (TimeoutError, OSError):
        pass  # who cannot be reached hears no farewell
    conversation.machine.hang_up(conversation.now())
    conversation.pump()
    try:
        async with deadline(target, FAREWELL_S):
            await conversation.until(lambda call: call.phase in (Phase.OVER, Phase.GIVEN_UP))
    except DeviceError as unanswered:
        return unanswered
    finally:
        agent.release(conversation)
    answered = conversation.machine.farewell_answer
    return refused(target, answered) if answered is not None and answered.status not in _FAREWELL_TAKEN else None


def host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def uri_of(target: Target, manner: SipManner) -> str:
    """The SIP URI of a horn: address and port are the inventory's."""
    host = f"[{target.address}]" if ":" in target.address else target.address
    port = f":{target.ports.sip}" if target.ports.sip != 5060 else ""
    transport = ";transport=tcp" if manner.transport is Transport.TCP else ""
    user = manner.habits.user
    return f"sip:{user}{'@' if user else ''}{host}{port}{transport}"


def _asking_to_answer(host: str, how: AutoAnswer) -> tuple[tuple[str, str], ...]:
    """What horns and telephones take as a wish to be answered by the machine, without ringing."""
    told = f"sip:[{host}]" if ":" in host else f"sip:{host}"
    call_info = ("Call-Info", f"<{told}>;answer-after=0")
    alert_info = ("Alert-Info", f"<{told}>;info=alert-autoanswer;delay=0")
    wanted = {AutoAnswer.NONE: (), AutoAnswer.CALL_INFO: (call_info,), AutoAnswer.ALERT_INFO: (alert_info,)}
    return wanted.get(how, (call_info, alert_info))


def refused(target: Target, response: Response) -> DeviceError:
    """What a final answer that is no 2xx means for the caller."""
    detail = f"{response.status} {response.reason}"[:200]
    said = f"{target.device}: answers a call with {response.status}"
    match response.status:
        case status if status < 400:
            return ProtocolError(f"{target.device}: wants us to call somewhere else", code="redirect")
        case 401 | 407:
            return AuthenticationFailed(f"{target.device}: refuses our password over SIP")
        case 403:
            return AuthenticationFailed(said, code="forbidden", hint="The device refuses calls from us: see its list of callers.")
        case 408 | 504:
            return DeadlineExceeded(said)
        case 415 | 488 | 606:
            return NotSupported(f"{said}: it takes none of the encodings that we offer", code="no-common-encoding", detail=detail)
        case 405 | 420 | 501:
            return NotSupported(said, detail=detail)
        case 486 | 491 | 600 | 603:
            return Busy(said, detail=detail)
        case 503:
            wait = seconds(response.headers.get("Retry-After"))
            return Busy(said, detail=detail, hint=f"It asks to be tried again after {wait} s." if wait else "")
        case status:
            return DeviceFault(said, code=f"sip-{status}", detail=detail)
