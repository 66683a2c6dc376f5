"""Secrets at rest: AES-256-GCM, one nonce a value, bound to the row that it belongs to."""

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.datadir import closed_above
from gateway.errors import InvalidInput, StorageFailed

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12  # NIST SP 800-38D, 5.2.1.1


class Vault:
    """Seals and opens small secrets with one key. `bound_to` names the row: a value moved to another row does not open."""

    def __init__(self, key: bytes, *, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InvalidInput(f"the key has {len(key)} bytes, must have {KEY_BYTES}", code="bad-key")
        self._cipher = AESGCM(key)
        self._random = random
        self.fingerprint = hashlib.sha256(b"city-gateway vault key\0" + key).hexdigest()[:16]

    def seal(self, secret: bytes, *, bound_to: str) -> bytes:
        """One version byte, the nonce, the ciphertext with its tag."""
        nonce = self._random(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What was sealed for `bound_to`. StorageFailed when it was altered, moved, or sealed with another key."""
        if sealed[:1] != _VERSION:
            raise StorageFailed(f"the secret of {bound_to!r} is in an unknown form", code="bad-secret")
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, bound_to.encode())
        except (InvalidTag, ValueError) as error:
            raise StorageFailed(f"the secret of {bound_to!r} does not open: altered, moved or another key", code="bad-secret") from error


def load_key(path: str | Path, *, create: bool = False, env: Mapping[str, str] = os.environ) -> bytes:
    """The 32 bytes in `path`, raw or as 64 hexadecimal digits.

    A bare name is that of a credential in systemd's `$CREDENTIALS_DIRECTORY`, and is looked for nowhere else: a file of that name in
    whatever folder the program was started in would be another key. `create` writes a new random key, mode 0600, where there is no
    file. InvalidInput for a missing credential or file, one of the wrong length, or one that others can read.
    """
    place = _place(Path(path), env)
    try:
        if create and not place.exists():
            _create(place)
    except OSError as error:
        hint = "see key_file in the configuration"
        raise InvalidInput(f"no key can be made in {place}: {error.strerror}", code="no-key", hint=hint) from error
    try:
        content = place.read_bytes()
        mode = place.stat().st_mode
    except OSError as error:
        raise InvalidInput(
            f"no key in {place}: {error.strerror}", code="no-key", hint=f"make one: openssl rand -hex 32 > {place}"
        ) from error
    if mode & 0o077 and place.parent != _credentials(env):
        raise InvalidInput(f"others can read the key in {place}", code="open-key", hint=f"chmod 600 {place}")
    return _decode(content, place)


def check_key(path: str | Path, *, env: Mapping[str, str] = os.environ) -> None:
    """InvalidInput when `load_key` could neither read a key nor make one; nothing is made."""
    place = _place(Path(path), env)
    if os.path.lexists(place):
        load_key(path, env=env)
        return
    if (above := closed_above(place)) is not None:
        hint = "see key_file in the configuration"
        raise InvalidInput(f"no key can be made in {place}: {above} is no folder to write in", code="no-key", hint=hint)


def _credentials(env: Mapping[str, str]) -> Path | None:
    folder = env.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def _place(path: Path, env: Mapping[str, str]) -> Path:
    if len(path.parts) > 1:
        return path
    folder = _credentials(env)
    if folder is None or not (folder / path).exists():
        hint = f"LoadCredential={path}:/path/to/the/key in the unit, or -p of systemd-run, hands it over; for a file, give its whole path"
        raise InvalidInput(f"no credential {str(path)!r} was handed over by systemd", code="no-key", hint=hint)
    return folder / path


def _decode(content: bytes, place: Path) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(
            f"{place} holds no key: 32 bytes or 64 hexadecimal digits", code="bad-key", hint=f"openssl rand -hex 32 > {place}"
        )
    return key


def _create(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
