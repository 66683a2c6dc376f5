"""Importing and exporting the inventory: read a file aside, show what it would change, and change all of it or nothing."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final, TypeVar

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Device
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.errors import Conflict
from gateway.inventory.aside import read_aside
from gateway.inventory.diff import Diff, change, diff
from gateway.inventory.exporting import export
from gateway.inventory.raw import RawFile
from gateway.inventory.validation import Holdings, signed, validate
from gateway.storage.inventory import Inventory, InventoryChange
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

IMPORT_EVENT: Final = "inventory.imported"
_CHUNK: Final = 250
"""Rows given to the store at once, so that the loop is never held for long."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Manner:
    """Who imports, and how."""

    actor: Actor
    dry_run: bool = False
    prune: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import changes, or changed when `applied`."""

    diff: Diff
    applied: bool
    file: str


class InventoryService:
    """The door through which every inventory comes in. One import at a time; a second one meanwhile is refused."""

    def __init__(self, store: Store, city: City, clock: Clock) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._busy = asyncio.Lock()
        self._still = asyncio.Lock()
        self._log = structlog.get_logger()

    async def load(self) -> None:
        """Fill the city from the store: once at start, before anything else looks at it."""
        with _collector_paused():
            async with self._store.read() as tx:
                inventory = await tx.inventory.load()
            await self._show(inventory)

    async def import_file(self, data: bytes, name: str, *, actor: Actor, dry_run: bool = False, prune: bool = False) -> ImportResult:
        """Import the file `name`. With `dry_run` nothing is changed; with `prune` what the file does not name is removed.

        Raises InvalidInput with every fault of the file, Conflict (`import-running`) while another import is under way, and what the
        store raises. Before it returns, the change is on the disk and the city shows it.
        """
        async with self._alone():
            file = await read_aside(data, _label(name))
            return await self._import(file, _label(name), Manner(actor, dry_run=dry_run, prune=prune))

    async def import_rows(self, file: RawFile, name: str, *, actor: Actor, comment: str = "", dry_run: bool = False) -> ImportResult:
        """Import rows that were made here and not read: the same checks, difference, event and audit row; `comment` goes into both.

        `name` says in the records what was done, where an import has the name of its file. Raises what `import_file` raises.
        """
        async with self._alone():
            return await self._import(file, _label(name), Manner(actor, dry_run=dry_run, comment=comment))

    async def changes(self, *, after: int) -> AsyncIterator[None]:
        """Once for each import after the cursor `after`, when the city shows it: its event comes a moment before."""
        async for event in self._store.events.follow(after=after):
            if event.type == IMPORT_EVENT:
                async with self._busy:
                    pass
                yield

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nobody imports inside: for a small change of what an import changes, too. An import that comes meanwhile waits for it."""
        async with self._still:
            yield

    async def export_file(self, suffix: str) -> bytes:
        """The inventory as `yaml`, `csv`, `xlsx` or `geojson`, without secrets. ValueError for another suffix."""
        with _collector_paused():
            holdings = await self._holdings()
            return await asyncio.to_thread(export, holdings.inventory, holdings.credentials, suffix)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        if self._busy.locked():
            raise Conflict("another import is running", code="import-running", hint="try again when it has ended")
        async with self._busy, self._still:
            with _collector_paused():
                yield

    async def _import(self, file: RawFile, name: str, manner: Manner) -> ImportResult:
        before = await self._holdings()
        after = await asyncio.to_thread(validate, file, before, prune=manner.prune)
        after = signed(after, before, by=str(manner.actor), at=self._clock.now())
        found = await asyncio.to_thread(diff, before, after)
        if manner.dry_run or not found:
            return ImportResult(found, applied=False, file=name)
        await self._apply(await asyncio.to_thread(change, before, after), found, file=name, manner=manner)
        await self._show(after.inventory)
        self._log.info(IMPORT_EVENT, file=name, actor=str(manner.actor), **found.counts())
        return ImportResult(found, applied=True, file=name)

    async def _holdings(self) -> Holdings:
        async with self._store.read() as tx:
            return Holdings(await tx.inventory.load(), await tx.inventory.load_credentials())

    async def _show(self, inventory: Inventory) -> None:
        parts: dict[str, Any] = {name: getattr(inventory, name) for name in _PARTS}
        await asyncio.to_thread(self._city.replace, **parts)

    async def _apply(self, wanted: InventoryChange, found: Diff, *, file: str, manner: Manner) -> None:
        steps = tuple(_steps(wanted))
        at, actor = self._clock.now(), manner.actor
        data: dict[str, Any] = {"file": file, **found.counts()} | ({"comment": manner.comment} if manner.comment else {})
        removed = sorted(wanted.remove.devices)  # who holds something of a device elsewhere, as a broker does, learns it from here

        async def write(tx: Tx) -> None:
            for step in steps:
                await tx.inventory.apply(step)
                await asyncio.sleep(0)
            tx.emit(NewEvent(IMPORT_EVENT, file, at, data | {"by": str(actor), "removed_devices": removed}))
            tx.record(AuditEntry(actor, "inventory.import", file, at, data | {"diff": list(found.lines(most=200))}))

        await self._store.writer.write(write, lane=Lane.FOOTAGE)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No cycle collection inside, and none of what stays afterwards: a city has half a million objects and no cycles.

    Each full collection over them would hold the interpreter, and so the loop, for 100-200 ms (measured with 12,800 cells).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _label(name: str) -> str:
    """A file's name for records: no folder, no control characters, at most 100 characters of its end, where the suffix is."""
    return "".join(letter for letter in PurePath(name).name if letter.isprintable())[-100:] or "unnamed"


_PARTS: Final = ("devices", "groups", "cells", "streets", "districts", "zones", "sights", "bindings")


def _steps(wanted: InventoryChange) -> Iterator[InventoryChange]:
    """`wanted` in small steps, in an order that the store's references allow: devices come bare first, then with their links."""
    put = wanted.put
    for name in ("cells", "streets", "districts", "groups"):
        yield from (InventoryChange(put=Inventory(**{name: chunk})) for chunk in _chunks(getattr(put, name)))
    yield from (InventoryChange(put=Inventory(devices=tuple(map(_bare, chunk)))) for chunk in _chunks(put.devices))
    yield from (InventoryChange(put=Inventory(devices=chunk)) for chunk in _chunks([device for device in put.devices if _linked(device)]))
    yield from (InventoryChange(put=Inventory(zones=chunk)) for chunk in _chunks(put.zones))
    yield from (InventoryChange(put=Inventory(sights=chunk)) for chunk in _chunks(put.sights))
    yield from (InventoryChange(put=Inventory(bindings=chunk)) for chunk in _chunks(put.bindings))
    for logins in _chunks(tuple(wanted.credentials.items())):
        yield InventoryChange(credentials=dict(logins))
    yield InventoryChange(remove=wanted.remove)


def _bare(device: Device) -> Device:
    return replace(device, uplink=None, audio_output_of=None, channels=())


def _linked(device: Device) -> bool:
    return bool(device.uplink or device.audio_output_of or device.channels)


def _chunks(things: Sequence[T]) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(things), _CHUNK):
        yield tuple(things[start : start + _CHUNK])
