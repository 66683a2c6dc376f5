"""What was secured under holds goes into the requests that ask for it: the same bytes, linked and not copied, under their own numbers."""

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.footage import LEAST_GAP, FootageFile, Origin, Period, RequestId, clipped, gaps, joined, overlapping
from gateway.domain.holds import HeldFile
from gateway.footage.camera_fetch import CameraFetch
from gateway.footage.cut_file import Finished
from gateway.footage.filework import to_the_end
from gateway.footage.ledger import Ledger
from gateway.footage.securing import EvidenceStore
from gateway.footage.space import DiskFull
from gateway.footage.stretches import next_number
from gateway.storage.shelf import sync_folder
from gateway.storage.store import Store

_KEY_FRAME: Final = timedelta(seconds=10)
"""Footage begins with a key picture, so much before what was asked for at the most."""


class Adoption:
    """The evidence store as a source of footage for approved requests."""

    def __init__(self, *, store: Store, ledger: Ledger, evidence: EvidenceStore, folder_of: Callable[[RequestId], Path]) -> None:
        self._store = store
        self._ledger = ledger
        self._evidence = evidence
        self._folder_of = folder_of

    async def of(self, camera: DeviceId, device: DeviceId, window: Period, recorded: Sequence[Period]) -> list[HeldFile]:
        """Held files of `camera` that serve `window`, of which the device still has `recorded`; in order of time, none twice.

        Those that `device` gave come first; what another one gave, such as the camera's own card, fills what they leave out. A file that
        reaches beyond the window serves only where the device has lost its part of it: more goes out than was asked for, up to the length
        of a file, rather than nothing.
        """
        async with self._store.read() as tx:
            found = await tx.holds.files_of(camera, window)
        chosen: list[HeldFile] = []
        there: tuple[Period, ...] = ()
        for file in sorted(found, key=lambda one: (one.device != device, one.period.start, -one.period.length)):
            part = Period(max(file.period.start, window.start), min(file.period.end, window.end))
            if part.start >= part.end or not gaps(overlapping(there, part), part, least=LEAST_GAP):
                continue
            if fits(file.period, window) or gaps(recorded, part, least=LEAST_GAP):
                chosen.append(file)
                there = joined([*there, *file.runs])
        return sorted(chosen, key=lambda one: one.period.start)

    async def into(self, fetch: CameraFetch, *, recorded: Sequence[Period]) -> int:
        """Add to `fetch` what is held and not there yet, of which the device has `recorded`; how many files that were. DiskFull."""
        before = len(fetch.files)
        for held in await self.of(fetch.export.camera, fetch.export.recorder, fetch.window, recorded):
            there = joined(run for file in fetch.files for run in file.runs)
            (part,) = clipped([held.period], fetch.window)
            if gaps(overlapping(there, part), part, least=LEAST_GAP):
                file = await self._linked(held, fetch)
                await self._ledger.add_file(file, detail={"hold": held.hold, "secured_at": held.created_at.isoformat()})
                fetch.files.append(file)
        return len(fetch.files) - before

    async def _linked(self, held: HeldFile, fetch: CameraFetch) -> FootageFile:
        """The row of `held` among the files of `fetch`, where its bytes lie from now on as well. DiskFull."""
        number = next_number(file.number for file in fetch.files)
        name = f"{fetch.prefix}{number:03d}.mp4"
        try:
            await to_the_end(linked, self._evidence.path_of(held), self._folder_of(fetch.export.request) / name)
        except OSError as error:
            raise DiskFull(f"what is held could not be linked: {error.strerror}") from error
        told = (held.sound_left_out, held.time_source, held.sound_refused, held.set_backs)
        finished = Finished(name, number, held.sha256, held.size, held.frames, held.damaged, (), *told)
        return fetch.row(finished, Origin(held.device, held.recording, held.serial, held.offset), held.runs, at=held.created_at)


def fits(period: Period, window: Period) -> bool:
    """Whether no more goes out with footage of `period` than a fetch of `window` brings: it begins with a key picture."""
    return window.start - _KEY_FRAME <= period.start and period.end <= window.end + LEAST_GAP


def linked(source: Path, target: Path) -> None:
    """Have the bytes of `source` under the name `target` as well, durably; a copy where the two lie on different disks. OSError."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as copied:
            os.fsync(copied.fileno())
    sync_folder(target.parent)
