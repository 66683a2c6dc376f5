"""Where a package may be sent: what the operator configured, what a destination can do, and what goes wrong on the way there."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gateway.domain.deliveries import Way
from gateway.domain.footage import RequestId
from gateway.errors import GatewayError
from gateway.evidence import archive
from gateway.evidence.contents import Altered
from gateway.footage.filework import to_the_end


class NotSent(GatewayError):
    """A package did not arrive. `again`: another attempt may help; what lies at the destination was not acknowledged.

    `outside_sha256`: the digest of a whole copy that lies there all the same, "" for none.

    Codes: destination-unreachable, destination-refused, destination-full, destination-differs, destination-occupied, not-mounted,
    no-destination, package-gone, package-changed, package-damaged, request-ended, interrupted.
    """

    code = "destination-unreachable"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "", again: bool = False, outside_sha256: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.again = again
        self.outside_sha256 = outside_sha256


class Parcel:
    """A package as one ZIP on its way, read a MiB at a time. `sha256` is of everything that was read from `pieces`."""

    def __init__(
        self, paths: Sequence[Path], size: int, *, digests: Mapping[str, str] | None = None, check: Callable[[], None] = lambda: None
    ) -> None:
        """`digests`: name to SHA-256 (hex) of what the files hold.

        `check` is asked before each piece; what it raises breaks the sending off.
        """
        self.size = size
        self.read = 0
        self._paths = tuple(paths)
        self._digests = digests
        self._check = check
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The ZIP from its first byte. NotSent when its files are gone, damaged or of another length; what `check` raises."""
        self.read, self._digest = 0, hashlib.sha256()
        whole = archive.pieces(self._paths, digests=self._digests)
        while (piece := await to_the_end(self._next, whole)) is not None:
            self._check()
            if piece:
                yield piece
                self.read += len(piece)
        if self.read != self.size:
            raise NotSent("the package has another length than it had", code="package-changed", again=True)

    def _next(self, whole: Iterator[bytes]) -> bytes | None:
        """The next piece, which may be empty; None at the end."""
        try:
            piece = next(whole, None)
        except OSError as error:
            raise NotSent(f"the package cannot be read: {error.strerror or error}", code="package-gone") from error
        except Altered as error:
            hint = "bring that file back from a backup, then send again; nothing was acknowledged"
            raise NotSent(f"a file of the package is damaged on the gateway's disk: {error}", code="package-damaged", hint=hint) from error
        if piece:
            self._digest.update(piece)
        return piece


class Destination(Protocol):
    """One configured destination."""

    name: str
    way: Way
    plain_because: str

    def where(self, key: str = "") -> str:
        """The place of `key` there, or of everything, in words for the record; without secrets."""

    async def size_of(self, key: str) -> int | None:
        """How many bytes lie there under `key`; None for nothing. NotSent."""

    async def write(self, key: str, parcel: Parcel) -> None:
        """Put the parcel there: wholly and as it is, or NotSent and nothing under `key`."""

    async def digest_of(self, key: str) -> str:
        """SHA-256 of what lies there under `key`, read back. NotSent."""


def key_of(request: RequestId, manifest_sha256: str) -> str:
    """Where a package lies at its destination: no other request has this key, and no other package of the same one."""
    return f"{request}/{request}_{manifest_sha256}.zip"
