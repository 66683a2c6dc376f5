"""Work orders, the devices that they are about, and their history, as they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Row, Select, Table, Text, literal, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.domain.incidents import Entry
from gateway.domain.severity import Severity
from gateway.domain.work_orders import ENDED, Pause, Picture, Target, WorkOrder, WorkOrderId, WorkState
from gateway.errors import NotFound
from gateway.storage import entries
from gateway.storage.schema import Json, UtcTime, metadata

work_orders = Table(
    "work_orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("devices", Json, nullable=False),
    Column("incident", Text, nullable=False),
    Column("maintainer", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("response_s", BigInteger, nullable=False),
    Column("repair_s", BigInteger, nullable=False),
    Column("around_the_clock", Boolean, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("technician", Text, nullable=False),
    Column("accepted_at", UtcTime),
    Column("on_site_at", UtcTime),
    Column("repaired_at", UtcTime),
    Column("closing_note", Text, nullable=False),
    Column("ended_at", UtcTime),
    Column("ended_by", Text, nullable=False),
    Column("sent_back", BigInteger, nullable=False),
    Column("standing", Json, nullable=False),
    Column("pauses", Json, nullable=False),
    Column("pictures", Json, nullable=False),
    Column("told_overdue", Json, nullable=False),
)
work_order_devices = Table(
    "work_order_devices",
    metadata,
    Column("device", Text, primary_key=True),
    Column("work_order", Text, primary_key=True),
)
work_order_history = entries.history_table("work_order_history", of="work_order")


@dataclass(frozen=True, slots=True)
class WantedOrders:
    """Which orders: those that fit everything that is given. `ids`: only these."""

    states: Sequence[WorkState] = ()
    severities: Sequence[Severity] = ()
    maintainer: str | None = None
    incident: str | None = None
    device: DeviceId | None = None
    ids: Sequence[WorkOrderId] | None = None


class WorkOrderRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def save(self, order: WorkOrder) -> None:
        """Write `order` as it now is. Its devices never change."""
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        row = _columns(order)
        statement = dialect.insert(work_orders)
        changed = {name: statement.excluded[name] for name in row if name != "id"}
        await self._conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed), [row])
        theirs = dialect.insert(work_order_devices).on_conflict_do_nothing()
        await self._conn.execute(theirs, [{"device": device, "work_order": order.id} for device in order.devices])

    async def note(self, order: WorkOrderId, entry: Entry) -> None:
        """Append to the history; the entry's own number does not count."""
        await entries.append(self._conn, work_order_history.c.work_order, order, entry)

    async def get(self, order: WorkOrderId) -> WorkOrder:
        """Raises NotFound."""
        row = (await self._conn.execute(select(work_orders).where(work_orders.c.id == order))).one_or_none()
        if row is None:
            raise NotFound(f"no work order {order[:80]}", code="no-work-order", hint="GET /v1/work-orders lists what there is.")
        return _order(row)

    async def live(self) -> Sequence[WorkOrder]:
        """All that are neither closed nor cancelled."""
        statement = select(work_orders).where(work_orders.c.state.not_in([state.value for state in ENDED]))
        return [_order(row) for row in await self._conn.execute(statement)]

    async def page(self, wanted: WantedOrders, *, before: tuple[datetime, WorkOrderId] | None = None, limit: int) -> Sequence[WorkOrder]:
        """Up to `limit` orders, the latest first; `before`: those after this time and id in that order."""
        order = (work_orders.c.opened_at, work_orders.c.id)
        statement = _filtered(select(work_orders), wanted).order_by(*(column.desc() for column in order)).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(literal(before[0], UtcTime), literal(before[1], Text)))
        return [_order(row) for row in await self._conn.execute(statement)]

    async def history(self, order: WorkOrderId, *, limit: int = 1_000) -> Sequence[Entry]:
        """What was done to it, in order."""
        return await entries.read(self._conn, work_order_history.c.work_order, order, limit=limit)


def _filtered(statement: Select[Any], wanted: WantedOrders) -> Select[Any]:
    table = work_orders.c
    for column, values in ((table.state, wanted.states), (table.severity, wanted.severities)):
        if values:
            statement = statement.where(column.in_([value.value for value in values]))
    for column, value in ((table.maintainer, wanted.maintainer), (table.incident, wanted.incident)):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.device is not None:
        theirs = select(work_order_devices.c.work_order).where(work_order_devices.c.device == wanted.device)
        statement = statement.where(table.id.in_(theirs))
    return statement if wanted.ids is None else statement.where(table.id.in_(wanted.ids))


_SAME = (
    *("id", "incident", "maintainer", "what", "opened_at", "opened_by", "changed_at", "technician"),
    *("accepted_at", "on_site_at", "repaired_at", "closing_note", "ended_at", "ended_by", "sent_back"),
)


def _columns(order: WorkOrder) -> dict[str, Any]:
    return {name: getattr(order, name) for name in _SAME} | {
        "state": order.state.value,
        "severity": order.severity.value,
        "devices": list(order.devices),
        "response_s": int(order.target.response.total_seconds()),
        "repair_s": int(order.target.repair.total_seconds()),
        "around_the_clock": order.target.around_the_clock,
        "standing": [[start.isoformat(), end.isoformat()] for start, end in order.standing],
        "pauses": [[pause.start.isoformat(), pause.end and pause.end.isoformat(), pause.reason] for pause in order.pauses],
        "pictures": [[one.sha256, one.media_type, one.size, one.at.isoformat(), one.by, one.source] for one in order.pictures],
        "told_overdue": sorted(order.told_overdue),
    }


def _order(row: Row[Any]) -> WorkOrder:
    moment = datetime.fromisoformat
    return WorkOrder(
        **{name: getattr(row, name) for name in _SAME},
        state=WorkState(row.state),
        severity=Severity(row.severity),
        devices=tuple(map(DeviceId, row.devices)),
        target=Target(timedelta(seconds=row.response_s), timedelta(seconds=row.repair_s), bool(row.around_the_clock)),
        standing=tuple((moment(start), moment(end)) for start, end in row.standing),
        pauses=tuple(Pause(moment(start), end and moment(end), reason) for start, end, reason in row.pauses),
        pictures=tuple(Picture(sha256, kind, size, moment(at), by, source) for sha256, kind, size, at, by, source in row.pictures),
        told_overdue=frozenset(row.told_overdue),
    )
