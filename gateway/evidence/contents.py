"""What an evidence package consists of: its files, their names, its algorithms, its list of digests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FORMAT: Final = "city-gateway-evidence/1"
DIGEST: Final = "sha-256"
SIGNATURE: Final = "ecdsa-p256-sha256"
ALGORITHMS: Final[Mapping[str, str]] = {"digest": DIGEST, "signature": SIGNATURE, "signature_encoding": "der", "certificate": "x509-pem"}
"""What a package of `FORMAT` is made with, as its manifest names it. Others are other formats' and refused."""
SECOND: Final[Mapping[str, str]] = {
    "digest": "sm3",
    "signature": "sm2-sm3",
    "signature_encoding": "der",
    "public_key": "spki-pem",
    "signer_id": "1234567812345678",
}
"""With what a package is signed a second time, when its manifest's `algorithms` has a part `second`."""
KNOWN: Final = frozenset(
    {
        *("format", "algorithms", "certificate_sha256", "request", "tool", "made_at"),
        *("case", "people", "requested", "cameras", "imported", "documents", "custody", "package"),
    }
)
"""The parts of a manifest that this version explains. Any other is signed all the same, and named when the package is verified."""
FILES: Final = "files"
"""The key that, wherever it stands in a manifest, holds a list of files of the package; so later parts bring files, too."""
DEEPEST: Final = 64
"""How deep a manifest's parts may lie in each other."""

MANIFEST: Final = "manifest.json"
MANIFEST_SIGNATURE: Final = "manifest.json.sig"
CERTIFICATE: Final = "certificate.pem"
SUMS: Final = "SHA256SUMS"
SUMS_SIGNATURE: Final = "SHA256SUMS.sig"
INSTRUCTIONS: Final = "VERIFY.txt"
PAGE: Final = "verify.html"
SHEET: Final = "custody-sheet.html"
LIST: Final = "evidence-list.html"
SM_KEY: Final = "sm2-public-key.pem"
SM_SUMS: Final = "SM3SUMS"
SM_SUMS_SIGNATURE: Final = "SM3SUMS.sig"

LISTED: Final = frozenset({CERTIFICATE, INSTRUCTIONS, PAGE})
"""What the manifest's `package` lists at least, beside the footage."""
PAPERS: Final = (SHEET, LIST)
"""What is printed and signed by hand. It tells the manifest's digest, so that only `SUMS` can hold its own."""
PROOF: Final = (MANIFEST, MANIFEST_SIGNATURE, CERTIFICATE, SUMS, SUMS_SIGNATURE, INSTRUCTIONS, PAGE, SHEET, LIST)
"""What lies beside the footage in every package."""
SECOND_PROOF: Final = (SM_SUMS, SM_SUMS_SIGNATURE)
"""What lies there beside, and in `SUMS` alone, when the package is signed a second time; `SM_KEY` the manifest lists."""
BESIDE: Final = frozenset({*PROOF, *SECOND_PROOF, SM_KEY})
"""What tells whether footage is right and shows nothing itself: it may go out any number of times."""
LARGEST: Final[Mapping[str, int]] = {
    MANIFEST: 64 << 20,
    SUMS: 64 << 20,
    MANIFEST_SIGNATURE: 256,
    SUMS_SIGNATURE: 256,
    CERTIFICATE: 64 << 10,
}
LARGEST_SECOND: Final[Mapping[str, int]] = {SM_SUMS: 64 << 20, SM_SUMS_SIGNATURE: 256, SM_KEY: 1 << 10}
"""Bytes that are read of a file at most before anything is known of it; the latter of what signs a second time."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
"""What a file of a package may be called: no folder, no hidden file, nothing that a shell reads otherwise."""


class Altered(Exception):
    """A package is not what was signed: the file `name`, and `why`."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest lists it."""

    name: str
    size: int
    sha256: str


def sums(digests: Mapping[str, str]) -> bytes:
    """The content of SHA256SUMS: name to SHA-256 (hex), as `sha256sum` writes it for binary files, by name."""
    return "".join(f"{digests[name]} *{name}\n" for name in sorted(digests)).encode("ascii")


def digests_in(listed: bytes) -> dict[str, str]:
    """Name to SHA-256 (hex) of the files that SHA256SUMS tells of. ValueError when it is no such list."""
    names_in(listed)
    pairs = (line.partition(" *") for line in listed.decode("ascii").splitlines())
    return {name: digest for digest, _, name in pairs}


def names_in(listed: bytes) -> tuple[str, ...]:
    """Every file of the package whose SHA256SUMS is `listed`, that one and its signature last. ValueError when it is no such list."""
    names = [line.partition(" *")[2] for line in listed.decode("ascii").splitlines()]
    if not all(map(NAME.fullmatch, names)):
        raise ValueError("a line that names no file of a package")
    return (*names, SUMS, SUMS_SIGNATURE)
