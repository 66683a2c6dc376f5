"""Signed calls to one ONVIF device: whatever it takes to be let in, within the bounds that keep us from being locked out."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from sys import intern
from typing import Any

from lxml import etree

from gateway.clock import Clock
from gateway.drivers.base import DeviceClock, Target
from gateway.drivers.digest import Digest, choose
from gateway.drivers.http import RICH_LIMIT, SOAP_LIMIT, Conversation, Http, Request, T
from gateway.drivers.http_reader import Answer
from gateway.drivers.onvif.access import BUDGET, Access, Signing
from gateway.drivers.onvif.answers import IMPOSSIBLE_TIME, read_clock
from gateway.drivers.onvif.repairs import in_utf8, mended
from gateway.drivers.onvif.services import GET_CAPABILITIES, GET_SERVICES, read_capabilities, read_services
from gateway.drivers.onvif.soap import DEVICE, Operation, by_status, envelope, open_answer, refusal, refused
from gateway.drivers.onvif.times import zone_lie, zone_offset
from gateway.drivers.onvif.wsdl import WSDLS
from gateway.drivers.onvif.wsse import username_token
from gateway.errors import AuthenticationFailed, DeadlineExceeded, DeviceFault, NotSupported, ProtocolError

GET_CLOCK = Operation(DEVICE, "GetSystemDateAndTime")
GET_IDENTITY = Operation(DEVICE, "GetDeviceInformation")

ENTRY = "/onvif/device_service"
OTHER_ENTRY = "/onvif/services"
"""Where devices listen that do not listen where the standard says (Core, 5.1)."""

RICH_AT_ONCE = 2
"""Calls beside the health check that one device is asked to serve at a time; more wait for their turn, within their deadline."""


@asynccontextmanager
async def deadline(timeout_s: float) -> AsyncIterator[None]:
    """Raises DeadlineExceeded when what stands inside takes longer."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"no complete answer within {timeout_s:g} s") from None


class Caller:
    """What is remembered of one device between calls: offset, way of signing, where its services are. At most 2 KiB when idle."""

    __slots__ = (
        "_access",
        "_assumed",
        "_budget",
        "_charset",
        "_clock",
        "_clock_guarded",
        "_digest",
        "_digest_at",
        "_entropy",
        "_entry",
        "_http",
        "_lie_s",
        "_offset_s",
        "_one_use",
        "_services",
        "_turns",
        "_web_digest",
        "_zone_s",
        "accepted_at",
        "target",
    )

    def __init__(
        self, target: Target, http: Http, clock: Clock, *, entropy: Callable[[int], bytes] = os.urandom, budget: int = BUDGET
    ) -> None:
        """`budget`: how many signed requests the device may refuse in all, before its credentials are not tried again.

        `accepted_at`, which others may read: when the device took these credentials last, in monotonic seconds.
        """
        self.target = target
        self._budget = budget
        self._http = http
        self._clock = clock
        self._entropy = entropy
        self._meet()

    def _meet(self) -> None:
        """Know nothing of the device."""
        self._access = Access(self._budget)
        self.accepted_at: float | None = None
        self._digest: Digest | None = None
        self._web_digest: Digest | None = None
        self._digest_at = 0.0
        self._one_use = False
        self._offset_s: float | None = None
        self._assumed = False
        self._lie_s = 0.0
        self._zone_s = _CHINA_S
        self._entry = ENTRY
        self._clock_guarded = False
        self._charset = ""
        self._services: dict[str, str] | None = None
        self._turns: asyncio.Semaphore | None = None

    def retarget(self, target: Target) -> None:
        """The inventory changed. Another address is another device; other credentials deserve to be tried."""
        before, self.target = self.target, target
        if before.place != target.place:
            self._meet()
        elif before.credentials != target.credentials:
            self.forget()

    def forget(self) -> None:
        """Let credentials that were refused be tried again."""
        self._access.forget()
        self.accepted_at = None
        self._digest = self._web_digest = None

    def try_again(self) -> None:
        """As `forget`, for credentials that have not changed: they may be tried a time or two, and not as often as new ones."""
        self._access.try_again()
        self._digest = self._web_digest = None

    def known_bad(self) -> AuthenticationFailed | None:
        """Why other protocols are not to try the same credentials, None when they may."""
        if not self._access.hopeless(self._clock.monotonic()):
            return None
        return AuthenticationFailed(
            "not tried again: the device refused these credentials over ONVIF",
            code=self._access.verdict,
            hint="Correct the device's password in the inventory, or, if it is right, check the device with retry_credentials.",
        )

    def suspect(self) -> None:
        """Another protocol was refused with the same credentials: that spends of the same budget."""
        self._access.suspect()

    @property
    def refusals(self) -> int:
        """Signed requests that the device refused since the last one that it accepted."""
        return self._access.refusals

    @property
    def offset(self) -> timedelta | None:
        """The device's clock minus ours, once it was read; without what it lies of its zone."""
        return None if self._offset_s is None or self._assumed else timedelta(seconds=self._offset_s - self._lie_s)

    def now(self) -> datetime:
        """The present by the device's clock, as far as it is known."""
        return _later(self._clock.now(), (self._offset_s or 0.0) - self._lie_s)

    def learned(self) -> Mapping[str, str]:
        """What the device taught us about itself, in words; nothing secret, nothing that it said."""
        return dict(self._lessons())

    async def pause(self, seconds: float) -> None:
        """Leave the device alone for a moment."""
        await self._clock.sleep(seconds)

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def converse(self, conversation: Conversation[T], *, timeout_s: float) -> T:
        """Hold `conversation` with this device at once: for the health check, which must not wait for anything."""
        return await self._http.converse(self.target.address, self.target.ports.onvif, conversation, timeout_s=timeout_s)

    async def call(self, operation: Operation, *, timeout_s: float) -> etree._Element:
        """One signed call to the service of the operation's namespace; its answer's payload. Raises NotSupported without such a service."""
        return await self.in_turn(self.calling(operation), timeout_s=timeout_s)

    async def call_at_once(self, operation: Operation, *, timeout_s: float) -> etree._Element:
        """As `call`, without waiting for a turn: for what must not wait."""
        return await self.converse(self.calling(operation), timeout_s=timeout_s)

    async def in_turn(self, conversation: Conversation[T], *, timeout_s: float) -> T:
        """Hold `conversation` when fewer than `RICH_AT_ONCE` others are under way."""
        if self._turns is None:
            self._turns = asyncio.Semaphore(RICH_AT_ONCE)
        async with deadline(timeout_s), self._turns:
            return await self.converse(conversation, timeout_s=timeout_s)

    async def invoke(
        self,
        namespace: str,
        name: str,
        convert: Callable[[Any], T],
        *,
        timeout_s: float,
        large: bool = False,
        repeatable: bool = True,
        **arguments: Any,
    ) -> T:
        """A signed call that zeep builds from `arguments` and reads: `convert` of its answer's value.

        The first one in a process loads zeep: a second or two, which the deadline must allow.
        """
        async with deadline(timeout_s):
            operation = await WSDLS.build(namespace, name, arguments, large=large, repeatable=repeatable)
            payload = await self.call(operation, timeout_s=timeout_s)
            return await WSDLS.read(payload, convert)

    async def fetch(self, path: str, *, timeout_s: float) -> bytes:
        """What the device's web server gives for `path`, at most `RICH_LIMIT` bytes."""
        answer = await self.in_turn(
            self._browsing(lambda fields: Request("GET", path, fields=fields, limit=RICH_LIMIT)), timeout_s=timeout_s
        )
        if answer.status != 200:
            raise by_status(answer.status)
        return answer.body

    async def upload(self, path: str, body: bytes, *, kind: str, timeout_s: float) -> int:
        """Give the device's web server `body`, of the media type `kind`, for `path`; the status of its answer. ONVIF does not say by which
        method: a server that does not know the one gets the other."""
        status = await self._bring("POST", path, body, kind=kind, timeout_s=timeout_s)
        if status in (405, 501):
            status = await self._bring("PUT", path, body, kind=kind, timeout_s=timeout_s)
        return status

    async def _bring(self, method: str, path: str, body: bytes, *, kind: str, timeout_s: float) -> int:
        field = ("Content-Type", kind)
        asking = self._browsing(lambda login: Request(method, path, body, (field, *login), repeatable=False))
        return (await self.in_turn(asking, timeout_s=timeout_s)).status

    def calling(self, operation: Operation) -> Conversation[etree._Element]:
        """The conversation of `call`: the clock first where it is not known, the services first where they are not known."""
        path = yield from self.path(operation.namespace)
        try:
            return (yield from self.signed(operation, path))
        except NotSupported as absence:
            if absence.detail not in _NOWHERE or path == self._entry or self._services is None:
                raise
        payload = yield from self.signed(operation, self._entry)
        self._services[intern(operation.namespace)] = self._entry
        return payload

    def services(self) -> Conversation[dict[str, str]]:
        """Paths of the device's services by namespace: GetServices, or GetCapabilities where that is a fault (Device Management, 8.1)."""
        try:
            found = read_services((yield from self.signed(GET_SERVICES, self._entry, last=False)))
        except (DeviceFault, ProtocolError):
            found = read_capabilities((yield from self.signed(GET_CAPABILITIES, self._entry, last=False)))
        self._services = {intern(name): intern(path) for name, path in found.items()}
        return self._services

    def clock(self, *, last: bool = True, elsewhere: bool = False) -> Conversation[DeviceClock]:
        """Read the clock, anonymously where the device allows it (it must: Core, 5.9.4.3), and remember its offset.

        `elsewhere`: nothing was at the other path where a device may listen.
        """
        if not self._clock_guarded:
            answer = yield self._post(GET_CLOCK, self._entry, last=last, fields=(GET_CLOCK.type,))
            try:
                return self._remember(self._open(answer, GET_CLOCK), answer)
            except NotSupported as absence:
                if elsewhere or absence.detail not in _NOWHERE:
                    raise
                return (yield from self._clock_elsewhere(last=last))
            except AuthenticationFailed as refusal:
                if refusal.code not in _FOR_THE_LOGIN:  # whoever logged in would be refused, too
                    self._access.rest(refusal.code, self._clock.monotonic())
                    raise
                self._clock_guarded = True
                self._believe_date(answer)
        payload, answer = yield from self._let_in(GET_CLOCK, self._entry, last=last, clock_read=True)
        return self._remember(payload, answer)

    def clock_if_told(self, *, last: bool = True) -> Conversation[DeviceClock | None]:
        """The clock, None when the device tells no possible time: then its Date counts or, without one, ours."""
        try:
            return (yield from self.clock(last=last))
        except ProtocolError as error:
            if error.code != IMPOSSIBLE_TIME:
                raise
            return None

    def signed(self, operation: Operation, path: str, *, last: bool = True) -> Conversation[etree._Element]:
        """Call with credentials.

        Only `GET_IDENTITY` tells whether they are good, before anything else is signed and whenever something else is refused: an
        account may lack a right, and a device must not be taken for locked because of that. Such a refusal is a DeviceFault.
        """
        if self._access.proven:
            self._access.begin(self._clock.monotonic())
        else:
            yield from self.identify(last=False)
        answer = yield from self._exchange(operation, path, last=last)
        try:
            return self._open(answer, operation)
        except AuthenticationFailed as refusal:
            if refusal.code not in _FOR_THE_LOGIN:
                self._access.give_up(refusal.code, self._clock.monotonic())
                raise
            self._access.suspect()
        yield from self.clock_if_told(last=False)
        yield from self.identify(last=False, clock_read=True)
        answer = yield from self._exchange(operation, path, last=last)
        try:
            return self._open(answer, operation)
        except AuthenticationFailed:
            raise DeviceFault("the device does not let this account do that", code="not-permitted") from None

    def identify(self, *, last: bool = True, clock_read: bool = False) -> Conversation[etree._Element]:
        """GetDeviceInformation, trying what `Access` allows when the device refuses. `clock_read`: the clock was just read."""
        if self._offset_s is None and self._digest is None:
            yield from self.clock_if_told(last=False)
            clock_read = True
        payload, _ = yield from self._let_in(GET_IDENTITY, self._entry, last=last, clock_read=clock_read)
        return payload

    def path(self, namespace: str) -> Conversation[str]:
        """The path of a service. Raises NotSupported when the device lists none."""
        if namespace == DEVICE:
            return self._entry
        known = self._services if self._services is not None else (yield from self.services())
        if namespace not in known:
            raise NotSupported(f"the device offers no {namespace.rpartition('/wsdl')[0].rpartition('/')[2]} service")
        return known[namespace]

    # -- being let in --------------------------------------------------------------------------------------------------

    def _let_in(self, operation: Operation, path: str, *, last: bool, clock_read: bool) -> Conversation[tuple[etree._Element, Answer]]:
        self._access.begin(self._clock.monotonic())
        attempt = _Attempt(clock_read=clock_read)
        while True:
            answer = yield self._sign(operation, path, attempt, last=last)
            try:
                payload = self._open(answer, operation)
            except AuthenticationFailed as refusal:
                if not (yield from self._mend(refusal, answer, attempt)):
                    raise
            else:
                self._let_us_in(attempt)
                return payload, answer

    def _let_us_in(self, attempt: "_Attempt") -> None:
        """What is learnt from a login that the device takes."""
        self._access.accepted()
        if attempt.signed:
            self.accepted_at = self._clock.monotonic()
        self._one_use = self._one_use or attempt.spent
        if attempt.signed and self._digest is None:
            self._lie_s = zone_lie((self._offset_s or 0.0) - attempt.shift_s)

    def _exchange(self, operation: Operation, path: str, *, last: bool) -> Conversation[Answer]:
        """One signed request; one more when only the nonce had grown old, or a new one had to be asked for."""
        attempt = _Attempt()
        answer = yield self._sign(operation, path, attempt, last=last)
        if self._digest is not None and _challenges(answer):
            self._renew(answer, attempt)
            answer = yield self._sign(operation, path, attempt, last=last)
            self._one_use = self._one_use or (attempt.spent and answer.status != 401)
        return answer

    def _mend(self, refusal: AuthenticationFailed, answer: Answer, attempt: "_Attempt") -> Conversation[bool]:
        """What can be changed after a refusal; False when nothing can, or may."""
        if _challenges(answer):
            return self._answer_challenge(answer, refusal.code, attempt)
        if not attempt.signed:  # it was asked for a nonce, and has none any more
            self._digest = None
            return True
        if self._digest is not None:
            self._digest = None
            return self._access.change_scheme(refusal.code, self._clock.monotonic())
        if refusal.code in _FOR_THE_LOGIN and (yield from self._offers_digest(attempt)):
            return self._access.change_scheme(refusal.code, self._clock.monotonic())
        if not attempt.clock_read:
            attempt.clock_read = True
            yield from self.clock_if_told(last=False)
        return self._access.refused(
            refusal.code, self._clock.monotonic(), used_s=attempt.shift_s, offset_s=self._offset_s or 0.0, zone_s=self._zone_s
        )

    def _offers_digest(self, attempt: "_Attempt") -> Conversation[bool]:
        """Whether a device that refuses our token with no more than a fault asks for a digest when it is asked without any login."""
        if attempt.asked:
            return False
        attempt.asked = True
        answer = yield self._post(GET_IDENTITY, self._entry, last=False, fields=(GET_IDENTITY.type,))
        if not _challenges(answer):
            return False
        try:
            self._digest = self._digest_for(answer)
        except AuthenticationFailed:
            return False
        return True

    def _answer_challenge(self, answer: Answer, code: str, attempt: "_Attempt") -> bool:
        """A remembered nonce that is refused has only grown old; a fresh one is refused for the password's sake."""
        known, asked = self._digest, not attempt.signed
        self._renew(answer, attempt)
        if attempt.nonces == 0 and known is not None:
            attempt.nonces = 1
            return True
        attempt.nonces += 1
        if known is None:
            return self._access.change_scheme(code, self._clock.monotonic())
        if (asked or _is_stale(self._digest)) and attempt.nonces <= _STALE_LIMIT:
            return True
        self._access.give_up(code, self._clock.monotonic())
        return False

    def _renew(self, answer: Answer, attempt: "_Attempt") -> None:
        """Take the nonce of a challenge in the place of one that was refused. A young one was refused because it had been used."""
        known, now = self._digest, self._clock.monotonic()
        young = known is not None and now - self._digest_at < _NONCE_YOUNG_S
        self._digest = self._digest_for(answer)
        attempt.spent = attempt.spent or (young and attempt.signed and not _is_stale(self._digest))

    def _sign(self, operation: Operation, path: str, attempt: "_Attempt", *, last: bool) -> Request:
        credentials = self.target.credentials
        attempt.signed = self._digest is None or not (self._nonces_are_spent() and self._digest.used)
        if not attempt.signed:
            return self._post(operation, path, last=False, fields=(operation.type,))
        if self._digest is not None:
            fields = (operation.type, ("Authorization", self._digest.answer("POST", path)))
            return self._post(operation, path, last=last, fields=fields)
        attempt.shift_s = self._access.signing_shift(self._offset_s or 0.0, self._zone_s)
        token = username_token(
            credentials.username, credentials.password, created=_later(self._clock.now(), attempt.shift_s), nonce=self._entropy(16)
        )
        return self._post(operation, path, token, last=last, fields=(operation.type,))

    def _post(self, operation: Operation, path: str, header: bytes = b"", *, last: bool, fields: tuple[tuple[str, str], ...]) -> Request:
        limit = RICH_LIMIT if operation.large else SOAP_LIMIT
        return Request("POST", path, envelope(operation.body, operation.header + header), fields, limit, last, operation.repeatable)

    def _browsing(self, ask: Callable[[tuple[tuple[str, str], ...]], Request]) -> Conversation[Answer]:
        """`ask` with the fields of a login by HTTP digest, the only one that a web server gets from us: Basic would tell the password."""
        self._access.begin(self._clock.monotonic())
        fresh = False
        while True:
            if self._web_digest is not None and self._web_digest.used and self._nonces_are_spent():
                self._web_digest = None
            plain = ask(())
            login = (("Authorization", self._web_digest.answer(plain.method, plain.path)),) if self._web_digest else ()
            answer = yield ask(login)
            if answer.status != 401:
                return answer
            reason = self._refusal(answer)
            if reason.code not in _FOR_THE_LOGIN:
                self._access.rest(reason.code, self._clock.monotonic())
                raise reason
            if fresh:
                self._access.give_up(reason.code, self._clock.monotonic())
                raise AuthenticationFailed("the device's web server refuses us")
            self._web_digest = self._digest_for(answer)
            fresh = True

    # -- reading -------------------------------------------------------------------------------------------------------

    def _open(self, answer: Answer, operation: Operation) -> etree._Element:
        """The payload of an answer to `operation`; what the device is known to do wrong is mended."""
        if self._charset:
            answer = answer._replace(body=in_utf8(answer.body, known=True) or answer.body)
        try:
            return open_answer(answer, operation.answer, large=operation.large, mend=self._mended)
        except AuthenticationFailed as refusal:
            if answer.status == 401 and refusal.code == "bad-credentials":
                raise self._refusal(answer) from None
            raise

    def _mended(self, body: bytes) -> bytes | None:
        found = mended(body)
        if found is None:
            return None
        self._charset = found.charset or self._charset
        return found.body

    def _refusal(self, answer: Answer) -> AuthenticationFailed:
        """Why a 401 refuses us. One without a challenge means a crowd where the device's profile says so."""
        reason = refusal(answer)
        crowd = reason.code == "bad-credentials" and "busy-401" in self.target.quirks and not answer.fields.get("www-authenticate")
        return refused("too-many-connections") if crowd else reason

    # -- what is remembered --------------------------------------------------------------------------------------------

    def _lessons(self) -> Iterator[tuple[str, str]]:
        if self._access.verdict:
            yield "refused", self._access.verdict
        if self._access.proven:
            yield "authentication", f"digest {self._digest.challenge.algorithm}" if self._digest else "token"
        if self._access.proven and self._digest is None and self._access.signing is not Signing.DEVICE:
            yield "signs-by", str(self._access.signing)
        if self._digest is not None and self._nonces_are_spent():
            yield "nonces", "one-use"
        if self._lie_s:
            yield "zone-lie", f"{self._lie_s / 3600:+g} h"
        if self._clock_guarded:
            yield "clock", "needs-login"
        if self._entry != ENTRY:
            yield "entry", self._entry
        if self._charset:
            yield "charset", self._charset

    def _remember(self, payload: etree._Element, answer: Answer) -> DeviceClock:
        try:
            clock = read_clock(payload, answered_at=self._clock.now() - timedelta(seconds=answer.elapsed_s / 2))
        except ProtocolError:
            self._believe_date(answer)
            raise
        self._offset_s, self._assumed = clock.offset.total_seconds(), False
        if clock.timezone:
            ahead = zone_offset(clock.timezone)
            self._zone_s = ahead.total_seconds() if ahead else _CHINA_S
        return self.truly(clock)

    def truly(self, clock: DeviceClock) -> DeviceClock:
        """A clock as the device's own is, without the lie about its zone that its logins, or else its profile, give away."""
        if self._digest is not None:
            told_s, known_s = (clock.offset + clock.zone_lie).total_seconds(), 3600 * self.target.quirks.number("utc-is-local", "hours", 0)
            self._lie_s = known_s if known_s and abs(zone_lie(told_s) - known_s) < 1 else 0.0
        lie = timedelta(seconds=self._lie_s) - clock.zone_lie
        return replace(clock, utc=clock.utc - lie, offset=clock.offset - lie, zone_lie=clock.zone_lie + lie) if lie else clock

    def _clock_elsewhere(self, *, last: bool) -> Conversation[DeviceClock]:
        """Nothing is at the path where we ask: try the other known one, once."""
        before, self._entry = self._entry, ENTRY if self._entry == OTHER_ENTRY else OTHER_ENTRY
        try:
            return (yield from self.clock(last=last, elsewhere=True))
        except NotSupported:
            self._entry = before
            raise

    def _believe_date(self, answer: Answer) -> None:
        """The Date of a refusal tells the clock of a device that hides it (RFC 9110, 6.6.1)."""
        self._offset_s, self._assumed = 0.0, True
        try:
            stated = parsedate_to_datetime(answer.fields["date"])
            self._offset_s, self._assumed = (stated - self._clock.now()).total_seconds(), False
        except (KeyError, ValueError, TypeError):
            return

    def _nonces_are_spent(self) -> bool:
        """Whether a nonce is good for one request only, or for one path: as we found out, or as the device's profile says."""
        return self._one_use or "nonce-per-request" in self.target.quirks or "digest-uri-bound" in self.target.quirks

    def _digest_for(self, answer: Answer) -> Digest:
        """Raises AuthenticationFailed when the answer offers nothing that can be answered safely."""
        asked = choose(answer.fields.get("www-authenticate", "").split("\n"))
        self._digest_at = self._clock.monotonic()
        return Digest(asked, self.target.credentials, nonce=self._client_nonce)

    def _client_nonce(self) -> str:
        return self._entropy(8).hex()


class _Attempt:
    """What was already renewed within one call."""

    __slots__ = ("asked", "clock_read", "nonces", "shift_s", "signed", "spent")

    def __init__(self, *, clock_read: bool = False) -> None:
        self.clock_read = clock_read
        self.nonces = 0
        self.shift_s = 0.0
        self.signed = True  # the last request carried a login
        self.asked = False  # for a challenge, without a login
        self.spent = False  # a young nonce was refused because it had been used


_CHINA_S = 8 * 3600.0
_STALE_LIMIT = 2
_NONCE_YOUNG_S = 120.0
"""Younger, a nonce cannot have grown old."""
_NOWHERE = ("404", "405")
"""How a web server says that nothing is at a path, as a detail of NotSupported."""
_FOR_THE_LOGIN = ("bad-credentials", "clock-skew", "no-digest")
"""Refusals that another login may mend."""


def _challenges(answer: Answer) -> bool:
    return answer.status == 401 and "digest" in answer.fields.get("www-authenticate", "").lower()


def _is_stale(digest: Digest | None) -> bool:
    return digest is not None and digest.challenge.stale


def _later(moment: datetime, seconds: float) -> datetime:
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return moment
