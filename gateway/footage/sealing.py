"""Making a folder of footage an evidence package: manifest, papers, digests, signatures and whatever verifies them, beside the footage."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.evidence.archive import PIECE
from gateway.evidence.contents import (
    CERTIFICATE,
    FORMAT,
    INSTRUCTIONS,
    LIST,
    MANIFEST,
    MANIFEST_SIGNATURE,
    PAGE,
    PROOF,
    SECOND_PROOF,
    SHEET,
    SM_KEY,
    SM_SUMS,
    SM_SUMS_SIGNATURE,
    SUMS,
    SUMS_SIGNATURE,
    sums,
)
from gateway.evidence.sm2 import sm3_of
from gateway.evidence.verify_page import verify_page
from gateway.footage.instructions import instructions
from gateway.footage.papers import custody_sheet, evidence_list
from gateway.storage.shelf import replace_file, sync_folder

BESIDE: Final = frozenset({*PROOF, *SECOND_PROOF, SM_KEY})
"""What may lie beside the footage: the proof, and the second one where there is a key for it."""


class Second(Protocol):
    """Who signs packages a second time, by SM2 over SM3."""

    @property
    def pem(self) -> bytes:
        """The public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """A detached signature."""
        ...


class Signer(Protocol):
    """Who signs packages, and with what."""

    @property
    def algorithms(self) -> Mapping[str, Any]:
        """Identifiers, as the manifest names them."""
        ...

    @property
    def pem(self) -> bytes:
        """The certificate."""
        ...

    @property
    def fingerprint(self) -> str:
        """The certificate's, hex."""
        ...

    @property
    def second(self) -> Second | None:
        """Who signs beside it, if anybody."""
        ...

    def sign(self, data: bytes) -> bytes:
        """A detached signature."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """What stands in the custody log of a sealed package, SHA-256 in hex each."""

    manifest: str
    certificate: str


def seal(folder: Path, content: Mapping[str, Any], footage: Mapping[str, str], signer: Signer, *, kept: Path | None = None) -> Seal:
    """Make `folder` an evidence package, durably: everything beside the footage is written anew.

    `content`: the manifest; `footage`: name to SHA-256 of the files that are there; `kept`: where the manifest stays with its signature,
    under its digest, when later ones follow. OSError when the disk refuses.
    """
    told_how = instructions(sorted(footage), signer.fingerprint, second=signer.second is not None)
    listed = {INSTRUCTIONS: told_how, CERTIFICATE: signer.pem, PAGE: verify_page()}
    second = signer.second
    listed |= {SM_KEY: second.pem} if second else {}
    whole = {"format": FORMAT, "algorithms": dict(signer.algorithms), "certificate_sha256": signer.fingerprint, **content}
    whole["package"] = [{"name": name, "size": len(data), "sha256": _sha256(data)} for name, data in listed.items()]
    manifest = json.dumps(whole, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"
    signed = {MANIFEST: manifest, MANIFEST_SIGNATURE: signer.sign(manifest)}
    papers = {SHEET: custody_sheet(whole, _sha256(manifest)), LIST: evidence_list(whole, _sha256(manifest))}
    package = listed | signed | papers
    if second:
        package |= _second_proof(folder, package, footage, second)
    told = sums({**footage, **{name: _sha256(data) for name, data in package.items()}})
    package |= {SUMS_SIGNATURE: signer.sign(told), SUMS: told}  # the list last: it tells what a crash in between left undone
    if kept is not None:
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(kept.parent)
        for ending in ("", ".sig"):
            replace_file(kept / f"{_sha256(manifest)}.json{ending}", signed[f"{MANIFEST}{ending}"])
    for name in BESIDE - package.keys():  # of a key that is no more
        (folder / name).unlink(missing_ok=True)
    for name, data in package.items():
        replace_file(folder / name, data)
    return Seal(_sha256(manifest), signer.fingerprint)


def is_sealed(folder: Path, manifest: str) -> bool:
    """Whether the proof in `folder` is the whole one of the manifest with this SHA-256 (hex); the footage is not read. OSError."""
    try:
        lines = [line.split(" *", 1) for line in (folder / SUMS).read_text("ascii").splitlines()]
        told = {name: digest for digest, name in lines}
        beside = [name for name in told if name in BESIDE]
        return told.get(MANIFEST) == manifest and all(_sha256((folder / name).read_bytes()) == told[name] for name in beside)
    except (FileNotFoundError, ValueError):
        return False


def _second_proof(folder: Path, package: Mapping[str, bytes], footage: Iterable[str], second: Second) -> dict[str, bytes]:
    """SM3 of everything, which reads the footage again, and the signature over it."""
    digests = {name: sm3_of([data]) for name, data in package.items()}
    for name in footage:
        with (folder / name).open("rb") as file:
            digests[name] = sm3_of(iter(lambda: file.read(PIECE), b""))
    told = sums(digests)
    return {SM_SUMS: told, SM_SUMS_SIGNATURE: second.sign(told)}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
