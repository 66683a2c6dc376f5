"""Every step of a request goes through here: the new state, its line in the custody log, the event and the audit row, or none of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from gateway.clock import Clock
from gateway.domain.events import SYSTEM, AuditEntry, NewEvent, Person
from gateway.domain.footage import (
    DELIVERABLE,
    Act,
    CustodyEntry,
    Dossier,
    Export,
    FootageFile,
    FootageRequest,
    RequestId,
    Step,
    TimeSource,
    advanced,
)
from gateway.domain.imports import Footage, Import
from gateway.errors import Conflict
from gateway.footage.custody import EVENT as CUSTODY_EVENT
from gateway.footage.disposal import HOLD_ENDED, RULES, write_disposal
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

GATEWAY: Final = Person(SYSTEM, "gateway")
EVENT: Final = "footage.request"
URGENT_EVENT: Final = "footage.urgent"
"""Footage is being fetched that nobody has approved yet."""
TAKEN_OVER: Final = "footage.taken-over"
"""The action of the audit row that says which request's file serves another one."""
_STEPS: Final[Mapping[Act, Step]] = {
    Act.APPROVE: Step.APPROVED,
    Act.REJECT: Step.REJECTED,
    Act.GO_AHEAD: Step.WENT_AHEAD,
    Act.CONFIRM: Step.CONFIRMED,
    Act.REVOKE: Step.REVOKED,
    Act.CANCEL: Step.CANCELLED,
    Act.RETRY: Step.RETRIED,
    Act.GIVE_UP: Step.GIVEN_UP,
    Act.SUPPLEMENT: Step.SUPPLEMENTED,
    Act.HAND_OVER: Step.HANDED_OVER,
    Act.CLOSE_NOTHING_SEEN: Step.CLOSED,
    Act.CLOSE_NO_COPY: Step.CLOSED,
    Act.HOLD: Step.LOCATED,
    Act.COMPLETE: Step.CONCLUDED,
    Act.COMPLETE_IN_PART: Step.CONCLUDED,
    Act.FIND_NOTHING: Step.CONCLUDED,
    Act.FAIL: Step.CONCLUDED,
    Act.EXPIRE: Step.EXPIRED,
}
"""What an act is called in the custody log; `locate` and `export` leave no line there, their outcomes do."""
_TOLD_OF_FILES: Final = ("name", "sha256", "size", "camera", "source", "device", "serial", "recording")
T = TypeVar("T")


class Ledger:
    """The requests in the store, and the one way to change them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._gone: set[RequestId] = set()

    def gone(self, request: RequestId) -> bool:
        """Whether its files, which could be had in this life, can be had no more: what is on its way out stops."""
        return request in self._gone

    async def file(self, request: FootageRequest) -> FootageRequest:
        """Store a new request; in an emergency it goes ahead at once, with an alarm."""

        async def change(tx: Tx) -> FootageRequest:
            await tx.footage.add(request)
            await self._note(tx, request, Step.SUBMITTED, request.submitted_by, {"cameras": list(request.cameras)})
            self._announce(tx, request, "submit", request.submitted_by)
            return await self._go_ahead(tx, request) if request.filing.emergency else request

        return await self._write(change)

    async def _go_ahead(self, tx: Tx, request: FootageRequest) -> FootageRequest:
        by, at, why = request.submitted_by, self._clock.now(), str(request.filing.emergency)
        after = advanced(request, Act.GO_AHEAD, by=by, at=at, reason=why)
        await tx.footage.replace(request, after)
        await self._note(tx, after, Step.WENT_AHEAD, by, {"emergency": why, "papers_due_at": str(request.papers_due_at)})
        self._announce(tx, after, Act.GO_AHEAD, by)
        self._alarm(tx, after, URGENT_EVENT)
        return after

    async def act(
        self,
        request: RequestId,
        act: Act,
        *,
        by: Person = GATEWAY,
        reason: str = "",
        detail: Mapping[str, Any] | None = None,
        also: Callable[[Tx], Awaitable[None]] | None = None,
    ) -> FootageRequest:
        """Do `act`. NotFound; Conflict and Forbidden as `advanced` raises them; the request as it then is. `also`: with it or not."""

        async def change(tx: Tx) -> tuple[FootageRequest, FootageRequest]:
            before = await tx.footage.get(request)
            after = advanced(before, act, by=by, at=self._clock.now(), reason=reason)
            await tx.footage.replace(before, after)
            told = {"state": after.state, "reason": reason, **(detail or {})}
            if act in (Act.EXPIRE, Act.CANCEL, Act.REVOKE):
                held = await held_in(tx, request)
                if held and act is Act.EXPIRE:
                    raise Conflict("a hold covers what was fetched for the request", code="held", hint="it stays until the hold ends")
                await write_disposal(tx, request, RULES[act], by=by, at=self._clock.now(), held=held)
                await _mark_removed(tx, request, but=held)
                told |= {"held": sorted(held)} if held else {}
            if act in _STEPS:
                await self._note(tx, after, _STEPS[act], by, told)
            if also is not None:
                await also(tx)
            self._announce(tx, after, act, by)
            return before, after

        before, after = await self._write(change)
        if after.state in DELIVERABLE:
            self._gone.discard(request)
        elif before.state in DELIVERABLE:
            self._gone.add(request)
        return after

    async def let_go(self, request: RequestId) -> None:
        """What was fetched for an ended request and stayed because a hold covered it may be removed now. Conflict when one does again."""

        async def change(tx: Tx) -> None:
            await write_disposal(tx, request, HOLD_ENDED, by=GATEWAY, at=self._clock.now())
            await _mark_removed(tx, request)

        await self._write(change)

    async def held(self, request: RequestId) -> frozenset[str]:
        """The names of a request's files that stay because a hold covers them."""
        async with self._store.read() as tx:
            return await held_in(tx, request)

    async def put_exports(self, *exports: Export) -> None:
        """Store how far the footage of some cameras is."""

        async def change(tx: Tx) -> None:
            for export in exports:
                await tx.footage.put_export(export)

        await self._write(change)

    async def put_located(self, export: Export, *, detail: Mapping[str, Any]) -> None:
        """Store what there is of one camera, known only when others were being fetched already; `detail`: for its custody."""

        async def change(tx: Tx) -> None:
            await tx.footage.put_export(export)
            await self._note(tx, await tx.footage.get(export.request), Step.LOCATED, GATEWAY, detail)

        await self._write(change)

    async def add_file(self, file: FootageFile, *, detail: Mapping[str, Any] | None = None) -> None:
        """Store a file that is safe on the disk; `detail`: what its custody says beside what it is and where it comes from."""

        async def change(tx: Tx) -> None:
            await self._add_file(tx, file, detail or {})

        await self._write(change)

    async def take_over(self, file: FootageFile, source: FootageFile) -> None:
        """Store `file`, which is `source` of another request, safe on the disk once more. That request is named in an audit row without a
        subject alone: who sees the one need not see the other, in whichever record."""

        async def change(tx: Tx) -> None:
            told = {"taken_over": True, "fetched_at": source.created_at.isoformat()}
            await self._add_file(tx, file, told)
            row = {"name": file.name, "sha256": file.sha256, "from": source.request, "from_name": source.name, "person": GATEWAY.name}
            tx.record(AuditEntry(GATEWAY.actor, TAKEN_OVER, "", self._clock.now(), {"request": file.request, **row}))

        await self._write(change)

    async def _add_file(self, tx: Tx, file: FootageFile, detail: Mapping[str, Any]) -> None:
        await tx.footage.add_file(file)
        request = await tx.footage.get(file.request)
        offset_s = None if file.offset is None else file.offset.total_seconds()
        told = {name: getattr(file, name) for name in _TOLD_OF_FILES} | {"clock_offset_s": offset_s}
        told |= {name: found for name in ("sound_left_out", "sound_refused", "set_backs") if (found := getattr(file, name))}
        told |= {"time_source": file.time_source} if file.time_source is TimeSource.RECKONED else {}
        await self._note(tx, request, Step.EXPORTED, GATEWAY, {**told, **detail})

    async def download(self, request: FootageRequest, name: str, film: Footage | None, *, by: Person, most: int) -> None:
        """Log that `name` goes out to `by`, and count it when it is footage. Conflict when `film` went out `most` times already."""

        async def change(tx: Tx) -> None:
            await self._note_download(tx, request, by, {"name": name} | ({} if film is None else await _went_out(tx, film, most)))

        await self._write(change)

    async def download_all(self, request: FootageRequest, name: str, films: Sequence[Footage], *, by: Person, most: int) -> None:
        """Log that all of it goes out to `by` as `name`, and count it for each of `films`. Conflict when one went out `most` times."""

        async def change(tx: Tx) -> None:
            counted = [{"name": film.name} | await _went_out(tx, film, most) for film in films]
            await self._note_download(tx, request, by, {"name": name, "files": counted})

        await self._write(change)

    async def dossier(self, request: RequestId) -> Dossier:
        async with self._store.read() as tx:
            return await tx.footage.dossier(request)

    async def _write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _note(self, tx: Tx, request: FootageRequest, step: Step, by: Person, detail: Mapping[str, Any]) -> None:
        await tx.footage.log(CustodyEntry(request.id, step, by, self._clock.now(), detail))

    async def _note_download(self, tx: Tx, request: FootageRequest, by: Person, detail: dict[str, Any]) -> None:
        await self._note(tx, request, Step.DOWNLOADED, by, detail)
        tx.emit(NewEvent(CUSTODY_EVENT, request.id, self._clock.now(), {"step": Step.DOWNLOADED}))
        tx.record(AuditEntry(by.actor, "footage.download", request.id, self._clock.now(), detail | {"person": by.name}))

    def _alarm(self, tx: Tx, request: FootageRequest, event: str) -> None:
        """Tell whoever is to be alarmed: which emergency, of which unit, until when its papers may follow."""
        due = request.papers_due_at.isoformat() if request.papers_due_at else None
        told = {"state": request.state, "emergency": request.filing.emergency, "unit": request.filing.unit, "papers_due_at": due}
        tx.emit(NewEvent(event, request.id, self._clock.now(), told))

    def _announce(self, tx: Tx, request: FootageRequest, act: str, by: Person) -> None:
        """Tell the readers of events that something happened, not about whom; the audit row has it all."""
        at = self._clock.now()
        tx.emit(NewEvent(EVENT, request.id, at, {"state": request.state, "act": act}))
        told = {"state": request.state, "person": by.name, "case_number": request.filing.case_number, "reason": request.reason}
        tx.record(AuditEntry(by.actor, f"footage.{act}", request.id, at, told))


async def _went_out(tx: Tx, film: Footage, most: int) -> dict[str, Any]:
    """Count that `film` goes out once more: what the custody log says of it. Conflict when it went out `most` times already."""
    if isinstance(film, Import):
        return {"sha256": film.sha256, "download": await tx.imports.count_download(film, most=most)}
    return {"sha256": film.sha256, "download": await tx.footage.count_download(film, most=most)}


async def held_in(tx: Tx, request: RequestId) -> frozenset[str]:
    """The names of a request's files, fetched or brought, that active holds cover: they may not be removed."""
    return await tx.holds.held_in(request) | await tx.imports.held_in(request)


async def _mark_removed(tx: Tx, request: RequestId, *, but: frozenset[str] = frozenset()) -> None:
    await tx.footage.mark_removed(request, but=but)
    await tx.imports.mark_removed(request, but=but)
