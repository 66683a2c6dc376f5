"""Puts on record, with an alarm, that the disk altered or lost a file of a package, and that it is found whole again."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.events import NewEvent, Person
from gateway.domain.footage import RequestId, Step
from gateway.domain.scrubbing import Finding, Piece, Stored
from gateway.evidence.contents import BESIDE, SUMS, Altered, digests_in
from gateway.footage.custody import write_down
from gateway.footage.ledger import GATEWAY
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

EVENT: Final = "footage.damaged"
WHOLE_EVENT: Final = "footage.found-whole"


class DamageDesk:
    """Hears of files that are not what was sealed. `alone`: while it is held nobody seals the request anew."""

    def __init__(
        self, *, store: Store, clock: Clock, folder_of: Callable[[RequestId], Path], alone: Callable[[RequestId], asyncio.Lock]
    ) -> None:
        self._store = store
        self._clock = clock
        self._folder_of = folder_of
        self._alone = alone
        self._log = structlog.get_logger()

    async def found(
        self, request: RequestId, altered: Altered, *, sealed: Mapping[str, str], to: Person | None = None, at: Path | None = None
    ) -> None:
        """A file is not what was `sealed` (name to SHA-256, hex). `to`: whose download, which was compared with that, was broken off at it;
        `at`: where it lies, if not in the request's folder.

        On record once as long as that file stays as it is: whoever tries again and again raises no second alarm, nor does a restart. Anew
        when it was found whole meanwhile.
        Nothing when the proof was written anew meanwhile, which alters nothing that was sealed.
        """
        name = altered.name
        async with self._alone(request):
            listed, state = await asyncio.to_thread(_state, self._folder_of(request), name, at)
            if name in BESIDE and listed != sealed.get(name, ""):
                self._log.info("footage.sealed_meanwhile", request=request, file=name)
                return
            self._log.error("footage.damaged", request=request, file=name, why=altered.why)
            lay: tuple[str | int, ...] = (listed, *state)
            async with self._store.read() as tx:
                told = await tx.damage.told(request, name)
            if told != lay:
                detail = {"name": name, "sha256": sealed.get(name, ""), "why": altered.why}
                await self._put_down(request, detail | ({"sent_to": to.name} if to else {}), lay)

    async def found_whole(self, request: RequestId, names: Collection[str], *, sealed: Mapping[str, str], began: datetime) -> None:
        """Files are what was `sealed`, by a reading that `began` then: on record for each that was told to be damaged until then."""
        async with self._alone(request):
            async with self._store.read() as tx:
                over = [name for name in await tx.damage.names(request, until=began) if name in names]
            for name in over:
                self._log.info("footage.found_whole", request=request, file=name)
                await self._put_down_whole(request, {"name": name, "sha256": sealed.get(name, "")})

    async def _put_down(self, request: RequestId, detail: Mapping[str, str], lay: Sequence[str | int]) -> None:
        async def change(tx: Tx) -> None:
            at, piece = await self._told(tx, request, Step.DAMAGED, EVENT, detail)
            await tx.damage.put(request, detail["name"], lay, at=at)
            if piece and "sent_to" in detail:  # what is found by reading again is put down there
                await tx.scrubs.put(piece, Finding(at, detail["why"][:200]))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _put_down_whole(self, request: RequestId, detail: Mapping[str, str]) -> None:
        async def change(tx: Tx) -> None:
            await self._told(tx, request, Step.FOUND_WHOLE, WHOLE_EVENT, detail)
            await tx.damage.clear(request, detail["name"])

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _told(self, tx: Tx, request: RequestId, step: Step, event: str, detail: Mapping[str, str]) -> tuple[datetime, Piece | None]:
        """Write `step` down and tell of it; when that was, and of what it was told."""
        known, at, name = await tx.footage.get(request), self._clock.now(), detail["name"]
        piece = await _piece(tx, request, name)
        whose = {"camera": piece.camera} if piece and piece.camera else {}
        await write_down(tx, request, step, by=GATEWAY, at=at, detail={**detail, **whose})
        tx.emit(NewEvent(event, request, at, {"state": known.state, "file": name, **whose}))
        return at, piece


async def _piece(tx: Tx, request: RequestId, name: str) -> Piece | None:
    """What is stored for `request` and called so, or what that is a part of; a file of a hold has the hold's id before its name."""
    stored = await tx.scrubs.stored([request, name.partition("/")[0]])
    return next((one for one in stored if name == one.called or (one.kind is Stored.PROOF and name in BESIDE)), None)


def _state(folder: Path, name: str, at: Path | None) -> tuple[str, tuple[int, ...]]:
    """The digest that is listed for a file now, "" for none, and what tells the file as it lies there; nothing when that cannot be read."""
    return listed_in(folder).get(name, ""), _lies(at or folder / name)


def listed_in(folder: Path) -> dict[str, str]:
    """What the list of the package there has of its files, name to SHA-256; nothing when it cannot be read."""
    try:
        return digests_in((folder / SUMS).read_bytes())
    except (OSError, ValueError):
        return {}


def _lies(path: Path) -> tuple[int, ...]:
    try:
        told = path.stat()
    except OSError:
        return ()
    return told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns
