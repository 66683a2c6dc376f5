"""The reports service: keeps the ledger of availability, has excuses decided, and makes reports where they hold up nobody."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import structlog

from gateway.clock import Clock
from gateway.domain.availability import month_after
from gateway.domain.city import City
from gateway.domain.devices import Device
from gateway.domain.events import AuditEntry, NewEvent, Person
from gateway.domain.excuses import Decision, Excuse, ExcuseId, ExcusePlaces, ExcuseState, check, decide
from gateway.errors import Fault, GatewayError, InvalidInput, Overloaded
from gateway.reports.device_file import DeviceFile, device_file
from gateway.reports.kinds import Words
from gateway.reports.ledger import Ledger, Reading
from gateway.reports.page import page
from gateway.reports.report import By, Report, make
from gateway.reports.service_times import ServiceTimes
from gateway.reports.sheet import sheet
from gateway.reports.wording import Language, Wording
from gateway.storage.availability import Stale
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

PROPOSED_EVENT = "excuse.proposed"
APPROVED_EVENT = "excuse.approved"
REJECTED_EVENT = "excuse.rejected"
_EVENTS: Final[Mapping[ExcuseState, str]] = {
    ExcuseState.PROPOSED: PROPOSED_EVENT,
    ExcuseState.APPROVED: APPROVED_EVENT,
    ExcuseState.REJECTED: REJECTED_EVENT,
}
AT_ONCE = 1  # reports that are made at a time: each takes a thread and, for large ones, a second of a core
WAITING = 8  # who waits for one; more are refused
LOOK_S = 30.0  # how often the inventory is looked at for devices that have left
ROUND_S = 300.0  # how often the ledger is brought up to date; a report brings it up to date, too
TIDY_EVERY = timedelta(days=1)

T = TypeVar("T")


class ReportService:
    """Reports for any days of the last 24 months, in the calendar of the site's time zone.

    `run` keeps the ledger; reports are right without it, and slower.
    """

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        zone: ZoneInfo,
        kinds: Mapping[str, Words],
        site: str = "",
        new_id: Callable[[], str] = lambda: f"X-{secrets.token_hex(6)}",
    ) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._new_id = new_id
        self._service_times = ServiceTimes(store, city, clock)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self.zone = zone
        self.kinds = kinds
        self.site = site
        self.ledger = Ledger(store=store, city=city, clock=clock, zone=zone)

    async def run(self) -> None:
        """Keep the ledger up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_up(), name="availability ledger")
            group.create_task(self._keep_service_times(), name="service times")

    async def _keep_service_times(self) -> None:
        while True:
            try:
                await self._service_times.look()
            except GatewayError as error:
                log.warning("reports.service_times_not_stored", code=error.code, reason=str(error))
            await self._clock.sleep(LOOK_S)

    async def _keep_up(self) -> None:
        tidied = None
        while True:
            try:
                await self.ledger.catch_up()
                if tidied is None or self._clock.now() - tidied >= TIDY_EVERY:
                    await self.ledger.tidy()
                    tidied = self._clock.now()
            except GatewayError as error:
                log.warning("reports.not_reckoned", code=error.code, reason=str(error))
            await self._clock.sleep(ROUND_S)

    # -- reports

    async def report(self, first: date, last: date, by: By = By.DISTRICT, *, also: Sequence[By] = ()) -> Report:
        """The days from `first` to `last`, both counted. InvalidInput (`bad-period`) for days that cannot be asked for, Overloaded."""
        self._must_be_period(first, last)
        async with self._turn():
            reading = await self.ledger.read(first, last + timedelta(days=1))
            return await asyncio.to_thread(self._made, reading, (first, last), by, also)

    async def month(self, month: date, by: By = By.DISTRICT, *, also: Sequence[By] = ()) -> Report:
        """The month that begins with `month`; of the one that has not ended, as far as it has come."""
        return await self.report(month, month_after(month) - timedelta(days=1), by, also=also)

    async def page(self, report: Report, language: Language) -> str:
        """The report as HTML that prints on A4. Overloaded."""
        wording = Wording(language, self.zone)
        return await self.aside(lambda: page(report, language, site=self.site, kinds=self.kinds, wording=wording))

    async def sheet(self, report: Report, language: Language) -> bytes:
        """The report as a spreadsheet. Overloaded."""
        wording = Wording(language, self.zone)
        return await self.aside(lambda: sheet(report, language, site=self.site, kinds=self.kinds, wording=wording))

    async def aside(self, work: Callable[[], T]) -> T:
        """Have something be written where it holds up nobody: in a thread, one at a time. Overloaded."""
        async with self._turn():
            return await asyncio.to_thread(work)

    async def file(self, device: Device) -> DeviceFile:
        """The store's part of what is known of a device."""
        return await device_file(device, store=self._store, city=self._city, ledger=self.ledger)

    def _made(self, reading: Reading, days: tuple[date, date], by: By, also: Sequence[By]) -> Report:
        made_at, zone = self._clock.now(), self.zone.key
        return make(reading, self._city, by=by, also=also, first=days[0], last=days[1], made_at=made_at, zone=zone)

    def _must_be_period(self, first: date, last: date) -> None:
        faults = []
        if first < self.ledger.horizon:
            faults.append(Fault("?from", f"must not be before {self.ledger.horizon}: 24 months are kept"))
        if first > self.ledger.today:
            faults.append(Fault("?from", "must not lie in the future"))
        if last < first:
            faults.append(Fault("?to", "must not be before the first day"))
        if (last - first).days > 800:
            faults.append(Fault("?to", "must be within 24 months of the first day"))
        if faults:
            raise InvalidInput("There is no report of such days.", faults=faults, code="bad-period")

    def _turn(self) -> "_Turn":
        return _Turn(self)

    # -- excuses

    async def propose(
        self, *, kind: str, places: ExcusePlaces, start: datetime, end: datetime, reason: str, evidence: str, incident: str, by: Person
    ) -> Excuse:
        """InvalidInput for what cannot be proposed."""
        proposed = Excuse(
            id=ExcuseId(self._new_id()),
            kind=kind,
            places=places,
            start=start,
            end=end,
            reason=reason,
            evidence=evidence,
            incident=incident,
            proposed_by=by,
            proposed_at=self._clock.now(),
        )
        check(proposed, self.kinds)

        async def change(tx: Tx) -> None:
            await tx.excuses.add(proposed)
            _tell(tx, proposed, by, proposed.proposed_at)

        await self._store.writer.write(change, lane=Lane.HEALTH)
        return proposed

    async def decide(self, excuse: ExcuseId, decision: Decision, *, by: Person, note: str) -> Excuse:
        """Approve or reject; the adjusted figures of its days are reckoned anew. NotFound, Forbidden, Conflict."""
        async with self._store.read() as tx:
            before = await tx.excuses.get(excuse)
        now = self._clock.now()
        after = decide(before, decision, by, note=note, at=now)

        async def change(tx: Tx) -> None:
            await tx.excuses.replace(before, after)
            await tx.availability.mark_stale(self._stale(f"{excuse} {after.state} {now.isoformat()}", after.start, after.end))
            _tell(tx, after, by, now)

        await self._store.writer.write(change, lane=Lane.HEALTH)
        return after

    def _stale(self, cause: str, start: datetime, end: datetime) -> Stale:
        return Stale(cause, start.astimezone(self.zone).date(), end.astimezone(self.zone).date())


class _Turn:
    """A place among those who make reports."""

    def __init__(self, service: ReportService) -> None:
        self._service = service

    async def __aenter__(self) -> None:
        service = self._service
        if service._waiting >= WAITING:
            raise Overloaded("Too many reports are being made.", hint="try again in a few seconds")
        service._waiting += 1
        try:
            await service._at_once.acquire()
        finally:
            service._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._service._at_once.release()


def excuse_json(excuse: Excuse) -> dict[str, Any]:
    """An excuse as events and the record have it."""
    return {
        "id": excuse.id,
        "state": excuse.state.value,
        "kind": excuse.kind,
        **{name: sorted(getattr(excuse.places, name)) for name in ("devices", "groups", "cells", "districts")},
        "start": excuse.start.isoformat(),
        "end": excuse.end.isoformat(),
        "reason": excuse.reason,
        "evidence": excuse.evidence,
        "incident": excuse.incident,
        "proposed_by": excuse.proposed_by.name,
        "decided_by": excuse.decided_by.name if excuse.decided_by else None,
        "note": excuse.note,
    }


def _tell(tx: Tx, excuse: Excuse, by: Person, at: datetime) -> None:
    told = {"excuse": excuse_json(excuse), "actor": str(by.actor)}
    tx.emit(NewEvent(_EVENTS[excuse.state], excuse.id, at, told))
    tx.record(AuditEntry(by.actor, _EVENTS[excuse.state], excuse.id, at, excuse_json(excuse)))
