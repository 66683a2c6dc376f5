"""The desk of holds: who wants which footage kept, why and until when; released and extended on record."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from gateway.clock import Clock
from gateway.domain.coverage import Coverage
from gateway.domain.devices import DeviceId
from gateway.domain.events import AuditEntry, NewEvent, Person
from gateway.domain.footage import Period, Reach, RequestId
from gateway.domain.holds import HeldFile, Hold, HoldAct, HoldId, HoldState, Keep, KeepState, acted, expected_bytes, is_safe, keeps
from gateway.errors import Fault, Forbidden, InvalidInput
from gateway.footage.coverage import CoverageDesk
from gateway.footage.space import Space
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

EVENT: Final = "footage.hold"
WINDOW_MAX: Final = timedelta(hours=24)
"""What one hold covers at the most."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HoldRules:
    """What the operator sets. `unapproved`: whether footage may be secured for a request that nobody has approved yet, or for none.

    `bytes_per_s`: what a second of footage takes of a camera of which nothing was fetched yet.
    """

    unapproved: bool = True
    longest: timedelta = timedelta(days=180)
    bytes_per_s: float = 4_000_000 / 8


@dataclass(frozen=True, slots=True)
class HoldOrder:
    """A hold as it is asked for."""

    cameras: tuple[DeviceId, ...]
    window: Period
    reason: str
    expires_at: datetime
    request: RequestId | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class HoldFolder:
    """A hold with what is kept of it and the files of it."""

    hold: Hold
    keeps: tuple[Keep, ...] = ()
    files: tuple[HeldFile, ...] = ()


class HoldDesk:
    """Everything that a person does with holds. What is returned is on the disk; securing is `footage/securing.py`'s."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        coverage: CoverageDesk,
        space: Space,
        new_id: Callable[[], str],
        stir: Callable[[], None],
        rules: HoldRules = HoldRules(),
    ) -> None:
        """`stir`: tells who secures that there is something new to do."""
        self._store = store
        self._clock = clock
        self._coverage = coverage
        self._space = space
        self._new_id = new_id
        self._stir = stir
        self._rules = rules

    async def place(self, order: HoldOrder, *, by: Person) -> HoldFolder:
        """Hold footage from now on.

        InvalidInput with everything that is wrong with it, NotFound for an unknown request, Forbidden (`hold-needs-approval`) where nothing
        may be secured before an approval, Conflict (`no-space`) with the figures when the disk does not take what has to be secured.
        """
        return await self._put(*await self._drawn_up(order, by), by=by)

    async def place_if_needed(self, order: HoldOrder, *, by: Person) -> HoldFolder | None:
        """As `place`; None, and nothing is written, where each device keeps its part beyond the end of the hold by itself, or has none."""
        hold, kept = await self._drawn_up(order, by)
        return await self._put(hold, kept, by=by) if any(keep.reserved for keep in kept) else None

    async def _drawn_up(self, order: HoldOrder, by: Person) -> tuple[Hold, list[Keep]]:
        """The hold that `order` means, and what is to be kept of it."""
        self._check(order)
        await self._check_approved(order)
        coverages = await self._asked(order)
        hold = Hold(
            id=HoldId(self._new_id()),
            owner=by,
            reason=order.reason.strip(),
            cameras=tuple(one.camera for one in coverages),
            window=order.window,
            created_at=self._clock.now(),
            expires_at=order.expires_at,
            request=order.request,
            everything=order.everything,
        )
        async with self._store.read() as tx:
            rates = await tx.holds.bytes_per_s(hold.cameras)
        return hold, [keep for one in coverages for keep in self._kept(hold, one, rates)]

    async def _put(self, hold: Hold, kept: Sequence[Keep], *, by: Person) -> HoldFolder:
        wanted, free = sum(keep.reserved for keep in kept), await self._space.free()

        async def change(tx: Tx) -> HoldFolder:
            self._space.check(wanted, free=free, promised=await tx.holds.outstanding_bytes())
            await tx.holds.add(hold, kept)
            self._announce(tx, hold, "place", by, {"reason": hold.reason, "reserved": wanted, "until": hold.expires_at.isoformat()})
            return HoldFolder(hold, tuple(kept))

        done = await self._write(change)
        self._stir()
        return done

    async def extend(self, hold: HoldId, *, until: datetime, by: Person) -> Hold:
        """Let it end later. NotFound, Conflict (`wrong-state`)."""
        now = self._clock.now()
        if until > now + self._rules.longest:
            raise InvalidInput("A hold is not kept for so long.", faults=[self._too_long()], code="bad-request")
        done = await self._act(hold, HoldAct.EXTEND, by=by, until=until)
        self._stir()
        return done

    async def release(self, hold: HoldId, *, by: Person, note: str) -> Hold:
        """End it, saying why: what it secured may be removed then. NotFound, Conflict (`wrong-state`)."""
        if not note.strip():
            raise InvalidInput("A release needs its reason.", faults=[Fault("/note", "is missing", "missing")], code="bad-request")
        done = await self._act(hold, HoldAct.RELEASE, by=by, note=note.strip())
        self._stir()
        return done

    async def expire(self, hold: HoldId, *, by: Person) -> Hold:
        """End one that has run out."""
        return await self._act(hold, HoldAct.EXPIRE, by=by, note="ran out")

    async def get(self, hold: HoldId) -> HoldFolder:
        """NotFound."""
        async with self._store.read() as tx:
            return HoldFolder(await tx.holds.get(hold), await tx.holds.keeps(hold), await tx.holds.files(hold))

    async def find(
        self,
        *,
        state: HoldState | None,
        request: RequestId | None,
        reach: Reach | None,
        before: tuple[datetime, HoldId] | None,
        limit: int,
    ) -> list[Hold]:
        """Holds, the newest first; `before` is (created_at, id) of the last one of the page before, `reach` whose eyes look."""
        async with self._store.read() as tx:
            return await tx.holds.find(state=state, request=request, reach=reach, before=before, limit=limit)

    async def _asked(self, order: HoldOrder) -> list[Coverage]:
        """What there is of it; the faults of the question are those of the order."""
        try:
            return await self._coverage.of(order.cameras, order.window)
        except InvalidInput as wrong:
            faults = [replace(fault, where=fault.where.replace("?camera", "/cameras").replace("?", "/")) for fault in wrong.faults]
            raise InvalidInput("The hold is not right.", faults=faults, code="bad-request") from wrong

    # -- judging ------------------------------------------------------------------------------------------------------

    def _kept(self, hold: Hold, coverage: Coverage, rates: "dict[DeviceId, float]") -> Sequence[Keep]:
        rate = rates.get(coverage.camera, self._rules.bytes_per_s)
        return [replace(keep, reserved=_reserved(keep, hold, rate)) for keep in keeps(hold, coverage)]

    def _check(self, order: HoldOrder) -> None:
        now, faults = self._clock.now(), []
        if not order.reason.strip():
            faults.append(Fault("/reason", "is missing", "missing"))
        if order.window.length > WINDOW_MAX:
            faults.append(
                Fault(
                    "/end",
                    f"is more than {WINDOW_MAX} after the start; hold it in parts",
                    "window-too-long",
                    {"most": str(WINDOW_MAX)},
                )
            )
        if order.expires_at <= now:
            faults.append(Fault("/expires_at", "has gone by", "in-the-past"))
        if order.expires_at > now + self._rules.longest:
            faults.append(self._too_long())
        if faults:
            raise InvalidInput("The hold is not right.", faults=faults, code="bad-request")

    def _too_long(self) -> Fault:
        days = self._rules.longest.days
        return Fault(
            "/expires_at", f"is more than {days} days from now; extend the hold when it is still needed then", "too-far", {"days": days}
        )

    async def _check_approved(self, order: HoldOrder) -> None:
        approved = False
        if order.request is not None:
            async with self._store.read() as tx:
                approved = (await tx.footage.get(order.request)).approved
        if not approved and not self._rules.unapproved:
            hint = "Name a request that is approved, or let footage.hold_unapproved be switched on."
            raise Forbidden("Nothing is secured here before a request is approved.", code="hold-needs-approval", hint=hint)

    # -- writing ------------------------------------------------------------------------------------------------------

    async def _act(self, name: HoldId, act: HoldAct, *, by: Person, until: datetime | None = None, note: str = "") -> Hold:
        async def change(tx: Tx) -> Hold:
            before = await tx.holds.get(name)
            after = acted(before, act, by=by, at=self._clock.now(), until=until, note=note)
            await tx.holds.replace(before, after)
            if act is HoldAct.EXTEND:
                await tx.holds.look_again(name)
            told = {"until": after.expires_at.isoformat(), "note": note}
            self._announce(tx, after, act, by, told)
            return after

        return await self._write(change)

    async def _write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    def _announce(self, tx: Tx, hold: Hold, act: str, by: Person, detail: dict[str, Any]) -> None:
        """Tell the readers of events that something happened; the audit row has who, why and what."""
        at = self._clock.now()
        tx.emit(NewEvent(EVENT, hold.id, at, {"state": hold.state, "act": act, "request": hold.request}))
        window = [hold.window.start.isoformat(), hold.window.end.isoformat()]
        told = {"person": by.name, "cameras": list(hold.cameras), "window": window, "request": hold.request, **detail}
        tx.record(AuditEntry(by.actor, f"hold.{act}", hold.id, at, told))


def check_may_end(hold: Hold, *, by: Person, may_decide: bool) -> None:
    """Raise Forbidden (`not-yours`) unless `by` owns the hold or `may_decide` on other people's footage."""
    if by.actor != hold.owner.actor and not may_decide:
        hint = f"{hold.owner.name} owns it; whoever may approve requests may end it, too."
        raise Forbidden("A hold is ended by its owner or by an approver.", code="not-yours", hint=hint)


def _reserved(keep: Keep, hold: Hold, bytes_per_s: float) -> int:
    """What has to be set aside: nothing for what is safe on its device; for a device that does not answer, room for the whole window."""
    if is_safe(keep, hold, keep.needed) or keep.state is KeepState.NOTHING:
        return 0
    return expected_bytes(keep.needed or (hold.window,), bytes_per_s)
