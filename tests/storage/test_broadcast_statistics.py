"""What the store adds up is what somebody counts who reads every broadcast."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.broadcast.statistics import StatisticsDesk
from gateway.domain.broadcast import Broadcast, BroadcastId, Delivery, DeliveryState, Figures, Priority, Programme, Talk
from gateway.domain.broadcast_ledger import EVERYTHING, OutcomeEntry, StreetOutcome
from gateway.domain.broadcast_statistics import CountedBy, periods
from gateway.domain.city import City
from gateway.domain.devices import CellCode, Device, DeviceId, DeviceKind, GridCell, Position
from gateway.domain.events import Actor, ActorKind
from gateway.errors import InvalidInput
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.storage.test_broadcasts import ACTOR, START, order

SHANGHAI = ZoneInfo("Asia/Shanghai")
SPEAKERS = {DeviceId("s1"): CellCode("c1"), DeviceId("s2"): CellCode("c1"), DeviceId("s3"): CellCode("c2"), DeviceId("s4"): None}
ACTORS = (ACTOR, Actor(ActorKind.API_KEY, "key-2"))


def city() -> City:
    ring = tuple(Position(26.0 + y, 106.0 + x) for x, y in ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0)))
    made = City()
    horns = [Device(speaker, DeviceKind.SPEAKER, f"horn {speaker}", "127.0.0.1", cell=cell) for speaker, cell in SPEAKERS.items()]
    cells = [GridCell(CellCode("c1"), "one", (ring,), district="历下"), GridCell(CellCode("c2"), "two", (ring,), district="东昌府")]
    made.replace(devices=horns, groups=[], cells=cells, zones=[])
    return made


def drawn(dice: random.Random, number: int) -> tuple[Broadcast, list[Delivery], StreetOutcome | None]:
    at = START + timedelta(hours=dice.randrange(24 * 20), minutes=dice.randrange(60))
    name = BroadcastId(f"b{number}")
    made = replace(order(), id=name, created_at=at, not_after=at + timedelta(minutes=1), actor=dice.choice(ACTORS))
    made = replace(made, programme=Programme(Talk()), priority=dice.choice(list(Priority)))
    speakers = dice.sample(sorted(SPEAKERS), dice.randrange(1, 4))
    deliveries = [ended(dice, name, DeviceId(speaker), at) for speaker in speakers]
    return made, deliveries, dice.choice([*StreetOutcome, None, None])


def ended(dice: random.Random, name: BroadcastId, speaker: DeviceId, at: datetime) -> Delivery:
    if dice.random() < 0.4:
        return Delivery(name, speaker, DeliveryState.FAILED, at, dice.choice(["busy", "unreachable"]))
    first = at + timedelta(seconds=1)
    last, paused_s = first + timedelta(milliseconds=dice.randrange(20_000, 60_000)), dice.choice([0.0, 12.5])
    figures = Figures("PCMA", 10, 0, first, last, "backchannel", paused_s=paused_s)
    return Delivery(name, speaker, DeliveryState.DONE, at, "", figures)


async def keep(store: Store, broadcast: Broadcast, deliveries: list[Delivery], outcome: StreetOutcome | None) -> None:
    async def change(tx: Tx) -> None:
        await tx.broadcasts.add(broadcast, deliveries)
        if outcome is not None:
            await tx.ledger.say(OutcomeEntry(broadcast.id, 1, outcome, "a note", broadcast.created_at, ACTOR, "Li"))

    await store.writer.write(change, lane=Lane.BROADCAST)


def key_of(by: CountedBy, broadcast: Broadcast, delivery: Delivery) -> str:
    cell = SPEAKERS[delivery.speaker]
    return {
        CountedBy.DAY: f"{broadcast.created_at.astimezone(SHANGHAI):%Y-%m-%d}",
        CountedBy.MONTH: f"{broadcast.created_at.astimezone(SHANGHAI):%Y-%m}",
        CountedBy.SPEAKER: str(delivery.speaker),
        CountedBy.CELL: cell or "",
        CountedBy.DISTRICT: {"c1": "历下", "c2": "东昌府"}.get(cell or "", ""),
        CountedBy.OPERATOR: str(broadcast.actor),
        CountedBy.PRIORITY: broadcast.priority.name.lower(),
    }[by]


async def test_what_is_added_up_is_what_somebody_counts_one_by_one(store: Store) -> None:
    dice = random.Random(4)
    all_of_them = [drawn(dice, number) for number in range(60)]
    for one in all_of_them:
        await keep(store, *one)
    desk, start, end = StatisticsDesk(store=store, city=city(), timezone=SHANGHAI), START + timedelta(days=2), START + timedelta(days=17)
    within = [one for one in all_of_them if start <= one[0].created_at < end]
    for by in CountedBy:
        rows = {row.key: row for row in await desk.count(by, EVERYTHING, start=start, end=end)}
        pairs = [(key_of(by, broadcast, delivery), broadcast, delivery, said) for broadcast, found, said in within for delivery in found]
        heard = Counter(key for key, _, delivery, _ in pairs if delivery.state is DeliveryState.DONE)
        reasons = Counter((key, delivery.reason) for key, _, delivery, _ in pairs if delivery.reason)
        outcomes = Counter({(key, broadcast.id): said for key, broadcast, _, said in pairs}.values())
        assert {key: row.heard for key, row in rows.items() if row.heard} == dict(heard), by
        assert Counter({(key, reason): count for key, row in rows.items() for reason, count in row.reasons.items()}) == reasons
        added = sum((Counter({name or None: count for name, count in row.outcomes.items()}) for row in rows.values()), Counter())
        assert added == Counter({said and said.value: count for said, count in outcomes.items()})
        assert sum(row.broadcasts for row in rows.values()) == len({(key, broadcast.id) for key, broadcast, _, _ in pairs})
        seconds = sum(length(delivery) for _, _, delivery, _ in pairs)
        assert sum(row.seconds for row in rows.values()) == pytest.approx(seconds, abs=0.01)


def length(delivery: Delivery) -> float:
    first, last = delivery.figures.first_packet_at, delivery.figures.last_packet_at
    return (last - first).total_seconds() - delivery.figures.paused_s if first and last else 0.0


async def test_days_without_a_broadcast_have_a_row_too(store: Store) -> None:
    desk = StatisticsDesk(store=store, city=city(), timezone=SHANGHAI)
    rows = await desk.count(CountedBy.DAY, EVERYTHING, start=START, end=START + timedelta(days=3))
    assert [row.broadcasts for row in rows] == [0] * len(rows)
    assert len(rows) in {3, 4}


async def test_too_long_a_time_is_refused(store: Store) -> None:
    desk = StatisticsDesk(store=store, city=city(), timezone=SHANGHAI)
    for end in (START, START + timedelta(days=101)):
        with pytest.raises(InvalidInput):
            await desk.count(CountedBy.DAY, EVERYTHING, start=START, end=end)


def test_days_are_those_of_the_wall_clock_also_where_it_is_set() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    found = list(periods(CountedBy.DAY, datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC), berlin))
    assert [(key, (end - begin).total_seconds() / 3600) for key, begin, end in found] == [
        ("2026-03-28", 11.0),
        ("2026-03-29", 23.0),
        ("2026-03-30", 14.0),
    ]
    months = periods(CountedBy.MONTH, datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), UTC)
    assert [key for key, _, _ in months] == ["2026-01", "2026-02"]
