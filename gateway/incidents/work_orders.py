"""Work orders at work: opened from an incident or for devices, moved on by people, told when they change and when a clock has run out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, AuditEntry, NewEvent, Person
from gateway.domain.incidents import CauseKind, Entry, Incident, IncidentId
from gateway.domain.maintenance import district_of
from gateway.domain.severity import Severity
from gateway.domain.work_orders import (
    Calendar,
    Deed,
    Picture,
    Reading,
    Target,
    WorkAct,
    WorkOrder,
    WorkOrderId,
    WorkState,
    acted,
    read_clocks,
)
from gateway.errors import Conflict, Fault, InvalidInput, NotFound, Overloaded, StorageFailed
from gateway.incidents.pictures import PictureFolder
from gateway.storage.store import Store, Tx
from gateway.storage.work_orders import WantedOrders
from gateway.storage.writer import Lane

log = structlog.get_logger()

OPENED_EVENT = "work-order.opened"
ACCEPTED_EVENT = "work-order.accepted"
ON_SITE_EVENT = "work-order.on-site"
REPAIRED_EVENT = "work-order.repaired"
SENT_BACK_EVENT = "work-order.sent-back"
CLOSED_EVENT = "work-order.closed"
CANCELLED_EVENT = "work-order.cancelled"
PAUSED_EVENT = "work-order.paused"
RESUMED_EVENT = "work-order.resumed"
COMMENTED_EVENT = "work-order.commented"
PICTURE_EVENT = "work-order.picture"
OVERDUE_EVENT = "work-order.overdue"
_EVENTS: Final[Mapping[WorkAct, str]] = {
    WorkAct.ACCEPT: ACCEPTED_EVENT,
    WorkAct.ARRIVE: ON_SITE_EVENT,
    WorkAct.REPAIR: REPAIRED_EVENT,
    WorkAct.SEND_BACK: SENT_BACK_EVENT,
    WorkAct.CLOSE: CLOSED_EVENT,
    WorkAct.CANCEL: CANCELLED_EVENT,
    WorkAct.PAUSE: PAUSED_EVENT,
    WorkAct.RESUME: RESUMED_EVENT,
    WorkAct.COMMENT: COMMENTED_EVENT,
}
LIVE_AT_MOST = 5_000
PICTURES_AT_MOST = 12
LOOK_S = 10.0
_TOLD_DEVICES = 500


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was agreed with the maintainers: targets by severity, and when is worked."""

    targets: Mapping[Severity, Target]
    calendar: Calendar


@dataclass(frozen=True, slots=True)
class Order:
    """An order as somebody gives it. What is left out follows from the incident and the devices."""

    what: str
    devices: Sequence[DeviceId] = ()
    incident: str = ""
    maintainer: str = ""
    severity: Severity | None = None


class WorkOrderDesk:
    """All orders. Those that are live are in memory, for their clocks. `load` before `run`."""

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        agreement: Agreement,
        pictures: PictureFolder,
        new_id: Callable[[], WorkOrderId],
    ) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._agreement = agreement
        self._pictures = pictures
        self._new_id = new_id
        self._live: dict[WorkOrderId, WorkOrder] = {}

    async def load(self) -> None:
        """Take up what the store has. Raises StorageFailed."""
        async with self._store.read() as tx:
            self._live = {order.id: order for order in await tx.work_orders.live()}

    async def run(self) -> None:
        """Tell once of each clock that has run out, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            try:
                await self.look()
            except (StorageFailed, Overloaded) as error:
                log.warning("work_orders.not_stored", reason=error.code)

    async def look(self) -> None:
        """Tell of the clocks that have run out since the last look; of an order that a person changes just then, at the next one."""
        now = self._clock.now()
        for order in list(self._live.values()):
            late = {name for name, reading in self.clocks(order).items() if reading.overdue} - order.told_overdue
            if late:
                after = replace(order, told_overdue=order.told_overdue | late)
                with suppress(Conflict):
                    await self._write(order, after, OVERDUE_EVENT, by=None, comment="", detail={"clocks": sorted(late)}, now=now)

    def clocks(self, order: WorkOrder) -> Mapping[str, Reading]:
        """Where both clocks of `order` stand."""
        return read_clocks(order, self._clock.now(), self._agreement.calendar)

    @property
    def zone(self) -> tzinfo:
        """On whose wall clock people read the times of orders."""
        return self._agreement.calendar.zone

    @property
    def overdue(self) -> Sequence[WorkOrder]:
        """The live orders of which a clock that still runs has run out, those that have been so longest first."""
        late = []
        for order in self._live.values():
            excess = [one.used - one.target for one in self.clocks(order).values() if one.overdue and one.stopped_at is None]
            if excess:
                late.append((max(excess), order))
        return [order for _, order in sorted(late, key=lambda one: (-one[0], one[1].id))]

    async def get(self, order_id: WorkOrderId) -> WorkOrder:
        """NotFound."""
        if order_id in self._live:
            return self._live[order_id]
        async with self._store.read() as tx:
            return await tx.work_orders.get(order_id)

    async def page(self, wanted: WantedOrders, *, before: tuple[datetime, WorkOrderId] | None = None, limit: int) -> Sequence[WorkOrder]:
        """Up to `limit` orders, the latest first."""
        async with self._store.read() as tx:
            return await tx.work_orders.page(wanted, before=before, limit=limit)

    async def history(self, order_id: WorkOrderId) -> Sequence[Entry]:
        """What was done to it. NotFound."""
        await self.get(order_id)
        async with self._store.read() as tx:
            return await tx.work_orders.history(order_id)

    async def propose(self, wish: Order) -> WorkOrder:
        """The order that `wish` would make, with what follows from its incident and devices. InvalidInput, NotFound."""
        incident = await self._incident(wish.incident)
        devices = tuple(dict.fromkeys(wish.devices)) or _to_repair(incident)
        unknown = [device for device in devices if device not in self._city.devices]
        if unknown or not devices:
            faults = [Fault("/devices", f"there is no {one[:64]!r}") for one in unknown] or [Fault("/devices", "must name one at least")]
            raise InvalidInput("The body is not right.", faults=faults)
        severity = wish.severity or (incident.severity if incident else Severity.MINOR)
        now = self._clock.now()
        return WorkOrder(
            id=self._new_id(),
            state=WorkState.OPEN,
            severity=severity,
            devices=devices,
            incident=wish.incident,
            maintainer=wish.maintainer or self._maintainer(devices),
            what=wish.what,
            target=self._agreement.targets[severity],
            opened_at=now,
            opened_by="",
            changed_at=now,
        )

    async def open(self, proposed: WorkOrder, *, by: Person) -> WorkOrder:
        """Order it. Overloaded."""
        if len(self._live) >= LIVE_AT_MOST:
            raise Overloaded(f"{LIVE_AT_MOST} work orders are open.", hint="Close those that are done.")
        order = replace(proposed, opened_by=str(by.actor))
        return await self._write(None, order, OPENED_EVENT, by=by, comment=order.what, detail={}, now=order.opened_at)

    async def act(self, order_id: WorkOrderId, deed: Deed, *, by: Person) -> WorkOrder:
        """Do something to an order. NotFound; Conflict (`wrong-work-order-state`)."""
        before, now = await self.get(order_id), self._clock.now()
        after = acted(before, deed, by=str(by.actor), at=now)
        detail = {"technician": deed.technician} if deed.technician else {}
        return await self._write(before, after, _EVENTS[deed.act], by=by, comment=deed.comment, detail=detail, now=now)

    async def add_picture(self, order_id: WorkOrderId, data: bytes, *, source: str, by: Person) -> WorkOrder:
        """Put a picture on record; the same one is kept once. NotFound, InvalidInput, Conflict (`too-many-pictures`)."""
        await self.get(order_id)
        sha256, media_type = await self._pictures.keep(data)
        before, now = await self.get(order_id), self._clock.now()
        if any(one.sha256 == sha256 for one in before.pictures):
            return before
        if len(before.pictures) >= PICTURES_AT_MOST:
            raise Conflict(f"Work order {order_id} has {PICTURES_AT_MOST} pictures already.", code="too-many-pictures")
        picture = Picture(sha256, media_type, len(data), now, str(by.actor), source)
        after = replace(before, pictures=(*before.pictures, picture), changed_at=now)
        detail = {"sha256": sha256, "source": source, "size": len(data)}
        return await self._write(before, after, PICTURE_EVENT, by=by, comment="", detail=detail, now=now)

    async def picture(self, order_id: WorkOrderId, sha256: str) -> tuple[bytes, str]:
        """A picture of an order, and its media type. NotFound, StorageFailed."""
        for picture in (await self.get(order_id)).pictures:
            if picture.sha256 == sha256:
                return await self._pictures.read(sha256), picture.media_type
        raise NotFound(f"Work order {order_id[:80]} has no such picture.", code="no-picture-on-record")

    def told(self, order: WorkOrder) -> dict[str, Any]:
        """The order as everybody is told of it: complete, so that a message made of it needs no link."""
        return {
            "id": order.id,
            "state": order.state.value,
            "severity": order.severity.value,
            "maintainer": order.maintainer,
            "technician": order.technician,
            "what": order.what,
            "incident": order.incident or None,
            "opened_at": _moment(order.opened_at),
            "opened_by": order.opened_by,
            "accepted_at": _moment(order.accepted_at),
            "on_site_at": _moment(order.on_site_at),
            "repaired_at": _moment(order.repaired_at),
            "closing_note": order.closing_note,
            "ended_at": _moment(order.ended_at),
            "ended_by": order.ended_by,
            "sent_back": order.sent_back,
            "paused": order.paused,
            "pause_reason": order.pauses[-1].reason if order.paused else "",
            "clocks": {name: _told_clock(reading) for name, reading in self.clocks(order).items()},
            "around_the_clock": order.target.around_the_clock,
            "device_count": len(order.devices),
            "devices": [self._told_device(device) for device in order.devices[:_TOLD_DEVICES]],
            "pictures": [_told_picture(one) for one in order.pictures],
        }

    def _told_device(self, device_id: DeviceId) -> dict[str, Any]:
        device = self._city.devices.get(device_id)
        if device is None:
            return {
                "id": device_id,
                "name": "",
                "kind": None,
                "address": "",
                "group": None,
                "cell": None,
                "district": None,
                "position": None,
            }
        place = device.position
        return {
            "id": device.id,
            "name": device.name,
            "kind": device.kind.value,
            "address": device.address,
            "group": device.group,
            "cell": device.cell,
            "district": district_of(device, self._city),
            "position": {"latitude": place.latitude, "longitude": place.longitude} if place else None,
        }

    async def _incident(self, incident_id: str) -> Incident | None:
        if not incident_id:
            return None
        async with self._store.read() as tx:
            return await tx.incidents.get(IncidentId(incident_id))

    def _maintainer(self, devices: Sequence[DeviceId]) -> str:
        """The one who maintains all of them by the inventory. InvalidInput for none, and for several."""
        theirs = sorted({self._city.devices[device].maintainer for device in devices} - {""})
        if len(theirs) != 1:
            why = f"must be given: the inventory has {', '.join(theirs)[:300] or 'none'} for these devices"
            raise InvalidInput("The body is not right.", faults=[Fault("/maintainer", why)])
        return theirs[0]

    async def _write(
        self,
        before: WorkOrder | None,
        after: WorkOrder,
        event: str,
        *,
        by: Person | None,
        comment: str,
        detail: Mapping[str, Any],
        now: datetime,
    ) -> WorkOrder:
        """Commit; only then show it. Conflict (`changed-meanwhile`) when somebody else has changed the order since `before`."""
        actor = str(by.actor) if by else ""

        async def change(tx: Tx) -> None:
            if before is not None and await tx.work_orders.get(before.id) != before:
                raise Conflict(f"Work order {before.id} was changed meanwhile.", code="changed-meanwhile", hint="Look at it again.")
            await tx.work_orders.save(after)
            await tx.work_orders.note(
                after.id,
                Entry(
                    number=0, at=now, what=event.partition(".")[2], actor=actor, comment=comment, detail=detail, name=by.name if by else ""
                ),
            )
            data = {"work_order": self.told(after), "actor": actor or str(SYSTEM), "comment": comment, "detail": dict(detail)}
            tx.emit(NewEvent(event, after.id, now, data))
            if by is not None:
                tx.record(AuditEntry(by.actor, event, after.id, now, {"comment": comment, **detail}))

        await self._store.writer.write(change, lane=Lane.HEALTH)
        if after.live:
            self._live[after.id] = after
        else:
            self._live.pop(after.id, None)
        return after


def _to_repair(incident: Incident | None) -> tuple[DeviceId, ...]:
    """What has to be mended for an incident: its cause, or of a common one whoever is ill."""
    if incident is None:
        return ()
    if incident.cause.kind is CauseKind.DEVICE and incident.cause.device is not None:
        return (incident.cause.device,)
    return tuple(sorted(member.device for member in incident.ill)) or tuple(sorted(incident.members))


def _told_picture(picture: Picture) -> dict[str, Any]:
    same = {name: getattr(picture, name) for name in ("sha256", "media_type", "size", "by", "source")}
    return {**same, "at": _moment(picture.at)}


def _told_clock(reading: Reading) -> dict[str, Any]:
    return {
        "target_s": int(reading.target.total_seconds()),
        "used_s": int(reading.used.total_seconds()),
        "due_at": _moment(reading.due_at),
        "stopped_at": _moment(reading.stopped_at),
        "overdue": reading.overdue,
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None
