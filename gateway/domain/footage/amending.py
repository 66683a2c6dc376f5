"""What follows after a request was filed: the rest of the register, and the authorising documents as files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType

from gateway.domain.events import Person
from gateway.domain.footage.asking import OPTIONAL_FIELDS, REGISTER_FIELDS, missing
from gateway.domain.footage.workflow import FootageRequest, FootageState, RequestId, second_person
from gateway.errors import Conflict, Fault, InvalidInput

DocumentId = NewType("DocumentId", str)

FIXED: Final = ("requester", "case_number")
"""What is never changed after a request was filed."""
AMENDABLE: Final = tuple(name for name in (*REGISTER_FIELDS, *OPTIONAL_FIELDS) if name not in FIXED)
_OVER: Final = frozenset({FootageState.REJECTED, FootageState.REVOKED})


class DocumentKind(StrEnum):
    """What an uploaded file is to the request."""

    AUTHORISATION = "authorisation"
    LETTER = "letter"
    IDENTITY = "identity"
    SIGNED_SHEET = "signed-sheet"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Document:
    """A file that belongs to a request. `media` by its content; `name` as it was called, untrusted text.

    Its bytes lie under `sha256` until `removed_at`.
    """

    id: DocumentId
    request: RequestId
    kind: DocumentKind
    name: str
    media: str
    sha256: str
    size: int
    by: Person
    at: datetime
    removed_at: datetime | None = None


_SIGNATURES: Final[Mapping[bytes, str]] = {b"%PDF-": "application/pdf", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def media_of(data: bytes) -> str:
    """What `data` is by its first bytes, whatever it is called: PDF, JPEG or PNG. InvalidInput for anything else."""
    for signature, media in _SIGNATURES.items():
        if data.startswith(signature):
            return media
    faults = [Fault("body", "begins like none of them")]
    hint = "scan or photograph it, or print it to PDF"
    raise InvalidInput("a document is a PDF, a JPEG or a PNG", faults=faults, code="wrong-document", hint=hint)


def amended(request: FootageRequest, words: Mapping[str, str], *, at: datetime) -> FootageRequest:
    """`request` with more of its register filled in.

    `words`: tidy, by the names of `AMENDABLE`. What is filled in already may be corrected until somebody decides. Conflict (`wrong-state`,
    `register-fixed`), Forbidden (`second-person`) when the one who decided would be one of those who ask.
    """
    if request.state in _OVER:
        raise Conflict(f"a request that is {request.state} is over", code="wrong-state")
    if request.state is not FootageState.SUBMITTED:
        written = [name for name, told in words.items() if (known := getattr(request.filing, name)) and known != told]
        if written:
            hint = "file another request, or say so in a note"
            raise Conflict(f"{', '.join(written)} stood there when it was decided on", code="register-fixed", hint=hint)
    changes: dict[str, Any] = dict(words)
    after = replace(request, filing=replace(request.filing, **changes), changed_at=at)
    if after.decided_by is not None:
        second_person(after, after.decided_by)
    return after


def with_papers(request: FootageRequest, documents: int, *, at: datetime) -> FootageRequest:
    """`request` with its papers supplied, when it is an emergency, they were not yet, and nothing is lacking now.

    `documents`: how many authorising ones it has.
    """
    supplied = documents > 0 and not missing(request.filing)
    if request.filing.emergency is None or request.papers_at is not None or not supplied:
        return request
    return replace(request, papers_at=at)
