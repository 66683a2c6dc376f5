"""Digest access authentication as a device checks it (RFC 7616; RFC 2069's form without qop as older devices use it)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

NONCE_S: Final = 300
"""How long a nonce is good; an older one is answered by stale=true."""
BASIC: Final = "Basic"
"""In the place of a digest's algorithm: the login of RFC 7617."""
REMEMBERED: Final = 1_000

_HASHES: Final[dict[str, Callable[[bytes], "hashlib._Hash"]]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_FIELD: Final = re.compile(r'([A-Za-z0-9]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Verdict(Enum):
    """What a login is worth; the values name its counters."""

    GOOD = "digest_good"
    NONE = "digest_none"
    STALE = "digest_stale"
    WRONG = "digest_bad"
    REPLAYED = "digest_replayed"
    SKEWED = "digest_skewed"


class Remembered:
    """The last thousand things that a device must not accept twice."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}

    def first_time(self, what: str) -> bool:
        """Whether `what` is new; from now on it is not. When full, the oldest is forgotten."""
        if what in self._seen:
            return False
        self._seen[what] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


@dataclass(frozen=True, slots=True)
class Login:
    """What one device demands. `algorithm`: MD5, SHA-256, or `BASIC` for no digest at all; `qop`: whether it offers qop=auth."""

    realm: str
    username: str
    password: str
    algorithm: str = "MD5"
    qop: bool = False


def same_resource(uri: str, url: str) -> bool:
    """Whether a digest's uri may stand for the requested URL: the same path, or that of the presentation which holds it."""
    own, asked = urlsplit(uri).path.rstrip("/"), urlsplit(url).path.rstrip("/")
    return bool(own or asked in {"", "*"}) and (own == asked or asked.startswith(own + "/"))


@dataclass(slots=True)
class DigestGuard:
    """Gives out nonces, each another, that carry their own age, so that nothing is remembered of them. `bound`: what one holds for alone.

    `same`: whether a digest's uri stands for the requested one; RTSP is generous there, HTTP takes the very same only.
    """

    secret: bytes
    now: Callable[[], float]
    nonce_s: float = NONCE_S
    same: Callable[[str, str], bool] = same_resource
    given: int = 0

    def challenge(self, login: Login, *, stale: bool = False, bound: str = "") -> str:
        """The value of WWW-Authenticate."""
        if login.algorithm == BASIC:
            return f'Basic realm="{login.realm}"'
        self.given = (self.given + 1) & 0xFFFFFF
        fields = [f'realm="{login.realm}"', f'nonce="{self._nonce(f"{int(self.now()):010x}{self.given:06x}", bound)}"']
        if login.algorithm != "MD5" or login.qop:
            fields.append(f"algorithm={login.algorithm}")
        if login.qop:
            fields.append('qop="auth"')
        if stale:
            fields.append("stale=true")
        return "Digest " + ", ".join(fields)

    def check(self, login: Login, *, method: str, url: str, authorization: str, bound: str = "") -> Verdict:
        """What an Authorization header is worth for this request."""
        if not authorization:
            return Verdict.NONE
        if login.algorithm == BASIC:
            return Verdict.GOOD if hmac.compare_digest(basic(login), authorization.encode()) else Verdict.WRONG
        given = fields_of(authorization)
        if authorization[:7].lower() != "digest " or not self._right(login, method, url, given, bound):
            return Verdict.WRONG
        return Verdict.GOOD if self._fresh(given["nonce"]) else Verdict.STALE

    def _right(self, login: Login, method: str, url: str, given: dict[str, str], bound: str) -> bool:
        """Whether the response is the one that the password gives, for this request, to a nonce of ours."""
        named = (given.get("username"), given.get("realm"), given.get("algorithm", "MD5").upper())
        if named != (login.username, login.realm, login.algorithm) or not self.same(given.get("uri", ""), url):
            return False
        if login.qop and not _takes(login, given.get("qop")):
            return False
        expected = response(login, method=method, given=given)
        return hmac.compare_digest(expected.encode(), given.get("response", "").encode()) and self._ours(given.get("nonce", ""), bound)

    def _nonce(self, stamp: str, bound: str) -> str:
        return stamp + hmac.new(self.secret, (stamp + bound).encode(), hashlib.sha256).hexdigest()[:16]

    def _ours(self, nonce: str, bound: str) -> bool:
        return hmac.compare_digest(self._nonce(nonce[:16], bound).encode(), nonce.encode())

    def _fresh(self, nonce: str) -> bool:
        return 0 <= self.now() - int(nonce[:10], 16) + 1 <= self.nonce_s + 1


def _takes(login: Login, qop: str | None) -> bool:
    """Whether an answer to an offer of qop will do: with MD5 also one from before there was qop (RFC 2617 §3.2.2), as rtspsrc gives it."""
    return qop == "auth" or (qop is None and login.algorithm == "MD5")


def basic(login: Login) -> bytes:
    """The Authorization that tells the password itself (RFC 7617)."""
    return b"Basic " + base64.b64encode(f"{login.username}:{login.password}".encode())


def fields_of(authorization: str) -> dict[str, str]:
    """The fields of an Authorization header by their lower-case names."""
    return {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(authorization.partition(" ")[2])}


def response(login: Login, *, method: str, given: dict[str, str]) -> str:
    """The response that belongs to these fields (RFC 7616 §3.4.1; RFC 2069 §2.1.2 when there is no qop)."""

    def digest(*parts: str) -> str:
        return _HASHES[login.algorithm](":".join(parts).encode()).hexdigest()

    secret = digest(login.username, login.realm, login.password)
    request = digest(method, given.get("uri", ""))
    if given.get("qop"):
        return digest(secret, given.get("nonce", ""), given.get("nc", ""), given.get("cnonce", ""), given["qop"], request)
    return digest(secret, given.get("nonce", ""), request)
