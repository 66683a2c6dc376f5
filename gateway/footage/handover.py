"""Hand-over on a sealed medium: which medium and seal, to whom in whose presence, against which printed hash; the signed sheet follows."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.clock import Clock
from gateway.domain.deliveries import Delivery, DeliveryId, DeliveryState, Medium, Receipt, SignedSheet, Way, check_receipt
from gateway.domain.events import Person
from gateway.domain.footage import Act, Document, DocumentKind, RequestId, Step
from gateway.errors import Conflict, Fault, InvalidInput
from gateway.evidence.contents import MANIFEST
from gateway.footage.custody import write_down
from gateway.footage.refusals import RefusalDesk
from gateway.storage.store import Store, Tx


@dataclass(frozen=True, slots=True)
class Sealed:
    """A medium as it is handed over. `printed`: the manifest's SHA-256 as the receiver reads it on the sheet, "" when nobody compared."""

    medium: Medium
    number: str
    seal: str
    receipt: Receipt
    printed: str = ""
    note: str = ""


class HandOverDesk:
    """Hand-overs of packages, and the sheets that were signed for them."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        refusals: RefusalDesk,
        folder_of: Callable[[RequestId], Path],
        act: Callable[..., Awaitable[object]],
        keep_document: Callable[..., Awaitable[Document]],
        alone: Callable[[RequestId], asyncio.Lock],
        new_id: Callable[[], str] = lambda: f"D-{secrets.token_hex(6)}",
    ) -> None:
        """`act` does an `Act` with a request (`Ledger.act`); `keep_document` keeps a scan and says what it is.

        `alone`: while it is held nobody seals the request anew.
        """
        self._store = store
        self._clock = clock
        self._refusals = refusals
        self._folder_of = folder_of
        self._act = act
        self._keep_document = keep_document
        self._alone = alone
        self._new_id = new_id

    async def hand_over(self, request: RequestId, sealed: Sealed, *, by: Person) -> Delivery:
        """Record that a sealed medium was handed over: the request is HANDED_OVER with it, or neither.

        InvalidInput for a medium without number or seal, or one person alone; Conflict (`digest-mismatch`) when the printed hash is not
        the manifest's, `wrong-state` and the guards of a hand-over, on record.
        """
        check_receipt(sealed.receipt)
        if faults := [Fault(f"/{name}", "is missing", "missing") for name in ("number", "seal") if not getattr(sealed, name).strip()]:
            raise InvalidInput("a medium has a number and a seal", faults=faults, code="bad-request")
        async with self._store.read() as tx:
            await tx.footage.get(request)
        denials = self._refusals.denials(request, by=by, name=f"medium {sealed.number}")
        async with self._alone(request), denials:
            delivery = self._delivery(request, sealed, await self._manifest(request), by)
            if sealed.printed and sealed.printed.lower() != delivery.manifest_sha256:
                hint = "print the sheet anew, or burn the medium anew: the package was sealed again meanwhile"
                raise Conflict("the printed hash is not that of the package", code="digest-mismatch", hint=hint)
            await self._act(request, Act.HAND_OVER, by=by, detail=_told(delivery), also=lambda tx: tx.deliveries.add(delivery))
        return delivery

    async def attach_sheet(self, delivery: DeliveryId, data: bytes, *, name: str, by: Person) -> Delivery:
        """The scanned custody sheet with the signatures. NotFound; InvalidInput for what is no PDF, JPEG or PNG; Conflict for a second.

        It is kept among the request's documents and attached in one, or neither; however many documents the request has already.
        """
        request = (await self.get(delivery)).request

        async def attach(tx: Tx, scan: Document) -> None:
            known = await tx.deliveries.get(delivery)
            if known.sheet is not None:
                raise Conflict("the signed sheet is here already", code="wrong-state", hint="upload another document instead")
            await tx.deliveries.put(replace(known, sheet=SignedSheet(scan.sha256, scan.media, scan.size, by, self._clock.now())))
            detail = {"delivery": known.id, "sha256": scan.sha256, "manifest_sha256": known.manifest_sha256}
            await write_down(tx, request, Step.SHEET_SIGNED, by=by, at=self._clock.now(), detail=detail)

        await self._keep_document(request, data, kind=DocumentKind.SIGNED_SHEET, name=name, by=by, also=attach)
        return await self.get(delivery)

    async def get(self, delivery: DeliveryId) -> Delivery:
        """NotFound."""
        async with self._store.read() as tx:
            return await tx.deliveries.get(delivery)

    async def of(self, request: RequestId) -> list[Delivery]:
        """The hand-overs of a request, the oldest first. NotFound."""
        async with self._store.read() as tx:
            await tx.footage.get(request)
            return await tx.deliveries.of(request)

    async def _manifest(self, request: RequestId) -> str:
        path = self._folder_of(request) / MANIFEST
        try:
            return hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()
        except FileNotFoundError:
            raise Conflict("the request has no package", code="wrong-state") from None

    def _delivery(self, request: RequestId, sealed: Sealed, manifest: str, by: Person) -> Delivery:
        return Delivery(
            id=DeliveryId(self._new_id()),
            request=request,
            way=Way.MEDIUM,
            receipt=sealed.receipt,
            manifest_sha256=manifest,
            by=by,
            at=self._clock.now(),
            state=DeliveryState.DONE,
            medium=sealed.medium,
            number=sealed.number,
            seal=sealed.seal,
            note=sealed.note,
        )


def _told(delivery: Delivery) -> dict[str, object]:
    receipt = delivery.receipt
    return {
        "delivery": delivery.id,
        "way": delivery.way,
        "medium": delivery.medium,
        "number": delivery.number,
        "seal": delivery.seal,
        "receiver": receipt.receiver,
        "unit": receipt.unit,
        "badge": receipt.badge,
        "second_officer": receipt.second_officer,
        "manifest_sha256": delivery.manifest_sha256,
    }
