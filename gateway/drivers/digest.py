"""Answers to a 401: Digest with MD5 or SHA-256, with and without qop (RFC 2617, RFC 7616)."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain.devices import Credentials
from gateway.errors import AuthenticationFailed

_PARAMETER = re.compile(r'([A-Za-z0-9_\-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)\s*')
# Best first. A device that asks for less than Digest would get the password in clear: never answered.
_ALGORITHMS = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants to see hashed. `algorithm` is "MD5" or "SHA-256"; `named` whether the server said so itself."""

    realm: str
    nonce: str
    algorithm: str
    named: bool
    qop: bool
    opaque: str | None
    stale: bool


def choose(headers: Sequence[str]) -> Challenge:
    """The best challenge among the values of WWW-Authenticate. Raises AuthenticationFailed when none can be answered safely."""
    challenges = [challenge for header in headers if (challenge := _parse(header)) is not None]
    for algorithm in _ALGORITHMS:
        for challenge in challenges:
            if challenge.algorithm == algorithm:
                return challenge
    raise AuthenticationFailed(
        "the device offers no Digest authentication",
        code="no-digest",
        hint="Turn on digest authentication on the device: Basic would send the password in clear.",
    )


class Digest:
    """One nonce in use: counts its requests, as RFC 7616, 3.4 wants."""

    def __init__(self, challenge: Challenge, credentials: Credentials, *, nonce: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self.challenge = challenge
        self._credentials = credentials
        self._client_nonce = nonce
        self._count = 0

    @property
    def used(self) -> bool:
        """Whether its nonce has answered a request already."""
        return self._count > 0

    def answer(self, method: str, uri: str) -> str:
        """The value of Authorization for one request."""
        asked = self.challenge
        self._count += 1
        first = self._hash(f"{self._credentials.username}:{asked.realm}:{self._credentials.password}")
        second = self._hash(f"{method}:{uri}")
        fields = [("username", self._credentials.username), ("realm", asked.realm), ("nonce", asked.nonce), ("uri", uri)]
        extra = ""
        if asked.qop:
            count, mine = f"{self._count:08x}", self._client_nonce()
            response = self._hash(f"{first}:{asked.nonce}:{count}:{mine}:auth:{second}")
            extra = f', qop=auth, nc={count}, cnonce="{mine}"'
        else:
            response = self._hash(f"{first}:{asked.nonce}:{second}")
        fields.append(("response", response))
        if asked.opaque is not None:
            fields.append(("opaque", asked.opaque))
        if asked.named:
            extra = f", algorithm={asked.algorithm}{extra}"
        return "Digest " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in fields) + extra

    def _hash(self, text: str) -> str:
        return _ALGORITHMS[self.challenge.algorithm](text.encode()).hexdigest()


def _parse(header: str) -> Challenge | None:
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    fields = {name.lower(): _unquoted(quoted) or bare for name, quoted, bare in _PARAMETER.findall(rest)}
    algorithm = fields.get("algorithm", "MD5").upper()
    qops = [word.strip().lower() for word in fields.get("qop", "").split(",") if word.strip()]
    if algorithm not in _ALGORITHMS or not fields.get("nonce") or (qops and "auth" not in qops):
        return None
    return Challenge(
        realm=fields.get("realm", ""),
        nonce=fields["nonce"],
        algorithm=algorithm,
        named="algorithm" in fields,
        qop=bool(qops),
        opaque=fields.get("opaque"),
        stale=fields.get("stale", "").lower() == "true",
    )


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)
