"""What is to be fetched for a request, camera by camera, and room for it on the disk."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from gateway.domain.footage import Dossier, ExportState, FootageRequest, RequestId
from gateway.footage.adopting import Adoption
from gateway.footage.camera_fetch import UNJUDGED, CameraFetch
from gateway.footage.space import NO_SPACE, DiskFull, Space
from gateway.footage.taking_over import TakeOver
from gateway.footage.turns import claim_of
from gateway.storage.store import Store


class Planner:
    """Reckons what is to come. `bytes_per_s`: what a second of footage takes of a camera of which nothing was fetched yet."""

    def __init__(self, *, store: Store, adoption: Adoption, take_over: TakeOver, space: Space, bytes_per_s: float) -> None:
        self._store = store
        self._adoption = adoption
        self._take_over = take_over
        self._space = space
        self._bytes_per_s = bytes_per_s
        self._log = structlog.get_logger()

    async def fetches(self, dossier: Dossier) -> list[CameraFetch]:
        """What is to be fetched, camera by camera; it needs no room for what holds and other requests have."""
        async with self._store.read() as tx:
            rates = await tx.holds.bytes_per_s(dossier.request.cameras)
        fetches = []
        for number, export in enumerate(dossier.exports, start=1):
            if export.state in UNJUDGED:
                window, files = dossier.request.window_of(export.camera), dossier.files_of(export.camera)
                held = await self._adoption.of(export.camera, export.recorder, window, (window,))
                others = await self._take_over.offered(export, export.first, window, files)
                fetch = CameraFetch(
                    export,
                    window,
                    files,
                    prefix=f"{number:02d}_{_safe(export.camera)}_",
                    claim=claim_of(dossier.request),
                    at_hand=[*(run for file in held for run in file.runs), *(run for file in others for run in file.runs)],
                    bytes_per_s=rates.get(export.camera, self._bytes_per_s),
                )
                fetches.append(fetch)
        return fetches

    async def needs_anew(self, dossier: Dossier) -> int:
        """How many bytes a request needs that is tried again, by what there is of it now."""
        anew = [export if export.state is ExportState.DONE else replace(export, state=ExportState.PENDING) for export in dossier.exports]
        return sum(fetch.expected() for fetch in await self.fetches(replace(dossier, exports=tuple(anew))))

    async def left(self, request: RequestId) -> int:
        """How many bytes could be set aside for `request` now, those that holds which stand back for it keep among them."""
        async with self._store.read() as tx:
            promised = await tx.holds.outstanding_bytes(but_for=request)
        return self._space.left(free=await self._space.free(), promised=promised)

    @asynccontextmanager
    async def room(self, request: FootageRequest, fetches: Sequence[CameraFetch]) -> AsyncIterator[str]:
        """Room set aside for what is to come. DiskFull (`no-space`) when it does not fit.

        An emergency gets as much as fits, with what is told of that: a part may be what saves somebody.
        """
        free = await self._space.free()
        try:
            async with self._store.read() as tx:
                short = self._space.reserve(fetches, free=free, promised=await tx.holds.outstanding_bytes())
            if short:
                self._log.warning("footage.no_space", request=request.id, reason=short)
            if short and not request.filing.emergency:
                raise DiskFull(f"{NO_SPACE}: {short} Free some space or release a hold, then try again.", code=NO_SPACE)
            yield f"{NO_SPACE}: {short} It is fetched as far as there is room: free some space or release a hold." if short else ""
        finally:
            self._space.give_back(fetches)

    async def keep_floor(self) -> None:
        """DiskFull (`no-space`) when less would stay free than has to, beside what was promised to holds."""
        async with self._store.read() as tx:
            promised = await tx.holds.outstanding_bytes()
        try:
            await asyncio.to_thread(self._space.keep_floor, promised=promised)
        except DiskFull as full:
            raise DiskFull(f"{NO_SPACE}: {full}", code=NO_SPACE, hint=full.hint) from None


def _safe(name: str) -> str:
    """An id as part of a file name: letters and digits of ASCII, the rest as underscores."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", name)[:64]
