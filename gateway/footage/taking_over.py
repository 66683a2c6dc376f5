"""What was fetched for one request serves another that asks for the same: the recorder is not asked to replay it twice."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from gateway.domain.footage import LEAST_GAP, Export, FootageFile, Origin, Period, RequestId, TimeSource, clipped, joined, total
from gateway.footage.adopting import fits, linked
from gateway.footage.camera_fetch import CameraFetch
from gateway.footage.filework import to_the_end
from gateway.footage.ledger import Ledger
from gateway.footage.stretches import next_number
from gateway.storage.store import Store

_CLOCKS_AGREE: Final = timedelta(seconds=0.5)
"""A clock that was found otherwise wrong by more brings the same pictures to other times."""


class TakeOver:
    """The files of requests whose fetching is over as a source of footage: whole ones, and such that another try would give the same."""

    def __init__(self, *, store: Store, ledger: Ledger, folder_of: Callable[[RequestId], Path]) -> None:
        self._store = store
        self._ledger = ledger
        self._folder_of = folder_of
        self._log = structlog.get_logger()

    async def into(self, fetch: CameraFetch, origin: Origin) -> None:
        """Add to `fetch` what others were given by `origin` within its window and it has not, linked under its own numbers.

        Each is read before: what is not what was stored is fetched instead. Nothing where the clock was set within the window.
        """
        request = fetch.export.request
        for file in await self.offered(fetch.export, origin, fetch.window, fetch.files):
            number = next_number(one.number for one in fetch.files)
            own = replace(file, request=request, number=number, name=f"{fetch.prefix}{number:03d}.mp4", downloads=0)
            if await to_the_end(_taken, self._folder_of(file.request) / file.name, self._folder_of(request) / own.name, file.sha256):
                await self._ledger.take_over(own, file)
                fetch.files.append(own)
            else:
                self._log.warning("footage.not_taken_over", request=file.request, file=file.name)

    async def offered(self, export: Export, origin: Origin, window: Period, there: Sequence[FootageFile]) -> list[FootageFile]:
        """What `into` would add, as far as that can be said unread: it takes no room on the disk. `there`: what the request has of it."""
        if origin.clock is not None and origin.clock.stepped:
            return []
        async with self._store.read() as tx:
            others = await tx.footage.others_files(export.request, export.camera, window)
        return list(serving(others, origin, window, there))


def serving(others: Iterable[FootageFile], origin: Origin, window: Period, there: Iterable[FootageFile]) -> Iterator[FootageFile]:
    """Those of `others` that `origin` would give alike for `window`, in order of time, none of what another one or `there` shows.

    Not those of a request in which the device's time went back: what is doubled there is told by all its files together.
    """
    others = tuple(others)
    went_back = {file.request for file in others if file.set_backs}
    shown = joined(run for file in there for run in file.runs)
    for file in sorted(others, key=lambda one: (one.period.start, -one.period.length)):
        lacking = total(clipped(shown, file.period)) < LEAST_GAP
        if lacking and fits(file.period, window) and file.request not in went_back and _alike(file, origin):
            yield file
            shown = joined([*shown, *file.runs])


def _alike(file: FootageFile, origin: Origin) -> bool:
    """Whether `origin` gave it, by the clock that it has, and another try can give nothing better."""
    same = (file.device, file.recording, file.serial) == (origin.device, origin.recording, origin.serial)
    sound = not file.damaged and not file.sound_refused and file.time_source is TimeSource.DEVICE
    return same and sound and _agree(file.offset, origin.offset)


def _agree(one: timedelta | None, other: timedelta | None) -> bool:
    return one == other if one is None or other is None else abs(one - other) <= _CLOCKS_AGREE


def _taken(source: Path, target: Path, sha256: str) -> bool:
    """Have `source` under the name `target` as well, durably; whether that could be done and it has the digest that it should."""
    try:
        linked(source, target)
        with target.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return True
        target.unlink()
    except OSError:  # it was removed meanwhile, or the disk is full: whoever fetches it says so
        target.unlink(missing_ok=True)
    return False
