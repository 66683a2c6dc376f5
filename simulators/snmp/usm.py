"""The User-based Security Model (RFC 3414), with HMAC-SHA-2 (RFC 7860) and AES-128 (RFC 3826)."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from simulators.city import Snmp

EXPANDED_BYTES: Final = 1_048_576
"""A password is repeated to this length before it is hashed (RFC 3414 §A.2)."""


@dataclass(frozen=True, slots=True)
class AuthProtocol:
    """`tag_bytes`: how much of the HMAC a message carries."""

    hash: Callable[[bytes], "hashlib._Hash"]
    name: str
    tag_bytes: int


AUTH_PROTOCOLS: Final = {
    "MD5": AuthProtocol(hashlib.md5, "md5", 12),
    "SHA": AuthProtocol(hashlib.sha1, "sha1", 12),
    "SHA256": AuthProtocol(hashlib.sha256, "sha256", 24),
    "SHA512": AuthProtocol(hashlib.sha512, "sha512", 48),
}


@dataclass(frozen=True, slots=True)
class User:
    """One user of one engine with keys localised to it. `auth_key` is empty without authentication, `priv_key` without privacy."""

    name: bytes
    auth: AuthProtocol | None = None
    auth_key: bytes = b""
    priv_key: bytes = b""

    @property
    def level(self) -> int:
        """The flags that its messages carry: 0 noAuthNoPriv, 1 authNoPriv, 3 authPriv."""
        return 3 if self.priv_key else 1 if self.auth else 0

    def tag(self, message: bytes) -> bytes:
        """The authentication parameters of a message whose own are zero."""
        assert self.auth is not None
        return hmac.digest(self.auth_key, message, self.auth.name)[: self.auth.tag_bytes]

    def encrypt(self, data: bytes, *, boots: int, time: int, salt: bytes) -> bytes:
        return self._cipher(boots, time, salt).encryptor().update(data)

    def decrypt(self, data: bytes, *, boots: int, time: int, salt: bytes) -> bytes:
        return self._cipher(boots, time, salt).decryptor().update(data)

    def _cipher(self, boots: int, time: int, salt: bytes) -> Cipher[CFB]:
        """AES-128 in CFB mode; the vector is made of the engine's clock and the salt (RFC 3826 §3.1.2.1)."""
        return Cipher(AES(self.priv_key), CFB(boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt))


def user_of(settings: Snmp, engine: bytes) -> User | None:
    """The user that a device's settings name, with keys localised to an engine; None when it speaks no v3.

    Raises ValueError for protocols that are not here.
    """
    if settings.version != "v3":
        return None
    if not settings.auth_protocol:
        return User(settings.user.encode())
    auth = AUTH_PROTOCOLS.get(_plain(settings.auth_protocol))
    if auth is None or (settings.priv_protocol and _plain(settings.priv_protocol) not in {"AES", "AES128"}):
        raise ValueError(f"SNMPv3 protocols {settings.auth_protocol!r} and {settings.priv_protocol!r}")
    priv_key = localised(auth, settings.priv_key, engine)[:16] if settings.priv_protocol else b""
    return User(settings.user.encode(), auth, localised(auth, settings.auth_key, engine), priv_key)


def _plain(name: str) -> str:
    return name.upper().replace("-", "").replace("SHA1", "SHA")


def localised(auth: AuthProtocol, password: str, engine: bytes) -> bytes:
    """A password's key for one engine (RFC 3414 §2.6)."""
    key = master_key(auth, password)
    return auth.hash(key + engine + key).digest()


@lru_cache(maxsize=4096)
def master_key(auth: AuthProtocol, password: str) -> bytes:
    """A password's key before localisation: a millisecond or two of hashing, so it is kept. `password` is not empty."""
    raw = password.encode()
    return auth.hash((raw * (EXPANDED_BYTES // len(raw) + 1))[:EXPANDED_BYTES]).digest()
