"""Hand-overs on a medium or to another system, in the store: to whom, sealed how, and the signed sheet that came back."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Row, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.deliveries import FOLLOWS, Delivery, DeliveryId, DeliveryState, Medium, Receipt, SignedSheet, Way
from gateway.domain.events import Actor, Person
from gateway.domain.footage import RequestId
from gateway.errors import NotFound
from gateway.storage.schema import UtcTime, metadata

_RECEIPT: Final = ("receiver", "unit", "badge", "second_officer")
_PLAIN: Final = ("id", "request", "manifest_sha256", "at", "number", "seal", "target", "reason", "note", "sent")
_SENDING: Final = ("destination", "attempts", "size", "sha256", "begun_at", "ended_at", "outside_sha256")
_SAME: Final = (*_PLAIN, *_SENDING)
_CHANGES: Final = frozenset({"state", "reason", "sent", "attempts", "size", "sha256", "begun_at", "ended_at", "outside_sha256"})

footage_deliveries = Table(
    "footage_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("way", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in (*_RECEIPT, "manifest_sha256", "delivered_by", "deliverer")),
    Column("at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("medium", Text),
    *(Column(name, Text, nullable=False) for name in ("number", "seal", "target", "reason", "note")),
    Column("sent", BigInteger, nullable=False),
    Column("sheet_sha256", Text),
    Column("sheet_kind", Text),
    Column("sheet_size", BigInteger),
    Column("sheet_by", Text),
    Column("sheet_person", Text),
    Column("sheet_at", UtcTime),
    Column("destination", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("begun_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("outside_sha256", Text, nullable=False),
)


class DeliveryRepository:
    """Hand-overs over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, delivery: Delivery) -> None:
        """Store a new one. Conflict when a rule of the schema is broken."""
        await self._conn.execute(insert(footage_deliveries).values(_row(delivery)))

    async def put(self, delivery: Delivery) -> None:
        """Write how far it is, and the signed sheet. Conflict when that state may not follow."""
        row = _row(delivery)
        changed = {name: value for name, value in row.items() if name in _CHANGES or name.startswith("sheet_")}
        await self._conn.execute(update(footage_deliveries).where(footage_deliveries.c.id == delivery.id).values(changed))

    async def get(self, delivery: DeliveryId) -> Delivery:
        """NotFound when there is none."""
        row = (await self._conn.execute(select(footage_deliveries).where(footage_deliveries.c.id == delivery))).one_or_none()
        if row is None:
            raise NotFound(f"no hand-over {delivery!r}")
        return _delivery(row)

    async def of(self, request: RequestId) -> list[Delivery]:
        """All of a request, the oldest first."""
        table = footage_deliveries.c
        statement = select(footage_deliveries).where(table.request == request).order_by(table.at, table.id)
        return [_delivery(row) for row in await self._conn.execute(statement)]

    async def open(self, destination: str | None = None, *, limit: int = 100) -> list[Delivery]:
        """Those that wait or are under way, the oldest first: to one `destination`, or to any."""
        table = footage_deliveries.c
        statement = select(footage_deliveries).where(table.state.in_(_OPEN)).order_by(table.at, table.id).limit(limit)
        if destination is not None:
            statement = statement.where(table.destination == destination)
        return [_delivery(row) for row in await self._conn.execute(statement)]

    async def same(self, request: RequestId, destination: str, manifest_sha256: str) -> Delivery | None:
        """The one of this package to this destination that waits, is under way or is done."""
        table = footage_deliveries.c
        statement = select(footage_deliveries).where(
            table.request == request,
            table.destination == destination,
            table.manifest_sha256 == manifest_sha256,
            table.state != DeliveryState.FAILED.value,
        )
        row = (await self._conn.execute(statement)).one_or_none()
        return _delivery(row) if row else None


_OPEN: Final = [state.value for state in DeliveryState if FOLLOWS[state]]


def _row(delivery: Delivery) -> dict[str, Any]:
    sheet = delivery.sheet
    return {name: getattr(delivery, name) for name in _SAME} | {
        **{name: getattr(delivery.receipt, name) for name in _RECEIPT},
        "way": delivery.way.value,
        "delivered_by": str(delivery.by.actor),
        "deliverer": delivery.by.name,
        "state": delivery.state.value,
        "medium": delivery.medium.value if delivery.medium else None,
        "sheet_sha256": sheet.sha256 if sheet else None,
        "sheet_kind": sheet.kind if sheet else None,
        "sheet_size": sheet.size if sheet else None,
        "sheet_by": str(sheet.by.actor) if sheet else None,
        "sheet_person": sheet.by.name if sheet else None,
        "sheet_at": sheet.at if sheet else None,
    }


def _delivery(row: Row[Any]) -> Delivery:
    sheet = None
    if row.sheet_sha256:
        sheet = SignedSheet(
            row.sheet_sha256, row.sheet_kind, row.sheet_size, Person(Actor.parse(row.sheet_by), row.sheet_person), row.sheet_at
        )
    return Delivery(
        **{name: row._mapping[name] for name in _SAME},
        way=Way(row.way),
        receipt=Receipt(**{name: row._mapping[name] for name in _RECEIPT}),
        by=Person(Actor.parse(row.delivered_by), row.deliverer),
        state=DeliveryState(row.state),
        medium=Medium(row.medium) if row.medium else None,
        sheet=sheet,
    )
