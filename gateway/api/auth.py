"""Who is calling: bearer keys answered from memory, and the console's session cookies that stand for a key.

A program sends `Authorization: Bearer gwk_…` with each request. A browser trades a key once (`POST /v1/session`) for a cookie that
scripts cannot read and other sites cannot send (HttpOnly, SameSite=Strict); whoever uses the cookie to change something must also send
the header `X-Requested-With`, which another site cannot do without our leave (CORS is never granted). Sessions live in memory: a
restart ends them. A key in a URL is refused, even a right one: it would stay in logs and histories.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from aiohttp import web

from gateway.api.problems import Unauthenticated
from gateway.api.services import Caller
from gateway.clock import Clock
from gateway.domain.access import ApiKey, KeyId, parse_key
from gateway.errors import Fault, Forbidden, GatewayError, InvalidInput, Overloaded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

COOKIE = "gateway_session"
CONSOLE_HEADER = "X-Requested-With"
SESSION_LIFE = timedelta(hours=12)
SESSIONS_MAX = 1_000  # the oldest makes room for a new one
RELOAD_S = 30.0
NOTED_EVERY = timedelta(minutes=1)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SECRET_PARAMETERS = frozenset({"access_token", "token", "key", "api_key", "apikey", "secret", "password", "authorization"})

log = structlog.get_logger(__name__)


class KeyRing:
    """All keys, in memory: a request costs one hash and no read of the store.

    `refresh` is called by who changes a key; `run` also takes in what other processes changed, when the log tells of it and twice a minute
    whatever happens. While the store fails, the keys that were known last go on working: stop-all must.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[KeyId, Caller] = {}
        self._used: dict[KeyId, datetime] = {}

    async def refresh(self) -> None:
        """Read all keys anew. The errors of storage."""
        async with self._store.read() as tx:
            self._keys = {key.id: Caller.of_key(key) for key in await tx.keys.load()}

    async def run(self) -> None:
        """Keep the ring fresh, and note in the store which keys were used, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="keys-listen")
            group.create_task(self._tend(), name="keys-tend")

    async def _listen(self) -> None:
        while True:
            try:
                async for event in self._store.events.follow():
                    if event.type.startswith("key."):
                        await self.refresh()
            except GatewayError as error:
                log.warning("api.keys.deaf", error=str(error))
                await self._clock.sleep(RELOAD_S)

    async def _tend(self) -> None:
        while True:
            await self._clock.sleep(RELOAD_S)
            try:
                await self.refresh()
                await self._note_uses()
            except GatewayError as error:
                log.warning("api.keys.stale", error=str(error))

    def by_secret(self, text: str) -> Caller:
        """The caller that `text`, a whole key, belongs to. Unauthenticated."""
        parsed = parse_key(text)
        caller = self._keys.get(parsed[0]) if parsed else None
        now = self._clock.now()
        if parsed is None or caller is None or caller.key is None or not caller.key.opens_with(parsed[1], now=now):
            raise _unknown_key()
        self._used[caller.key.id] = now
        return caller

    def by_id(self, key: KeyId) -> Caller:
        """The caller of a key that was shown before and may have been revoked since. Unauthenticated."""
        caller = self._keys.get(key)
        if caller is None or caller.key is None or not _alive(caller.key, self._clock.now()):
            raise _unknown_key()
        self._used[key] = self._clock.now()
        return caller

    async def _note_uses(self) -> None:
        used, self._used = self._used, {}
        for key, moment in used.items():
            caller = self._keys.get(key)
            last = caller.key.last_used_at if caller and caller.key else None
            if last is None or moment - last >= NOTED_EVERY:
                await self._store.writer.write(partial(_note_use, key=key, moment=moment), lane=Lane.HEALTH)


@dataclass(frozen=True, slots=True)
class Session:
    key: KeyId
    until: datetime


class Sessions:
    """The console's sessions, by the SHA-256 of their cookie; at most `SESSIONS_MAX`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def open(self, key: KeyId) -> str:
        """A new session of `key`; the cookie's value."""
        cookie = secrets.token_urlsafe(32)
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.popitem(last=False)
        self._sessions[_digest(cookie)] = Session(key, self._clock.now() + SESSION_LIFE)
        return cookie

    def key_of(self, cookie: str) -> KeyId:
        """The key behind a cookie. Unauthenticated."""
        session = self._sessions.get(_digest(cookie))
        if session is None or session.until <= self._clock.now():
            raise Unauthenticated("Your session has ended.", hint="Sign in again.")
        return session.key

    def close(self, cookie: str) -> None:
        self._sessions.pop(_digest(cookie), None)


class Pace:
    """How often a key may call: a bucket of `per_second` calls that fills again within a second."""

    def __init__(self, clock: Clock, *, per_second: int) -> None:
        self._clock = clock
        self._per_second = per_second
        self._buckets: dict[KeyId, tuple[float, float]] = {}

    def spend(self, key: KeyId) -> None:
        """Take one call from the bucket of `key`. Overloaded (`too-many-requests`) when it is empty."""
        now = self._clock.monotonic()
        left, at = self._buckets.get(key, (float(self._per_second), now))
        left = min(float(self._per_second), left + (now - at) * self._per_second)
        if left < 1:
            hint = "Call less often, or follow /v1/events."
            raise Overloaded(f"A key may call {self._per_second} times a second.", code="too-many-requests", hint=hint)
        self._buckets[key] = (left - 1, now)


class Gate:
    """Tells who makes a request, or refuses it."""

    def __init__(self, keys: KeyRing, sessions: Sessions, pace: Pace) -> None:
        self.keys = keys
        self.sessions = sessions
        self._pace = pace

    def admit(self, request: web.Request, *, paced: bool = True) -> Caller:
        """The caller.

        Unauthenticated; Forbidden for a cookie that another site may have sent; InvalidInput for a key in the URL; Overloaded for a key
        that asks too often, unless `paced` is false.
        """
        caller = self._caller(request)
        if paced and caller.key is not None:
            self._pace.spend(caller.key.id)
        return caller

    def _caller(self, request: web.Request) -> Caller:
        if request.query_string:
            refuse_secrets(request)
        header = request.headers.get("Authorization")
        if header is not None:
            return self.keys.by_secret(_bearer(header))
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            raise Unauthenticated("This needs a key.", hint="Send Authorization: Bearer gwk_…; an administrator makes keys.")
        caller = self.keys.by_id(self.sessions.key_of(cookie))
        if request.method not in _SAFE and CONSOLE_HEADER not in request.headers:
            raise Forbidden(f"With a session cookie, {request.method} needs the header {CONSOLE_HEADER}.", code="cross-site")
        return caller


def refuse_secrets(request: web.Request) -> None:
    """InvalidInput when the query looks as if it carried a secret."""
    found = [name for name in request.query if name.lower() in _SECRET_PARAMETERS]
    if found:
        raise InvalidInput(
            "A key never goes into a URL.",
            code="key-in-url",
            faults=[Fault(f"?{name}", "must not be here") for name in found],
            hint="Send Authorization: Bearer … instead, and have this key revoked: URLs are kept in logs and histories.",
        )


def _bearer(header: str) -> str:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Only bearer keys are taken.", hint="Send Authorization: Bearer gwk_…")
    return text.strip()


def _unknown_key() -> Unauthenticated:
    return Unauthenticated("This key is not known, has expired or was revoked.", hint="Ask an administrator for a new one (POST /v1/keys).")


async def _note_use(tx: Tx, *, key: KeyId, moment: datetime) -> None:
    await tx.keys.used(key, now=moment)


def _alive(key: ApiKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
