"""Alerts in the store: the bundles that are under way, the messages with their deliveries, and why what was held back was held back."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, ForeignKey, Row, Table, Text, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alert_log import Delivery, Fate
from gateway.domain.alerting import Bundle, Kind, Note
from gateway.domain.duty import Shift, ShiftId
from gateway.errors import NotFound
from gateway.storage.alert_json import bundle_json, bundle_of
from gateway.storage.schema import Json, UtcTime, metadata

alert_bundles = Table(
    "alert_bundles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("route", Text, nullable=False),
    Column("data", Json, nullable=False),
)
alert_messages = Table(
    "alert_messages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("content", Json, nullable=False),
)
alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("slot", Text, nullable=False),
    Column("message", Text),
    Column("route", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("people", Json, nullable=False),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)
alert_delivery_incidents = Table(
    "alert_delivery_incidents",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("number", BigInteger, ForeignKey("alert_deliveries.number"), primary_key=True),
)
duty_shifts = Table(
    "duty_shifts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("level", BigInteger, nullable=False),
    Column("contacts", Json, nullable=False),
    Column("note", Text, nullable=False),
)
_DETAIL = 500
_AT_ONCE = 500  # names in one question
_QUEUE = 1_000  # of what is queued for a channel, the oldest that are looked at


@dataclass(frozen=True, slots=True)
class Addressed:
    """One message on its way to one channel."""

    route: str
    channel: str
    kind: Kind
    severity: str
    people: tuple[str, ...]
    incidents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next delivery of a channel, with what it carries."""

    number: int
    message: str
    attempts: int
    at: datetime
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """What a channel has done."""

    queued: int = 0
    last_sent_at: datetime | None = None
    last_failed_at: datetime | None = None


class AlertRepository:
    """`slot` is what may stand once: a message on a channel, or an incident's reason at a route."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self._dialect = postgresql if conn.dialect.name == "postgresql" else sqlite

    # -- bundles ------------------------------------------------------------------------------------------------------

    async def bundles(self) -> dict[str, Bundle]:
        """All that are under way."""
        rows = await self._conn.execute(select(alert_bundles).order_by(alert_bundles.c.id))
        return {row.id: bundle_of(row.id, row.route, row.data) for row in rows}

    async def keep(self, changed: Iterable[Bundle], gone: Iterable[str]) -> None:
        """Write bundles that changed, and forget those that are gone."""
        for bundle in changed:
            data = bundle_json(bundle)
            statement = self._dialect.insert(alert_bundles).values(id=bundle.id, route=bundle.route, data=data)
            await self._conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"data": data}))
        for name in gone:
            await self._conn.execute(delete(alert_bundles).where(alert_bundles.c.id == name))

    # -- messages -----------------------------------------------------------------------------------------------------

    async def enqueue(self, message: str, content: Mapping[str, Any], to: Sequence[Addressed], *, at: datetime) -> None:
        """Keep a message and queue its deliveries; nothing happens for a message that is known."""
        statement = self._dialect.insert(alert_messages).values(id=message, at=at, content=content)
        if (await self._conn.execute(statement.on_conflict_do_nothing())).rowcount == 0:
            return
        entry = {"message": message, "outcome": Fate.QUEUED.value, "reason": "", "detail": "", "times": 1, "at": at, "ended_at": None}
        entries = [
            {
                **entry,
                "slot": f"{message} {one.channel}",
                "route": one.route,
                "channel": one.channel,
                "people": list(one.people),
                "kind": one.kind.value,
                "severity": one.severity,
            }
            for one in to
        ]
        await self._add(entries, [one.incidents for one in to])

    async def note(self, notes: Iterable[Note]) -> None:
        """Write why incidents were held back; the same reason again is counted. As many statements for a crowd of notes as for a few."""
        alike: dict[str, list[Note]] = {}
        for one in notes:
            alike.setdefault(f"{one.incident} {one.route} {one.reason}", []).append(one)
        known = await self._known(list(alike))
        if known:
            again = update(alert_deliveries).where(alert_deliveries.c.slot == bindparam("of_slot"))
            again = again.values(
                times=alert_deliveries.c.times + bindparam("more"), ended_at=bindparam("last_at"), detail=bindparam("last_detail")
            )
            rows = [
                {"of_slot": slot, "more": len(alike[slot]), "last_at": alike[slot][-1].at, "last_detail": _text(alike[slot][-1].detail)}
                for slot in known
            ]
            await self._conn.execute(again, rows)
        fresh = {slot: found for slot, found in alike.items() if slot not in known}
        await self._add([_held(slot, found) for slot, found in fresh.items()], [(found[0].incident,) for found in fresh.values()])

    async def _known(self, slots: Sequence[str]) -> frozenset[str]:
        found: set[str] = set()
        for start in range(0, len(slots), _AT_ONCE):
            some = slots[start : start + _AT_ONCE]
            found |= set(await self._conn.scalars(select(alert_deliveries.c.slot).where(alert_deliveries.c.slot.in_(some))))
        return frozenset(found)

    async def _add(self, entries: Sequence[Mapping[str, Any]], incidents: Sequence[Iterable[str]]) -> None:
        """New entries, each with the incidents that it is about."""
        if not entries:
            return
        last = await self._conn.scalar(select(func.coalesce(func.max(alert_deliveries.c.number), 0))) or 0
        await self._conn.execute(
            insert(alert_deliveries), [{**row, "number": number, "attempts": 0} for number, row in enumerate(entries, last + 1)]
        )
        links = [{"incident": one, "number": number} for number, about in enumerate(incidents, last + 1) for one in dict.fromkeys(about)]
        if links:
            await self._conn.execute(insert(alert_delivery_incidents), links)

    async def next(self, channel: str, *, patience: int | None = None, aside: Collection[int] = ()) -> Waiting | None:
        """What a channel has to carry first: the oldest, but what was tried `patience` times comes behind the others.

        `aside`: numbers that are not to be tried now. What follows in the same bundle, or about the same work order, waits with them.
        """
        first = await self._waiting(channel)
        if first is None or patience is None or (first.attempts < patience and first.number not in aside):
            return first
        heads = [one for one in await self._heads(channel) if one.number not in aside]
        if not heads:
            return None
        chosen = min(heads, key=lambda one: (one.attempts if one.attempts >= patience else 0, one.number))
        return await self._waiting(channel, chosen.number)

    async def _heads(self, channel: str) -> Sequence[Row[int, str, int]]:
        """Of all that is queued, what nothing else of its bundle or work order comes before."""
        columns = (alert_deliveries.c.number, alert_deliveries.c.message, alert_deliveries.c.attempts)
        statement = select(*columns).where(*_came_to(channel, Fate.QUEUED)).order_by(alert_deliveries.c.number).limit(_QUEUE)
        rows = list(await self._conn.execute(statement))
        orders = await self._incidents([row.number for row in rows if "." not in row.message])
        heads: dict[str, Row[int, str, int]] = {}
        for row in rows:
            heads.setdefault(_line_of(row.message, orders.get(row.number, ())), row)
        return list(heads.values())

    async def _waiting(self, channel: str, number: int | None = None) -> Waiting | None:
        """The oldest that is queued for a channel, or the one with this number."""
        joined = alert_deliveries.join(alert_messages, alert_messages.c.id == alert_deliveries.c.message)
        statement = (
            select(
                alert_deliveries.c.number,
                alert_deliveries.c.message,
                alert_deliveries.c.attempts,
                alert_deliveries.c.at,
                alert_messages.c.content,
            )
            .select_from(joined)
            .where(*_came_to(channel, Fate.QUEUED))
            .order_by(alert_deliveries.c.number)
            .limit(1)
        )
        if number is not None:
            statement = statement.where(alert_deliveries.c.number == number)
        row = (await self._conn.execute(statement)).one_or_none()
        return None if row is None else Waiting(row.number, row.message, row.attempts, row.at, row.content)

    async def settle(self, number: int, fate: Fate, *, now: datetime, reason: str = "", detail: str = "", attempts: int) -> None:
        """What came of an attempt; QUEUED when it is to be tried again."""
        ended = None if fate is Fate.QUEUED else now
        values = {"outcome": fate.value, "reason": reason[:64], "detail": _text(detail), "attempts": attempts, "ended_at": ended}
        await self._conn.execute(update(alert_deliveries).where(alert_deliveries.c.number == number).values(**values))

    async def channels_waited_for(self) -> Sequence[str]:
        """The channels that something is queued for."""
        statement = select(alert_deliveries.c.channel).where(alert_deliveries.c.outcome == Fate.QUEUED.value).distinct()
        return list(await self._conn.scalars(statement))

    async def give_up(self, channel: str, *, now: datetime, reason: str, detail: str, keep: int = 0) -> None:
        """Let what is queued for a channel fail, but for the newest `keep`."""
        queued = (alert_deliveries.c.channel == channel) & (alert_deliveries.c.outcome == Fate.QUEUED.value)
        if keep:
            newest = select(alert_deliveries.c.number).where(queued).order_by(alert_deliveries.c.number.desc()).limit(1).offset(keep - 1)
            first = await self._conn.scalar(newest)
            if first is None:
                return
            queued &= alert_deliveries.c.number < first
        values = {"outcome": Fate.FAILED.value, "reason": reason, "detail": detail, "ended_at": now}
        await self._conn.execute(update(alert_deliveries).where(queued).values(**values))

    # -- the log ------------------------------------------------------------------------------------------------------

    async def log(
        self, *, incident: str = "", channel: str = "", fate: Fate | None = None, before: int | None = None, limit: int
    ) -> Sequence[Delivery]:
        """Deliveries and what was held back, newest first."""
        statement = select(alert_deliveries).order_by(alert_deliveries.c.number.desc()).limit(limit)
        if incident:
            links = alert_delivery_incidents
            statement = statement.join(links, links.c.number == alert_deliveries.c.number).where(links.c.incident == incident)
        if channel:
            statement = statement.where(alert_deliveries.c.channel == channel)
        if fate is not None:
            statement = statement.where(alert_deliveries.c.outcome == fate.value)
        if before is not None:
            statement = statement.where(alert_deliveries.c.number < before)
        rows = list(await self._conn.execute(statement))
        named = await self._incidents([row.number for row in rows])
        return [_delivery(row, named.get(row.number, ())) for row in rows]

    async def _incidents(self, numbers: Sequence[int]) -> Mapping[int, Sequence[str]]:
        found: dict[int, list[str]] = {}
        links = alert_delivery_incidents
        if numbers:
            for row in await self._conn.execute(select(links).where(links.c.number.in_(numbers)).order_by(links.c.incident)):
                found.setdefault(row.number, []).append(row.incident)
        return found

    async def figures(self, channels: Iterable[str]) -> Mapping[str, ChannelFigures]:
        """What each of these channels has done, by its name; the cost does not grow with the length of the log."""
        return {
            channel: ChannelFigures(
                await self._conn.scalar(select(func.count()).where(*_came_to(channel, Fate.QUEUED))) or 0,
                await self._last(channel, Fate.SENT),
                await self._last(channel, Fate.FAILED),
            )
            for channel in channels
        }

    async def _last(self, channel: str, fate: Fate) -> datetime | None:
        """When something last came to this, among the newest: what waits long ends after what came later."""
        newest = select(alert_deliveries.c.ended_at).where(*_came_to(channel, fate)).order_by(alert_deliveries.c.number.desc())
        return max(await self._conn.scalars(newest.limit(_AT_ONCE)), default=None)

    async def forget(self, *, before: datetime, limit: int = 2_000) -> int:
        """Drop up to `limit` of the oldest entries that ended before; how many there were."""
        old = select(alert_deliveries.c.number).where(alert_deliveries.c.ended_at < before).order_by(alert_deliveries.c.number).limit(limit)
        numbers = list(await self._conn.scalars(old))
        if numbers:
            last = numbers[-1]
            ended = select(alert_deliveries.c.number).where(alert_deliveries.c.number <= last, alert_deliveries.c.ended_at < before)
            await self._conn.execute(delete(alert_delivery_incidents).where(alert_delivery_incidents.c.number.in_(ended)))
            await self._conn.execute(
                delete(alert_deliveries).where(alert_deliveries.c.number <= last, alert_deliveries.c.ended_at < before)
            )
            used = select(alert_deliveries.c.message).where(alert_deliveries.c.message == alert_messages.c.id).exists()
            await self._conn.execute(delete(alert_messages).where(alert_messages.c.at < before, ~used))
        return len(numbers)

    # -- the roster ---------------------------------------------------------------------------------------------------

    async def shifts(self, *, after: datetime | None = None, before: datetime | None = None, limit: int = 10_000) -> list[Shift]:
        """Shifts that end after `after` and begin before `before`, in the order of time."""
        statement = select(duty_shifts).order_by(duty_shifts.c.start_at, duty_shifts.c.level, duty_shifts.c.id).limit(limit)
        if after is not None:
            statement = statement.where(duty_shifts.c.end_at > after)
        if before is not None:
            statement = statement.where(duty_shifts.c.start_at < before)
        return [_shift(row) for row in await self._conn.execute(statement)]

    async def shift(self, shift: ShiftId) -> Shift:
        """Raises NotFound."""
        row = (await self._conn.execute(select(duty_shifts).where(duty_shifts.c.id == shift))).one_or_none()
        if row is None:
            raise NotFound(f"no shift {shift[:80]}", code="no-shift")
        return _shift(row)

    async def put_shift(self, shift: Shift) -> None:
        values = {
            "person": shift.person,
            "start_at": shift.start,
            "end_at": shift.end,
            "level": shift.level,
            "contacts": dict(shift.contacts),
            "note": shift.note,
        }
        statement = self._dialect.insert(duty_shifts).values(id=shift.id, **values)
        await self._conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    async def drop_shift(self, shift: ShiftId) -> Shift:
        """The shift that is no more. NotFound."""
        found = await self.shift(shift)
        await self._conn.execute(delete(duty_shifts).where(duty_shifts.c.id == shift))
        return found


def _came_to(channel: str, fate: Fate) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return alert_deliveries.c.channel == channel, alert_deliveries.c.outcome == fate.value


def _line_of(message: str, about: Sequence[str]) -> str:
    """What a message stays in order with: its bundle (`BUNDLE.NUMBER`), else what it is about."""
    return message.rpartition(".")[0] or next(iter(about), message)


def _text(detail: str) -> str:
    """As both stores take it: of a bounded length, without NUL and halves of surrogate pairs, which names may hold."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", detail)[:_DETAIL]


def _held(slot: str, notes: Sequence[Note]) -> dict[str, Any]:
    """The entry of what was noted once or several times."""
    return {
        "slot": slot,
        "message": None,
        "route": notes[0].route,
        "channel": "",
        "people": [],
        "kind": "",
        "severity": "",
        "outcome": Fate.HELD.value,
        "reason": notes[0].reason,
        "detail": _text(notes[-1].detail),
        "times": len(notes),
        "at": notes[0].at,
        "ended_at": notes[-1].at,
    }


def _delivery(row: Row[Any], incidents: Sequence[str]) -> Delivery:
    return Delivery(
        number=row.number,
        message=row.message or "",
        incidents=tuple(incidents),
        route=row.route,
        channel=row.channel,
        people=tuple(row.people),
        kind=row.kind,
        severity=row.severity,
        outcome=Fate(row.outcome),
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        times=row.times,
        at=row.at,
        ended_at=row.ended_at,
    )


def _shift(row: Row[Any]) -> Shift:
    return Shift(
        id=ShiftId(row.id), person=row.person, start=row.start_at, end=row.end_at, level=row.level, contacts=row.contacts, note=row.note
    )
