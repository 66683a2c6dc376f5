"""Whether an evidence package still is what the gateway signed. Needs no gateway, no network and no clock."""

import base64
import hashlib
import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.evidence import sm2
from gateway.evidence.archive import PIECE, Archive
from gateway.evidence.contents import (
    ALGORITHMS,
    CERTIFICATE,
    DEEPEST,
    FILES,
    FORMAT,
    KNOWN,
    LARGEST,
    LARGEST_SECOND,
    LISTED,
    MANIFEST,
    MANIFEST_SIGNATURE,
    NAME,
    PAPERS,
    PROOF,
    SECOND,
    SECOND_PROOF,
    SIGNATURE,
    SM_KEY,
    SM_SUMS,
    SM_SUMS_SIGNATURE,
    SUMS,
    SUMS_SIGNATURE,
    Altered,
    Listed,
    sums,
)

_OTHER: Final = "has another content than was signed"
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the points of P-256 (FIPS 186-5): of s and ORDER - s, which verify alike, only the lower one is a signature here."""


class Source(Protocol):
    """Where a package lies: in a folder or in an archive."""

    def names(self) -> set[str]:
        """Everything that lies there."""
        ...

    def size(self, name: str) -> int:
        """How many bytes; Altered when it is missing or no plain file."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """Its content; Altered when it is not what the archive says."""
        ...


class Folder:
    """A package in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> set[str]:
        return {path.name for path in self._path.iterdir()}

    def size(self, name: str) -> int:
        """Altered when it is missing, or a link, a folder or a device."""
        try:
            found = (self._path / name).lstat()
        except OSError as error:
            raise Altered(name, "is missing") from error
        if not stat.S_ISREG(found.st_mode):
            raise Altered(name, "is no plain file")
        return found.st_size

    def pieces(self, name: str) -> Iterator[bytes]:
        with (self._path / name).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check. `altered` is empty when the package is what was signed; `certificate` is its SHA-256 over DER, hex.

    `unexplained`: parts of the manifest that a later version added; signed like the others.
    """

    altered: tuple[Altered, ...]
    files: tuple[Listed, ...] = ()
    certificate: str = ""
    manifest: Mapping[str, Any] | None = None
    unexplained: tuple[str, ...] = ()


def verify(path: Path, *, trusted: str = "") -> Checked:
    """Whether `path`, a folder or an archive, holds exactly one whole package, unaltered since it was signed.

    `trusted`: the SHA-256 fingerprint of the certificate that the signer gave by another way (hex, colons allowed); without it a package
    that somebody made anew with a key of their own cannot be told from the gateway's. Never raises for what a package holds; OSError when
    `path` cannot be read.
    """
    try:
        source: Source = Folder(path) if path.is_dir() else Archive(path)
        present = source.names()
        certificate, proof = _signed(source, trusted)
        manifest = _strict(proof[MANIFEST], fingerprint(certificate))
        listed = _listed(manifest)
    except Altered as found:
        return Checked((found,))
    papers = (*PAPERS, *SECOND_PROOF) if "second" in manifest["algorithms"] else PAPERS
    expected = {file.name for file in listed} | {*PROOF, *papers}
    altered = [Altered(name, "is not part of the package") for name in sorted(present - expected)]
    altered += _wrong(source, listed)
    altered += _wrong_papers(source, papers, proof[SUMS])
    if not altered and proof[SUMS] != sums(_told(source, listed, papers, proof)):
        altered.append(Altered(SUMS, "does not list what the manifest lists"))
    if not altered and papers != PAPERS:
        altered += _wrong_second(source, {*(file.name for file in listed), MANIFEST, MANIFEST_SIGNATURE, *PAPERS})
    return Checked(tuple(altered), listed, fingerprint(certificate), manifest, tuple(sorted(manifest.keys() - KNOWN)))


def check_signatures(folder: Path, *, trusted: str = "") -> None:
    """Altered unless list and manifest of the package in `folder` are what the key of its certificate signed; nothing else is read there.

    `trusted`: as `verify` has it. OSError.
    """
    _signed(Folder(folder), trusted)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate's DER, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


# -- the signature ----------------------------------------------------------------------------------------------------


def _signed(source: Source, trusted: str) -> tuple[x509.Certificate, dict[str, bytes]]:
    """The certificate, and what is signed with its signatures. Altered, OSError."""
    proof = {name: _small(source, name) for name in LARGEST}
    certificate = _certificate(proof[CERTIFICATE], trusted)
    key = _key(certificate)
    _check_signature(key, proof, SUMS, SUMS_SIGNATURE)
    _check_signature(key, proof, MANIFEST, MANIFEST_SIGNATURE)
    return certificate, proof


def _certificate(pem: bytes, trusted: str) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        if certificate.public_bytes(Encoding.PEM) != pem:
            raise Altered(CERTIFICATE, "holds more than one certificate")
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise Altered(CERTIFICATE, "is not a certificate signed by its own key") from error
    wanted = trusted.replace(":", "").replace(" ", "").lower()
    if wanted and wanted != fingerprint(certificate):
        raise Altered(CERTIFICATE, "is not the one that is trusted")
    return certificate


def _key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return key
    raise Altered(CERTIFICATE, f"has no key for {SIGNATURE}")


def _check_signature(key: ec.EllipticCurvePublicKey, proof: Mapping[str, bytes], name: str, signature: str) -> None:
    try:
        first, second = decode_dss_signature(proof[signature])
        if encode_dss_signature(first, second) != proof[signature] or second > ORDER // 2:
            raise Altered(signature, "is not written as the gateway writes signatures")
        key.verify(proof[signature], proof[name], ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature) as error:
        raise Altered(_culprit(proof, name, signature), f"the signature {signature} does not fit {name} and {CERTIFICATE}") from error


def _culprit(proof: Mapping[str, bytes], name: str, signature: str) -> str:
    """Which of the three is the altered one, as far as SHA256SUMS tells."""
    lines = proof[SUMS].splitlines()
    for each in (CERTIFICATE, signature, name):
        known = [line for line in lines if line.endswith(f" *{each}".encode())]
        if known and known != [f"{hashlib.sha256(proof[each]).hexdigest()} *{each}".encode()]:
            return each
    return name


# -- the manifest -----------------------------------------------------------------------------------------------------


def _strict(data: bytes, certificate: str) -> dict[str, Any]:
    """The manifest's JSON; a key that stands twice, a number that is none, or another format is refused."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Altered(MANIFEST, f"is no JSON: {error}") from error
    known = (dict(ALGORITHMS), {**ALGORITHMS, "second": dict(SECOND)})
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("algorithms") not in known:
        raise Altered(MANIFEST, f"is not of the format {FORMAT}")
    if found.get("certificate_sha256") != certificate:
        raise Altered(CERTIFICATE, "is not the one that the manifest names")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _listed(manifest: Mapping[str, Any]) -> tuple[Listed, ...]:
    """The files that the manifest lists, each once and with a harmless name."""
    try:
        for camera in _list(manifest, "cameras"):
            _list(camera, FILES)
        listed = [_entry(file) for files in _lists_of_files(manifest) for file in files]
        package = [_entry(file) for file in _list(manifest, "package")]
    except (KeyError, TypeError) as error:
        raise Altered(MANIFEST, "does not list its files") from error
    listed += package
    names = {file.name.casefold() for file in listed}
    if len(names) != len(listed) or not {file.name for file in package} >= LISTED:
        raise Altered(MANIFEST, "lists a file twice, or not those that it must")
    if names & {name.casefold() for name in {*PROOF} - LISTED}:
        raise Altered(MANIFEST, "lists itself")
    return tuple(listed)


def _lists_of_files(part: Any, deep: int = 0) -> Iterator[list[Any]]:
    """Whatever stands under the key `FILES`, wherever that is. TypeError when it is no list."""
    if deep > DEEPEST:
        raise Altered(MANIFEST, "lies too deep in itself")
    for inner in part if isinstance(part, list) else ():
        yield from _lists_of_files(inner, deep + 1)
    for key, inner in part.items() if isinstance(part, dict) else ():
        if key == FILES:
            yield _list(part, key)
        else:
            yield from _lists_of_files(inner, deep + 1)


def _list(part: Mapping[str, Any], key: str) -> list[Any]:
    """What stands under `key`. KeyError when nothing does, TypeError when it is no list."""
    if not isinstance(part[key], list):
        raise TypeError(key)
    return list(part[key])


def _entry(file: Mapping[str, Any]) -> Listed:
    name, size, sha256 = file["name"], file["size"], file["sha256"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Altered(MANIFEST, f"lists a file that no package may have: {ascii(name)[:80]}")
    if type(size) is not int or size < 0 or not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise Altered(MANIFEST, f"has no size or no SHA-256 for {name}")
    return Listed(name, size, sha256)


# -- the files --------------------------------------------------------------------------------------------------------


def _wrong(source: Source, listed: tuple[Listed, ...]) -> Iterator[Altered]:
    for file in listed:
        try:
            size = source.size(file.name)
            if size != file.size:
                yield Altered(file.name, f"has {size} bytes, not {file.size}")
            elif _digest(source, file.name) != file.sha256:
                yield Altered(file.name, _OTHER)
        except Altered as altered:
            yield altered


def _wrong_papers(source: Source, papers: tuple[str, ...], listed: bytes) -> Iterator[Altered]:
    """The papers have their digests in `SUMS` alone."""
    lines = listed.splitlines()
    for name in papers:
        try:
            source.size(name)
            if f"{_digest(source, name)} *{name}".encode() not in lines:
                yield Altered(name, _OTHER)
        except Altered as altered:
            yield altered


def _told(source: Source, listed: tuple[Listed, ...], papers: tuple[str, ...], proof: Mapping[str, bytes]) -> dict[str, str]:
    """What `SUMS` has to tell of a package that is whole."""
    told = {file.name: file.sha256 for file in listed} | {name: _digest(source, name) for name in papers}
    return told | {name: hashlib.sha256(proof[name]).hexdigest() for name in (MANIFEST, MANIFEST_SIGNATURE)}


def _wrong_second(source: Source, names: Iterable[str]) -> Iterator[Altered]:
    """By the second signature: it is by the key that lies there, and over the SM3 of everything in `names`."""
    try:
        proof = {name: _small(source, name) for name in LARGEST_SECOND}
        key = sm2.read_key(_der(proof[SM_KEY]))
        if not sm2.fits(key, proof[SM_SUMS_SIGNATURE], proof[SM_SUMS]):
            yield Altered(SM_SUMS, f"the signature {SM_SUMS_SIGNATURE} does not fit it and {SM_KEY}")
        if proof[SM_SUMS] != sums({name: sm2.sm3_of(source.pieces(name)) for name in names}):
            yield Altered(SM_SUMS, "does not list what the manifest lists")
    except Altered as altered:
        yield altered
    except ValueError as error:
        yield Altered(SM_KEY, str(error))
    except UnsupportedAlgorithm:
        yield Altered(SM_SUMS, "cannot be checked here: this machine's cryptography has no SM3")


def _der(pem: bytes) -> bytes:
    """What is in a PEM file of one public key. ValueError when there is anything else."""
    body = base64.b64decode(b"".join(pem.splitlines()[1:-1]), validate=True)
    coded = base64.b64encode(body)
    lines = (b"-----BEGIN PUBLIC KEY-----", *(coded[at : at + 64] for at in range(0, len(coded), 64)), b"-----END PUBLIC KEY-----", b"")
    if b"\n".join(lines) != pem:
        raise ValueError("is not one public key as PEM")
    return body


def _small(source: Source, name: str) -> bytes:
    if source.size(name) > {**LARGEST, **LARGEST_SECOND}[name]:
        raise Altered(name, "is too large")
    return b"".join(source.pieces(name))


def _digest(source: Source, name: str) -> str:
    digest = hashlib.sha256()
    for piece in source.pieces(name):
        digest.update(piece)
    return digest.hexdigest()
