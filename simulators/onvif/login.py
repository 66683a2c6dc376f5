"""Who is let in to one device over HTTP: tokens and digests verified by its own clock, and refused in its own words."""

import operator
from typing import Final

from simulators.digest import DigestGuard, Login, Verdict, fields_of
from simulators.http import Request, Response
from simulators.onvif import soap, wsse
from simulators.onvif.lockout import Lockout
from simulators.onvif.soap import Call, SoapFault
from simulators.onvif.unit import Service, Unit

DIGEST_ONLY: Final = ("digest-only", "digest-sha256", "digest-uri-bound", "fault-not-challenge", "nonce-per-request")
"""Switches of the quirk book whose devices take HTTP digest alone."""


class Logins:
    """One device's logins: what came of each is counted, and remembered where the standard or a quirk wants it."""

    __slots__ = ("_guard", "_lockout", "_realm", "_unit")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._guard = DigestGuard(unit.device.serial.encode(), unit.state.now, same=operator.eq)
        self._realm = f"{unit.device.vendor} {unit.device.mac}"
        self._lockout = Lockout()

    def wanted(self, service: Service, call: Call) -> bool:
        """Whether a call needs a login here."""
        if call.operation not in service.anonymous:
            return True
        return call.operation == "GetSystemDateAndTime" and self._unit.odd() and self._unit.quirk("clock-needs-login") is not None

    def refusal(self, request: Request, call: Call) -> Response | None:
        """None for a good login; else the answer that refuses it: a challenge, or the fault of ONVIF Core §5.9.4."""
        if self._unit.odd() and (locked := self._locked(request)):
            return locked
        if self._by_digest():
            return self.challenged(request, token=wsse.has_token(call.header))
        unit = self._unit
        within = unit.quirk("strict-created") if unit.odd() else None
        verdict = wsse.verify(
            call.header,
            username=unit.device.username,
            password=unit.state.password(unit.device),
            device_time=unit.now(),
            seen=unit.seen,
            window_s=float(within["within_s"]) if within else wsse.WINDOW_S,
        )
        return None if self._judged(verdict, request.peer) else not_authorized()

    def challenged(self, request: Request, *, token: bool = False) -> Response | None:
        """None when the request carries a good HTTP digest; else 401 with a challenge. `token`: it tried a WS-UsernameToken instead."""
        odd = self._unit.odd()
        if odd and (locked := self._locked(request)):
            return locked
        algorithm = "SHA-256" if odd and self._unit.quirk("digest-sha256") is not None else "MD5"
        login = Login(self._realm, self._unit.device.username, self._unit.state.password(self._unit.device), algorithm, qop=True)
        bound = request.target if odd and self._unit.quirk("digest-uri-bound") is not None else ""
        given = request.header("Authorization")
        verdict = self._guard.check(login, method=request.method, url=request.target, authorization=given, bound=bound)
        if verdict is Verdict.GOOD and not self._unit.seen.first_time(self._once(given) if odd else given):
            verdict = Verdict.REPLAYED
        if self._judged(verdict, request.peer):
            return None
        if odd and token and self._unit.quirk("fault-not-challenge") is not None:
            return not_authorized("Authority failure")
        challenge = self._guard.challenge(login, stale=verdict is Verdict.STALE, bound=bound)
        return Response(401, content_type=b"text/plain", headers=(b"WWW-Authenticate: " + challenge.encode(),))

    def crowded(self, request: Request) -> Response | None:
        """The 401 of a device that has more connections than it can serve; None where there is room."""
        room = self._unit.quirk("busy-401")
        if room is None or request.connections <= int(room["connections"]):
            return None
        self._count("crowded")
        said = b"<html><body>Exceeded maximum number of connections</body></html>" if room["says"] else b""
        return Response(401, said, b"text/html")

    def _by_digest(self) -> bool:
        unit = self._unit
        if not unit.odd():
            return unit.device.auth == "digest"
        if unit.quirk("token-only") is not None:
            return False
        return unit.device.auth == "digest" or any(unit.quirk(switch) is not None for switch in DIGEST_ONLY)

    def _once(self, authorization: str) -> str:
        """What a digest must not have in common with an earlier one: all of it, or its nonce alone."""
        if self._unit.quirk("nonce-per-request") is None:
            return authorization
        return fields_of(authorization).get("nonce", "")

    def _locked(self, request: Request) -> Response | None:
        rule = self._unit.quirk("lock-out")
        if rule is None or not self._lockout.holds(request.peer, self._unit.state.now()):
            return None
        self._count("locked_out")
        return not_authorized(f"The account is locked. Try again in {rule['minutes']} minutes")

    def _judged(self, verdict: Verdict, peer: str) -> bool:
        """Count what came of a login; whether it is good. A request without any, or with an old nonce, is no bad digest."""
        if verdict is Verdict.GOOD:
            self._unit.state.logged_in("http", self._unit.device)
            self._lockout.forget(peer)
            return True
        self._count(verdict.value)
        if verdict in {Verdict.REPLAYED, Verdict.SKEWED}:
            self._count(Verdict.WRONG.value)
        if verdict in {Verdict.WRONG, Verdict.REPLAYED, Verdict.SKEWED} and self._unit.odd():
            rule = self._unit.quirk("lock-out")
            if rule is not None:
                now = self._unit.state.now()
                self._lockout.wrong(peer, now, attempts=int(rule["attempts"]), lasts_s=float(rule["minutes"]) * 60)
        return False

    def _count(self, what: str) -> None:
        self._unit.state.count("http", what, self._unit.device.kind)


def not_authorized(reason: str = "Sender not authorized") -> Response:
    """The fault that refuses a login (ONVIF Core §5.9.4)."""
    return Response(400, soap.fault(SoapFault(reason, "ter:NotAuthorized")))
