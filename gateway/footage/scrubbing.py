"""Reads all stored evidence again from time to time, the longest unchecked first, and tells what is not as it was stored.

When a piece was checked stands in the store, so that whoever dies when, no more than one is read again for it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.events import AuditEntry, NewEvent
from gateway.domain.footage import RequestId
from gateway.domain.holds import Hold, HoldId
from gateway.domain.imports import ImportState
from gateway.domain.scrubbing import Finding, Piece, Standing, Stored
from gateway.errors import Unreachable
from gateway.evidence.contents import BESIDE, MANIFEST, SUMS, Altered
from gateway.evidence.verifying import check_signatures
from gateway.footage.damage import DamageDesk, listed_in
from gateway.footage.holds import EVENT as HOLD_EVENT
from gateway.footage.ledger import GATEWAY
from gateway.footage.resealing import SEALS
from gateway.footage.scrub_worker import Digester, digester
from gateway.footage.securing import EvidenceStore
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

HOLD_DAMAGED: Final = "hold.damaged"
HOLD_FOUND_WHOLE: Final = "hold.found-whole"
"""The actions of audit rows about a file of a hold."""
_LOOK_S: Final = 600.0
_GIVES_WAY_S: Final = 1.0
_AT_ONCE: Final = 64
_EARLY: Final = 0.9
"""Of the time that it may take, so much passes before something is read again: the rest is there to give way in."""
_IN_A_ROW: Final = 10
"""So many damaged ones one after the other, and the next wait for the next look: a disk that is not mounted is not told file by file."""
_OTHER: Final = "has another SHA-256 than was stored"


@dataclass(frozen=True, slots=True)
class ScrubRules:
    """What the operator sets: in which time each piece is read again, and how many bytes a second at the most."""

    every: timedelta = timedelta(days=30)
    bytes_per_s: float = 20 << 20


@dataclass(slots=True)
class ScrubFigures:
    """Since the daemon began; `standing`: as of the last look."""

    pieces: int = 0
    bytes: int = 0
    standing: Standing | None = None


class Scrubber:
    """Everything that is stored for requests and holds. `figures` says how it fares."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        damage: DamageDesk,
        folder_of: Callable[[RequestId], Path],
        documents: Path,
        evidence: EvidenceStore,
        alone: Callable[[RequestId], asyncio.Lock],
        busy: Callable[[], bool],
        rules: ScrubRules = ScrubRules(),
        reader: Callable[[], AbstractAsyncContextManager[Digester]] = digester,
    ) -> None:
        """`documents`: where their bytes lie, by hash. `alone`: while it is held nobody seals the request anew. `busy`: whether exports are
        in hand, which go first."""
        self._store = store
        self._clock = clock
        self._damage = damage
        self._folder_of = folder_of
        self._documents = documents
        self._evidence = evidence
        self._alone = alone
        self._busy = busy
        self._rules = rules
        self._reader = reader
        self._log = structlog.get_logger()
        self.figures = ScrubFigures()

    async def run(self) -> None:
        """Check what is due, until cancelled. StorageFailed when the store does."""
        while True:
            if not await self._go_through(await self._due()):
                await self._clock.sleep(_LOOK_S)

    def oldest_s(self) -> float | None:
        """How long ago the longest unchecked piece was checked or written; None before the first look, and when nothing is stored."""
        standing = self.figures.standing
        return (self._clock.now() - standing.oldest).total_seconds() if standing and standing.oldest else None

    async def _due(self) -> list[Piece]:
        async with self._store.read() as tx:
            self.figures.standing = await tx.scrubs.standing()
            return await tx.scrubs.due(self._clock.now(), every=self._rules.every * _EARLY, limit=_AT_ONCE)

    async def _go_through(self, due: Sequence[Piece]) -> bool:
        """Check `due`; whether to go on at once."""
        if not due:
            return False
        in_a_row = 0
        try:
            async with self._reader() as reader:
                for piece in due:
                    in_a_row = in_a_row + 1 if await self._is_newly_damaged(piece, reader) else 0
                    if in_a_row == _IN_A_ROW:
                        self._log.error("footage.scrub_waits", why=f"{_IN_A_ROW} damaged files in a row: is the disk there?")
                        return False
        except Unreachable as died:
            self._log.warning("footage.scrub_waits", why=str(died))
            return False
        return True

    async def _is_newly_damaged(self, piece: Piece, reader: Digester) -> bool:
        """Check one and put down what was found; whether it is damage, and not what was found the last time."""
        await self._give_way(piece)
        began = self._clock.now()
        altered, sealed = await (self._proof(piece) if piece.kind is Stored.PROOF else self._file(piece, reader))
        async with self._store.read() as tx:
            if not await tx.scrubs.is_stored(piece):  # it was removed meanwhile, on record
                return False
        finding = Finding(self._clock.now(), altered.why[:200] if altered else "")
        is_news = finding.found != piece.found
        if piece.kind is not Stored.HELD:
            await self._tell(piece, altered, sealed, began=began)
        elif is_news:
            await self._tell_of_hold(piece, altered, finding, began=began)
        await self._store.writer.write(lambda tx: tx.scrubs.put(piece, finding), lane=Lane.FOOTAGE)
        self.figures.pieces += 1
        return is_news and altered is not None

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _file(self, piece: Piece, reader: Digester) -> tuple[Altered | None, Mapping[str, str]]:
        """What is wrong with a file, and its digest as it was stored."""

        async def pace(read: int) -> None:
            self.figures.bytes += read
            await self._clock.sleep(read / self._rules.bytes_per_s)
            await self._give_way(piece)

        try:
            why = "" if await reader.sha256(self._path_of(piece), pace) == piece.sha256 else _OTHER
        except OSError as error:
            why = _unread(error)
        return Altered(piece.name, why) if why else None, {piece.name: piece.sha256}

    def _path_of(self, piece: Piece) -> Path:
        match piece.kind:
            case Stored.HELD:
                return self._evidence.folder / piece.owner / piece.name
            case Stored.DOCUMENT:
                return self._documents / piece.sha256
            case _:
                return self._folder_of(RequestId(piece.owner)) / piece.name

    async def _proof(self, piece: Piece) -> tuple[Altered | None, Mapping[str, str]]:
        """What is wrong with the proof of a package, and what its list has: that is small, and read at once while nobody writes it anew."""
        request = RequestId(piece.owner)
        async with self._alone(request):
            async with self._store.read() as tx:
                films = {file.name: file.sha256 for file in await tx.footage.files(request) if not file.removed}
                brought = [one for one in await tx.imports.of(request) if one.state is ImportState.KEPT and not one.removed]
                seal = await tx.footage.newest(request, SEALS)
            films |= {one.name: one.sha256 for one in brought}
            return await asyncio.to_thread(_proof, self._folder_of(request), films, seal.detail if seal else {})

    async def _give_way(self, piece: Piece) -> None:
        """Wait while exports are in hand, unless `piece` has had its time."""
        while self._busy() and self._clock.now() - piece.since < self._rules.every:
            await self._clock.sleep(_GIVES_WAY_S)

    # -- telling ------------------------------------------------------------------------------------------------------

    async def _tell(self, piece: Piece, altered: Altered | None, sealed: Mapping[str, str], *, began: datetime) -> None:
        """Have it told what was found of a request's file, document or proof by a reading that `began` then."""
        request = RequestId(piece.owner)
        if altered:
            at = self._path_of(piece) if piece.kind is Stored.DOCUMENT else None
            await self._damage.found(request, altered, sealed=sealed, at=at)
        else:
            names = BESIDE if piece.kind is Stored.PROOF else {piece.name}
            await self._damage.found_whole(request, names, sealed=sealed, began=began)

    async def _tell_of_hold(self, piece: Piece, altered: Altered | None, finding: Finding, *, began: datetime) -> None:
        """Put down that a held file is damaged, or whole again; whoever is told of the hold's request is told of that, too."""
        tell = self._log.error if altered else self._log.info
        tell(HOLD_DAMAGED if altered else HOLD_FOUND_WHOLE, hold=piece.owner, file=piece.name, why=finding.found)
        async with self._store.read() as tx:
            hold = await tx.holds.get(HoldId(piece.owner))
        if hold.request is not None:
            sealed = {piece.called: piece.sha256}
            if altered:
                await self._damage.found(hold.request, Altered(piece.called, altered.why), sealed=sealed, at=self._path_of(piece))
            else:
                await self._damage.found_whole(hold.request, sealed.keys(), sealed=sealed, began=began)

        async def change(tx: Tx) -> None:
            _announce(tx, hold, piece, finding)
            await tx.scrubs.put(piece, finding)  # with it: a crash after this has nobody told again

        await self._store.writer.write(change, lane=Lane.FOOTAGE)


def _announce(tx: Tx, hold: Hold, piece: Piece, finding: Finding) -> None:
    at, action = finding.checked_at, HOLD_DAMAGED if finding.found else HOLD_FOUND_WHOLE
    told = {"state": hold.state, "act": action.removeprefix("hold."), "request": hold.request}
    tx.emit(NewEvent(HOLD_EVENT, hold.id, at, told | {"file": piece.name, "camera": piece.camera}))
    detail = {"person": GATEWAY.name, "name": piece.name, "camera": piece.camera, "sha256": piece.sha256}
    detail |= {"why": finding.found} if finding.found else {}
    tx.record(AuditEntry(GATEWAY.actor, action, hold.id, at, detail))


def _proof(folder: Path, films: Mapping[str, str], sealed: Mapping[str, str]) -> tuple[Altered | None, Mapping[str, str]]:
    """What is wrong with the proof in `folder` of a package with `films` (name to digest), by the custody log `sealed`; its list."""
    listed = listed_in(folder)
    try:
        _check_proof(folder, listed, films, sealed)
    except Altered as altered:
        return altered, listed
    except OSError as error:
        return Altered(Path(error.filename or SUMS).name, _unread(error)), listed
    return None, listed


def _check_proof(folder: Path, listed: Mapping[str, str], films: Mapping[str, str], sealed: Mapping[str, str]) -> None:
    check_signatures(folder, trusted=sealed.get("certificate_sha256", ""))
    if any(listed.get(name) != digest for name, digest in films.items()):
        raise Altered(SUMS, "does not list the files as they were stored")
    if sealed.get("manifest_sha256", listed.get(MANIFEST)) != listed.get(MANIFEST):
        raise Altered(MANIFEST, "is not the one that was sealed")
    for name in sorted(BESIDE & listed.keys()):
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != listed[name]:
            raise Altered(name, _OTHER)


def _unread(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
