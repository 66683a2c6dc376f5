"""How loud a voice may be at which hour, and that a loudspeaker is given back as it was."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.broadcast.loudness import AGAIN_S, GIVEN_UP_S, LONGEST_PAUSE_S, Loudness, StoredNotes
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import DeliveryState, Priority
from gateway.domain.broadcast_rules import Loudness as Limit
from gateway.domain.broadcast_rules import SpeakingHours, ZoneRules
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.hours import Hours
from gateway.domain.remarks import Remark, RemarkKind
from gateway.drivers.base import Volume
from gateway.errors import DeadlineExceeded, DeviceError, NotSupported
from gateway.storage.store import Store
from tests.broadcast.house import SPEAKERS, House, furnished, running
from tests.waiting import until

ALWAYS = Hours(time(0), time(0))
HORN = DeviceId("s1")
SOFT = SpeakingHours(ZoneInfo("Asia/Shanghai"), quiet=(), zones={ZoneId("z1"): ZoneRules(volume=(Limit(ALWAYS, 40),))})


@dataclass
class Knob:
    """The volume of one loudspeaker with two outputs, and what was done to it."""

    levels: dict[str, float] = field(default_factory=lambda: {"a": 80.0, "b": 30.0})
    failure: DeviceError | None = None
    turned: list[dict[str, float]] = field(default_factory=list)

    async def volume(self, *, timeout_s: float) -> Volume:
        if self.failure is not None:
            raise self.failure
        return Volume(dict(self.levels))

    async def set_volume(self, volume: Volume, *, timeout_s: float) -> None:
        if self.failure is not None:
            raise self.failure
        self.levels |= volume.percent
        self.turned.append(dict(volume.percent))


async def test_only_what_is_too_loud_is_made_quieter_and_all_is_given_back_as_it_was() -> None:
    knob = Knob()
    async with Loudness(lambda _speaker: knob).at_most(HORN, 40) as complaint:
        assert (knob.levels, complaint) == ({"a": 40, "b": 30.0}, None)
    assert knob.levels == {"a": 80.0, "b": 30.0}
    assert knob.turned == [{"a": 40}, {"a": 80.0}]


async def test_it_is_given_back_whatever_happens_meanwhile() -> None:
    knob = Knob()
    with pytest.raises(RuntimeError):
        async with Loudness(lambda _speaker: knob).at_most(HORN, 40):
            raise RuntimeError
    assert knob.levels["a"] == 80.0


async def test_what_is_quiet_enough_or_has_no_limit_is_left_alone() -> None:
    knob = Knob()
    for percent in (90, None):
        async with Loudness(lambda _speaker: knob).at_most(HORN, percent) as complaint:
            assert complaint is None
    assert knob.turned == []


@pytest.mark.parametrize("failure", [NotSupported("no volume"), DeadlineExceeded("silent")])
async def test_a_device_that_does_not_let_itself_be_quietened_is_said_to_be_as_loud_as_ever(failure: DeviceError) -> None:
    knob = Knob(failure=failure)
    async with Loudness(lambda _speaker: knob).at_most(HORN, 40) as complaint:
        assert complaint == Remark(RemarkKind.VOLUME_NOT_LIMITED, {"percent": 40}, failure.code)
    async with Loudness(lambda _speaker: None).at_most(HORN, 40) as complaint:
        assert complaint == Remark(RemarkKind.VOLUME_FIXED, {"percent": 40})


@contextlib.asynccontextmanager
async def soft(store: Store, clock: SimulatedClock, folder: Path, knobs: dict[DeviceId, Knob]) -> AsyncIterator[House]:
    house = await furnished(store, clock, folder)
    house.hours, house.knobs = SOFT, knobs
    house.service = house.make_service()
    async with running(house.service):
        yield house


@pytest.fixture
async def knobs() -> dict[DeviceId, Knob]:
    return {speaker: Knob() for speaker in SPEAKERS}


async def test_a_broadcast_is_as_quiet_as_its_zone_wants(
    store: Store, clock: SimulatedClock, tmp_path: Path, knobs: dict[DeviceId, Knob]
) -> None:
    async with soft(store, clock, tmp_path / "clips", knobs) as house:
        await house.service.submit(house.order("b1", "s1", "s3"))
        await house.heard("s1")
        assert (knobs[DeviceId("s1")].levels["a"], knobs[DeviceId("s3")].levels["a"]) == (40, 80.0)
        await house.ended()
        assert knobs[DeviceId("s1")].levels["a"] == 80.0


async def test_an_emergency_is_as_loud_as_the_device(
    store: Store, clock: SimulatedClock, tmp_path: Path, knobs: dict[DeviceId, Knob]
) -> None:
    async with soft(store, clock, tmp_path / "clips", knobs) as house:
        await house.service.submit(house.order("b1", priority=Priority.EMERGENCY))
        await house.ended()
        assert knobs[HORN].turned == []


async def test_what_was_as_loud_as_ever_is_on_record(
    store: Store, clock: SimulatedClock, tmp_path: Path, knobs: dict[DeviceId, Knob]
) -> None:
    knobs[HORN] = Knob(failure=NotSupported("it has no volume", detail="ter:ActionNotSupported\n"))
    async with soft(store, clock, tmp_path / "clips", knobs) as house:
        await house.service.submit(house.order("b1"))
        delivery = (await house.ended()).deliveries[0]
        assert (delivery.state, delivery.reason, delivery.detail) == (DeliveryState.DONE, "", "")
        (remark,) = delivery.remarks
        assert remark.words.zh == "音量未能限制到 40%：不支持（设备原话：ter:ActionNotSupported）"
        assert remark.words.en == "the volume was not limited to 40 %: does not support this (the device: ter:ActionNotSupported)"
        assert (await house.delivery()).remarks == delivery.remarks


async def test_that_nobody_checked_who_spoke_is_on_record_beside_that(
    store: Store, clock: SimulatedClock, tmp_path: Path, knobs: dict[DeviceId, Knob]
) -> None:
    knobs[HORN] = Knob(failure=NotSupported("it has no volume"))
    async with soft(store, clock, tmp_path / "clips", knobs) as house:
        house.unidentified[HORN] = Remark(RemarkKind.HARDWARE_UNTOLD)
        await house.service.submit(house.order("b1"))
        remarks = (await house.ended()).deliveries[0].remarks
        assert [remark.kind for remark in remarks] == [RemarkKind.HARDWARE_UNTOLD, RemarkKind.VOLUME_NOT_LIMITED]
        assert (await house.delivery()).remarks == remarks


async def test_no_stranger_is_made_quieter(store: Store, clock: SimulatedClock, tmp_path: Path, knobs: dict[DeviceId, Knob]) -> None:
    async with soft(store, clock, tmp_path / "clips", knobs) as house:
        house.swapped.add(HORN)
        await house.service.submit(house.order("b1"))
        assert (await house.ended()).deliveries[0].reason == "wrong-device"
        assert knobs[HORN].turned == []


# -- whatever happens in between --------------------------------------------------------------------------------------


@dataclass
class Paper:
    """Notes that a test reads."""

    written: dict[DeviceId, Volume] = field(default_factory=dict)
    knob: Knob | None = None
    at_note: list[dict[str, float]] = field(default_factory=list)

    async def lowered(self) -> dict[DeviceId, Volume]:
        return dict(self.written)

    async def lower(self, speaker: DeviceId, before: Volume) -> None:
        self.written[speaker] = before
        self.at_note += [dict(self.knob.levels)] if self.knob else []

    async def restored(self, speaker: DeviceId) -> None:
        del self.written[speaker]


async def test_what_it_was_is_written_down_before_it_is_made_quieter_and_struck_out_once_it_is_so_again() -> None:
    knob = Knob()
    paper = Paper(knob=knob)
    async with Loudness(lambda _: knob, paper).at_most(HORN, 40):
        assert paper.written == {HORN: Volume({"a": 80.0})}
        assert paper.at_note == [{"a": 80.0, "b": 30.0}]
    assert paper.written == {}


async def test_after_a_crash_it_is_given_back_as_it_was_before_and_not_as_it_was_found() -> None:
    knob, paper, clock = Knob(), Paper(), SimulatedClock()
    crashed = Loudness(lambda _: knob, paper, clock)
    await crashed.at_most(HORN, 40).__aenter__()
    assert knob.levels["a"] == 40
    after = Loudness(lambda _: knob, paper, clock)
    await after.load()
    async with after.at_most(HORN, 20):
        assert (knob.levels, paper.written) == ({"a": 20, "b": 20}, {HORN: Volume({"a": 80.0, "b": 30.0})})
    assert (knob.levels, paper.written) == ({"a": 80.0, "b": 30.0}, {})


async def test_an_emergency_after_a_crash_is_as_loud_as_it_was_before() -> None:
    knob, paper = Knob({"a": 40.0}), Paper({HORN: Volume({"a": 80.0})})
    after = Loudness(lambda _: knob, paper)
    await after.load()
    async with after.at_most(HORN, None):
        assert knob.levels == {"a": 80.0}
    assert paper.written == {}


async def test_what_plays_by_itself_stays_quiet_until_it_has_been_silenced() -> None:
    knob, silent = Knob(), asyncio.get_running_loop().create_future()
    loudness = Loudness(lambda _: knob, Paper(), SimulatedClock())
    async with asyncio.TaskGroup() as group:
        giving_back = group.create_task(loudness.run())
        async with loudness.at_most(HORN, 40):
            loudness.keep_until(HORN, silent)
        await asyncio.sleep(0)
        assert knob.levels["a"] == 40
        silent.set_result(None)
        await until(lambda: knob.levels["a"] == 80.0)
        giving_back.cancel()


async def test_what_could_not_be_given_back_is_given_back_later() -> None:
    knob, paper, clock = Knob(), Paper(), SimulatedClock()
    loudness = Loudness(lambda _: knob, paper, clock)
    async with asyncio.TaskGroup() as group:
        running_ = group.create_task(loudness.run())
        async with loudness.at_most(HORN, 40):
            knob.failure = DeadlineExceeded("no answer")
        await clock.advance(1)
        assert (knob.levels["a"], list(paper.written)) == (40, [HORN])
        knob.failure = None
        await clock.advance(AGAIN_S)
        assert (knob.levels["a"], paper.written) == (80.0, {})
        running_.cancel()


async def test_who_does_not_take_its_volume_back_is_asked_ever_less_often_and_a_person_is_told_after_a_day() -> None:
    knob, paper, clock, asked, left = Knob(), Paper(), SimulatedClock(), [], []

    def volume_of(_speaker: DeviceId) -> Knob:
        asked.append(clock.monotonic())
        return knob

    loudness = Loudness(volume_of, paper, clock, tell=lambda speaker, before: left.append((speaker, before)))
    async with asyncio.TaskGroup() as group:
        running_ = group.create_task(loudness.run())
        async with loudness.at_most(HORN, 40):
            knob.failure = DeadlineExceeded("no answer")
        while not left:
            assert clock.monotonic() - asked[0] < GIVEN_UP_S + 2 * LONGEST_PAUSE_S
            await clock.advance(AGAIN_S)
        assert (left, list(paper.written)) == ([(HORN, Volume({"a": 80.0}))], [HORN])
        assert len(asked) < GIVEN_UP_S / LONGEST_PAUSE_S + 10
        again = len(asked)
        await clock.advance(LONGEST_PAUSE_S * 3)
        assert len(asked) == again, "it was given up"
        knob.failure = None
        async with loudness.at_most(HORN, 40):
            pass
        assert (knob.levels["a"], paper.written) == (80.0, {})
        running_.cancel()


async def test_all_that_were_left_quieter_at_about_the_same_time_are_told_of_at_once_and_others_by_themselves() -> None:
    speakers = [DeviceId(name) for name in ("first", "second", "back", "later")]
    knobs, clock, told = {speaker: Knob() for speaker in speakers}, SimulatedClock(), []
    loudness = Loudness(knobs.get, Paper(), clock, tell=lambda speaker, _before: told.append((clock.monotonic(), speaker)))
    async with asyncio.TaskGroup() as group:
        running_ = group.create_task(loudness.run())
        for speaker, pause_s in zip(speakers, (100.0, 200.0, 2 * LONGEST_PAUSE_S, 0.0), strict=True):
            async with loudness.at_most(speaker, 40):
                knobs[speaker].failure = DeadlineExceeded("no answer")
            await advanced(clock, pause_s)
        while clock.monotonic() < GIVEN_UP_S:
            await clock.advance(AGAIN_S)
        knobs["back"].failure = None
        await advanced(clock, 5 * LONGEST_PAUSE_S)
        running_.cancel()
    (first, *_), (second, *_), (later, *_) = told
    assert [speaker for _, speaker in told] == ["first", "second", "later"]
    assert first == second < later


async def advanced(clock: SimulatedClock, by_s: float) -> None:
    """Let time go by in steps that wake everybody who waits in between."""
    for _ in range(round(by_s / 10)):
        await clock.advance(10)


async def test_notes_are_in_the_store(store: Store) -> None:
    notes = StoredNotes(store, SimulatedClock())
    await notes.lower(HORN, Volume({"a": 80.0}))
    await notes.lower(HORN, Volume({"a": 80.0, "b": 12.5}))
    assert await notes.lowered() == {HORN: Volume({"a": 80.0, "b": 12.5})}
    await notes.restored(HORN)
    assert await notes.lowered() == {}
