"""Answers to a 401: Digest with MD5 or SHA-256, with and without qop, for the request or for the session (RFC 2617, RFC 7616)."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.domain.devices import Credentials
from gateway.errors import AuthenticationFailed

# Challenges follow one another in a field, cut by the commas that part their parameters, too: a scheme is a word after which no "=" comes
# (RFC 9110, 11.6.1).
_PIECE = re.compile(
    r"""(?:^|,)\s*(?P<scheme>[A-Za-z0-9!#$%&'*+.^_`|~\-]+)\s+(?![=\s])"""
    r"""|(?<![A-Za-z0-9_\-])(?P<name>[A-Za-z0-9_\-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))"""
)
# Best first. A device that asks for less than Digest would get the password in clear: never answered.
_ALGORITHMS = {"SHA-256": hashlib.sha256, "SHA-256-sess": hashlib.sha256, "MD5": hashlib.md5, "MD5-sess": hashlib.md5}
_NAMES = {name.upper(): name for name in _ALGORITHMS}


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants to see hashed. `algorithm`: "MD5" or "SHA-256", each also with "-sess"; `named`: the server said so itself."""

    realm: str
    nonce: str
    algorithm: str
    named: bool
    qop: bool
    opaque: str | None
    stale: bool

    @property
    def of_session(self) -> bool:
        """Whether the password is hashed once for all requests that this nonce answers (RFC 2617, 3.2.2.2)."""
        return self.algorithm.endswith("-sess")


def choose(headers: Sequence[str]) -> Challenge:
    """The best challenge among the values of WWW-Authenticate. Raises AuthenticationFailed when none can be answered safely."""
    offered = [offer for header in headers for offer in _offers(header)]
    challenges = [challenge for scheme, fields in offered if scheme == "digest" and (challenge := _challenge(fields)) is not None]
    for algorithm in _ALGORITHMS:
        for challenge in challenges:
            if challenge.algorithm == algorithm:
                return challenge
    raise AuthenticationFailed(
        f"the device offers no Digest authentication that we answer{_told(offered)}",
        code="no-digest",
        hint="Turn on digest authentication on the device: Basic would send the password in clear.",
    )


class Digest:
    """One nonce in use: counts its requests, as RFC 7616, 3.4 wants."""

    def __init__(self, challenge: Challenge, credentials: Credentials, *, nonce: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self.challenge = challenge
        self._credentials = credentials
        self._client_nonce = partial(str, nonce()) if challenge.of_session else nonce
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
            first = self._hash(f"{first}:{asked.nonce}:{mine}") if asked.of_session else first
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


def _offers(header: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of one field: scheme and parameters by their names, both in lower case."""
    offers: list[tuple[str, dict[str, str]]] = []
    for piece in _PIECE.finditer(header.strip()):
        if piece["scheme"]:
            offers.append((piece["scheme"].lower(), {}))
        elif offers:
            value = piece["bare"] if piece["quoted"] is None else _unquoted(piece["quoted"])
            offers[-1][1].setdefault(piece["name"].lower(), value)
    return offers


def _told(offered: Sequence[tuple[str, dict[str, str]]]) -> str:
    names = sorted({" ".join(filter(None, (scheme.capitalize(), fields.get("algorithm")))) for scheme, fields in offered})
    return f", but {', '.join(names)[:80]}" if names else ""


def _challenge(fields: dict[str, str]) -> Challenge | None:
    """None when it is none that we answer."""
    algorithm = _NAMES.get(fields.get("algorithm", "MD5").upper(), "")
    qops = [word.strip().lower() for word in fields.get("qop", "").split(",") if word.strip()]
    if not algorithm or not fields.get("nonce") or (qops and "auth" not in qops) or (algorithm.endswith("-sess") and not qops):
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
