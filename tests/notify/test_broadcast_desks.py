"""Broadcasts told: what may still sound and that it is silent, what waits for a second person, what stays wrong; once and complete."""

import operator
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.api.routes.events import TYPES
from gateway.broadcast.acceptance import insert
from gateway.broadcast.recordings import FAILED_EVENT
from gateway.broadcast.service import PACER_DIED_EVENT, VOLUME_LEFT_EVENT
from gateway.broadcast.silencing import FELL_SILENT_EVENT, MAY_STILL_SOUND_EVENT
from gateway.domain.alerting import Kind
from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, OwedStop, Priority, Programme, Speech, Talk
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId
from gateway.domain.events import Event, NewEvent
from gateway.errors import Conflict
from gateway.notify.broadcast_desks import STEPS, BroadcastDesk, channels_of, content_of, gathered, notice, shares, step_of
from gateway.notify.notifier import BATCH, GATHER_S, READER, Notifier
from gateway.storage.store import Store, Tx
from tests.domain.troubles import START, incident_json
from tests.notify.test_notifier import Door, a_door
from tests.storage.test_broadcasts import PROGRAMME, clip, order
from tests.waiting import Watched, until

FILE = """
language: both
channels:
  night: {{kind: webhook, url: '{url}/hook', secret_file: {secret}}}
  second: {{kind: webhook, url: '{url}/hook', secret_file: {secret}}}
broadcasts:
  - {{channels: [night], steps: [may-still-sound, fell-silent, volume-not-restored, pacer-died, recording-failed]}}
  - {{channels: [second], steps: [awaiting-approval]}}
"""
BROADCAST = BroadcastId("b1")
SAID = "请穿红衣服的先生离开水边"
TEXT = Programme(Speech(SAID))
ZONE = ZoneInfo("Asia/Shanghai")


def city() -> City:
    made = City()
    group = CameraGroup(GroupId("g"), "水边路口", street="泺源大街", district="历下区")
    speakers = [Device(DeviceId(f"SPK-{number}"), DeviceKind.SPEAKER, f"{number}号音柱", "127.8.0.9", group=group.id) for number in (1, 2)]
    made.replace(devices=speakers, groups=[group])
    return made


@pytest.fixture
def clock() -> Watched:
    return Watched(START)


@pytest.fixture
async def door(store: Store, clock: Watched, tmp_path: Path) -> AsyncIterator[Door]:
    async with a_door(FILE, store, clock, tmp_path, city=city()) as opened:
        yield opened


def new(kind: str, door: Door, subject: str = BROADCAST, **data: Any) -> NewEvent:
    return NewEvent(kind, subject, door.clock.now(), data)


async def emit(door: Door, *events: NewEvent) -> None:
    async def change(tx: Tx) -> None:
        for event in events:
            tx.emit(event)

    await door.write(change)


async def happen(door: Door, *events: NewEvent) -> None:
    """Have these written, and return once they are decided on."""
    await emit(door, *events)
    await decided(door)


async def decided(door: Door) -> None:
    latest = door.store.events.latest

    async def cursor() -> int:
        async with door.store.read() as tx:
            return await tx.readers.cursor(READER) or 0

    await until(cursor, meanwhile=lambda: door.clock.advance(GATHER_S), wanted=lambda found: found >= latest)


async def gathering(door: Door) -> None:
    """Return once an event waits for company."""
    usual = 1 + len(await door.notifier.channels())
    await until(lambda: door.clock.waiting, wanted=lambda waiting: waiting > usual)


async def asked(door: Door, name: str = BROADCAST, **changes: Any) -> None:
    """An order that waits for a second person."""
    one = replace(order(name, programme=TEXT, not_after=START + timedelta(minutes=10), sender="王芳"), **changes)
    waiting = [Delivery(one.id, DeviceId(f"SPK-{number}"), DeliveryState.AWAITING_APPROVAL, START) for number in (1, 2)]

    async def change(tx: Tx) -> None:
        await insert(tx, one, waiting, (), reach=7, recording=None)

    await door.write(change)


async def owed(door: Door, *speakers: str, by: Sequence[str] = (BROADCAST,)) -> None:
    """These are not known to be silent, of each of these broadcasts; each later one began and ends a minute later."""

    async def change(tx: Tx) -> None:
        await tx.clips.add(clip())
        for number, name in enumerate(by):
            await tx.broadcasts.add(order(name), ())
            since = START - timedelta(seconds=30 - 60 * number)
            for speaker in speakers:
                await tx.owed_stops.owe(OwedStop(BroadcastId(name), DeviceId(speaker), "clip-7", since, since + timedelta(seconds=125)))

    await door.write(change)


async def test_what_may_still_sound_is_told_with_where_and_since_when_and_then_that_it_is_silent(door: Door) -> None:
    await owed(door, "SPK-1")
    async with door.open():
        await happen(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"))
        await door.there.until(1)
        await happen(door, new(FELL_SILENT_EVENT, door, speaker="SPK-1"))
        await door.there.until(2)
    sounds, silent = door.there.got
    assert (sounds["kind"], sounds["step"], sounds["severity"]) == ("broadcast", "may-still-sound", "critical")
    assert (sounds["broadcasts"], sounds["speakers"]) == (["b1"], ["SPK-1"])
    assert "历下区 泺源大街 1号音柱 (SPK-1)，11:59:30 起播放，最迟 12:01:35 自行结束" in sounds["text"]
    assert (silent["step"], silent["severity"], silent["speakers"]) == ("fell-silent", "warning", ["SPK-1"])
    assert [(one.channel, one.route) for one in await door.log(incident="b1")] == [("night", "broadcasts")] * 2


async def test_a_restart_in_the_middle_loses_nothing_and_repeats_nothing(door: Door) -> None:
    await owed(door, "SPK-1")
    async with door.open():
        pass
    await emit(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"))
    for _ in range(2):
        async with door.open():
            await decided(door)
            await door.there.until(1)
            await door.pass_(3)
    assert [one["step"] for one in door.there.got] == ["may-still-sound"]


async def test_what_comes_within_a_moment_is_one_message(door: Door) -> None:
    await owed(door, "SPK-1", *(f"X-{number}" for number in range(30)), by=("b1", "b2"))
    async with door.open():
        await emit(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"))
        await gathering(door)
        await happen(door, *(new(MAY_STILL_SOUND_EVENT, door, "b2", speaker=f"X-{number}") for number in range(30)))
        await door.there.until(1)
        await door.pass_(3)
    (told,) = door.there.got
    assert (len(told["speakers"]), told["broadcasts"]) == (31, ["b1", "b2"])
    assert "音柱总数:31" in told["text"]


async def test_a_loudspeaker_that_is_silent_again_within_the_moment_is_told_as_silent_alone(door: Door) -> None:
    await owed(door, "SPK-1", "SPK-2")
    async with door.open():
        await emit(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"), new(FELL_SILENT_EVENT, door, speaker="SPK-1"))
        await happen(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-2"))
        await door.there.until(2)
    assert {(one["step"], *one["speakers"]) for one in door.there.got} == {("fell-silent", "SPK-1"), ("may-still-sound", "SPK-2")}


async def test_what_is_silent_by_the_time_it_would_be_told_of_is_not_told_as_sounding(door: Door) -> None:
    await owed(door, "SPK-2")
    async with door.open():
        await happen(door, *(new(MAY_STILL_SOUND_EVENT, door, speaker=f"SPK-{number}") for number in (1, 2)))
        await happen(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"))
        await happen(door, new(FELL_SILENT_EVENT, door, speaker="SPK-1"))
        await door.there.until(2)
        await door.pass_(3)
    assert [(one["step"], one["speakers"]) for one in door.there.got] == [("may-still-sound", ["SPK-2"]), ("fell-silent", ["SPK-1"])]


async def test_more_than_one_batch_of_one_moment_is_still_one_message(door: Door) -> None:
    speakers = [f"X-{number}" for number in range(2 * BATCH)]
    kinds = (MAY_STILL_SOUND_EVENT, FELL_SILENT_EVENT)
    async with door.open():
        await happen(door, *(new(kind, door, speaker=speaker) for kind in kinds for speaker in speakers))
        await door.there.until(1)
        await door.pass_(3)
    assert [(one["step"], len(one["speakers"])) for one in door.there.got] == [("fell-silent", len(speakers))]


async def test_what_shares_no_message_makes_no_larger_a_batch_for_a_broadcast_among_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await owed(door, "SPK-1")
    decide, sizes = Notifier._decide, list[int]()

    async def counted(self: Notifier, events: Sequence[Event], cursor: int) -> None:
        sizes.append(len(events))
        await decide(self, events, cursor)

    monkeypatch.setattr(Notifier, "_decide", counted)
    incidents = [new("incident.opened", door, f"I-{number}", incident=incident_json(id_=f"I-{number}")) for number in range(BATCH + 50)]
    async with door.open():
        await happen(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"), *incidents)
    assert sizes == [BATCH + 1, 50]


@pytest.mark.parametrize("bad", ["work-order.opened", MAY_STILL_SOUND_EVENT])
async def test_an_event_that_cannot_be_read_leaves_the_others_in_one_message(door: Door, bad: str) -> None:
    speakers = [f"X-{number}" for number in range(30)]
    await owed(door, *speakers)
    sounding = [new(MAY_STILL_SOUND_EVENT, door, speaker=speaker) for speaker in speakers]
    async with door.open():
        await happen(door, *sounding[:11], new(bad, door), *sounding[11:])
        await door.there.until(1)
        await door.pass_(3)
        assert len(await door.log(incident="b1")) == 1
    (told,) = door.there.got
    assert told["speakers"] == speakers


async def test_events_that_the_store_refuses_only_together_are_told_singly(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    speakers = ["SPK-1", "SPK-2"]
    await owed(door, *speakers)
    decide = Notifier._decide

    async def only_single(self: Notifier, events: Sequence[Event], cursor: int) -> None:
        if len(events) > 1:
            raise Conflict("not together")
        await decide(self, events, cursor)

    monkeypatch.setattr(Notifier, "_decide", only_single)
    async with door.open():
        await happen(door, *(new(MAY_STILL_SOUND_EVENT, door, speaker=speaker) for speaker in speakers))
        await door.there.until(2)
    assert [one["speakers"] for one in door.there.got] == [["SPK-1"], ["SPK-2"]]


async def test_a_loudspeaker_of_two_broadcasts_is_named_once_until_the_later_one_ends(door: Door) -> None:
    await owed(door, "SPK-1", "SPK-2", by=("b1", "b2"))
    async with door.open():
        await happen(door, *(new(MAY_STILL_SOUND_EVENT, door, name, speaker=f"SPK-{one}") for name in ("b1", "b2") for one in (1, 2)))
        await door.there.until(1)
    (told,) = door.there.got
    assert (told["speakers"], told["broadcasts"]) == (["SPK-1", "SPK-2"], ["b1", "b2"])
    assert told["text"].count("音柱:") == 2
    assert "1号音柱 (SPK-1)，11:59:30 起播放，最迟 12:02:35 自行结束" in told["text"]


async def test_the_second_person_reads_what_is_to_be_said_where_by_whom_and_until_when(door: Door) -> None:
    async with door.open():
        await asked(door)
        await asked(door, "b2", priority=Priority.EMERGENCY, programme=Programme(Talk()))
        await door.write(lambda tx: tx.clips.add(clip("no swimming")))
        await asked(door, "b3", programme=PROGRAMME)
        await decided(door)
        await door.there.until(3)
    told = {one["broadcasts"][0]: one for one in door.there.got}
    for part in (SAID, "王芳", "case 7", "泺源大街 2号音柱", "12:10:00", "gatewayctl approve", "b1"):
        assert part in told["b1"]["text"]
    assert [told[name]["severity"] for name in ("b1", "b2")] == ["major", "critical"]
    assert "somebody speaks live" in told["b2"]["text"]
    assert "Clip: no swimming" in told["b3"]["text"]
    assert {one.channel for one in await door.log(incident="b1")} == {"second"}


async def test_a_broadcast_that_is_decided_or_whose_time_is_over_asks_nobody_any_more(door: Door) -> None:
    async with door.open():
        pass
    await asked(door, "late", not_after=START + timedelta(seconds=1))
    await asked(door, "stopped")

    async def change(tx: Tx) -> None:
        found = await tx.broadcasts.deliveries(BroadcastId("stopped"))
        await tx.broadcasts.save([replace(one, state=DeliveryState.CANCELLED, reason="stop-all") for one in found])

    await door.write(change)
    await asked(door, "open")
    async with door.open():
        await decided(door)
        await door.there.until(1)
        await door.pass_(3)
    assert [one["broadcasts"] for one in door.there.got] == [["open"]]


async def test_a_sender_that_dies_again_and_again_with_no_delivery_is_told_once_an_hour(door: Door) -> None:
    async with door.open():
        for hour in range(2):
            for _ in range(3):
                await happen(door, new(PACER_DIED_EVENT, door, "", pid=7, exit=-9, deliveries=0))
            await door.there.until(hour + 1)
            await door.clock.advance(3_600)
    assert door.there.ids == ["B-pacer-died-2026030204", "B-pacer-died-2026030205"]


async def test_each_death_of_the_sender_that_ended_deliveries_is_told(door: Door) -> None:
    async with door.open():
        for deliveries in (0, 300, 4):
            await happen(door, new(PACER_DIED_EVENT, door, "", pid=7, exit=-9, deliveries=deliveries))
        await door.there.until(3)
    assert [one["deliveries"] for one in door.there.got] == [0, 300, 4]


async def test_who_asks_for_no_steps_of_broadcasts_is_told_nothing_of_them(door: Door) -> None:
    door.file.write_text(door.file.read_text(encoding="utf-8").partition("broadcasts:")[0], encoding="utf-8")
    async with door.open():
        await emit(door, new(MAY_STILL_SOUND_EVENT, door, speaker="SPK-1"))
        await door.tell()
        await door.pass_(3)
    assert not door.there.got


DATA: dict[str, dict[str, Any]] = {
    MAY_STILL_SOUND_EVENT: {"speaker": "SPK-1"},
    FELL_SILENT_EVENT: {"speaker": "SPK-1"},
    VOLUME_LEFT_EVENT: {"speaker": "SPK-1", "was": {"a-out": 80.0}},
    PACER_DIED_EVENT: {"pid": 7, "exit": -9, "deliveries": 4},
    FAILED_EVENT: {"reason": "storage-failed", "duration_ms": 3_000},
    "broadcast.accepted": {"needs_approval": True, "text": SAID, "not_after": START.isoformat(), "sender": "王芳", "speakers": ["SPK-1"]},
}
SHOWN = {VOLUME_LEFT_EVENT: "80%", PACER_DIED_EVENT: "4", FAILED_EVENT: "storage-failed", "broadcast.accepted": SAID}


def events(*types: str, data: dict[str, Any] | None = None) -> Sequence[Event]:
    return [Event(number, kind, "b1", START, data or DATA[kind]) for number, kind in enumerate(types, 1)]


@pytest.mark.parametrize("language", ["zh", "en", "both"])
@pytest.mark.parametrize("kind", DATA)
def test_a_person_reads_what_happened_where_when_and_what_to_do(language: str, kind: str) -> None:
    step = step_of(kind, DATA[kind])
    asks = kind == "broadcast.accepted"
    content = content_of(step, events(kind), place_of=lambda speaker: f"泺源大街 ({speaker})", speakers=["SPK-1"] if asks else ())
    made = notice(content, "B-7", language, ZONE)
    text = made.text(limit=10_000)
    assert (made.kind, made.severity) == (STEPS[step].kind, STEPS[step].severity.value)
    for part in ("b1", "B-7", "2026-03-02 12:00:00", SHOWN.get(kind, "")):
        assert part in text
    assert ("泺源大街 (SPK-1)" in text) == (kind not in {PACER_DIED_EVENT, FAILED_EVENT})
    for words in ([STEPS[step].zh, STEPS[step].next_zh] if language != "en" else []) + (
        [STEPS[step].en, STEPS[step].next_en] if language != "zh" else []
    ):
        assert words in text
    assert (SAID in text) == asks, "what is spoken is told only to whom decides on it"


def test_each_event_that_is_told_of_is_one_that_there_is() -> None:
    assert DATA.keys() <= TYPES
    assert {step_of(kind, data) for kind, data in DATA.items()} == STEPS.keys()
    assert not step_of("broadcast.accepted", {"needs_approval": False})
    assert not step_of("broadcast.delivery", {"speaker": "SPK-1"})
    assert {one.kind for one in STEPS.values()} == {Kind.PROBLEM, Kind.RECOVERY}


def test_only_what_is_to_be_decided_on_shares_its_message_with_nothing() -> None:
    assert [event.type for event in [one for kind in DATA for one in events(kind)] if not shares(event)] == ["broadcast.accepted"]


def test_which_channels_hear_of_which_step() -> None:
    desks = [BroadcastDesk(("a", "b")), BroadcastDesk(("b", "c"), frozenset({"fell-silent"}))]
    assert channels_of(desks, "fell-silent") == ["a", "b", "c"]
    assert channels_of(desks, "pacer-died") == ["a", "b"]
    assert channels_of(desks, "delivery") == []


def test_what_is_told_of_one_loudspeaker_twice_counts_once_and_orders_stand_alone() -> None:
    twice = gathered(events(MAY_STILL_SOUND_EVENT, MAY_STILL_SOUND_EVENT, "broadcast.accepted", "broadcast.accepted"))
    assert [(step, [event.cursor for event in of_it]) for step, of_it in twice] == [
        ("may-still-sound", [1]),
        ("awaiting-approval", [3]),
        ("awaiting-approval", [4]),
    ]
    died = gathered(events(PACER_DIED_EVENT, PACER_DIED_EVENT))
    assert [len(of_it) for _, of_it in died] == [2]
    again = gathered(events(FELL_SILENT_EVENT, MAY_STILL_SOUND_EVENT))
    assert list(map(operator.itemgetter(0), again)) == ["fell-silent", "may-still-sound"]
