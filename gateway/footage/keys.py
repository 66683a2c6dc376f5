"""The gateway's evidence key with its certificates: made at first use, renewed, rotated; every certificate that ever was stays."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.errors import Conflict
from gateway.evidence import verifying
from gateway.evidence.contents import ALGORITHMS, SECOND
from gateway.evidence.verifying import ORDER
from gateway.footage import sm2_key
from gateway.footage.sm2_key import Sm2Signer
from gateway.storage.shelf import replace_file, sync_folder

_KEY: Final = "evidence.key"
_KEPT: Final = "certificates"
_VALID: Final = timedelta(days=3_652)
_SUBJECT: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "city-gateway evidence")])


@dataclass(frozen=True, slots=True)
class P256Signer:
    """The evidence key and the certificate for it: ECDSA on P-256 with SHA-256. `second`: the SM2 key that signs beside it, if any."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    second: Sm2Signer | None = None

    @property
    def algorithms(self) -> Mapping[str, Any]:
        return ALGORITHMS if self.second is None else {**ALGORITHMS, "second": dict(SECOND)}

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER, hex."""
        return verifying.fingerprint(self.certificate)

    def sign(self, data: bytes) -> bytes:
        """A signature in DER, with the lower of the two values of s."""
        first, second = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return encode_dss_signature(first, min(second, ORDER - second))


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """A certificate of this gateway's. `current`: what is signed now is signed with its key."""

    fingerprint: str
    not_before: datetime
    not_after: datetime
    current: bool


def open_signer(folder: Path, *, now: datetime) -> P256Signer:
    """The evidence key in `folder` with its certificate; both are made when there is none, or when the certificate's time is over.

    The key has mode 0600. Conflict (`evidence-key`) when a key that is there cannot be read: it is never replaced by itself, since
    packages would seem to come from somebody else.
    """
    try:
        (folder / _KEPT).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / _KEY).exists():
            return _begun(folder, now)
        key = _read_key(folder / _KEY)
        fitting = [one for one in _certificates(folder) if one.public_key() == key.public_key()]
        in_time = (one for one in fitting if one.not_valid_before_utc <= now < one.not_valid_after_utc)
        return P256Signer(key, next(in_time, None) or _certified(folder, key, now), sm2_key.open_second(folder))
    except (OSError, ValueError, TypeError) as error:
        hint = "bring evidence.key back from the backup, or move it away to begin with a new key"
        raise Conflict(f"the evidence key in {folder} cannot be used: {error}", code="evidence-key", hint=hint) from error


def rotate(folder: Path, *, now: datetime) -> P256Signer:
    """Begin with a new key. The old one is gone; its certificates stay, and what it signed still verifies. Conflict as `open_signer`."""
    try:
        (folder / _KEPT).mkdir(mode=0o700, parents=True, exist_ok=True)
        return _begun(folder, now)
    except OSError as error:
        raise Conflict(f"no evidence key can be written to {folder}: {error.strerror}", code="evidence-key") from error


def known(folder: Path, *, now: datetime) -> list[KnownCertificate]:
    """All certificates that ever were, the current one first, then the newest. A key is made when there is none. As `open_signer`."""
    current = open_signer(folder, now=now).fingerprint
    named = ((verifying.fingerprint(one), one) for one in _certificates(folder))
    found = [KnownCertificate(name, one.not_valid_before_utc, one.not_valid_after_utc, name == current) for name, one in named]
    return sorted(found, key=lambda one: (one.current, one.not_before), reverse=True)


def _begun(folder: Path, now: datetime) -> P256Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certified(folder, key, now)  # first: a crash in between leaves a certificate too many, never a key without one
    _write_key(folder / _KEY, key)
    return P256Signer(key, certificate, sm2_key.open_second(folder))


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    for path in sorted((folder / _KEPT).glob("*.pem")):
        yield x509.load_pem_x509_certificate(path.read_bytes())


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it is no key on P-256")  # a wrong file, not a wrong call
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Private from its first byte, and under its name only when it is whole."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
    sync_folder(path.parent)


def _certified(folder: Path, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """A new certificate for `key`, kept."""
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_SUBJECT)
        .issuer_name(_SUBJECT)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    replace_file(folder / _KEPT / f"{verifying.fingerprint(certificate)}.pem", certificate.public_bytes(Encoding.PEM))
    return certificate
