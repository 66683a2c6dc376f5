"""Asking a device what it can (RFC 3261, 11): whether it is there, what it calls itself, and whether it takes our password."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from gateway.domain.identity import hardware_address
from gateway.drivers.base import Identity
from gateway.drivers.sip.authentication import Login
from gateway.drivers.sip.call import USER_AGENT, Plan
from gateway.drivers.sip.messages import Message, answer
from gateway.drivers.sip.transactions import STANDARD, ClientTransaction, Kind, State, Timing, kind_of
from gateway.drivers.textual import Headers, Request, Response
from gateway.errors import AuthenticationFailed

PRODUCT_LIMIT: Final = 200
_HARDWARE: Final = re.compile(r"(?i)(?<![0-9a-z])(?:[0-9a-f]{2}[:\-]){5}[0-9a-f]{2}(?![0-9a-z])|(?<![0-9a-z])[0-9a-f]{12}(?![0-9a-z])")
_VERSION: Final = re.compile(r"(?i)^v?\d+(?:\.\d+)+\S*$")


class Inquiry:
    """One OPTIONS and, when the device asks who we are, a second one. `answer`: the final one, whatever it says; a pure machine.

    `refused`: why the device does not take our password, None when it does or does not ask.
    """

    def __init__(self, plan: Plan, *, token: Callable[[], str], now: float, timing: Timing = STANDARD) -> None:
        self.outbox: list[Message] = []
        self.answer: Response | None = None
        self.refused: AuthenticationFailed | None = None
        self.timed_out = False
        self._plan = plan
        self._token = token
        self._timing = timing
        self._call_id, self._tag, self._number = token(), token(), 0
        self._login = Login(plan.device, plan.credentials)
        self._transaction = self._ask(now)

    @property
    def done(self) -> bool:
        return self.answer is not None or self.timed_out

    @property
    def due(self) -> float | None:
        return None if self.done else self._transaction.due

    def tick(self, now: float) -> None:
        again = self._transaction.tick(now)
        if again is not None:
            self.outbox.append(again)
        self.timed_out = self._transaction.timed_out

    def take(self, message: Message, now: float) -> None:
        if isinstance(message, Request):
            if message.method != "ACK":
                self.outbox.append(answer(message, 481, "Call/Transaction Does Not Exist", tag=self._tag))
            return
        if self._transaction.state is State.OVER or not self._transaction.matches(message):
            return
        news, _ = self._transaction.take(message, now)
        if not news or kind_of(message) is Kind.PROVISIONAL:
            return
        if message.status in (401, 407):
            try:
                self._login.take(message, trusted=False)
            except AuthenticationFailed as error:
                self.refused = error
            else:
                self._transaction = self._ask(now)
                return
        self.answer = message

    def _ask(self, now: float) -> ClientTransaction:
        self._number += 1
        plan = self._plan
        fields = [
            ("Via", f"SIP/2.0/{plan.transport} {plan.ours};branch=z9hG4bK{self._token()};rport"),
            ("Max-Forwards", "70"),
            *([("Route", f"<{plan.route};lr>")] if plan.route else []),
            ("From", f"<sip:{plan.caller}@{plan.ours}>;tag={self._tag}"),
            ("To", f"<{plan.uri}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} OPTIONS"),
            ("Contact", f"<sip:{plan.caller}@{plan.ours}>"),
            ("Accept", "application/sdp"),
            ("User-Agent", USER_AGENT),
            *self._login.fields("OPTIONS", plan.uri),
        ]
        request = Request("OPTIONS", plan.uri, Headers(fields))
        self.outbox.append(request)
        return ClientTransaction(request, reliable=plan.transport == "TCP", now=now, timing=self._timing)


def identity_of(response: Response) -> tuple[Identity, Sequence[str]]:
    """What a device calls itself in Server or User-Agent, and the hardware addresses in that, or in a field `Mac` of its own.

    There is no rule for these words; most horns put maker, model, firmware and hardware address into them, in this order. A word that
    looks like a version is the firmware, what comes before it is maker and model. A serial number nobody tells.
    """
    product = (response.headers.get("Server") or response.headers.get("User-Agent"))[:PRODUCT_LIMIT]
    found = list(dict.fromkeys(_HARDWARE.findall(f"{product} {response.headers.get('Mac')[:PRODUCT_LIMIT]}")))
    words = re.split(r"[\s/;,()]+", _HARDWARE.sub(" ", product).strip())
    firmware = next((word for word in words if _VERSION.match(word)), "")
    before = words[: words.index(firmware)] if firmware else words
    maker, *model = [word for word in before if word] or [""]
    identity = Identity(manufacturer=maker, model=" ".join(model), firmware=firmware, serial="")
    return identity, [address for text in found if (address := hardware_address(text))]
