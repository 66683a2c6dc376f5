"""What was secured under holds goes into the requests that ask for it: the same bytes, linked and not copied, under their own numbers."""

import os
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.footage import LEAST_GAP, Period, gaps, joined, overlapping
from gateway.domain.holds import HeldFile
from gateway.footage.filework import to_the_end
from gateway.footage.securing import EvidenceStore
from gateway.storage.shelf import sync_folder
from gateway.storage.store import Store

_KEY_FRAME: Final = timedelta(seconds=10)
"""Footage begins with a key picture, so much before what was asked for at the most."""


class Adoption:
    """The evidence store as a source of footage for approved requests."""

    def __init__(self, store: Store, evidence: EvidenceStore) -> None:
        self._store = store
        self._evidence = evidence

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

    async def link(self, file: HeldFile, target: Path) -> None:
        """Have the bytes of `file` under the name `target` as well, durably; a copy where the two lie on different disks. OSError."""
        await to_the_end(linked, self._evidence.path_of(file), target)


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
