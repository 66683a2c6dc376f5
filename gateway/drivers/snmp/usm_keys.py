"""The cryptography of the User-based Security Model: keys from passphrases, digests, encryption (RFC 3414, 3826, 7860).

The standard library, and for encrypted messages `cryptography`, loaded when the first one comes.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gateway.domain.devices import SnmpCredentials

_HASHES: Final[Mapping[str, tuple[str, int]]] = {
    "MD5": ("md5", 12),
    "SHA": ("sha1", 12),
    "SHA224": ("sha224", 16),
    "SHA256": ("sha256", 24),
    "SHA384": ("sha384", 32),
    "SHA512": ("sha512", 48),
}
"""The hash and how much of its digest is sent."""
_CIPHER_KEYS: Final = {"DES": 16, "AES": 16, "AES128": 16, "AES192": 24, "AES256": 32}
_MEGABYTE: Final = 1 << 20
_ENGINES: Final = 4
"""Engines of one user for which keys are kept: a device that shows ever new ones shall not cost memory."""


class DecryptionFailed(ValueError):
    """What was encrypted is not as long as it must be, or nothing was to be encrypted."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A user's keys for one engine."""

    auth: bytes
    priv: bytes


class User:
    """A user of USM with its protocols. Raises KeyError for a protocol that there is not."""

    def __init__(self, credentials: SnmpCredentials) -> None:
        self.name = credentials.user.encode()
        auth, self._cipher = credentials.auth_protocol.upper(), credentials.priv_protocol.upper()
        self._hash, self.digest_octets = _HASHES[auth] if auth else ("", 0)
        self._key_octets = _CIPHER_KEYS[self._cipher] if self._cipher else 0
        self._secrets = (credentials.auth_key, credentials.priv_key)
        self._kept: OrderedDict[bytes, Keys] = OrderedDict()

    @property
    def authenticates(self) -> bool:
        return bool(self._hash)

    @property
    def encrypts(self) -> bool:
        return bool(self._cipher)

    def digest(self, message: bytes, engine_id: bytes) -> bytes:
        """What the authentication parameters of `message`, zeroed there, must be."""
        return hmac.digest(self._keys(engine_id).auth, message, self._hash)[: self.digest_octets]

    def decrypt(self, data: bytes, *, engine_id: bytes, boots: int, time_s: int, salt: bytes) -> bytes:
        """The plain text. Raises DecryptionFailed where there cannot be one; a wrong key gives what is no BER."""
        return self._transform(data, engine_id, boots, time_s, salt, encrypt=False)

    def encrypt(self, data: bytes, *, engine_id: bytes, boots: int, time_s: int, salt: bytes) -> bytes:
        padded = data + bytes(-len(data) % 8) if self._cipher == "DES" else data
        return self._transform(padded, engine_id, boots, time_s, salt, encrypt=True)

    def _transform(self, data: bytes, engine_id: bytes, boots: int, time_s: int, salt: bytes, *, encrypt: bool) -> bytes:
        if len(salt) != 8 or not self._cipher or not 0 <= boots < 2**31 or not 0 <= time_s < 2**31:
            raise DecryptionFailed("no salt")
        if self._cipher == "DES" and (len(data) % 8 or not data):
            raise DecryptionFailed("no whole blocks")
        key = self._keys(engine_id).priv
        if self._cipher == "DES":
            vector = bytes(one ^ other for one, other in zip(key[8:16], salt, strict=True))
        else:
            vector = boots.to_bytes(4, "big") + time_s.to_bytes(4, "big") + salt
        cipher = _cipher(self._cipher, key, vector)
        worker = cipher.encryptor() if encrypt else cipher.decryptor()
        done: bytes = worker.update(data) + worker.finalize()
        return done

    def _keys(self, engine_id: bytes) -> Keys:
        kept = self._kept.get(engine_id)
        if kept is None:
            auth, priv = (self._localised(secret, engine_id) if self._hash else b"" for secret in self._secrets)
            kept = self._kept[engine_id] = Keys(auth, self._extended(priv))
            if len(self._kept) > _ENGINES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(engine_id)
        return kept

    def _localised(self, secret: str, engine_id: bytes) -> bytes:
        if not secret:
            return b""
        master = _master_key(secret, self._hash)
        return hashlib.new(self._hash, master + engine_id + master).digest()

    def _extended(self, key: bytes) -> bytes:
        """As long as the cipher wants it (draft-blumenthal-aes-usm, 3.1.2.1)."""
        while key and len(key) < self._key_octets:
            key += hashlib.new(self._hash, key).digest()
        return key[: self._key_octets]


@lru_cache(maxsize=1_024)
def _master_key(secret: str, name: str) -> bytes:
    """RFC 3414, A.2: a megabyte of the passphrase, hashed."""
    octets = secret.encode()
    return hashlib.new(name, (octets * (_MEGABYTE // len(octets) + 1))[:_MEGABYTE]).digest()


def _cipher(name: str, key: bytes, vector: bytes) -> Any:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES  # noqa: PLC0415 -- see above
    from cryptography.hazmat.decrepit.ciphers.modes import CFB  # noqa: PLC0415 -- as above
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 -- as above

    if name == "DES":
        return Cipher(TripleDES(key[:8] * 3), modes.CBC(vector))  # three times the same key is DES
    return Cipher(algorithms.AES(key), CFB(vector))
