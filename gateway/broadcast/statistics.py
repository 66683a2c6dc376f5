"""Statistics of broadcasts: rows by day, month, loudspeaker, cell, district, operator or priority."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

from gateway.domain.broadcast_ledger import Wanted
from gateway.domain.broadcast_statistics import LONGEST, CountedBy, DeliveryCount, OutcomeCount, Tally, periods, tallied
from gateway.domain.city import City
from gateway.domain.devices import DeviceKind
from gateway.errors import Fault, InvalidInput
from gateway.storage.store import Store


class StatisticsDesk:
    """Counts in the store; places are those of the city as it is now. Days and months are those of the site's `timezone`."""

    def __init__(self, *, store: Store, city: City, timezone: tzinfo) -> None:
        self._store = store
        self._city = city
        self.timezone = timezone

    async def count(self, by: CountedBy, wanted: Wanted, *, start: datetime, end: datetime) -> Sequence[Tally]:
        """The rows of what was ordered from `start` until before `end`. InvalidInput (`bad-period`) for a time that is none or too long."""
        if not start < end <= start + LONGEST[by]:
            why = f"must be after `from`, and within {LONGEST[by].days} days of it"
            raise InvalidInput("These days cannot be counted.", code="bad-period", faults=[Fault("?to", why)])
        wanted = replace(wanted, start=start, end=end)
        if by in {CountedBy.DAY, CountedBy.MONTH}:
            return await self._by_period(by, wanted, start, end)
        places = self._places(by)
        async with self._store.read() as tx:
            rows = tallied((), await tx.statistics.deliveries(wanted, by, places), await tx.statistics.outcomes(wanted, by, places))
            operators = await tx.statistics.operators(wanted) if by is CountedBy.OPERATOR else {}
        for row in rows:
            row.name = operators.get(row.key, "") or self._name_of(by, row.key)
        return rows

    def _name_of(self, by: CountedBy, key: str) -> str:
        if by is CountedBy.SPEAKER and (device := next((one for one in self._city.of_kind(DeviceKind.SPEAKER) if one.id == key), None)):
            return device.name
        if by is CountedBy.CELL and (cell := next((one for code, one in self._city.cells.items() if code == key), None)):
            return cell.name
        return ""

    async def _by_period(self, by: CountedBy, wanted: Wanted, start: datetime, end: datetime) -> Sequence[Tally]:
        deliveries: list[DeliveryCount] = []
        outcomes: list[OutcomeCount] = []
        found = list(periods(by, start, end, self.timezone))
        async with self._store.read() as tx:
            for key, begin, until in found:
                one = replace(wanted, start=begin, end=until)
                deliveries += [replace(row, key=key) for row in await tx.statistics.deliveries(one, by, {})]
                outcomes += [replace(row, key=key) for row in await tx.statistics.outcomes(one, by, {})]
        return tallied([key for key, _, _ in found], deliveries, outcomes)

    def _places(self, by: CountedBy) -> Mapping[str, str]:
        """What each loudspeaker counts for."""
        horns = self._city.of_kind(DeviceKind.SPEAKER)
        if by is CountedBy.CELL:
            return {device.id: device.cell or "" for device in horns}
        if by is CountedBy.DISTRICT:
            return {device.id: self._city.district_of(device) for device in horns}
        return {}
