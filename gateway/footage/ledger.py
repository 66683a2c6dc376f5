"""Every step of a request goes through here: the new state, its line in the custody log, the event and the audit row, or none of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from gateway.clock import Clock
from gateway.domain.events import SYSTEM, AuditEntry, NewEvent
from gateway.domain.footage import Act, CustodyEntry, Dossier, Export, FootageFile, FootageRequest, Person, RequestId, Step, advanced
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

GATEWAY: Final = Person(SYSTEM, "gateway")
EVENT: Final = "footage.request"
_STEPS: Final[Mapping[Act, Step]] = {
    Act.APPROVE: Step.APPROVED,
    Act.REJECT: Step.REJECTED,
    Act.CANCEL: Step.CANCELLED,
    Act.RETRY: Step.RETRIED,
    Act.HAND_OVER: Step.HANDED_OVER,
    Act.EXPORT: Step.LOCATED,
    Act.COMPLETE: Step.CONCLUDED,
    Act.COMPLETE_IN_PART: Step.CONCLUDED,
    Act.FIND_NOTHING: Step.CONCLUDED,
    Act.FAIL: Step.CONCLUDED,
    Act.EXPIRE: Step.EXPIRED,
}
"""What an act is called in the custody log; `locate` alone leaves no line there, its outcome does."""
T = TypeVar("T")


class Ledger:
    """The requests in the store, and the one way to change them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def file(self, request: FootageRequest) -> FootageRequest:
        """Store a new request."""

        async def change(tx: Tx) -> FootageRequest:
            await tx.footage.add(request)
            await self._note(tx, request, Step.SUBMITTED, request.submitted_by, {"cameras": list(request.cameras)})
            self._announce(tx, request, "submit", request.submitted_by)
            return request

        return await self._write(change)

    async def act(
        self, request: RequestId, act: Act, *, by: Person = GATEWAY, reason: str = "", detail: Mapping[str, Any] | None = None
    ) -> FootageRequest:
        """Do `act`. NotFound; Conflict and Forbidden as `advanced` raises them; the request as it then is."""

        async def change(tx: Tx) -> FootageRequest:
            before = await tx.footage.get(request)
            after = advanced(before, act, by=by, at=self._clock.now(), reason=reason)
            await tx.footage.replace(before, after)
            if act in _STEPS:
                await self._note(tx, after, _STEPS[act], by, {"state": after.state, "reason": reason, **(detail or {})})
            if act in (Act.EXPIRE, Act.CANCEL):
                await tx.footage.mark_removed(request)
            self._announce(tx, after, act, by)
            return after

        return await self._write(change)

    async def put_exports(self, *exports: Export) -> None:
        """Store how far the footage of some cameras is."""

        async def change(tx: Tx) -> None:
            for export in exports:
                await tx.footage.put_export(export)

        await self._write(change)

    async def add_file(self, file: FootageFile) -> None:
        """Store a file that is safe on the disk."""

        async def change(tx: Tx) -> None:
            await tx.footage.add_file(file)
            request = await tx.footage.get(file.request)
            detail = {"name": file.name, "sha256": file.sha256, "size": file.size, "camera": file.camera}
            await self._note(tx, request, Step.EXPORTED, GATEWAY, detail)

        await self._write(change)

    async def download(self, request: FootageRequest, name: str, file: FootageFile | None, *, by: Person, most: int) -> None:
        """Log that `name` goes out to `by`, and count it when it is footage. Conflict when `file` went out `most` times already."""

        async def change(tx: Tx) -> None:
            detail: dict[str, Any] = {"name": name}
            if file is not None:
                detail |= {"sha256": file.sha256, "download": await tx.footage.count_download(file, most=most)}
            await self._note(tx, request, Step.DOWNLOADED, by, detail)
            tx.record(AuditEntry(by.actor, "footage.download", request.id, self._clock.now(), detail | {"person": by.name}))

        await self._write(change)

    async def dossier(self, request: RequestId) -> Dossier:
        async with self._store.read() as tx:
            return await tx.footage.dossier(request)

    async def _write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _note(self, tx: Tx, request: FootageRequest, step: Step, by: Person, detail: Mapping[str, Any]) -> None:
        await tx.footage.log(CustodyEntry(request.id, step, by, self._clock.now(), detail))

    def _announce(self, tx: Tx, request: FootageRequest, act: str, by: Person) -> None:
        """Tell the readers of events that something happened, not about whom; the audit row has it all."""
        at = self._clock.now()
        tx.emit(NewEvent(EVENT, request.id, at, {"state": request.state, "act": act}))
        told = {"state": request.state, "person": by.name, "case_number": request.filing.case_number, "reason": request.reason}
        tx.record(AuditEntry(by.actor, f"footage.{act}", request.id, at, told))
