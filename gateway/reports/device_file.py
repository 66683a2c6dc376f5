"""One page per device (一机一档): what the store knows of it, read together at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from gateway.domain.availability import Account, month_of
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId
from gateway.domain.excuses import Excuse
from gateway.domain.incidents import Incident
from gateway.domain.maintenance import Window, covers
from gateway.domain.work_orders import WorkOrder
from gateway.reports.ledger import Ledger
from gateway.reports.report import Figures, figures_of
from gateway.storage.audit import AuditRow
from gateway.storage.availability import account_of
from gateway.storage.complaints import Complaint
from gateway.storage.health import NumberedTransition
from gateway.storage.incidents import Wanted
from gateway.storage.store import Store
from gateway.storage.work_orders import WantedOrders

MONTHS: Final = 12
LAST: Final = 30  # of what happens often
FEW: Final = 20  # of what happens seldom


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """The store's part of a device's file. `months`: the accounts of whole months by their first day, the oldest first."""

    transitions: Sequence[NumberedTransition]
    complaints: Sequence[Complaint]
    checked: Mapping[str, datetime]
    incidents: Sequence[Incident]
    windows: Sequence[Window]
    excuses: Sequence[Excuse]
    deeds: Sequence[AuditRow]
    work_orders: Sequence[WorkOrder]
    month: Figures
    year: Figures
    months: Sequence[tuple[date, Account]]


async def device_file(device: Device, *, store: Store, city: City, ledger: Ledger) -> DeviceFile:
    """Everything of `device`: this month and the last twelve whole months, and what happened last."""
    today = ledger.today
    first = _year_before(month_of(today))
    month = await _figures(ledger, device.id, month_of(today), today)
    year = await _figures(ledger, device.id, first, month_of(today) - timedelta(days=1))
    start, end = ledger.moment_of(first), ledger.moment_of(today + timedelta(days=60))
    async with store.read() as tx:
        windows = [window for window in await tx.maintenance.between(start, end) if covers(window, device, city)]
        excuses = [one for one in await tx.excuses.find(limit=1_000) if one.places.cover(device, city) and one.end > start]
        return DeviceFile(
            transitions=await tx.health.history(device.id, limit=LAST),
            complaints=await tx.complaints.of(device.id, limit=LAST),
            checked=await tx.complaints.checked_of(device.id),
            incidents=await tx.incidents.page(Wanted(device=device.id), limit=FEW),
            windows=windows[-FEW:],
            excuses=excuses[:FEW],
            deeds=await tx.audit.page(subject=device.id, limit=FEW),
            work_orders=await tx.work_orders.page(WantedOrders(device=device.id), limit=FEW),
            month=month,
            year=year,
            months=[
                (date.fromisoformat(named), account_of(numbers))
                for named, _, numbers in await tx.availability.month_rows(first, month_of(today), device=device.id)
            ],
        )


async def _figures(ledger: Ledger, device: DeviceId, first: date, last: date) -> Figures:
    reading = await ledger.read(first, last + timedelta(days=1), device=device)
    return figures_of(reading.accounts[device], reading.recorded.get(device), reading.pardoned.get(device, 0))


def _year_before(month: date) -> date:
    return month.replace(year=month.year - MONTHS // 12)
