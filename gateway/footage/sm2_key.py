"""The gateway's SM2 key, for packages that are signed a second time by the national algorithms: openssl makes it and signs with it."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import Conflict
from gateway.evidence.sm2 import SIGNER_ID
from gateway.storage.shelf import replace_file

_KEY: Final = "evidence-sm2.key"
_KEPT: Final = "sm2-keys"
_LONGEST_S: Final = 20
_MAKE: Final = ("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-pkeyopt", "ec_param_enc:named_curve")


@dataclass(frozen=True, slots=True)
class Sm2Signer:
    """The key's file, and its public half as PEM."""

    key: Path
    pem: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file with the public half, hex."""
        return hashlib.sha256(self.pem).hexdigest()

    def sign(self, data: bytes) -> bytes:
        """A signature over SM3 in DER. Conflict (`evidence-key`) when openssl refuses."""
        return _openssl("openssl", "dgst", "-sm3", "-sign", str(self.key), "-sigopt", f"distid:{SIGNER_ID.decode()}", given=data)


def open_second(folder: Path) -> Sm2Signer | None:
    """The SM2 key in `folder`; None when `begin` never made one. Conflict (`evidence-key`) when it cannot be used."""
    path = folder / _KEY
    return Sm2Signer(path, _openssl("openssl", "pkey", "-in", str(path), "-pubout")) if path.exists() else None


def begin(folder: Path) -> Sm2Signer:
    """Make an SM2 key in `folder`, in the place of one that is there. Every public half stays. Conflict as `open_second`."""
    try:
        (folder / _KEPT).mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f"{_KEY}.part"
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)  # private from its first byte
        _openssl(*_MAKE, "-out", str(part))
        made = Sm2Signer(part, _openssl("openssl", "pkey", "-in", str(part), "-pubout"))
        replace_file(folder / _KEPT / f"{made.fingerprint}.pem", made.pem)
        part.chmod(0o600)
        part.replace(folder / _KEY)
    except OSError as error:
        raise Conflict(f"no SM2 key can be written to {folder}: {error.strerror}", code="evidence-key") from error
    return Sm2Signer(folder / _KEY, made.pem)


def _openssl(*command: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 -- our own commands alone, without a shell
            command, input=given, capture_output=True, timeout=_LONGEST_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        why = said.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
        hint = "openssl 3 signs by SM2; bring evidence-sm2.key back from the backup, or move it away to sign without SM2"
        raise Conflict(f"openssl did not use the SM2 key: {why[0]}", code="evidence-key", hint=hint) from error
    return done.stdout
