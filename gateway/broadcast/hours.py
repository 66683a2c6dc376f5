"""When the city's loudspeakers may speak: the file of speaking hours and the days that people have added, as one calendar in memory."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Final

import structlog

from gateway.broadcast.hours_file import LONGEST_DAYS, load_hours
from gateway.clock import Clock
from gateway.domain.broadcast_rules import DatedHours, QuietDays, SpeakingHours
from gateway.domain.city import City
from gateway.domain.devices import ZoneId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.errors import Conflict, Fault, InvalidInput, Overloaded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

CHANGED_EVENT: Final = "broadcast.hours-changed"
DAYS_LIMIT: Final = 1_000  # exceptions that stand at once

log = structlog.get_logger()


class HoursDesk:
    """The one calendar. Without a file: every night from 22:00 to 06:00, everywhere."""

    def __init__(self, path: Path | None, *, store: Store, city: City, clock: Clock, timezone: tzinfo, new_id: Callable[[], str]) -> None:
        """Raises InvalidInput (`bad-quiet-hours`) for a file that has faults."""
        self._path = path
        self._store = store
        self._city = city
        self._clock = clock
        self._timezone = timezone
        self._new_id = new_id
        self._filed = self._read()
        self._added: tuple[QuietDays, ...] = ()
        self._changing = asyncio.Lock()
        self._whole = self._filed

    @property
    def hours(self) -> SpeakingHours:
        """All that holds."""
        return self._whole

    @property
    def filed(self) -> SpeakingHours:
        """What the file says."""
        return self._filed

    @property
    def added(self) -> Sequence[QuietDays]:
        """The exceptions that people have added and that are not over, by their first day."""
        return self._added

    @property
    def unknown_zones(self) -> Sequence[ZoneId]:
        """Zones that have hours and that the inventory does not have: a slip of the pen leaves a school without its quiet."""
        named = {*self._whole.zones, *(zone for one in self._whole.exceptions for zone in one.zones)}
        return sorted(named - self._city.zones.keys())

    async def load(self) -> None:
        """Take up what people have added before this start."""
        async with self._store.read() as tx:
            self._take(await tx.quiet_days.standing(since=self._yesterday()))

    async def reload(self, actor: Actor) -> None:
        """Read the file anew, all of it or nothing. InvalidInput (`bad-quiet-hours`), Conflict (`no-hours-file`)."""
        if self._path is None:
            raise Conflict("no broadcast.hours_file is configured", code="no-hours-file", hint="set it and restart")
        filed = await asyncio.to_thread(self._read)
        data = {"what": "reloaded", "zones": len(filed.zones), "exceptions": len(filed.exceptions)}

        async def change(tx: Tx) -> None:
            self._note(tx, actor, str(self._path.name if self._path else ""), data)

        async with self._changing:
            await self._store.writer.write(change, lane=Lane.BROADCAST)
            self._filed = filed
            self._take(self._added)

    async def add(self, wanted: DatedHours, *, reason: str, actor: Actor) -> QuietDays:
        """Make some days quiet, or open; `wanted.id` is given here. InvalidInput, Overloaded."""
        self._check(wanted, reason)
        added = QuietDays(replace(wanted, id=self._new_id()), reason, actor, self._clock.now())

        async def change(tx: Tx) -> Sequence[QuietDays]:
            await tx.quiet_days.add(added)
            self._note(tx, actor, added.hours.id, {"what": "added", "reason": reason, **_told(added.hours)})
            return await tx.quiet_days.standing(since=self._yesterday())

        async with self._changing:
            self._take(await self._store.writer.write(change, lane=Lane.BROADCAST))
        return added

    async def withdraw(self, id_: str, actor: Actor) -> QuietDays:
        """Take days back that somebody added. NotFound (`no-quiet-days`)."""

        async def change(tx: Tx) -> tuple[QuietDays, Sequence[QuietDays]]:
            gone = await tx.quiet_days.withdraw(id_, self._clock.now())
            self._note(tx, actor, id_, {"what": "withdrawn", **_told(gone.hours)})
            return gone, await tx.quiet_days.standing(since=self._yesterday())

        async with self._changing:
            gone, left = await self._store.writer.write(change, lane=Lane.BROADCAST)
            self._take(left)
        return gone

    def _check(self, wanted: DatedHours, reason: str) -> None:
        unknown = sorted(wanted.zones - self._city.zones.keys())
        faults = [
            *(Fault("/zones", f"no such zone: {zone}", "unknown", {"name": zone}) for zone in unknown),
            *([Fault("/last", "is before first", "not-after-start")] if wanted.last < wanted.first else []),
            *(
                [Fault("/last", f"is {LONGEST_DAYS} days or more after first", "too-far", {"days": LONGEST_DAYS - 1})]
                if (wanted.last - wanted.first).days >= LONGEST_DAYS
                else []
            ),
            *([Fault("/last", "is over", "in-the-past")] if wanted.last < self._yesterday() else []),
            *(
                [Fault("/reason", "must say why, in at most 200 characters", "reason", {"most": 200})]
                if not 1 <= len(reason) <= 200
                else []
            ),
        ]
        if faults:
            raise InvalidInput("these days cannot be taken", faults=faults, code="bad-quiet-days")
        if len(self._added) >= DAYS_LIMIT:
            raise Overloaded(f"{DAYS_LIMIT} exceptions of the quiet hours stand already", hint="withdraw some, or use the file")

    def _read(self) -> SpeakingHours:
        return SpeakingHours(self._timezone) if self._path is None else load_hours(self._path, self._timezone)

    def _take(self, added: Sequence[QuietDays]) -> None:
        self._added = tuple(added)
        self._whole = replace(self._filed, exceptions=(*self._filed.exceptions, *(one.hours for one in added)))
        if unknown := self.unknown_zones:
            log.warning("broadcast.hours_of_unknown_zones", zones=unknown[:20], count=len(unknown))

    def _yesterday(self) -> date:
        """Hours that began yesterday may hold."""
        return self._clock.now().astimezone(self._timezone).date() - timedelta(days=1)

    def _note(self, tx: Tx, actor: Actor, subject: str, data: dict[str, object]) -> None:
        now = self._clock.now()
        tx.emit(NewEvent(CHANGED_EVENT, subject, now, data))
        tx.record(AuditEntry(actor, CHANGED_EVENT, subject, now, data))


def _told(hours: DatedHours) -> dict[str, object]:
    return {
        "name": hours.name,
        "first": hours.first.isoformat(),
        "last": hours.last.isoformat(),
        "from": hours.start.isoformat("minutes"),
        "to": hours.end.isoformat("minutes"),
        "then": hours.effect.value,
        "zones": sorted(hours.zones),
    }
