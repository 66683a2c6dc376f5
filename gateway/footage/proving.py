"""The proof of a request: manifest, digests, signatures and certificate beside its files, those that were brought among them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.footage import Described, Document, Dossier, Export, RequestId, manifest
from gateway.domain.imports import HOLDING, UNFINISHED, Import, imported_section
from gateway.errors import StorageFailed
from gateway.footage.filework import to_the_end
from gateway.footage.keys import open_signer
from gateway.footage.ledger import Ledger
from gateway.footage.register import Register
from gateway.footage.sealing import Seal, is_sealed, seal
from gateway.footage.space import DiskFull
from gateway.storage.store import Store

PROOFS: Final = "proofs"
"""The folder beside those of the requests in which every manifest stays, with its signature, under its digest."""


class Prover:
    """Knows where the files of each request lie, and makes their proof. `keys`: where the evidence key lives; made at the first package."""

    def __init__(self, *, store: Store, ledger: Ledger, city: City, clock: Clock, register: Register, folder: Path, keys: Path) -> None:
        self._store = store
        self._ledger = ledger
        self._city = city
        self._clock = clock
        self._register = register
        self._folder = folder
        self._keys = keys

    def folder_of(self, request: RequestId) -> Path:
        return self._folder / request

    def proofs_of(self, request: RequestId) -> Path:
        """Where each manifest that was ever signed for `request` stays, under its digest."""
        return self._folder / PROOFS / request

    def folders(self) -> list[str]:
        """The requests of which something is on the disk."""
        return [path.name for path in self._folder.iterdir() if path.is_dir()] if self._folder.is_dir() else []

    async def reseal(self, dossier: Dossier) -> dict[str, str]:
        """Write the proof of a finished request anew, with what its register says and what was brought by now; the digests of both.

        To be called `alone` with the request. Whoever is cancelled meanwhile leaves when the files are written.
        """
        brought = await self.brought(dossier.request.id)
        async with self._store.read() as tx:
            documents = await tx.documents.of(dossier.request.id)
        sealed = await to_the_end(self._seal, dossier, brought, documents)
        return {"manifest_sha256": sealed.manifest, "certificate_sha256": sealed.certificate}

    async def seal(self, request: RequestId) -> dict[str, str]:
        """Make the package of the files that are there, those that were brought among them; what the custody log says of it."""
        return await self.reseal(await self._ledger.dossier(request))

    async def is_sealed(self, request: RequestId, manifest: str) -> bool:
        """Whether the whole proof with this manifest (SHA-256, hex) lies beside the files. StorageFailed when the disk does not say."""
        try:
            return await asyncio.to_thread(is_sealed, self.folder_of(request), manifest)
        except OSError as error:
            raise StorageFailed(f"the proof could not be read: {error.strerror}") from error

    async def brought(self, request: RequestId) -> list[Import]:
        """The files of the package that the gateway did not fetch."""
        async with self._store.read() as tx:
            return [one for one in await tx.imports.of(request) if one.state in HOLDING]

    async def brought_names(self, request: RequestId) -> set[str]:
        """What brought files are called that may lie in the request's folder: one that a crash cut off from its row among them."""
        async with self._store.read() as tx:
            return {one.name for one in await tx.imports.of(request) if one.state in HOLDING | UNFINISHED}

    def _seal(self, dossier: Dossier, brought: Sequence[Import], documents: Sequence[Document]) -> Seal:
        """Write manifest, digests, signatures and the certificate beside the files, durably."""
        now = self._clock.now()
        wordings = {**self._register.case_kinds, **self._register.legal_bases}
        described = {export.camera: self._described(export) for export in dossier.exports}
        content = manifest(dossier, described=described, wordings=wordings, version=__version__, made_at=now, documents=documents)
        if brought:
            content["imported"] = imported_section(brought)
        footage = {file.name: file.sha256 for file in dossier.files} | {one.name: one.sha256 for one in brought}
        signer = open_signer(self._keys, now=now)
        try:
            return seal(self.folder_of(dossier.request.id), content, footage, signer, kept=self.proofs_of(dossier.request.id))
        except OSError as error:
            raise DiskFull(f"the proof could not be written: {error.strerror}", hint="free some space, then retry") from error

    def _described(self, export: Export) -> Described:
        """What the inventory says of a camera and of the device that gave its footage; both may be gone by now."""
        camera, recorder = self._city.devices.get(export.camera), self._city.devices.get(export.recorder)
        if recorder is None:
            return Described(name=camera.name if camera else "")
        channel = next((one.number for one in recorder.channels if one.camera == export.camera), None)
        return Described(camera.name if camera else "", channel, recorder.name, recorder.vendor, recorder.model)
