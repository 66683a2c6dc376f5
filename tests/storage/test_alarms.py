"""Open alarms and the journal of power cycles, on both stores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.alarms import Alarm
from gateway.domain.devices import DeviceId
from gateway.domain.health import Outcome
from gateway.errors import Conflict
from gateway.storage.power import PowerCycle
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
ALARM = Alarm(
    DeviceId("C-1"),
    DeviceId("SW-1"),
    "1.3.6.1.6.3.1.1.5.3",
    "3",
    "link-down",
    Outcome.FAIL,
    NOW,
    NOW + timedelta(days=1),
    "端口",
    of_link=True,
)
CYCLE = PowerCycle("P-1", DeviceId("C-1"), DeviceId("SW-1"), "1.3.6.1.2.1.105.1.1.1.3.1.1", 1, "api-key:k", "hangs", NOW)


async def test_an_alarm_is_kept_until_it_is_closed_and_once_a_place(store: Store) -> None:
    other = replace(ALARM, key="4", since=NOW + timedelta(seconds=1))

    async def change(tx: Tx) -> None:
        await tx.alarms.open([ALARM, other])
        await tx.alarms.open([replace(ALARM, text="again")])
        await tx.alarms.open([])

    await store.writer.write(change, lane=Lane.HEALTH)
    async with store.read() as tx:
        assert list(await tx.alarms.load()) == [replace(ALARM, text="again"), other]
    await store.writer.write(lambda tx: tx.alarms.close([ALARM.place, (DeviceId("nobody"), "1.3", "")]), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert list(await tx.alarms.load()) == [other]


async def test_a_power_cycle_is_unfinished_until_it_ends_and_ends_once(store: Store) -> None:
    await store.writer.write(lambda tx: tx.power.begin(CYCLE), lane=Lane.FOOTAGE)
    async with store.read() as tx:
        assert list(await tx.power.unfinished()) == [CYCLE]
    ended = NOW + timedelta(seconds=6)
    await store.writer.write(lambda tx: tx.power.end("P-1", outcome="done", now=ended), lane=Lane.FOOTAGE)
    await store.writer.write(lambda tx: tx.power.end("P-1", outcome="unknown", now=ended), lane=Lane.FOOTAGE)
    async with store.read() as tx:
        assert list(await tx.power.unfinished()) == []
        assert list(await tx.power.of(DeviceId("C-1"))) == [replace(CYCLE, ended_at=ended, outcome="done")]


async def test_a_port_is_not_switched_by_two_at_a_time(store: Store) -> None:
    await store.writer.write(lambda tx: tx.power.begin(CYCLE), lane=Lane.FOOTAGE)
    with pytest.raises(Conflict):
        await store.writer.write(lambda tx: tx.power.begin(replace(CYCLE, id="P-2")), lane=Lane.FOOTAGE)


async def test_cycles_are_counted_by_device_and_switch_without_those_that_were_refused(store: Store) -> None:
    cycles = [
        replace(CYCLE, id="old", began_at=NOW - timedelta(hours=1), ended_at=NOW, outcome="done"),
        replace(CYCLE, id="refused", ended_at=NOW, outcome="refused"),
        replace(CYCLE, id="done", ended_at=NOW, outcome="done"),
        replace(CYCLE, id="other", device=DeviceId("C-2"), object="x.2"),
    ]

    async def change(tx: Tx) -> None:
        for cycle in cycles:
            await tx.power.begin(cycle)

    await store.writer.write(change, lane=Lane.FOOTAGE)
    async with store.read() as tx:
        since = NOW - timedelta(minutes=10)
        assert await tx.power.since(since, device=DeviceId("C-1")) == 1
        assert await tx.power.since(since, switch=DeviceId("SW-1")) == 2
