"""Takes orders to send sealed packages to the configured destinations; the same package goes to the same destination once."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.clock import Clock
from gateway.domain.deliveries import Delivery, DeliveryId, DeliveryState, Receipt
from gateway.domain.events import Person
from gateway.domain.footage import Act, FootageRequest, RequestId, Step, advanced
from gateway.errors import Conflict, NotFound
from gateway.evidence import archive
from gateway.footage.carrying import Carrier, manifest_of, note, sizes_of
from gateway.footage.destinations import Destination, NotSent, key_of
from gateway.footage.refusals import RefusalDesk
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane


@dataclass(frozen=True, slots=True)
class Consignment:
    """A package as it is asked to be sent: to which destination, and who takes it there; what is empty is as the request has it."""

    destination: str
    receiver: str = ""
    unit: str = ""
    badge: str = ""
    second_officer: str = ""
    note: str = ""


class SendingDesk:
    """Orders of people, put on record and left to the carrier."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        refusals: RefusalDesk,
        carrier: Carrier,
        folder_of: Callable[[RequestId], Path],
        is_sealed: Callable[[RequestId, str], Awaitable[bool]],
        alone: Callable[[RequestId], asyncio.Lock],
        new_id: Callable[[], str] = lambda: f"D-{secrets.token_hex(6)}",
    ) -> None:
        """`is_sealed`: whether a request's whole proof has this manifest. `alone`: while it is held nobody seals the request anew."""
        self._store = store
        self._clock = clock
        self._refusals = refusals
        self._carrier = carrier
        self._folder_of = folder_of
        self._is_sealed = is_sealed
        self._alone = alone
        self._new_id = new_id

    def destinations(self) -> Sequence[Destination]:
        """Where packages may be sent, as the configuration has it."""
        return tuple(self._carrier.destinations.values())

    async def send(self, request: RequestId, wanted: Consignment, *, by: Person) -> Delivery:
        """Order that the package goes out; the one that is on its way or there already, when there is one, tried at once if it waits.

        NotFound (`no-destination`), Conflict (`not-sealed`) and what the guards of a hand-over raise, all on record.
        """
        async with self._store.read() as tx:
            await tx.footage.get(request)
        denials = self._refusals.denials(request, by=by, name=f"send to {wanted.destination}")
        async with self._alone(request), denials:
            destination = self._destination(wanted.destination)
            manifest = await asyncio.to_thread(manifest_of, self._folder_of(request))
            async with self._store.read() as tx:
                known = await tx.footage.get(request)
                before = await tx.deliveries.same(request, destination.name, manifest)
            if before is not None:
                self._carrier.hurry(before)
                return before
            advanced(known, Act.HAND_OVER, by=by, at=self._clock.now())
            size = await self._size(request, manifest)
            delivery = self._delivery(known, wanted, destination, manifest=manifest, size=size, by=by)
            await self._store.writer.write(lambda tx: _order(tx, delivery, destination), lane=Lane.FOOTAGE)
        self._carrier.stir(destination.name)
        return delivery

    def sent(self, delivery: Delivery) -> int:
        """How many bytes of it are on their way or there by now."""
        return self._carrier.sent(delivery)

    def next_attempt(self, delivery: Delivery) -> datetime | None:
        """When it is tried again; None when it waits for no time."""
        return self._carrier.next_attempt(delivery)

    def _destination(self, name: str) -> Destination:
        try:
            return self._carrier.destinations[name]
        except KeyError:
            known = ", ".join(self._carrier.destinations) or "none; footage.destinations in the configuration names them"
            raise NotFound(f"there is no destination {name[:64]!r}", code="no-destination", hint=f"known are {known}") from None

    async def _size(self, request: RequestId, manifest: str) -> int:
        """Bytes of the package's ZIP. Conflict (`not-sealed`) unless it is whole."""
        unsealed = Conflict("the request has no whole, sealed package", code="not-sealed", hint="see whether the disk lost files of it")
        if not manifest or not await self._is_sealed(request, manifest):
            raise unsealed
        try:
            return archive.length(await asyncio.to_thread(sizes_of, self._folder_of(request)))
        except NotSent:
            raise unsealed from None

    def _delivery(
        self, request: FootageRequest, wanted: Consignment, destination: Destination, *, manifest: str, size: int, by: Person
    ) -> Delivery:
        filing = request.filing
        named = {name: getattr(wanted, name).strip() or getattr(filing, name) for name in ("unit", "badge", "second_officer")}
        return Delivery(
            id=DeliveryId(self._new_id()),
            request=request.id,
            way=destination.way,
            receipt=Receipt(wanted.receiver.strip() or filing.requester, **named),
            manifest_sha256=manifest,
            by=by,
            at=self._clock.now(),
            state=DeliveryState.PENDING,
            target=destination.where(key_of(request.id, manifest)),
            note=wanted.note,
            destination=destination.name,
            size=size,
        )


async def _order(tx: Tx, delivery: Delivery, destination: Destination) -> None:
    await tx.deliveries.add(delivery)
    plain = {"plain_because": destination.plain_because} if destination.plain_because else {}
    await note(tx, delivery, Step.SEND_ASKED, by=delivery.by, at=delivery.at, **plain)
