"""Maintenance windows at work: made, started and ended early, and told when they begin and end; who is muted now."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId
from gateway.domain.events import SYSTEM, Actor, AuditEntry, NewEvent, Person
from gateway.domain.maintenance import LONGEST, Places, Span, Window, WindowId, check, covers, is_past, next_span, span_at
from gateway.errors import Conflict, Overloaded
from gateway.incidents.telling import told_window
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

CHANGED_EVENT = "maintenance.changed"
STARTED_EVENT = "maintenance.started"
ENDED_EVENT = "maintenance.ended"
MOST = 2_000
"""Windows that are in force or ahead; beyond it none is taken."""
_LOOK_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """A window as somebody wants it. Without `start` it begins now."""

    places: Places
    reason: str = ""
    start: datetime | None = None
    end: datetime | None = None
    rule: str = ""
    duration: timedelta = timedelta()
    timezone: str = "UTC"


@dataclass(slots=True)
class _Plan:
    """Where a window stands: the span that it is in, if any, when to look again, and whether none is ahead any more."""

    span: Span | None
    again_at: datetime
    past: bool


class MaintenanceDesk:
    """All windows that are in force or ahead, in memory; `tick` moves them on. `load` before anything else."""

    def __init__(self, *, store: Store, city: City, clock: Clock, new_id: Callable[[], WindowId]) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._new_id = new_id
        self._windows: dict[WindowId, Window] = {}
        self._plans: dict[WindowId, _Plan] = {}
        self._muted: Mapping[DeviceId, WindowId] = {}
        self._muted_for: tuple[object, tuple[Window, ...]] = (None, ())
        self._turn_of = asyncio.Lock()  # who changes windows, one after the other: what is written was read under it

    async def load(self) -> None:
        """Take up what the store has. Raises StorageFailed."""
        async with self._store.read() as tx:
            windows = await tx.maintenance.ahead(self._clock.now())
        self._windows = {window.id: window for window in windows}
        self._plans.clear()

    @property
    def in_force(self) -> Sequence[Window]:
        """Those that are in force now, the longest known first."""
        now = self._clock.now()
        return [window for window in self._windows.values() if self._span(window, now) is not None]

    def span(self, window: Window) -> Span | None:
        """The span that `window` is in now."""
        known = self._windows.get(window.id)
        return self._span(known, self._clock.now()) if known is not None else None

    def muted(self) -> Mapping[DeviceId, WindowId]:
        """Who is muted now, and by which window."""
        in_force = tuple(self.in_force)
        if self._muted_for[0] is not self._city.devices or self._muted_for[1] != in_force:
            self._muted = {device.id: window.id for window in reversed(in_force) for device in _among(window, self._city)}
            self._muted_for = (self._city.devices, in_force)
        return self._muted

    async def create(self, wish: Wish, *, by: Person) -> Window:
        """Keep a window. InvalidInput, Overloaded."""
        now = self._clock.now()
        window = Window(
            id=self._new_id(),
            places=wish.places,
            start=wish.start or now,
            reason=wish.reason,
            created_by=str(by.actor),
            creator=by.name,
            created_at=now,
            end=wish.end,
            rule=wish.rule,
            duration=wish.duration,
            timezone=wish.timezone,
        )
        check(window)
        if len(self._windows) >= MOST:
            raise Overloaded(f"{MOST} maintenance windows are in force or ahead.", hint="Delete those that nobody needs.")
        return await self._change(window, "create", by=by.actor)

    async def start(self, window_id: WindowId, *, by: Actor) -> Window:
        """Let it be in force from now on: one of once until its end, a recurring one for its duration. NotFound, Conflict."""
        async with self._turn_of:
            window, now = await self._open(window_id), self._clock.now()
            if span_at(window, now) is not None:
                raise Conflict(f"The window {window.id} is in force already.", code="window-in-force")
            if window.rule:
                window = replace(window, extra=(*window.extra, Span(now, now + window.duration)))
            elif window.end is not None and now < window.start:
                window = replace(window, extra=(*window.extra, Span(now, window.start)))
            else:
                raise Conflict(f"The window {window.id} is over.", code="window-over", hint="Make another one.")
            return await self._change(window, "start", by=by)

    async def end(self, window_id: WindowId, *, by: Actor) -> Window:
        """End the span that it is in; a recurring one comes again as planned. NotFound, Conflict."""
        async with self._turn_of:
            window, now = await self._open(window_id), self._clock.now()
            span = span_at(window, now)
            if span is None:
                raise Conflict(
                    f"The window {window.id} is not in force.", code="window-not-in-force", hint="DELETE drops one that is ahead."
                )
            return await self._change(replace(window, cuts=(*window.cuts, Span(now, span.end))), "end", by=by)

    async def cancel(self, window_id: WindowId, *, by: Actor) -> Window:
        """Let it never be in force again; what was stays on record. NotFound, Conflict."""
        async with self._turn_of:
            window = await self._open(window_id)
            return await self._change(replace(window, cancelled_at=self._clock.now()), "cancel", by=by)

    async def get(self, window_id: WindowId) -> Window:
        """NotFound."""
        async with self._store.read() as tx:
            return await tx.maintenance.get(window_id)

    async def tick(self) -> bool:
        """Tell what has begun and ended since the last tick; whether anything has. StorageFailed, Overloaded."""
        async with self._turn_of:
            now = self._clock.now()
            turned = [window for window in self._windows.values() if (self._span(window, now) is not None) != window.in_force]
            for window in turned:
                await self._turn(window, now)
            for window in list(self._windows.values()):
                if self._is_over(window):
                    del self._windows[window.id]
                    self._plans.pop(window.id, None)
            return bool(turned)

    async def _turn(self, window: Window, now: datetime) -> None:
        after = replace(window, in_force=not window.in_force)
        kind = STARTED_EVENT if after.in_force else ENDED_EVENT
        span = self._span(window, now)

        async def change(tx: Tx) -> None:
            await tx.maintenance.save(after)
            tx.emit(NewEvent(kind, window.id, now, {"window": told_window(after, span), "actor": str(SYSTEM)}))

        await self._store.writer.write(change, lane=Lane.HEALTH)
        self._windows[window.id] = after

    async def _open(self, window_id: WindowId) -> Window:
        window = self._windows.get(window_id) or await self.get(window_id)
        if window.cancelled_at is not None:
            raise Conflict(f"The window {window.id} was deleted.", code="window-over", hint="Make another one.")
        return window

    async def _change(self, window: Window, action: str, *, by: Actor) -> Window:
        """Keep `window` as it now is, its beginning or end included, in one step."""
        now = self._clock.now()
        span = span_at(window, now)
        after = replace(window, in_force=span is not None)

        async def change(tx: Tx) -> None:
            await tx.maintenance.save(after)
            told = told_window(after, span)
            tx.emit(NewEvent(CHANGED_EVENT, after.id, now, {"window": told, "actor": str(by), "action": action}))
            if after.in_force != window.in_force:
                kind = STARTED_EVENT if after.in_force else ENDED_EVENT
                tx.emit(NewEvent(kind, after.id, now, {"window": told, "actor": str(by)}))
            tx.record(AuditEntry(by, f"maintenance.{action}", after.id, now, told))

        await self._store.writer.write(change, lane=Lane.HEALTH)
        self._windows[after.id] = after
        self._plans.pop(after.id, None)
        return after

    def _span(self, window: Window, now: datetime) -> Span | None:
        """The span that it is in; worked out again only when that may have changed."""
        plan = self._plans.get(window.id)
        if plan is None or now >= plan.again_at:
            span = span_at(window, now)
            following = None if span else next_span(window, now)
            again_at = span.end if span else following.start if following else now + LONGEST
            plan = self._plans[window.id] = _Plan(
                span,
                again_at if span else min(again_at, now + _LOOK_AHEAD),
                past=not (span or following) and is_past(window, now),
            )
        return plan.span

    def _is_over(self, window: Window) -> bool:
        if window.in_force:
            return False
        if window.cancelled_at is not None:
            return True
        plan = self._plans.get(window.id)
        return plan is not None and plan.past


def _among(window: Window, city: City) -> Sequence[Device]:
    places = window.places
    if places.everything or places.groups or places.cells or places.districts or places.vendors:
        return [device for device in city.devices.values() if covers(window, device, city)]
    return [city.devices[DeviceId(one)] for one in places.devices if one in city.devices]
