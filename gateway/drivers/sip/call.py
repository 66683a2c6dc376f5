"""One call to one loudspeaker as a pure machine: INVITE, its dialog, BYE or CANCEL (RFC 3261, 9, 12-15; RFC 4028).

    CALLING → RINGING → SPEAKING → ENDING → OVER
        give up before an answer:  CALLING → GIVEN_UP → CANCELLING → OVER    (no CANCEL before a provisional answer, 9.1)
        an answer that crosses it: GIVEN_UP, CANCELLING → ENDING             (acknowledged, then BYE at once)

`now` is an argument; what has to be sent stands in `outbox`. Nothing that a device sends raises.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.domain.devices import Credentials
from gateway.drivers.sip.authentication import Login
from gateway.drivers.sip.messages import (
    Message,
    answer,
    branch_of,
    listed,
    parameters,
    seconds,
    sequence_of,
    tag_of,
    tokens,
    uri_of,
)
from gateway.drivers.sip.transactions import STANDARD, ClientTransaction, State, Timing, cancellation, kind_of
from gateway.drivers.sip.transactions import Kind as Answer
from gateway.drivers.textual import Headers, Request, Response
from gateway.errors import AuthenticationFailed, DeadlineExceeded, DeviceError

USER_AGENT: Final = "city-gateway"
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"
ANSWERED_KEPT: Final = 16
"""Answers to the device's requests that are remembered, to be given again when the device repeats itself."""
FORKS_KEPT: Final = 4
"""Further devices behind a proxy that answer the same call and are told BYE."""
SHORTEST_SESSION_S: Final = 20

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not change in a call.

    `device`: for messages; `uri`: whom we ask for; `ours`: our host and port; `transport`: UDP or TCP; `caller`: the user part of our own
    address, `home` its host part, "" for `ours`; `route`: the URI of a proxy on the way, "" for none; `fields`: what the model wants to
    see in the INVITE beside what is due.
    """

    device: str
    uri: str
    ours: str
    transport: str
    offer: bytes
    credentials: Credentials
    caller: str = USER_AGENT
    home: str = ""
    route: str = ""
    fields: tuple[tuple[str, str], ...] = ()


class Phase(StrEnum):
    CALLING = "calling"
    RINGING = "ringing"
    SPEAKING = "speaking"
    GIVEN_UP = "given-up"
    CANCELLING = "cancelling"
    ENDING = "ending"
    OVER = "over"


class Event(StrEnum):
    """PROVISIONAL, ACCEPTED, REFUSED: the device's answers; LOST: there is none; GIVE_UP: by us; FAREWELL: its BYE; ENDED: ours is done."""

    PROVISIONAL = "provisional"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOST = "lost"
    GIVE_UP = "give-up"
    FAREWELL = "farewell"
    ENDED = "ended"


PHASES: Final = {
    (Phase.CALLING, Event.PROVISIONAL): Phase.RINGING,
    (Phase.CALLING, Event.ACCEPTED): Phase.SPEAKING,
    (Phase.CALLING, Event.REFUSED): Phase.OVER,
    (Phase.CALLING, Event.LOST): Phase.OVER,
    (Phase.CALLING, Event.GIVE_UP): Phase.GIVEN_UP,
    (Phase.RINGING, Event.PROVISIONAL): Phase.RINGING,
    (Phase.RINGING, Event.ACCEPTED): Phase.SPEAKING,
    (Phase.RINGING, Event.REFUSED): Phase.OVER,
    (Phase.RINGING, Event.LOST): Phase.OVER,
    (Phase.RINGING, Event.GIVE_UP): Phase.CANCELLING,
    (Phase.GIVEN_UP, Event.PROVISIONAL): Phase.CANCELLING,
    (Phase.GIVEN_UP, Event.ACCEPTED): Phase.ENDING,
    (Phase.GIVEN_UP, Event.REFUSED): Phase.OVER,
    (Phase.GIVEN_UP, Event.LOST): Phase.OVER,
    (Phase.CANCELLING, Event.ACCEPTED): Phase.ENDING,
    (Phase.CANCELLING, Event.REFUSED): Phase.OVER,
    (Phase.CANCELLING, Event.LOST): Phase.OVER,
    (Phase.SPEAKING, Event.GIVE_UP): Phase.ENDING,
    (Phase.SPEAKING, Event.LOST): Phase.ENDING,
    (Phase.SPEAKING, Event.FAREWELL): Phase.OVER,
    (Phase.ENDING, Event.FAREWELL): Phase.OVER,
    (Phase.ENDING, Event.ENDED): Phase.OVER,
}


@dataclass(slots=True)
class _Unacknowledged:
    """Our 200 to a re-INVITE, repeated until the device acknowledges it (RFC 3261, 13.3.1.4)."""

    response: Response
    number: int
    interval: float
    again: float
    end: float


class Call:
    """A call, from its INVITE on. `accepted`: the 2xx, once there is one; `refusal`: the final answer that is none, once there is one;
    `farewell_answer`: the final answer to our BYE, once there is one; `rang`: somebody was reached who has not taken the call yet."""

    def __init__(self, plan: Plan, *, token: Callable[[], str], now: float, timing: Timing = STANDARD) -> None:
        """`token`: random letters and digits, new ones each time."""
        self.outbox: list[Message] = []
        self.phase = Phase.CALLING
        self.accepted: Response | None = None
        self.early: Response | None = None
        self.rang = False
        self.refusal: Response | None = None
        self.farewell_answer: Response | None = None
        self.failure: DeviceError | None = None
        self._plan = plan
        self._token = token
        self._timing = timing
        self._reliable = plan.transport == "TCP"
        self._call_id, self._tag = token(), token()
        self._number = 0
        self._to, self._remote_uri, self._routes = f"<{plan.uri}>", plan.uri, self._first_routes()
        self._remote_number = -1
        self._login = Login(plan.device, plan.credentials, one_realm=bool(plan.route))
        self._min_session = 0
        self._acknowledged: tuple[int, Request] | None = None  # the newest INVITE that the device took, and our ACK
        self._strangers: dict[str, Request] = {}
        self._answered: OrderedDict[tuple[str, str], Response] = OrderedDict()
        self._unacknowledged: _Unacknowledged | None = None
        self._transactions: list[ClientTransaction] = []
        self._cancelled_by: float | None = None
        self._refresh_at: float | None = None
        self._expires_at: float | None = None
        self._session_s = 0
        self._invite = self._begin(self._invitation(), now)

    # -- what the shell does ------------------------------------------------------------------------------------------

    @property
    def let_in(self) -> bool:
        """Whether the call was accepted with our password shown."""
        return self.accepted is not None and self._login.said

    @property
    def described(self) -> bytes:
        """The session as the device describes it: as it took the call or, where it says nothing then, before (RFC 3261, 13.2.1)."""
        early, accepted = self.early, self.accepted
        if accepted is not None and (accepted.body or early is None or tag_of(early.headers, "To") != tag_of(accepted.headers, "To")):
            return accepted.body
        return early.body if early is not None else b""

    @property
    def due(self) -> float | None:
        """When `tick` has something to do next; None: nothing is left to do."""
        times = [transaction.due for transaction in self._transactions]
        times += [self._cancelled_by, self._refresh_at, self._expires_at]
        if self._unacknowledged is not None:
            times.append(min(self._unacknowledged.again, self._unacknowledged.end))
        return min((time for time in times if time is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due."""
        for transaction in list(self._transactions):
            if transaction.due is not None and now >= transaction.due:
                again = transaction.tick(now)
                if again is not None:
                    self.outbox.append(again)
                elif transaction.timed_out:
                    self._never_answered(transaction, now)
        self._transactions = [one for one in self._transactions if one.state is not State.OVER]
        self._tick_answer(now)
        self._tick_session(now)
        if self._cancelled_by is not None and now >= self._cancelled_by:
            self._step(Event.LOST, now)

    def take(self, message: Message, now: float) -> None:
        """A message that came from where this call goes to; what is not part of the call is passed over, or answered 481."""
        if isinstance(message, Request):
            self._take_request(message, now)
            return
        for transaction in list(self._transactions):
            if transaction.matches(message):
                news, ack = transaction.take(message, now)
                if ack is not None:
                    self.outbox.append(ack)
                if news:
                    self._take_answer(transaction, message, now)
                return

    def hang_up(self, now: float) -> None:
        """BYE, or CANCEL before there was an answer; nothing when the call is ending already."""
        self._step(Event.GIVE_UP, now)

    def farewell(self) -> Request | None:
        """The BYE that somebody else may send when we no longer can; None when there is nobody to say it to. Changes nothing.

        Its number leaves room for what we may ask until then; the password, which no horn asks for at the end, is left out.
        """
        if self.phase is not Phase.SPEAKING:
            return None
        request = self._request("BYE", (), number=self._number + _ROOM)
        return Request("BYE", request.uri, Headers(field for field in request.headers if field[0] != "User-Agent"))

    # -- our requests -------------------------------------------------------------------------------------------------

    def _first_routes(self) -> list[str]:
        return [f"<{self._plan.route};lr>"] if self._plan.route else []

    def _begin(self, request: Request, now: float) -> ClientTransaction:
        transaction = ClientTransaction(request, reliable=self._reliable, now=now, timing=self._timing)
        self._transactions.append(transaction)
        self.outbox.append(request)
        return transaction

    def _invitation(self) -> Request:
        fields = [*self._plan.fields]
        if self._min_session:
            fields += [("Session-Expires", str(self._min_session)), ("Min-SE", str(self._min_session))]
        return self._request("INVITE", [*fields, *self._described()], self._plan.offer)

    def _described(self) -> Fields:
        """What stands in every message of ours with a description of the session."""
        return [
            *self._contact(),
            ("Allow", ALLOW),
            ("Supported", "timer"),
            ("Accept", "application/sdp"),
            ("Content-Type", "application/sdp"),
        ]

    def _contact(self) -> Fields:
        transport = ";transport=tcp" if self._reliable else ""
        return [("Contact", f"<sip:{self._plan.caller}@{self._plan.ours}{transport}>")]

    def _request(self, method: str, fields: Fields, body: bytes = b"", *, number: int | None = None) -> Request:
        """A request of this call, within its dialog once there is one (RFC 3261, 12.2.1.1); with `number` given it shows no password."""
        proof = self._login.fields(method, self._remote_uri) if number is None else ()
        if number is None:
            self._number += 1
            number = self._number
        head = [
            ("Via", f"SIP/2.0/{self._plan.transport} {self._plan.ours};branch=z9hG4bK{self._token()};rport"),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self._routes),
            ("From", f"<sip:{self._plan.caller}@{self._plan.home or self._plan.ours}>;tag={self._tag}"),
            ("To", self._to),
            ("Call-ID", self._call_id),
            ("CSeq", f"{number} {method}"),
            ("User-Agent", USER_AGENT),
        ]
        return Request(method, self._remote_uri, Headers([*head, *proof, *fields]), body)

    def _never_answered(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self._invite:
            self._lost(now)
        elif transaction.request.method == "BYE":
            self._step(Event.ENDED, now)
        elif transaction.request.method != "CANCEL" and self.phase is Phase.SPEAKING:  # a refreshing request (RFC 4028, 10)
            self._lost(now)

    def _lost(self, now: float) -> None:
        self.failure = self.failure or DeadlineExceeded(f"{self._plan.device}: no answer over SIP")
        self._step(Event.LOST, now)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _take_answer(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        kind = kind_of(response)
        if kind is Answer.FAILURE and response.status in (401, 407) and self._answer_challenge(transaction, response, now):
            return
        if transaction.request.method == "INVITE" and transaction is self._invite and self.accepted is None:
            self._take_invite_answer(transaction, response, kind, now)
        elif transaction.request.method == "INVITE" and kind is Answer.SUCCESS:
            self._acknowledge(transaction, response, now)
        if transaction is not self._invite and kind is not Answer.PROVISIONAL:
            self._finish(transaction, response, kind, now)

    def _take_invite_answer(self, transaction: ClientTransaction, response: Response, kind: Answer, now: float) -> None:
        if kind is Answer.PROVISIONAL:
            self.rang = self.rang or response.status > 100  # 100: a proxy has the call, and nobody else yet
            if response.body:
                self.early = response
            self._step(Event.PROVISIONAL, now)
        elif kind is Answer.SUCCESS:
            self.accepted = response
            self._enter_dialog(response)
            self._acknowledge(transaction, response, now)
            self._take_session(response, now, refresher="uac")
            self._step(Event.ACCEPTED, now)
        elif response.status == 422 and not self._min_session and self.phase in (Phase.CALLING, Phase.RINGING):
            self._min_session = min(max(seconds(response.headers.get("Min-SE")) or 0, SHORTEST_SESSION_S), 86_400)
            self._invite_again(now)
        else:
            self.refusal = response
            self._step(Event.REFUSED, now)

    def _finish(self, transaction: ClientTransaction, response: Response, kind: Answer, now: float) -> None:
        """A request within the dialog has its final answer."""
        method = transaction.request.method
        if method == "BYE" and tag_of(transaction.request.headers, "To") == parameters(self._to).get("tag", ""):
            self.farewell_answer = response
            self._step(Event.ENDED, now)
        elif method in ("UPDATE", "INVITE") and kind is Answer.SUCCESS:
            self._take_session(response, now, refresher="uac")
        elif method in ("UPDATE", "INVITE") and response.status in (408, 481):
            self._lost(now)

    def _enter_dialog(self, response: Response) -> None:
        """The device's part of the dialog (RFC 3261, 12.1.2): its tag, its Contact, the route. None of them changes where we send to."""
        self._to = response.headers.get("To")
        contact = next(iter(listed(response.headers, "Contact")), "")
        self._remote_uri = uri_of(contact) or self._remote_uri
        recorded = [route for route in reversed(listed(response.headers, "Record-Route")) if uri_of(route)]
        self._routes = recorded or self._first_routes()

    def _acknowledge(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """ACK a 2xx, each time it comes (RFC 3261, 13.2.2.4)."""
        if tag_of(response.headers, "To") != parameters(self._to).get("tag", ""):
            self._send_away(transaction, response, now)
            return
        number, _ = sequence_of(response.headers)
        if self._acknowledged is None or self._acknowledged[0] != number:
            self._acknowledged = number, self._acknowledgement(transaction, number)
        self.outbox.append(self._acknowledged[1])

    def _send_away(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Another device has answered the same call: it hears ACK and BYE."""
        number, _ = sequence_of(response.headers)
        key = f"{number} {tag_of(response.headers, 'To')}"
        if key in self._strangers:
            self.outbox.append(self._strangers[key])
            return
        if len(self._strangers) >= FORKS_KEPT:
            return
        kept = self._to, self._remote_uri, self._routes
        self._enter_dialog(response)
        self._strangers[key] = self._acknowledgement(transaction, number)
        self.outbox.append(self._strangers[key])
        self._begin(self._request("BYE", ()), now)
        self._to, self._remote_uri, self._routes = kept

    def _acknowledgement(self, transaction: ClientTransaction, number: int) -> Request:
        return self._request("ACK", self._authorization_of(transaction.request), number=number)

    def _authorization_of(self, invite: Request) -> Fields:
        """An ACK shows what its INVITE showed (RFC 3261, 22.1)."""
        return [(name, value) for name, value in invite.headers if name in ("Authorization", "Proxy-Authorization")]

    # -- authentication -----------------------------------------------------------------------------------------------

    def _answer_challenge(self, transaction: ClientTransaction, response: Response, now: float) -> bool:
        """Whether the request was sent again with an answer to the challenge."""
        request = transaction.request
        alive = (
            self.phase in (Phase.CALLING, Phase.RINGING) if transaction is self._invite else request.method in ("BYE", "UPDATE", "INVITE")
        )
        if not alive:
            return False
        try:
            self._login.take(response, trusted=self.accepted is not None)
        except AuthenticationFailed as error:
            self.failure = error
            return False
        if transaction is self._invite:
            self._invite_again(now)
        else:
            kept = [(name, value) for name, value in request.headers if name in _REPEATED]
            self._begin(self._request(request.method, kept, request.body), now)
        return True

    def _invite_again(self, now: float) -> None:
        self.phase = Phase.CALLING
        self._invite = self._begin(self._invitation(), now)

    # -- the device's requests ----------------------------------------------------------------------------------------

    def _take_request(self, request: Request, now: float) -> None:
        number, method = sequence_of(request.headers)
        if method != request.method or number < 0:
            return
        if method == "ACK":
            if self._unacknowledged is not None and self._unacknowledged.number == number:
                self._unacknowledged = None
            return
        key = branch_of(request.headers) or f"{request.headers.get('Call-ID')} {number}", method
        response = self._answered.get(key)
        if response is None:
            response = self._answer_request(request, number, now)
            self._answered[key] = response
            if len(self._answered) > ANSWERED_KEPT:
                self._answered.popitem(last=False)
        self.outbox.append(response)

    def _answer_request(self, request: Request, number: int, now: float) -> Response:
        if not self._is_of_this_call(request):
            return self._refuse(request)
        if number <= self._remote_number and request.method != "CANCEL":
            return answer(request, 500, "Out Of Order")
        self._remote_number = max(number, self._remote_number)
        match request.method:
            case "BYE":
                self._step(Event.FAREWELL, now)
                return answer(request, 200, "OK")
            case "OPTIONS" | "INFO":
                return answer(request, 200, "OK", fields=self._capabilities())
            case "UPDATE" | "INVITE" if self.phase is Phase.SPEAKING:
                return self._answer_change(request, number, now)
            case "CANCEL":
                return answer(request, 481, "Call/Transaction Does Not Exist")
            case "UPDATE" | "INVITE":
                return answer(request, 491, "Request Pending")
            case _:
                return answer(request, 405, "Method Not Allowed", fields=[("Allow", ALLOW)])

    def _is_of_this_call(self, request: Request) -> bool:
        """RFC 3261, 12.2.2; the device's tag may be missing from what comes before it has answered."""
        theirs = parameters(self._to).get("tag", "")
        return (
            request.headers.get("Call-ID") == self._call_id
            and tag_of(request.headers, "To") == self._tag
            and (not theirs or tag_of(request.headers, "From") == theirs)
        )

    def _refuse(self, request: Request) -> Response:
        """What is asked outside of this call: there is nobody here who takes calls."""
        match request.method:
            case "OPTIONS":
                return answer(request, 200, "OK", tag=self._tag, fields=self._capabilities())
            case "INVITE":
                return answer(request, 486, "Busy Here", tag=self._tag)
            case _:
                return answer(request, 481, "Call/Transaction Does Not Exist", tag=self._tag)

    def _capabilities(self) -> Fields:
        return [("Allow", ALLOW), ("Accept", "application/sdp"), ("Supported", "timer")]

    def _answer_change(self, request: Request, number: int, now: float) -> Response:
        """A new description is taken when it changes nothing for us; else the session stays as it is (RFC 3261, 14.2)."""
        described = bool(request.body) or request.method == "INVITE"
        if request.body and not _same_way(request.body, self.described):
            return answer(request, 488, "Not Acceptable Here")
        self._take_session(request, now, refresher="uac")
        fields = [*_timer_agreed(request.headers.get("Session-Expires")), *(self._described() if described else self._contact())]
        response = answer(request, 200, "OK", fields=fields, body=self._plan.offer if described else b"")
        if request.method == "INVITE":
            t1 = self._timing.t1
            self._unacknowledged = _Unacknowledged(response, number, t1, now + t1, now + self._timing.patience)
        return response

    def _tick_answer(self, now: float) -> None:
        waiting = self._unacknowledged
        if waiting is None or now < min(waiting.again, waiting.end):
            return
        if now >= waiting.end:
            self._unacknowledged = None
            self._lost(now)
            return
        waiting.interval = min(2 * waiting.interval, self._timing.t2)
        waiting.again = now + waiting.interval
        self.outbox.append(waiting.response)

    # -- session timer (RFC 4028) -------------------------------------------------------------------------------------

    def _take_session(self, message: Message, now: float, *, refresher: str) -> None:
        """When the session must be refreshed, and by whom: `refresher` is who it is when the device does not say."""
        value = message.headers.get("Session-Expires")
        told = seconds(value)
        self._refresh_at = self._expires_at = None
        if told is None or self.phase in (Phase.ENDING, Phase.OVER):
            return
        self._session_s = max(told, SHORTEST_SESSION_S)
        who = parameters(value).get("refresher", refresher).lower()
        by_us = who == ("uas" if isinstance(message, Request) else "uac")
        if by_us:
            self._refresh_at = now + self._session_s / 2
        else:
            self._expires_at = now + self._session_s - min(32, self._session_s / 3)

    def _tick_session(self, now: float) -> None:
        if self._expires_at is not None and now >= self._expires_at:
            self._expires_at = None
            self._lost(now)
        if self._refresh_at is not None and now >= self._refresh_at:
            self._refresh_at = None
            if self.phase is Phase.SPEAKING:
                self._refresh(now)

    def _refresh(self, now: float) -> None:
        fields: Fields = [("Session-Expires", f"{self._session_s};refresher=uac")]
        if self.accepted is not None and "UPDATE" in tokens(self.accepted.headers, "Allow"):
            self._begin(self._request("UPDATE", [*fields, *self._contact(), ("Supported", "timer")]), now)
        else:
            self._begin(self._request("INVITE", [*fields, *self._described()], self._plan.offer), now)

    # -- the machine --------------------------------------------------------------------------------------------------

    def _step(self, event: Event, now: float) -> None:
        """Take a step of the table and do what entering a phase means; a pair that is not in it changes nothing."""
        after = PHASES.get((self.phase, event))
        if after is None or after is self.phase:
            return
        self.phase = after
        if after in (Phase.ENDING, Phase.OVER):
            self._refresh_at = self._expires_at = self._unacknowledged = None
        match after:
            case Phase.GIVEN_UP:
                self._invite.hush()
            case Phase.CANCELLING:
                self._begin(cancellation(self._invite.request), now)
                self._cancelled_by = now + self._timing.patience
            case Phase.ENDING:
                self._cancelled_by = None
                self._begin(self._request("BYE", ()), now)
            case Phase.OVER:
                self._cancelled_by = None
                if event is Event.LOST:  # the device may still believe that it is called
                    self._transactions = [one for one in self._transactions if one is not self._invite]


_ROOM: Final = 100
_REPEATED: Final = frozenset({"Contact", "Session-Expires", "Supported", "Allow", "Accept", "Content-Type"})


def _same_way(proposed: bytes, agreed: bytes) -> bool:
    """Whether a description names the way for our sound that was agreed on: its audio lines and their directions are the same."""
    return _way(proposed) == _way(agreed)


def _way(description: bytes) -> list[str]:
    lines = description.decode("utf-8", "replace").splitlines()
    directions = {"a=recvonly": "recv", "a=sendrecv": "recv", "a=sendonly": "hold", "a=inactive": "hold"}
    ports = [line.split()[1] for line in lines if line.startswith("m=audio ") and len(line.split()) > 3]
    return [*ports, *(way for line in lines if (way := directions.get(line.strip())) and way != "recv")]


def _timer_agreed(asked: str) -> Fields:
    """The session timer that the device proposed, with who refreshes (RFC 4028, 9); nothing when it proposed none."""
    told = seconds(asked)
    if told is None:
        return []
    who = parameters(asked).get("refresher", "uac").lower()
    return [("Session-Expires", f"{told};refresher={'uas' if who == 'uas' else 'uac'}"), ("Require", "timer")]
