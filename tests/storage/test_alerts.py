"""Alerts in both stores: bundles come back as they were, a message is queued once, notes are counted, the log is paged and forgotten."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.alert_log import Fate
from gateway.domain.alerting import Bundle, Kind, Line, Note
from gateway.domain.duty import Shift, ShiftId
from gateway.domain.severity import Severity
from gateway.domain.trouble import trouble_of
from gateway.errors import NotFound
from gateway.storage.alerts import Addressed, ChannelFigures
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.domain.troubles import START, incident_json

TO = (
    Addressed("all", "hook", Kind.PROBLEM, "critical", ("王建国",), ("I-1", "I-2")),
    Addressed("all", "mail", Kind.PROBLEM, "critical", (), ("I-1",)),
)


async def write(store: Store, change) -> None:
    await store.writer.write(change, lane=Lane.HEALTH)


async def enqueue(store: Store, message: str = "A-1.1", to=TO) -> None:
    await write(store, lambda tx: tx.alerts.enqueue(message, {"message": message}, to, at=START))


async def test_a_bundle_comes_back_as_it_was_and_goes_for_good(store: Store) -> None:
    lines = {"I-1": Line(trouble_of(incident_json()), Severity.MAJOR, kept=True, level=2), "I-2": Line(trouble_of(incident_json("I-2")))}
    bundle = Bundle(id="A-1", route="all", began=START, lines=lines, due=START, over_due=None, last_sent=START, sent=3, night=True, more=7)
    await write(store, lambda tx: tx.alerts.keep([bundle], []))
    await write(store, lambda tx: tx.alerts.keep([replace(bundle, sent=4)], []))
    async with store.read() as tx:
        assert await tx.alerts.bundles() == {"A-1": replace(bundle, sent=4)}
    await write(store, lambda tx: tx.alerts.keep([], ["A-1"]))
    async with store.read() as tx:
        assert await tx.alerts.bundles() == {}


async def test_a_message_is_queued_once_and_carried_in_order(store: Store) -> None:
    await enqueue(store)
    await enqueue(store)
    await enqueue(store, "A-1.2", TO[:1])
    async with store.read() as tx:
        first = await tx.alerts.next("hook")
        assert (first.message, first.content, await tx.alerts.next("nobody")) == ("A-1.1", {"message": "A-1.1"}, None)
        assert len(await tx.alerts.log(limit=10)) == 3
        assert set(await tx.alerts.channels_waited_for()) == {"hook", "mail"}
    await write(store, lambda tx: tx.alerts.settle(first.number, Fate.SENT, now=START, attempts=1))
    async with store.read() as tx:
        assert (await tx.alerts.next("hook")).message == "A-1.2"
        figures = await tx.alerts.figures(["hook", "mail"])
    assert (figures["hook"].queued, figures["hook"].last_sent_at, figures["mail"].queued) == (1, START, 1)


async def test_what_fails_again_and_again_comes_behind_others_but_of_its_bundle_or_work_order(store: Store) -> None:
    order = [replace(TO[0], incidents=("W-a",))]
    for message, to in (("A-1.1", TO[:1]), ("A-1.2", TO[:1]), ("W-7", order), ("W-8", order), ("A-2.1", TO[:1])):
        await enqueue(store, message, to)

    async def turn(*aside: int) -> str:
        async with store.read() as tx:
            waiting = await tx.alerts.next("hook", patience=2, aside=aside)
        return waiting.message if waiting else ""

    async def fails(number: int, attempts: int) -> None:
        await write(store, lambda tx: tx.alerts.settle(number, Fate.QUEUED, now=START, attempts=attempts))

    await fails(1, 1)
    assert await turn() == "A-1.1"
    await fails(1, 2)
    assert await turn() == "W-7"
    await fails(3, 3)
    assert await turn() == "A-2.1"
    await write(store, lambda tx: tx.alerts.settle(5, Fate.SENT, now=START, attempts=1))
    assert [await turn(), await turn(1), await turn(1, 3)] == ["A-1.1", "W-7", ""]
    await write(store, lambda tx: tx.alerts.settle(1, Fate.FAILED, now=START, attempts=3))
    assert await turn() == "A-1.2"


async def test_figures_tell_the_last_of_each_channel_whatever_the_order(store: Store) -> None:
    for number in range(4):
        await enqueue(store, f"A-{number}.1", TO[:1])
    for number, fate, hours in ((2, Fate.SENT, 1), (1, Fate.SENT, 5), (3, Fate.FAILED, 3)):
        moment = START + timedelta(hours=hours)
        await write(store, lambda tx, number=number, fate=fate, now=moment: tx.alerts.settle(number, fate, now=now, attempts=1))
    async with store.read() as tx:
        figures = await tx.alerts.figures(["hook", "nobody"])
    assert figures["hook"] == ChannelFigures(1, START + timedelta(hours=5), START + timedelta(hours=3))
    assert figures["nobody"] == ChannelFigures()


async def test_the_log_is_found_by_incident_channel_and_outcome_and_paged(store: Store) -> None:
    await enqueue(store)
    await write(store, lambda tx: tx.alerts.note([Note("I-1", "night", "quiet-hours", START, "until 07:00")]))
    await write(store, lambda tx: tx.alerts.note([Note("I-1", "night", "quiet-hours", START + timedelta(hours=1), "until 08:00")]))
    async with store.read() as tx:
        of_one = await tx.alerts.log(incident="I-1", limit=10)
        held = await tx.alerts.log(fate=Fate.HELD, limit=10)
        assert [one.channel for one in await tx.alerts.log(incident="I-2", limit=10)] == ["hook"]
        assert [one.channel for one in await tx.alerts.log(channel="mail", limit=10)] == ["mail"]
        assert [one.number for one in await tx.alerts.log(before=of_one[0].number, limit=1)] == [of_one[1].number]
    assert [one.outcome for one in of_one] == [Fate.HELD, Fate.QUEUED, Fate.QUEUED]
    assert (held[0].times, held[0].detail, held[0].at, held[0].ended_at) == (2, "until 08:00", START, START + timedelta(hours=1))
    assert of_one[2].incidents == ("I-1", "I-2") and of_one[2].people == ("王建国",)


async def test_what_no_store_takes_in_a_text_is_left_out(store: Store) -> None:
    await write(store, lambda tx: tx.alerts.note([Note("I-1", "all", "not-matched", START, "its vendors (A\0\ud800B)" + "x" * 900)]))
    async with store.read() as tx:
        [entry] = await tx.alerts.log(limit=10)
    assert entry.detail.startswith("its vendors (A  B)") and len(entry.detail) == 500


async def test_only_the_newest_of_a_full_queue_are_kept(store: Store) -> None:
    for number in range(5):
        await enqueue(store, f"A-{number}.1", TO[:1])
    await write(store, lambda tx: tx.alerts.give_up("hook", now=START, reason="queue-full", detail="too many", keep=2))
    async with store.read() as tx:
        assert (await tx.alerts.next("hook")).message == "A-3.1"
        assert {one.message for one in await tx.alerts.log(fate=Fate.FAILED, limit=10)} == {"A-0.1", "A-1.1", "A-2.1"}


async def test_what_is_old_is_forgotten_and_what_waits_is_not(store: Store) -> None:
    await enqueue(store)
    await enqueue(store, "A-2.1", TO[:1])
    async with store.read() as tx:
        numbers = [one.number for one in await tx.alerts.log(limit=10) if one.message == "A-1.1"]
    for number in numbers:
        await write(store, lambda tx, number=number: tx.alerts.settle(number, Fate.SENT, now=START, attempts=1))
    await write(store, lambda tx: tx.alerts.forget(before=START + timedelta(days=1)))
    async with store.read() as tx:
        assert [one.message for one in await tx.alerts.log(limit=10)] == ["A-2.1"]
        assert (await tx.alerts.next("hook")).message == "A-2.1"


async def test_the_roster_keeps_shifts_in_the_order_of_time(store: Store, clock: SimulatedClock) -> None:
    first = Shift(id=ShiftId("S-1"), person="王建国", start=START, end=START + timedelta(hours=8), contacts={"phone": "1"}, note="x")
    second = replace(first, id=ShiftId("S-2"), start=START + timedelta(hours=8), end=START + timedelta(hours=16), level=1)

    async def change(tx: Tx) -> None:
        await tx.alerts.put_shift(second)
        await tx.alerts.put_shift(first)
        await tx.alerts.put_shift(replace(second, person="李敏"))

    await write(store, change)
    async with store.read() as tx:
        assert await tx.alerts.shifts() == [first, replace(second, person="李敏")]
        assert await tx.alerts.shifts(after=START + timedelta(hours=8)) == [replace(second, person="李敏")]
        assert await tx.alerts.shifts(before=START + timedelta(hours=8)) == [first]
    await write(store, lambda tx: tx.alerts.drop_shift(ShiftId("S-1")))
    with pytest.raises(NotFound):
        await write(store, lambda tx: tx.alerts.drop_shift(ShiftId("S-1")))
