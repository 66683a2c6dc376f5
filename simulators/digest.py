"""HTTP digest authentication as a device demands it (RFC 7616): one challenge, one check, replayed answers refused."""

import hashlib
import hmac
import re
from collections.abc import Callable
from enum import Enum
from typing import Final

NONCE_S: Final = 300
"""How long a nonce is good."""
REMEMBERED: Final = 1000
"""How many answers one device remembers in order to refuse them a second time."""
_FIELD: Final = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES: Final[dict[str, Callable[[bytes], "hashlib._Hash"]]] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Verdict(Enum):
    """What came of a login."""

    GOOD = "good"
    MISSING = "missing"
    STALE = "stale"
    WRONG = "wrong"
    REPLAYED = "replayed"
    SKEWED = "skewed"


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


def challenge(realm: str, *, secret: str, now: float, algorithm: str = "MD5", stale: bool = False) -> str:
    """The value of WWW-Authenticate."""
    tail = ", stale=true" if stale else ""
    return f'Digest realm="{realm}", qop="auth", nonce="{_nonce(secret, int(now))}", algorithm={algorithm}{tail}'


def verify(
    authorization: str, *, method: str, target: str, username: str, password: str, realm: str, secret: str, now: float, seen: Remembered
) -> Verdict:
    """Check an Authorization value; `target` is the request's own, which the digest has to name."""
    if authorization[:7].lower() != "digest ":
        return Verdict.MISSING
    said = {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(authorization[7:])}
    hash_of = _HASHES.get(said.get("algorithm", "MD5").upper())
    if hash_of is None or said.get("uri") != target or said.get("username") != username or said.get("realm") != realm:
        return Verdict.WRONG
    expected = _response(hash_of, said, method=method, username=username, password=password, realm=realm)
    if not hmac.compare_digest(expected, said.get("response", "").lower().encode()):
        return Verdict.WRONG
    age = _age(said.get("nonce", ""), secret, now)
    if age is None or not 0 <= age <= NONCE_S:
        return Verdict.STALE
    return Verdict.GOOD if seen.first_time(f"{said['nonce']}{said.get('nc', '')}{expected.decode()}") else Verdict.REPLAYED


def _response(
    hash_of: Callable[[bytes], "hashlib._Hash"], said: dict[str, str], *, method: str, username: str, password: str, realm: str
) -> bytes:
    """RFC 7616 §3.4.1; without qop as RFC 2069 had it."""

    def digest(*parts: str) -> str:
        return hash_of(":".join(parts).encode()).hexdigest()

    a1, a2 = digest(username, realm, password), digest(method, said["uri"])
    if said.get("qop") == "auth":
        return digest(a1, said.get("nonce", ""), said.get("nc", ""), said.get("cnonce", ""), "auth", a2).encode()
    return digest(a1, said.get("nonce", ""), a2).encode()


def _nonce(secret: str, moment: int) -> str:
    """A nonce that tells its age and that nobody else can make: nothing has to be kept of it."""
    return f"{moment:x}-{hmac.new(secret.encode(), str(moment).encode(), 'sha256').hexdigest()[:24]}"


def _age(nonce: str, secret: str, now: float) -> float | None:
    """Seconds since the nonce was made, None for one that is not ours."""
    try:
        moment = int(nonce.partition("-")[0], 16)
    except ValueError:
        return None
    return int(now) - moment if hmac.compare_digest(_nonce(secret, moment).encode(), nonce.encode()) else None
