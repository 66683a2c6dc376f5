"""One horn as a telephone that takes one call at a time (RFC 3261, 13.3; digest as RFC 8760 has it)."""

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from simulators.city import SimDevice
from simulators.digest import DigestGuard, Login, Verdict
from simulators.heard import HeardSession
from simulators.rtsp import rtp
from simulators.rtsp.talk import Talk, horn_of
from simulators.sip.habits import Habits
from simulators.sip.message import Message, answer
from simulators.state import State

T1: Final = 0.5
T2: Final = 4.0
PATIENCE_S: Final = 32.0
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"
TYPES: Final = {0: "PCMU", 8: "PCMA"}

Send = Callable[[Message], None]
Report = Callable[[bytes, str, tuple[str, int]], None]
"""Sends an RTCP packet from an address to another one and its port."""


@dataclass(slots=True)
class Call:
    """The call that a horn is in. `port`: the caller's RTP port; `send`: to the caller."""

    invite: Message
    send: Send
    tag: str
    port: int
    peer: str
    encodings: dict[int, str]
    talk: Talk | None = None
    accepted: Message | None = None
    acknowledged: bool = False
    number: int = 0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.invite.field("call-id")


class SipHorn:
    """What a horn does with the messages that come for it. `port`: on which it is called; `rtp_port`: on which it hears."""

    def __init__(self, device: SimDevice, state: State, guard: DigestGuard, *, port: int, rtp_port: int, report: Report) -> None:
        self.device, self._state, self._guard = device, state, guard
        self._port, self._rtp_port, self._report = port, rtp_port, report
        self.call: Call | None = None
        self._answered: dict[tuple[str, str, int], Message] = {}
        self._passed = 0

    @property
    def habits(self) -> Habits:
        return self._state.habits_of(self.device)

    def loses(self) -> bool:
        """Whether this message is one of those that are lost."""
        self._passed += 1
        return bool(self.habits.drops_every) and self._passed % self.habits.drops_every == 0

    def hear(self, message: Message, send: Send, peer: str) -> None:
        """A message for this horn; what it answers goes out by `send`, at once or later."""
        if not message.method:
            return
        if message.method == "ACK":
            self._acknowledged(message)
            return
        key = (message.branch, message.method, message.number)
        known = self._answered.get(key)
        if known is not None:
            send(known)
            return
        made = self._answer(message, self._remembering(key, send), peer)
        if made is not None:
            self._remembering(key, send)(made)

    def _remembering(self, key: tuple[str, str, int], send: Send) -> Send:
        """Sends, and keeps what was sent for the request when it comes again."""

        def out(message: Message) -> None:
            if message.status:
                self._answered[key] = message
                if len(self._answered) > 64:
                    del self._answered[next(iter(self._answered))]
            send(message)

        return out

    def end(self) -> None:
        """The call is over, or the horn without power."""
        call, self.call = self.call, None
        if call is None:
            return
        for timer in call.timers:
            timer.cancel()
        if call.talk is not None:
            call.talk.finish(int(self._state.now() * 1e9))

    # -- requests -----------------------------------------------------------------------------------------------------

    def _answer(self, request: Message, send: Send, peer: str) -> Message | None:
        call = self.call if self.call is not None and request.field("call-id") == self.call.id else None
        if request.method in ("OPTIONS", "INVITE") and call is None:
            refusal = self._challenge(request)
            if refusal is not None:
                return refusal
        match request.method:
            case "OPTIONS":
                return self._told(request, 200)
            case "INVITE" if call is None:
                return self._invited(request, send, peer)
            case "INVITE" | "UPDATE" if call is not None and call.accepted is not None:
                call.number = request.number
                return self._told(request, 200, fields=self._timer(request), body=self._described(call) if request.body else "")
            case "CANCEL" if call is not None and call.accepted is None:
                send(answer(request, 200, tag=call.tag))
                call.send(self._told(call.invite, 487, tag=call.tag))
                self.end()
                return None
            case "BYE" if call is not None:
                self.end()
                return answer(request, 200)
            case "OPTIONS" | "INVITE" | "UPDATE" | "CANCEL" | "BYE":
                return self._told(request, 481)
            case _:
                return self._told(request, 405)

    def _invited(self, invite: Message, send: Send, peer: str) -> Message | None:
        habits = self.habits
        if habits.refuses:
            elsewhere = (("contact", "<sip:somebody@203.0.113.77>"),) if habits.refuses < 400 else ()
            return self._told(invite, habits.refuses, fields=(*elsewhere, ("retry-after", "30")) if habits.refuses == 503 else elsewhere)
        if self.call is not None:
            return self._told(invite, 486)
        if habits.session_s and 0 < _seconds(invite.field("session-expires")) < habits.session_s:
            return self._told(invite, 422, fields=(("min-se", str(habits.session_s)),))
        port, encodings = _offered(invite.body, self.device.audio)
        if not port or not encodings:
            return self._told(invite, 488)
        call = self.call = Call(invite, send, secrets.token_hex(6), port, peer, encodings, number=invite.number)
        send(answer(invite, 100))
        if habits.early:
            send(self._told(invite, 183, tag=call.tag, body=self._described(call)))
            self._listen(call)
        elif habits.rings_s or not habits.answers:
            send(self._told(invite, 180, tag=call.tag))
        if habits.answers and not habits.rings_s:
            self._accept(call)
        elif habits.answers:
            self._later(call, habits.rings_s, self._accept)
        return None

    def _accept(self, call: Call) -> None:
        habits = self.habits
        call.accepted = self._told(call.invite, 200, tag=call.tag, fields=self._timer(call.invite), body=self._described(call))
        self._listen(call)
        self._repeat(call, T1)
        self._later(call, PATIENCE_S, lambda late: None if late.acknowledged else self._hang_up(late))
        if habits.hangs_up_after_s:
            self._later(call, habits.hangs_up_after_s, self._hang_up)

    def _listen(self, call: Call) -> None:
        """Play what comes from now on."""
        if call.talk is None:
            state, started_ns = self._state, int(self._state.now() * 1e9)
            horn, level = horn_of(self.device, state), state.volume(self.device)
            session = HeardSession(call.peer, "udp", started_ns=started_ns, horn=horn, level=level)
            heard = state.heard_by(self.device)
            heard.sessions.append(session)
            call.talk = Talk(self.device, heard, session, call.encodings)
            call.talk.open()
            if self.habits.reports_s:
                self._later(call, self.habits.reports_s, self._tell_missed)

    def _tell_missed(self, call: Call) -> None:
        """A receiver report (RFC 3550, 6.4.2), again and again."""
        if call.talk is not None and call.talk.session.packets:
            missed = round(call.talk.session.missing_samples / 160)
            report = rtp.receiver_report(1, call.talk.source, missed=missed)
            self._report(report, self.device.address, (call.peer, call.port + 1))
        self._later(call, self.habits.reports_s, self._tell_missed)

    def _repeat(self, call: Call, interval_s: float) -> None:
        """The 200 again and again until the caller acknowledges it (RFC 3261, 13.3.1.4)."""
        if not call.acknowledged and call.accepted is not None:
            call.send(call.accepted)
            self._later(call, interval_s, lambda unheard: self._repeat(unheard, min(2 * interval_s, T2)))

    def _acknowledged(self, ack: Message) -> None:
        if self.call is not None and ack.field("call-id") == self.call.id:
            self.call.acknowledged = True

    def _hang_up(self, call: Call) -> None:
        """BYE, to where the call came from."""
        contact = re.search(r"<([^>]+)>", call.invite.field("contact"))
        fields = (
            ("via", f"SIP/2.0/UDP {self.device.address}:{self._port};branch=z9hG4bK{secrets.token_hex(6)}"),
            ("max-forwards", "70"),
            ("from", f"{call.invite.field('to')};tag={call.tag}"),
            ("to", call.invite.field("from")),
            ("call-id", call.id),
            ("cseq", "1 BYE"),
        )
        call.send(Message("BYE", contact[1] if contact else call.invite.uri, fields=fields))
        self.end()

    def _later(self, call: Call, after_s: float, do: Callable[[Call], None]) -> None:
        def due() -> None:
            if self.call is call:
                do(call)

        call.timers.append(asyncio.get_running_loop().call_later(after_s, due))

    # -- what it says -------------------------------------------------------------------------------------------------

    def _challenge(self, request: Message) -> Message | None:
        """401 unless the request's login is good."""
        if self.habits.open:
            return None
        device = self.device
        login = Login(device.model, device.username, self._state.password(device), device.rtsp_algorithm, _offers_qop(device))
        verdict = self._guard.check(login, method=request.method, url=request.uri, authorization=request.field("authorization"))
        if verdict is Verdict.GOOD:
            self._state.logged_in("sip", device)
            return None
        self._state.count("sip", verdict.value, device.kind)
        told = self._guard.challenge(login, stale=verdict is Verdict.STALE)
        return self._told(request, 401, fields=(("www-authenticate", told),))

    def _told(self, request: Message, status: int, *, tag: str = "", fields: tuple[tuple[str, str], ...] = (), body: str = "") -> Message:
        """An answer as this model gives them: it names itself, with its hardware address, in each."""
        device = self.device
        serial = device.mac.replace(":", "")
        contact = (("contact", f"<sip:{device.sip_user}@{device.address}:{self._port}>"),) if request.method == "INVITE" else ()
        own = (*contact, ("server", f"{device.vendor} {device.model} {device.firmware} {serial}"), ("allow", ALLOW))
        described = (("content-type", "application/sdp"),) if body else ()
        return answer(request, status, tag=tag or secrets.token_hex(6), fields=(*own, *fields, *described), body=body)

    def _timer(self, request: Message) -> tuple[tuple[str, str], ...]:
        asked = self.habits.session_s
        return (
            (("require", "timer"), ("session-expires", f"{asked};refresher=uac")) if asked and "timer" in request.field("supported") else ()
        )

    def _described(self, call: Call) -> str:
        habits = self.habits
        address = habits.wrong_address or self.device.address
        kind, name = next(iter(call.encodings.items()))
        port = 0 if habits.no_audio else self._rtp_port
        lines = ("v=0", f"o=- 1 1 IN IP4 {address}", "s=horn", f"c=IN IP4 {address}", "t=0 0", f"m=audio {port} RTP/AVP {kind}")
        return "\r\n".join((*lines, f"a=rtpmap:{kind} {name}/8000", "a=ptime:20", "a=recvonly", ""))


def _offers_qop(device: SimDevice) -> bool:
    """Half of the horns keep to RFC 2069; those with SHA-256 do not."""
    return device.rtsp_algorithm != "MD5" or bool(device.serial.encode()[-1] & 1)


def _offered(body: str, taken: tuple[str, ...]) -> tuple[int, dict[int, str]]:
    """The caller's RTP port and the one encoding of its offer that the horn likes best; (0, {}) when there is none."""
    line = re.search(r"(?m)^m=audio (\d+) RTP/AVP ([\d ]+)", body)
    if line is None:
        return 0, {}
    offered = [int(word) for word in line[2].split()]
    for name in taken:
        for kind in offered:
            if TYPES.get(kind) == name:
                return int(line[1]), {kind: name}
    return 0, {}


def _seconds(text: str) -> int:
    match = re.match(r"\d+", text)
    return int(match[0]) if match else 0
