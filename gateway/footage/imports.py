"""Takes in files that a vendor's client exported: streamed to the disk, resumable, hashed as they lie there, never opened or rewritten."""

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from gateway.clock import Clock
from gateway.domain.events import Person
from gateway.domain.footage import Act, FootageState, RequestId, Step
from gateway.domain.imports import ORIGIN, UNFINISHED, Brought, Import, ImportId, ImportState
from gateway.errors import Conflict, GatewayError, InvalidInput, NotFound, Overloaded, StorageFailed
from gateway.footage.custody import write_down
from gateway.footage.space import DiskFull, Space
from gateway.storage.shelf import sync_folder
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

_S = FootageState
TAKES_FILES: Final = frozenset({_S.READY, _S.PARTIAL, _S.UNAVAILABLE, _S.FAILED})
"""States in which a brought file can join the package; READY and PARTIAL packages are sealed anew."""
OPEN: Final = TAKES_FILES | {_S.APPROVED, _S.LOCATING, _S.EXPORTING}
"""States in which a file may be on its way in."""
GIVEN_UP_AFTER: Final = timedelta(days=7)
AT_ONCE: Final = 4
"""Files that are being received, or finished, at once."""
_PIECE: Final = 1 << 20


class ImportDesk:
    """Files on their way in, under `folder`; one that is whole moves into its request's folder and the package is sealed with it.

    `seal` makes the package of a request anew with the files that it then has, and gives what the custody log says of it.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        folder: Path,
        folder_of: Callable[[RequestId], Path],
        seal: Callable[[RequestId], Awaitable[dict[str, str]]],
        alone: Callable[[RequestId], asyncio.Lock],
        act: Callable[..., Awaitable[object]],
        largest: int,
        space: Space,
        new_id: Callable[[], str] = lambda: f"B-{secrets.token_hex(6)}",
    ) -> None:
        """`largest`: bytes of one file; `space`: the disk; `act` does an `Act` with a request (`Ledger.act`)."""
        self._store = store
        self._clock = clock
        self._folder = folder
        self._folder_of = folder_of
        self._seal = seal
        self._sealing = alone
        self._act = act
        self._largest = largest
        self._space = space
        self._new_id = new_id
        self._busy: set[ImportId] = set()
        self._log = structlog.get_logger()

    # -- what people do -----------------------------------------------------------------------------------------------

    async def announce(self, request: RequestId, brought: Brought, *, size: int, sha256: str = "", by: Person) -> Import:
        """A file of `size` bytes will come. Conflict when the request takes none now; InvalidInput when it is too large; DiskFull."""
        if size > self._largest:
            raise InvalidInput(f"the file is larger than {self._largest} bytes", code="body-too-large", hint="footage.brought_gib")
        await asyncio.to_thread(self._check_space, size)

        async def change(tx: Tx) -> Import:
            state = (await tx.footage.get(request)).state
            if state not in OPEN:
                raise Conflict(f"a request that is {state} takes no files", code="wrong-state")
            number = await tx.imports.next_number(request)
            one = Import(
                id=ImportId(self._new_id()),
                request=request,
                number=number,
                brought=brought,
                size=size,
                expected=sha256.lower(),
                by=by,
                made_at=self._clock.now(),
            )
            await tx.imports.add(one)
            return one

        return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def receive(self, one: ImportId, pieces: AsyncIterator[bytes], *, start: int, by: Person) -> Import:
        """Append `pieces`, which begin at byte `start` of the file; when all is there, check it and put it into the package.

        What had come when `pieces` break off stays. Conflict (`wrong-offset`) unless `start` is what was received so far, or while
        another call sends it; Overloaded while `AT_ONCE` others are sent; InvalidInput (`digest-mismatch`) when the whole is not what was
        announced: it is refused and removed; StorageFailed (`brought-file-lost`) when the disk has less than is on record: never is the
        rest made up.
        """
        with self._alone(one):
            known = await self.get(one)
            if known.state is not ImportState.RECEIVING:
                raise Conflict(f"the file is {known.state}", code="wrong-state")
            if start != known.received:
                raise Conflict(f"{known.received} bytes are here", code="wrong-offset", hint=f"go on at byte {known.received}")
            if known.received < known.size:
                known = await self._append(known, pieces)
            return await self._finish(known, by) if known.received == known.size else known

    @contextlib.contextmanager
    def _alone(self, one: ImportId) -> Iterator[None]:
        """Nobody else touches the file inside; what is read of it inside stays true.

        Conflict while somebody does; Overloaded while `AT_ONCE` other files are under way.
        """
        if one in self._busy:
            raise Conflict("another call is sending", code="wrong-offset", hint="wait until it has ended, then look how much is here")
        if len(self._busy) >= AT_ONCE:
            raise Overloaded(f"{AT_ONCE} other files are being sent", hint="try again soon; what has come of this one stays")
        self._busy.add(one)
        try:
            yield
        finally:
            self._busy.discard(one)

    async def get(self, one: ImportId) -> Import:
        """NotFound."""
        async with self._store.read() as tx:
            return await tx.imports.get(one)

    async def of(self, request: RequestId) -> list[Import]:
        """The files that were brought for a request. NotFound."""
        async with self._store.read() as tx:
            await tx.footage.get(request)
            return await tx.imports.of(request)

    # -- what the gateway does by itself ------------------------------------------------------------------------------

    async def tend(self) -> None:
        """Finish what an earlier life or a busy request left, and drop what nobody went on sending or whose request has ended.

        What goes wrong with one file, the disk included, is logged and tried again the next time: the others do not wait for it.
        """
        async with self._store.read() as tx:
            waiting = [one.id for one in await tx.imports.unfinished()]
        for one in waiting:
            if one in self._busy:
                continue
            try:
                with self._alone(one):
                    await self._tend(one)
            except (GatewayError, OSError) as error:
                self._log.warning("footage.import_waits", file=one, reason=str(error))
        try:
            await self._sweep(set(waiting))
        except OSError as error:
            self._log.warning("footage.parts_stay", reason=str(error))

    async def _sweep(self, waiting: set[ImportId]) -> None:
        """Remove parts whose rows are at their end: a crash came between row and disk."""
        for one in set(await asyncio.to_thread(self._parts)) - waiting - self._busy:
            with contextlib.suppress(NotFound):
                if (await self.get(one)).state not in UNFINISHED:
                    await asyncio.to_thread(self._part(one).unlink, missing_ok=True)

    async def _tend(self, name: ImportId) -> None:
        async with self._store.read() as tx:
            one = await tx.imports.get(name)
            state, held = (await tx.footage.get(one.request)).state, await tx.imports.held_in(one.request)
        if one.state not in UNFINISHED or (state not in OPEN and one.name in held):
            return
        late = self._clock.now() - one.made_at > GIVEN_UP_AFTER
        if state not in OPEN or (late and one.state is ImportState.RECEIVING):
            await self._put(replace(one, state=ImportState.DROPPED, sha256=""))
            await asyncio.to_thread(self._remove, one)
        elif one.state is ImportState.RECEIVING and one.received == one.size:
            await self._finish(one, one.by)
        elif one.state is ImportState.ARRIVED:
            await self._join(one, one.by)

    # -- receiving ----------------------------------------------------------------------------------------------------

    async def _append(self, one: Import, pieces: AsyncIterator[bytes]) -> Import:
        """The import with what had come; what ended `pieces` early is raised after that is safe and on record."""
        file = await asyncio.to_thread(_opened, self._part(one.id), one.received)
        if file is None:
            raise await self._lost(one)
        received = one.received
        try:
            async for block in _blocks(pieces):
                if received + len(block) > one.size:
                    raise InvalidInput("more came than was announced", code="body-too-large")
                await asyncio.to_thread(self._write, file, block)
                received += len(block)
        finally:
            await asyncio.to_thread(_closed, file)
            one = replace(one, received=received)
            await self._put(one)
        return one

    def _write(self, file: BinaryIO, block: bytes) -> None:
        self._check_space(len(block))
        try:
            file.write(block)
        except OSError as error:
            raise DiskFull(f"the disk does not take the file: {error.strerror}", hint="free some space, then go on") from error

    def _check_space(self, wanted: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._space.keep_floor(wanted)

    # -- finishing ----------------------------------------------------------------------------------------------------

    async def _finish(self, one: Import, by: Person) -> Import:
        """The whole file is here: hash what lies on the disk, move it to its request, and put it into the package."""
        part, target = self._part(one.id), self._target(one)
        digest = await asyncio.to_thread(_digest_of, part, target, size=one.size)
        if digest is None:
            raise await self._lost(one)
        if one.expected and digest != one.expected:
            await self._refused(one, digest, by)
            await asyncio.to_thread(self._remove, one)
            raise InvalidInput(f"the file's SHA-256 is {digest}", code="digest-mismatch", hint="send it again, or announce it anew")
        await asyncio.to_thread(_moved, part, target)
        arrived = replace(one, state=ImportState.ARRIVED, sha256=digest)
        await self._put(arrived)
        return await self._join(arrived, by)

    async def _join(self, one: Import, by: Person) -> Import:
        """Seal the request's package with the file, if it is not being worked on; when it is, `tend` does it afterwards."""
        async with self._sealing(one.request):
            return await self._seal_in(one, by)

    async def _seal_in(self, one: Import, by: Person) -> Import:
        """As `_join`, alone with the request: the seal is on record before the next one begins."""
        async with self._store.read() as tx:
            state = (await tx.footage.get(one.request)).state
        if state not in TAKES_FILES:
            return one
        sealed = await self._seal(one.request)
        kept = replace(one, state=ImportState.KEPT, kept_at=self._clock.now())
        brought = one.brought
        detail = {
            "origin": ORIGIN,
            "name": one.name,
            "sha256": one.sha256,
            "size": one.size,
            **{name: getattr(brought, name) for name in ("original_name", "brought_by", "badge", "device", "client", "camera")},
            **sealed,
        }
        try:
            await self._act(one.request, Act.SUPPLEMENT, by=by, reason="a file was brought", detail=detail)
        except Conflict:  # somebody began to work on the request meanwhile
            return one
        await self._put(kept)
        return kept

    async def _refused(self, one: Import, digest: str, by: Person) -> None:
        async def change(tx: Tx) -> None:
            await tx.imports.put(replace(one, state=ImportState.REFUSED, received=0))
            detail = {"why": "digest-mismatch", "name": one.brought.original_name, "expected": one.expected, "sha256": digest}
            await write_down(tx, one.request, Step.DENIED, by=by, at=self._clock.now(), detail=detail)

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _lost(self, one: Import) -> StorageFailed:
        """What is on record as received is not on the disk: the file is given up, on record; the error that says so."""
        why = "brought-file-lost"

        async def change(tx: Tx) -> None:
            await tx.imports.put(replace(one, state=ImportState.DROPPED, received=0))
            detail = {"why": why, "name": one.brought.original_name, "received": one.received}
            await write_down(tx, one.request, Step.DENIED, by=one.by, at=self._clock.now(), detail=detail)

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        await asyncio.to_thread(self._remove, one)
        return StorageFailed("what came of the file is not on the disk any more", code=why, hint="announce it anew and send it again")

    async def _put(self, one: Import) -> None:
        await self._store.writer.write(lambda tx: tx.imports.put(one), lane=Lane.FOOTAGE)

    def _remove(self, one: Import) -> None:
        """After the row: a crash in between leaves a file that nobody reads. What ARRIVED may be signed in already: that stays."""
        self._part(one.id).unlink(missing_ok=True)
        if one.state is ImportState.RECEIVING:
            self._target(one).unlink(missing_ok=True)

    def _parts(self) -> list[ImportId]:
        return [ImportId(path.stem) for path in self._folder.glob("*.part")]

    def _part(self, one: ImportId) -> Path:
        return self._folder / f"{one}.part"

    def _target(self, one: Import) -> Path:
        return self._folder_of(one.request) / one.name


async def _blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`pieces` in blocks of about 1 MiB, so that the disk is asked rarely; what had come before they break off comes, too."""
    held = bytearray()
    try:
        async for piece in pieces:
            held += piece
            if len(held) >= _PIECE:
                yield bytes(held)
                held.clear()
    except (GatewayError, ConnectionError, asyncio.IncompleteReadError, OSError):
        if held:
            yield bytes(held)
        raise
    if held:
        yield bytes(held)


def _opened(part: Path, received: int) -> BinaryIO | None:
    """The file to append to, cut to what is on record: an earlier life may have written more than it could acknowledge.

    None when it has less: the rest would be a hole, which reads as zeros.
    """
    part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (part.stat().st_size if part.exists() else 0) < received:
        return None
    file = part.open("r+b" if part.exists() else "w+b")
    file.truncate(received)
    file.seek(received)
    return file


def _closed(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _digest_of(*places: Path, size: int) -> str | None:
    """SHA-256 of the first of `places` that there is: after a crash the file may have moved already. None without one of `size` bytes."""
    path = next((path for path in places if path.is_file()), None)
    if path is None or path.stat().st_size != size:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _moved(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if part.exists():
        part.replace(target)
    sync_folder(target.parent)
