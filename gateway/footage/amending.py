"""The rest of the register and the authorising documents, as they follow after a request was filed, and who is told when they do not."""

import asyncio
import functools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.clock import Clock
from gateway.domain.events import NewEvent, Person
from gateway.domain.footage import (
    AMENDABLE,
    Document,
    DocumentId,
    DocumentKind,
    FootageRequest,
    RequestId,
    Step,
    amended,
    media_of,
    with_papers,
)
from gateway.errors import Conflict, NotFound
from gateway.footage.custody import write_down
from gateway.footage.filing import refuse, words_wrong
from gateway.footage.ledger import GATEWAY
from gateway.footage.register import Register
from gateway.footage.resealing import Resealing
from gateway.storage import shelf
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

T = TypeVar("T")
PAPERS_EVENT: Final = "footage.papers"
"""The papers of an emergency were supplied, or are overdue."""
DOCUMENTS_MAX: Final = 20
"""Files that one request may have."""
_WHAT: Final = "document"


@dataclass(frozen=True, slots=True)
class Opened:
    """A document with its bytes."""

    document: Document
    data: bytes


class AmendingDesk:
    """Takes what follows. Each act raises NotFound for an unknown request, and is on record before it returns."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        register: Register,
        folder: Path,
        seals: Resealing,
        alone: asyncio.Lock,
        new_id: Callable[[], str] = lambda: f"D-{secrets.token_hex(8)}",
    ) -> None:
        """`folder`: where the bytes of documents lie. `alone`: held while bytes are put there, until their row is written."""
        self._store = store
        self._clock = clock
        self._register = register
        self._folder = folder
        self._seals = seals
        self._alone = alone
        self._new_id = new_id

    async def amend(self, request: RequestId, words: Mapping[str, str], *, by: Person) -> FootageRequest:
        """Fill in fields of the register (`AMENDABLE`). InvalidInput, and what `amended` raises.

        Words that stand there already change nothing: the proof, and what was printed of it, stay.
        """
        tidy: dict[str, Any] = {name: told.strip() for name, told in words.items() if name in AMENDABLE and told.strip()}

        async def change(tx: Tx) -> tuple[FootageRequest, bool]:
            before = await tx.footage.get(request)
            refuse([*words_wrong(replace(before.filing, **tidy), self._register)])
            after = amended(before, tidy, at=self._clock.now())
            changed = sorted(name for name in tidy if getattr(before.filing, name) != tidy[name])
            if not changed:
                return before, False
            await self._put(tx, before, after, documents=_authorising(await tx.documents.of(request)), by=by)
            await write_down(tx, request, Step.AMENDED, by=by, at=self._clock.now(), detail={"fields": changed})
            return await tx.footage.get(request), True

        known, altered = await self._write(change)
        return await self._seals.follow(request) if altered or await self._seals.is_behind(request) else known

    async def add(
        self,
        request: RequestId,
        data: bytes,
        *,
        kind: DocumentKind,
        name: str,
        by: Person,
        also: Callable[[Tx, Document], Awaitable[None]] | None = None,
    ) -> Document:
        """Keep a document. InvalidInput (`wrong-document`) for what is no PDF, JPEG or PNG; Conflict (`too-many-documents`).

        The same bytes are kept once for each request: adding them again gives what is there. `also` is done with the document, or
        neither is; a document with which something is done is one that is owed: it is taken beyond `DOCUMENTS_MAX`.
        """
        media = media_of(data)
        async with self._store.read() as tx:
            await tx.footage.get(request)

        async with self._alone:
            digest = await asyncio.to_thread(shelf.keep, self._folder, data, what=_WHAT)
            made = Document(
                id=DocumentId(self._new_id()),
                request=request,
                kind=kind,
                name=_called(name),
                media=media,
                sha256=digest,
                size=len(data),
                by=by,
                at=self._clock.now(),
            )

            async def change(tx: Tx) -> Document:
                kept = await self._added(tx, made, owed=also is not None)
                if also is not None:
                    await also(tx, kept)
                return kept

            return await self._write(change)

    async def _added(self, tx: Tx, made: Document, *, owed: bool) -> Document:
        before, there = await tx.footage.get(made.request), await tx.documents.of(made.request)
        same = next((one for one in there if one.sha256 == made.sha256), None)
        if same is not None and same.removed_at is None:
            return same
        if not owed and sum(one.removed_at is None for one in there) >= DOCUMENTS_MAX:
            raise Conflict(f"a request has at most {DOCUMENTS_MAX} documents", code="too-many-documents")
        new = made if same is None else replace(made, id=same.id)
        await (tx.documents.add(new) if same is None else tx.documents.put(new))
        detail = {"document": new.id, "kind": new.kind, "name": new.name, "sha256": new.sha256, "size": new.size}
        await write_down(tx, new.request, Step.DOCUMENT_ADDED, by=new.by, at=new.at, detail=detail)
        await self._put(tx, before, before, documents=_authorising([*there, new]), by=new.by)
        return new

    async def documents(self, request: RequestId) -> Sequence[Document]:
        """Those of a request, the oldest first."""
        async with self._store.read() as tx:
            await tx.footage.get(request)
            return await tx.documents.of(request)

    async def open(self, request: RequestId, document: DocumentId, *, by: Person) -> Opened:
        """A document with its bytes, on record before anybody has them.

        NotFound (`document-disposed`) when its term was over; StorageFailed (`document-lost`) when the disk has them no more.
        """
        async with self._store.read() as tx:
            known = await tx.documents.get(request, document)
        if known.removed_at is not None:
            hint = "its hash stands in the custody log"
            raise NotFound(f"the document was deleted at {known.removed_at:%Y-%m-%d}, after its term", code="document-disposed", hint=hint)
        data = await asyncio.to_thread(shelf.read, self._folder, known.sha256, what=_WHAT, code="document-lost", hint="upload it again")
        detail = {"document": known.id, "name": known.name, "sha256": known.sha256}
        await self._write(lambda tx: write_down(tx, request, Step.DOCUMENT_READ, by=by, at=self._clock.now(), detail=detail))
        return Opened(known, data)

    async def remind(self, *, most: int = 50) -> int:
        """Tell of emergencies whose papers have become overdue, each once; how many there were."""
        now = self._clock.now()
        async with self._store.read() as tx:
            overdue = await tx.footage.overdue(now, limit=most)
        for request in overdue:
            await self._write(functools.partial(self._remind, name=request.id))
        return len(overdue)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _put(self, tx: Tx, before: FootageRequest, after: FootageRequest, *, documents: int, by: Person) -> None:
        now = self._clock.now()
        done = with_papers(after, documents, at=now)
        await tx.footage.replace(before, done)
        if done.papers_at != before.papers_at:
            await write_down(tx, before.id, Step.PAPERS_SUPPLIED, by=by, at=now, detail={"documents": documents})
            self._tell(tx, done, "supplied")

    async def _remind(self, tx: Tx, *, name: RequestId) -> None:
        before, now = await tx.footage.get(name), self._clock.now()
        if not before.owing or before.reminded_at is not None:
            return
        await tx.footage.replace(before, replace(before, reminded_at=now))
        lacking = [word for word, lacks in (("confirmation", before.decided_by is None), ("papers", before.papers_at is None)) if lacks]
        await write_down(tx, name, Step.PAPERS_OVERDUE, by=GATEWAY, at=now, detail={"lacking": lacking})
        self._tell(tx, before, "overdue")

    def _tell(self, tx: Tx, request: FootageRequest, what: str) -> None:
        due = request.papers_due_at.isoformat() if request.papers_due_at else None
        told = {"papers": what, "emergency": request.filing.emergency, "unit": request.filing.unit, "papers_due_at": due}
        tx.emit(NewEvent(PAPERS_EVENT, request.id, self._clock.now(), told))

    async def _write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        return await self._store.writer.write(change, lane=Lane.FOOTAGE)


def _authorising(documents: Sequence[Document]) -> int:
    return sum(document.kind in (DocumentKind.AUTHORISATION, DocumentKind.LETTER) for document in documents)


def _called(name: str) -> str:
    return "".join(letter if letter.isprintable() and letter not in '/\\"' else "_" for letter in name).strip()[:200] or "document"
