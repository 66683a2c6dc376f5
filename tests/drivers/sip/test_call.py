"""The machine of one call, without a network: every message and every second is the test's own."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.devices import Credentials
from gateway.drivers.sip.call import PHASES, Call, Event, Phase, Plan
from gateway.drivers.sip.description import agreed
from gateway.drivers.sip.messages import Message, answer, encode, parse, sequence_of, tag_of
from gateway.drivers.sip.transactions import INVITE_STEPS, OTHER_STEPS, ClientTransaction, State, Timing
from gateway.drivers.textual import Headers, Request, Response
from gateway.errors import DeviceError, NotSupported

OFFER = b"v=0\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\n"
ANSWER = b"v=0\r\nm=audio 5000 RTP/AVP 8\r\na=recvonly\r\n"
PLAN = Plan("horn", "sip:horn@10.0.0.9", "10.0.0.1:5062", "UDP", OFFER, Credentials("user", "secret"))
SDP = [("Content-Type", "application/sdp")]


def tokens() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"t{next(numbers)}"


def new_call(now: float = 0.0, transport: str = "UDP") -> Call:
    return Call(Plan(**{**{name: getattr(PLAN, name) for name in PLAN.__slots__}, "transport": transport}), token=tokens(), now=now)


def sent(call: Call) -> list[str]:
    """What went out since the last look: methods of requests, statuses of answers."""
    return [message.method if isinstance(message, Request) else str(message.status) for message in taken(call)]


def taken(call: Call) -> list[Message]:
    out, call.outbox = call.outbox, []
    return out


def ok(invite: Request, *fields: tuple[str, str], tag: str = "h1", body: bytes = ANSWER, status: int = 200) -> Response:
    return answer(invite, status, "OK", tag=tag, fields=[("Contact", "<sip:horn@10.0.0.9>"), *SDP, *fields], body=body)


def speaking(*fields: tuple[str, str]) -> tuple[Call, Request]:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.take(ok(invite, *fields), 0.1)
    return call, invite


def from_horn(call: Call, method: str, number: int, *fields: tuple[str, str], body: bytes = b"", branch: str = "") -> Request:
    """A request of the horn within the call."""
    ours = call._request("X", ())
    head = [("Via", f"SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK-{branch or method}{number}"), ("From", ours.headers.get("To"))]
    head += [("To", ours.headers.get("From")), ("Call-ID", ours.headers.get("Call-ID")), ("CSeq", f"{number} {method}")]
    return Request(method, "sip:city-gateway@10.0.0.1:5062", Headers([*head, *fields]), body)


# -- the usual call ---------------------------------------------------------------------------------------------------


def test_a_call_is_made_acknowledged_and_ended() -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.take(answer(invite, 180, "Ringing", tag="h1"), 0.1)
    assert call.phase is Phase.RINGING
    call.take(ok(invite), 0.2)
    (ack,) = taken(call)
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri, sequence_of(ack.headers), tag_of(ack.headers, "To")) == ("ACK", "sip:horn@10.0.0.9", (1, "ACK"), "h1")
    call.hang_up(1.0)
    (bye,) = taken(call)
    assert isinstance(bye, Request)
    assert (bye.method, sequence_of(bye.headers), call.phase) == ("BYE", (2, "BYE"), Phase.ENDING)
    call.take(answer(bye, 200, "OK"), 1.1)
    assert call.phase is Phase.OVER


def test_an_invite_that_is_not_answered_is_repeated_ever_more_rarely_and_then_given_up() -> None:
    call, repeated = new_call(), []
    taken(call)
    while (due := call.due) is not None:
        call.tick(due)
        if sent(call):
            repeated.append(due)
    assert repeated == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert call.phase is Phase.OVER
    assert call.failure is not None


def test_over_tcp_nothing_is_repeated() -> None:
    call = new_call(transport="TCP")
    taken(call)
    call.tick(31.9)
    assert not sent(call)
    call.tick(32.0)
    assert call.phase is Phase.OVER


def test_a_repeated_200_is_acknowledged_each_time_and_heard_once() -> None:
    call, invite = speaking()
    for at in (0.6, 1.6):
        call.take(ok(invite), at)
    assert sent(call) == ["ACK", "ACK", "ACK"]
    assert call.phase is Phase.SPEAKING


@pytest.mark.parametrize("status", [486, 603, 503])
def test_a_refusal_is_acknowledged_each_time_and_ends_the_call(status: int) -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    for at in (0.1, 0.6):
        call.take(answer(invite, status, "No", tag="h1"), at)
    assert sent(call) == ["ACK", "ACK"]
    assert call.phase is Phase.OVER
    assert call.refusal is not None


# -- giving up --------------------------------------------------------------------------------------------------------


def test_before_any_answer_nothing_is_cancelled_and_nothing_repeated() -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.hang_up(0.1)
    call.tick(5.0)
    assert not sent(call)
    call.take(answer(invite, 180, "Ringing", tag="h1"), 6.0)
    assert sent(call) == ["CANCEL"]
    call.take(answer(invite, 487, "Request Terminated", tag="h1"), 6.1)
    assert sent(call) == ["ACK"]
    assert call.phase is Phase.OVER


def test_a_cancel_belongs_to_its_invite() -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.take(answer(invite, 180, "Ringing", tag="h1"), 0.1)
    call.hang_up(0.2)
    (cancel,) = taken(call)
    assert isinstance(cancel, Request)
    assert cancel.headers.get("Via") == invite.headers.get("Via")
    assert (cancel.uri, sequence_of(cancel.headers), tag_of(cancel.headers, "To")) == (invite.uri, (1, "CANCEL"), "")


@pytest.mark.parametrize("rang", [False, True])
def test_an_answer_that_crosses_our_giving_up_is_acknowledged_and_hung_up_on(rang: bool) -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    if rang:
        call.take(answer(invite, 180, "Ringing", tag="h1"), 0.1)
    call.hang_up(0.2)
    taken(call)
    call.take(ok(invite), 0.3)
    assert sent(call) == ["ACK", "BYE"]
    assert call.phase is Phase.ENDING


def test_a_horn_that_never_ends_a_cancelled_call_is_given_up() -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.take(answer(invite, 180, "Ringing", tag="h1"), 0.1)
    call.hang_up(0.2)
    while (due := call.due) is not None:
        call.tick(due)
    assert call.phase is Phase.OVER


def test_who_else_answers_is_told_bye() -> None:
    call, invite = speaking()
    taken(call)
    call.take(ok(invite, tag="h2"), 0.2)
    out = taken(call)
    assert [(message.method, tag_of(message.headers, "To")) for message in out if isinstance(message, Request)] == [
        ("ACK", "h2"),
        ("BYE", "h2"),
    ]
    assert call.phase is Phase.SPEAKING
    call.hang_up(1.0)
    (bye,) = taken(call)
    assert tag_of(bye.headers, "To") == "h1"


def test_of_the_others_who_answer_a_few_are_told_and_each_as_often_as_it_says_so() -> None:
    call, invite = speaking()
    taken(call)
    for tag in ("h2", "h3", "h4", "h5", "h6"):
        call.take(ok(invite, tag=tag), 0.2)
    told = [tag_of(message.headers, "To") for message in taken(call) if isinstance(message, Request) and message.method == "ACK"]
    assert told == ["h2", "h3", "h4", "h5"]
    call.take(ok(invite, tag="h3"), 0.3)
    assert [message.method for message in taken(call) if isinstance(message, Request)] == ["ACK"]


def test_each_refresh_of_a_long_call_is_acknowledged_as_often_as_the_horn_answers_it() -> None:
    demanded = ("Session-Expires", "90;refresher=uac")  # and no UPDATE: refreshed by INVITE
    call, _ = speaking(demanded)
    taken(call)
    for _ in range(8):
        refreshes: list[Request] = []
        while not refreshes:
            assert call.phase is Phase.SPEAKING
            assert call.due is not None
            call.tick(now := call.due)
            refreshes = [message for message in taken(call) if isinstance(message, Request) and message.method == "INVITE"]
        for _ in range(2):
            call.take(ok(refreshes[0], demanded), now)
            (ack,) = taken(call)
            assert (ack.method, sequence_of(ack.headers)[0]) == ("ACK", sequence_of(refreshes[0].headers)[0])


# -- passwords --------------------------------------------------------------------------------------------------------


def challenged(status: int, nonce: str, *, stale: bool = False) -> tuple[int, tuple[str, str]]:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return status, (name, f'Digest realm="r", nonce="{nonce}", qop="auth", algorithm=SHA-256' + (", stale=true" if stale else ""))


def ask(call: Call, challenge: tuple[int, tuple[str, str]], at: float) -> None:
    """Answer the last request of the call with a challenge."""
    request = [message for message in taken(call) if isinstance(message, Request) and message.method != "ACK"][-1]
    call.take(answer(request, challenge[0], "Unauthorized", tag=f"c{at}", fields=[challenge[1]]), at)


@pytest.mark.parametrize(("status", "told"), [(401, "Authorization"), (407, "Proxy-Authorization")])
def test_a_challenge_is_answered_with_the_next_number(status: int, told: str) -> None:
    call = new_call()
    ask(call, challenged(status, "n1"), 0.1)
    ack, invite = taken(call)
    assert isinstance(ack, Request)
    assert isinstance(invite, Request)
    assert (ack.method, sequence_of(invite.headers), tag_of(invite.headers, "To")) == ("ACK", (2, "INVITE"), "")
    assert 'uri="sip:horn@10.0.0.9"' in invite.headers.get(told)
    call.take(ok(invite), 0.2)
    (ack,) = taken(call)
    assert ack.headers.get(told) == invite.headers.get(told)
    call.hang_up(1)
    (bye,) = taken(call)
    assert "nc=00000002" in bye.headers.get(told)


def test_a_refused_password_is_not_shown_again() -> None:
    call = new_call()
    ask(call, challenged(401, "n1"), 0.1)
    ask(call, challenged(401, "n2"), 0.2)
    assert sent(call) == ["ACK"]
    assert (call.phase, getattr(call.failure, "code", "")) == (Phase.OVER, "bad-credentials")


def test_a_stale_nonce_is_renewed_and_not_without_end() -> None:
    call = new_call()
    for number in range(20):
        if call.phase is Phase.OVER:
            break
        ask(call, challenged(401, f"n{number}", stale=number > 0), 0.1 * number)
    assert (call.phase, getattr(call.failure, "code", "")) == (Phase.OVER, "stale-nonce")
    assert 2 < number < 10


def test_a_nonce_that_is_given_again_as_stale_is_no_refused_password() -> None:
    call = new_call()
    for stale in (False, True):
        ask(call, challenged(401, "n1", stale=stale), 0.1)
    assert (call.phase, getattr(call.failure, "code", "")) == (Phase.OVER, "stale-nonce")


def test_a_bye_that_must_show_the_password_anew_does() -> None:
    call, _ = speaking()
    call.hang_up(1.0)
    ask(call, challenged(401, "n9"), 1.1)
    (bye,) = taken(call)
    assert isinstance(bye, Request)
    assert (bye.method, bool(bye.headers.get("Authorization")), call.phase) == ("BYE", True, Phase.ENDING)
    call.take(answer(bye, 200, "OK"), 1.2)
    assert call.phase is Phase.OVER


def test_a_last_word_can_be_prepared_without_changing_anything() -> None:
    call = new_call()
    assert call.farewell() is None
    ask(call, challenged(401, "n1"), 0.1)
    _, invite = taken(call)
    assert isinstance(invite, Request)
    call.take(ok(invite), 0.2)
    taken(call)
    bye = call.farewell()
    assert bye is not None
    assert (bye.method, tag_of(bye.headers, "To"), sequence_of(bye.headers)[0] > 2) == ("BYE", "h1", True)
    assert len(encode(bye)) < 700
    assert call.phase is Phase.SPEAKING
    call.hang_up(1.0)
    (real,) = taken(call)
    assert sequence_of(real.headers) == (3, "BYE")
    assert "nc=00000002" in real.headers.get("Authorization")


# -- what the horn asks -----------------------------------------------------------------------------------------------


def test_a_bye_of_the_horn_ends_the_call_and_is_answered_again_when_repeated() -> None:
    call, _ = speaking()
    taken(call)
    bye = from_horn(call, "BYE", 1)
    call.take(bye, 1.0)
    call.take(bye, 1.5)
    assert sent(call) == ["200", "200"]
    assert call.phase is Phase.OVER


def test_a_bye_of_a_stranger_ends_nothing() -> None:
    call, _ = speaking()
    taken(call)
    bye = from_horn(call, "BYE", 1)
    for name in ("Call-ID", "From", "To"):
        fields = [(key, "<sip:x@y>;tag=other" if key == name else value) for key, value in bye.headers]
        via = [("Via", f"SIP/2.0/UDP x;branch=z9hG4bK{name}")]
        call.take(Request("BYE", bye.uri, Headers(via + fields[1:])), 1.0)
    assert sent(call) == ["481", "481", "481"]
    assert call.phase is Phase.SPEAKING


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", "200"), ("INFO", "200"), ("REFER", "405"), ("MESSAGE", "405"), ("CANCEL", "481")]
)
def test_other_requests_are_answered_sanely(method: str, status: str) -> None:
    call, _ = speaking()
    taken(call)
    call.take(from_horn(call, method, 1), 1.0)
    assert sent(call) == [status]
    assert call.phase is Phase.SPEAKING


def test_a_request_out_of_order_is_refused() -> None:
    call, _ = speaking()
    taken(call)
    call.take(from_horn(call, "OPTIONS", 5), 1.0)
    call.take(from_horn(call, "BYE", 4), 1.1)
    assert sent(call) == ["200", "500"]
    assert call.phase is Phase.SPEAKING


def test_a_reinvite_that_changes_nothing_is_taken_and_repeated_until_acknowledged() -> None:
    call, _ = speaking()
    taken(call)
    call.take(from_horn(call, "INVITE", 1, *SDP, body=ANSWER), 1.0)
    (response,) = taken(call)
    assert isinstance(response, Response)
    assert (response.status, response.body) == (200, OFFER)
    call.tick(1.5)
    assert sent(call) == ["200"]
    call.take(from_horn(call, "ACK", 1), 1.6)
    call.tick(2.6)
    assert not sent(call)


@pytest.mark.parametrize(
    "body",
    [ANSWER.replace(b"5000", b"5002"), ANSWER.replace(b"recvonly", b"inactive"), ANSWER.replace(b"recvonly", b"sendonly"), b"v=0\r\n"],
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_change_of_the_way_is_refused_and_the_session_stays(method: str, body: bytes) -> None:
    call, _ = speaking()
    taken(call)
    call.take(from_horn(call, method, 1, *SDP, body=body), 1.0)
    assert sent(call) == ["488"]
    assert call.phase is Phase.SPEAKING


def test_a_second_caller_is_told_that_we_are_busy() -> None:
    call, _ = speaking()
    taken(call)
    fields = [
        ("Via", "SIP/2.0/UDP x;branch=z9hG4bK7"),
        ("From", "<sip:a@b>;tag=1"),
        ("To", "<sip:c@d>"),
        ("Call-ID", "x"),
        ("CSeq", "1 INVITE"),
    ]
    call.take(Request("INVITE", "sip:c@d", Headers(fields), ANSWER), 1.0)
    assert sent(call) == ["486"]


# -- session timers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("allow", "method"), [("INVITE, UPDATE", "UPDATE"), ("INVITE", "INVITE")])
def test_we_refresh_a_session_after_half_its_time(allow: str, method: str) -> None:
    call, _ = speaking(("Session-Expires", "90;refresher=uac"), ("Allow", allow))
    taken(call)
    call.tick(45.0)
    assert not sent(call)
    call.tick(45.2)
    (refresh,) = taken(call)
    assert isinstance(refresh, Request)
    assert (refresh.method, refresh.headers.get("Session-Expires")) == (method, "90;refresher=uac")
    call.take(answer(refresh, 200, "OK", fields=[("Session-Expires", "90;refresher=uac")]), 45.3)
    assert sent(call) == (["ACK"] if method == "INVITE" else [])
    assert call.due is not None
    call.tick(90.5)
    assert method in sent(call)


def test_a_horn_that_does_not_refresh_its_session_is_hung_up_on() -> None:
    call, _ = speaking(("Session-Expires", "90;refresher=uas"))
    taken(call)
    call.tick(59.0)
    assert not sent(call)
    call.tick(60.2)
    assert sent(call) == ["BYE"]


def test_a_horn_that_refreshes_goes_on() -> None:
    call, _ = speaking(("Session-Expires", "90;refresher=uas"))
    taken(call)
    call.take(from_horn(call, "UPDATE", 1, ("Session-Expires", "90;refresher=uac")), 45.0)
    (response,) = taken(call)
    assert response.headers.get("Session-Expires") == "90;refresher=uac"
    call.tick(70.0)
    assert not sent(call)
    assert call.phase is Phase.SPEAKING


def test_a_session_that_is_too_short_is_asked_for_as_long_as_the_horn_wants_it_once() -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.take(answer(invite, 422, "Session Interval Too Small", tag="h1", fields=[("Min-SE", "120")]), 0.1)
    _, again = taken(call)
    assert isinstance(again, Request)
    assert again.headers.get("Session-Expires") == "120"
    call.take(answer(again, 422, "Session Interval Too Small", tag="h1", fields=[("Min-SE", "300")]), 0.2)
    assert call.phase is Phase.OVER


# -- routes -----------------------------------------------------------------------------------------------------------


def test_what_passes_proxies_goes_back_the_way_it_came() -> None:
    call = new_call()
    (invite,) = taken(call)
    assert isinstance(invite, Request)
    call.take(ok(invite, ("Record-Route", "<sip:a;lr>, <sip:b;lr>"), ("Record-Route", "<sip:c;lr>")), 0.1)
    (ack,) = taken(call)
    assert ack.headers.all("Route") == ["<sip:c;lr>", "<sip:b;lr>", "<sip:a;lr>"]


# -- the tables -------------------------------------------------------------------------------------------------------


@given(st.sampled_from(Phase), st.sampled_from(Event))
def test_a_pair_that_is_not_in_the_table_changes_nothing(phase: Phase, event: Event) -> None:
    call = new_call()
    taken(call)
    call.phase = phase
    call._step(event, 1.0)
    assert call.phase is PHASES.get((phase, event), phase)
    if (phase, event) not in PHASES:
        assert not sent(call)


def test_every_phase_leads_to_the_end() -> None:
    reached = {Phase.OVER}
    for _ in Phase:
        reached |= {before for (before, _), after in PHASES.items() if after in reached}
    assert reached == set(Phase)
    assert not [phase for phase, _ in PHASES if phase is Phase.OVER]


@pytest.mark.parametrize(("method", "steps"), [("INVITE", INVITE_STEPS), ("BYE", OTHER_STEPS)])
@given(st.lists(st.tuples(st.sampled_from([100, 180, 200, 202, 302, 404, 503]), st.floats(0, 3)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_transaction_gives_one_final_answer_and_comes_to_an_end(method: str, steps: dict, answers: list[tuple[int, float]]) -> None:
    fields = [("Via", "SIP/2.0/UDP a;branch=z9hG4bK1"), ("From", "<a>"), ("To", "<b>"), ("Call-ID", "1"), ("CSeq", f"1 {method}")]
    request, now, finals = Request(method, "sip:b", Headers(fields)), 0.0, []
    transaction = ClientTransaction(request, reliable=False, now=now, timing=Timing())
    for status, pause in answers:
        now += pause
        before = transaction.state
        news, _ = transaction.take(answer(request, status, "", tag="1"), now)
        finals += [status] if news and status >= 200 and not (method == "INVITE" and status < 300) else []
        kind = "1xx" if status < 200 else "2xx" if status < 300 else "3xx-6xx"
        assert transaction.state is steps.get((before, kind), before)
    assert len(finals) <= 1
    transaction.hush()
    while (due := transaction.due) is not None:
        now = max(now, due)
        transaction.tick(now)
    assert transaction.state in (State.OVER, State.PROCEEDING if method == "INVITE" else State.OVER)


# -- a network that loses, doubles and delays -------------------------------------------------------------------------


@dataclass
class Horn:
    """A horn that takes one call, by RFC 3261, 13.3 and 17.2, written apart from ours."""

    rings_s: float
    answers: bool
    in_a_call: bool = False
    plays: bool = False
    out: list[tuple[float, Message]] = field(default_factory=list)
    _invite: Request | None = None
    _final: Response | None = None
    _acknowledged: bool = False
    _timers: list[tuple[float, str, float]] = field(default_factory=list)

    def take(self, message: Message, now: float) -> None:
        if isinstance(message, Request):
            self._answer(message, now)

    def _answer(self, request: Request, now: float) -> None:
        match request.method:
            case "INVITE" if self._invite is None:
                self._invite, self.in_a_call = request, True
                self._send(answer(request, 180, "Ringing", tag="h"), now)
                if self.answers:
                    self._timers.append((now + self.rings_s, "answer", 0.5))
            case "INVITE":
                self._send(self._final or answer(request, 180, "Ringing", tag="h"), now)
            case "ACK":
                self._acknowledged = True
                if self._final is not None and self._final.status >= 300:
                    self.in_a_call = False
            case "CANCEL" if self._invite is not None:
                self._send(answer(request, 200, "OK", tag="h"), now)
                if self._final is None:
                    self._finish(answer(self._invite, 487, "Request Terminated", tag="h"), now)
            case "BYE":
                ours = tag_of(request.headers, "To") == "h" and self.in_a_call
                self._send(answer(request, 200 if ours else 481, "", tag="h"), now)
                if ours:
                    self.in_a_call = self.plays = False
                    self._acknowledged = True
            case _:
                self._send(answer(request, 481, "", tag="h"), now)

    def due(self) -> float | None:
        return min((at for at, _, _ in self._timers), default=None)

    def tick(self, now: float) -> None:
        ready = [timer for timer in self._timers if timer[0] <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for _, what, interval in ready:
            if what == "answer" and self._final is None and self._invite is not None:
                self.plays = True
                self._finish(answer(self._invite, 200, "OK", tag="h", fields=SDP, body=ANSWER), now)
            elif what == "again" and not self._acknowledged and self._final is not None:
                self._send(self._final, now)
                self._timers.append((now + min(2 * interval, 4), "again", min(2 * interval, 4)))
            elif what == "forget" and not self._acknowledged:
                self.in_a_call = self.plays = False
                self._acknowledged = True

    def _finish(self, final: Response, now: float) -> None:
        self._final = final
        self._send(final, now)
        self._timers += [(now + 0.5, "again", 0.5), (now + 32, "forget", 0)]

    def _send(self, message: Message, now: float) -> None:
        self.out.append((now, message))


fates = st.lists(st.tuples(st.sampled_from(["lost", "once", "once", "twice"]), st.floats(0, 1.5)), min_size=0, max_size=14)


@given(fates, st.floats(0, 4), st.booleans(), st.floats(0, 12))
@settings(max_examples=500, deadline=None)
def test_whatever_the_network_does_no_horn_stays_in_a_call(fates: list, rings_s: float, answers: bool, hangs_up_at: float) -> None:
    """The first messages are lost, doubled and overtake each other; later ones come through. A call that is ended ends on both sides."""
    call, horn, fate = new_call(), Horn(rings_s, answers), iter(fates)
    flying: list[tuple[float, int, bool, Message]] = []
    order, now, hung_up = itertools.count(), 0.0, False

    def launch(message: Message, to_horn: bool) -> None:
        read = parse(encode(message))
        assert read is not None
        what, delay = next(fate, ("once", 0.01))
        copies = {"lost": 0, "once": 1, "twice": 2}[what]
        flying.extend((now + delay + 0.3 * copy, next(order), to_horn, read) for copy in range(copies))

    for _ in range(2_000):
        for message in taken(call):
            launch(message, True)
        out, horn.out = horn.out, []
        for _, message in out:
            launch(message, False)
        times = [at for at, *_ in flying] + [due for due in (call.due, horn.due()) if due is not None]
        times += [] if hung_up else [hangs_up_at]
        if not times:
            break
        now = max(now, min(times))
        if not hung_up and now >= hangs_up_at:
            hung_up = True
            call.hang_up(now)
        for parcel in sorted(flying):
            if parcel[0] <= now:
                flying.remove(parcel)
                (horn if parcel[2] else call).take(parcel[3], now)
        horn.tick(now)
        call.tick(now)
    assert call.due is None
    assert call.phase is Phase.OVER
    assert not horn.in_a_call or not horn.answers  # a horn that rings for ever and whose caller fell silent before it was heard
    assert not horn.plays


# -- hostile devices --------------------------------------------------------------------------------------------------

WORDS = [
    *("", "x", "<", "<sip:", ";tag=", "<sip:h@[::1>;tag=h1", '"'),
    *("1 INVITE", "99999999999 BYE", "Digest", 'Digest nonce="', "90;refresher=uas"),
]
NAMES = [
    *("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route"),
    *("WWW-Authenticate", "Session-Expires", "Min-SE", "Allow", "Content-Type"),
]
METHODS = ["BYE", "INVITE", "UPDATE", "ACK", "CANCEL", "OPTIONS", "REFER"]


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_nothing_that_a_device_sends_raises_or_goes_on_without_end(data: st.DataObject) -> None:
    call, now = new_call(), 0.0
    for _ in range(data.draw(st.integers(1, 8))):
        now += data.draw(st.floats(0, 40))
        asked = [message for message in taken(call) if isinstance(message, Request)]
        changed = data.draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(WORDS) | st.text(max_size=20), max_size=3))
        body = data.draw(st.sampled_from([b"", ANSWER, b"\xff" * 30, b"m=audio"]))
        if asked and data.draw(st.booleans()):
            made: Message = answer(asked[-1], data.draw(st.sampled_from([100, 180, 183, 200, 302, 401, 407, 422, 486, 503])), "", tag="h1")
        else:
            made = from_horn(
                call,
                data.draw(st.sampled_from(["BYE", "INVITE", "UPDATE", "ACK", "CANCEL", "OPTIONS", "REFER"])),
                data.draw(st.integers(0, 9)),
            )
        fields = [(name, changed.get(name, value)) for name, value in made.headers] + list(changed.items())
        call.take(replace(made, headers=Headers(fields), body=body), now)
        if data.draw(st.booleans()):
            call.hang_up(now)
        for message in call.outbox:
            with suppress(ValueError):  # only what the parser would not have let through
                encode(message)
    call.hang_up(now)
    ticks = 0
    while (due := call.due) is not None and ticks < 500:
        now, ticks = max(now, due), ticks + 1
        call.tick(now)
        call.outbox.clear()
    assert ticks < 500


def test_an_answer_of_another_clock_or_of_two_channels_is_not_taken_for_our_sound() -> None:
    lines = b"v=0\r\nm=audio 5004 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/%b\r\n"
    assert agreed(lines % b"8000", ("PCMA", "PCMU")).payload_type == 8
    assert agreed(lines % b"8000/1", ("PCMA", "PCMU")).payload_type == 8
    for faster in (b"16000", b"8000/2"):
        assert agreed(lines % faster, ("PCMA", "PCMU")).payload_type == 0
        with pytest.raises(NotSupported, match=f"takes PCMA/{faster.decode()}, PCMU, not PCMA"):
            agreed(lines % faster, ("PCMA",))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: b"v=0\r\n" + text.encode("utf-8", "replace")))
@settings(max_examples=200, deadline=None)
def test_any_description_is_agreed_or_refused(body: bytes) -> None:
    with suppress(DeviceError):
        way = agreed(body, ("PCMA", "PCMU"))
        assert 1024 <= way.port < 65_535
