"""Work orders handed over: whose go by which channel, once each whatever happens, and complete for a program and for a person."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.alerting import Kind
from gateway.domain.events import NewEvent
from gateway.notify.handing_over import Handover, channels_of, kind_of, notice
from gateway.storage.store import Store, Tx
from tests.domain.troubles import START
from tests.notify.test_notifier import Door, a_door
from tests.waiting import Watched

FILE = """
channels:
  hook: {{kind: webhook, url: '{url}/hook', secret_file: {secret}}}
work_orders:
  - {{channels: [hook], maintainers: [水城智安], severity: minor}}
"""


def order(**changes: Any) -> dict[str, Any]:
    clock = {"target_s": 3600, "used_s": 0, "due_at": "2026-03-01T09:00:00Z", "stopped_at": None, "overdue": False}
    device = {"id": "cam-1", "name": "东门", "kind": "camera", "address": "127.8.0.1", "group": "g-1", "cell": None, "district": "历下"}
    return {
        "id": "W-1",
        "state": "open",
        "severity": "major",
        "maintainer": "水城智安",
        "technician": "",
        "what": "换镜头",
        "incident": "I-1",
        "clocks": {"response": clock, "repair": {**clock, "due_at": None}},
        "device_count": 1,
        "devices": [{**device, "position": {"latitude": 36.65, "longitude": 117.12}}],
    } | changes


@pytest.fixture
def clock() -> Watched:
    return Watched(START)


@pytest.fixture
async def door(store: Store, clock: Watched, tmp_path: Path) -> AsyncIterator[Door]:
    async with a_door(FILE, store, clock, tmp_path) as opened:
        yield opened


async def happen(door: Door, step: str, **changes: Any) -> None:
    told = order(**changes)

    async def change(tx: Tx) -> None:
        data = {"work_order": told, "actor": "user:a", "comment": "尽快", "detail": {}}
        tx.emit(NewEvent(f"work-order.{step}", told["id"], door.clock.now(), data))

    await door.write(change)
    await door.until_decided()


async def test_each_step_of_an_order_reaches_its_maintainer_once_and_whole(door: Door) -> None:
    async with door.open():
        await happen(door, "opened")
        await door.pass_(3)
        await door.there.until(1)
        await happen(door, "opened", id="W-2", maintainer="别家")
        await happen(door, "opened", id="W-3", severity="warning")
        await happen(door, "closed")
        await door.pass_(3)
        await door.there.until(2)
    bodies = list(door.there.got)
    assert [(one["event"], one["work_order"]["id"]) for one in bodies] == [("work-order.opened", "W-1"), ("work-order.closed", "W-1")]
    assert bodies[0]["work_order"] == order()
    assert "东门" in bodies[0]["text"]
    assert bodies[0]["id"] != bodies[1]["id"]
    log = await door.log(incident="W-1")
    assert {(one.channel, one.route) for one in log} == {("hook", "work-orders")}


async def test_what_was_ordered_while_we_were_away_is_handed_over_after_the_start_and_not_again(door: Door) -> None:
    async with door.open():
        pass
    told = order()

    async def change(tx: Tx) -> None:
        tx.emit(NewEvent("work-order.opened", "W-1", door.clock.now(), {"work_order": told, "actor": "", "comment": "", "detail": {}}))

    await door.write(change)
    for _ in range(2):
        async with door.open():
            await door.pass_(3)
            await door.there.until(1)
    assert len(door.there.got) == 1


@pytest.mark.parametrize("language", ["zh", "en", "both"])
def test_a_person_reads_who_what_where_and_until_when(language: str) -> None:
    content = {"type": "work-order.opened", "at": START.isoformat(), "data": {"work_order": order(), "comment": "带梯子", "actor": ""}}
    made = notice(content, "W-7", language, ZoneInfo("Asia/Shanghai"))
    text = made.text(limit=10_000)
    for part in ("W-1", "换镜头", "cam-1", "127.8.0.1", "36.650000,117.120000", "2026-03-01 17:00:00", "带梯子", "I-1", "W-7"):
        assert part in text
    assert made.kind is Kind.PROBLEM


def test_which_channels_and_what_for() -> None:
    handovers = [Handover(("a", "b"), frozenset({"水城智安"})), Handover(("b", "c"))]
    assert channels_of(handovers, order()) == ["a", "b", "c"]
    assert channels_of(handovers, order(maintainer="别家")) == ["b", "c"]
    assert [kind_of(f"work-order.{step}") for step in ("overdue", "on-site", "cancelled")] == [Kind.PROBLEM, Kind.UPDATE, Kind.RECOVERY]
