"""What recorders and cards say to have, asked over real sockets and held against what the simulators really keep."""

from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from gateway.domain.coverage import Basis, Coverage, Lack, Source, Told, countdown
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period
from gateway.domain.health import Standing
from gateway.errors import InvalidInput
from gateway.footage.clocks import KnownClocks
from gateway.footage.coverage import CoverageDesk, Patience
from gateway.footage.looks import Looks
from gateway.storage.store import Store
from simulators import footage as truth
from simulators.city import SimChannel, SimDevice
from simulators.faults import Answer, Fault
from tests.footage.desk import NOW, Street

SECOND = timedelta(seconds=1)
MONTH = Period(NOW - timedelta(days=30) + timedelta(minutes=10), NOW)
"""Its first minutes are being overwritten while a test takes its time."""


def looks_of(where: Street, store: Store) -> Looks:
    return Looks(store=store, city=where.city, board=where.board, clock=where.clock)


def desk_of(where: Street, store: Store, *, ask_s: float = 8.0, looks: Looks | None = None) -> CoverageDesk:
    return CoverageDesk(
        city=where.city,
        clock=where.clock,
        clocks=KnownClocks(store, where.board),
        looks=looks or looks_of(where, store),
        keeper_of=cache(where.search_of),
        patience=Patience(ask_s=ask_s),
    )


def recorder_only(where: Street, *, gappy: bool) -> tuple[SimDevice, SimChannel]:
    """A recorder and its channel of a camera that has no card."""
    cards = {camera.id for camera in where.simulated.of_kind("camera") if camera.card}
    return next(
        (recorder, channel)
        for recorder in where.simulated.of_kind("recorder")
        for channel in recorder.channels
        if channel.gappy is gappy and channel.camera not in cards
    )


def carded(where: Street) -> SimDevice:
    return next(camera for camera in where.simulated.of_kind("camera") if camera.card)


def kept(device: SimDevice, channel: SimChannel, window: Period) -> list[Period]:
    """What a device has of a window, on the true clock."""
    offset = timedelta(seconds=device.clock_offset_s)
    asked = window.shifted(offset)
    span = truth.Span(asked.start.timestamp(), asked.end.timestamp())
    spans = truth.recorded(device, channel, span, NOW.timestamp() + device.clock_offset_s)
    return [Period(datetime.fromtimestamp(span.start, UTC) - offset, datetime.fromtimestamp(span.end, UTC) - offset) for span in spans]


async def only(desk: CoverageDesk, camera: str, window: Period) -> Coverage:
    (found,) = await desk.of([DeviceId(camera)], window)
    return found


def near(found: tuple[Period, ...], expected: list[Period]) -> bool:
    """The same periods to the second; the last is still being written."""
    edges = [(abs(one.start - other.start), abs(one.end - other.end)) for one, other in zip(found, expected, strict=True)]
    return all(start <= SECOND and end <= SECOND for start, end in edges[:-1]) and edges[-1][0] <= SECOND and edges[-1][1] <= 10 * SECOND


async def test_a_month_is_told_to_the_second_on_the_true_clock(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=True)
    found = await only(desk_of(where, store), channel.camera, MONTH)
    (holding,) = found.holdings
    assert (holding.device, holding.source, holding.told) == (recorder.id, Source.RECORDER, Told.HISTORY)
    assert holding.offset == timedelta(seconds=recorder.clock_offset_s)
    expected = kept(recorder, channel, MONTH)
    assert len(expected) > 20
    assert near(found.recorded, expected)
    assert (found.unknown, {gap.lack for gap in found.gaps} & {Lack.NOT_RECORDED}) == ((), {Lack.NOT_RECORDED})


async def test_a_clock_that_nobody_measured_is_read_with_the_first_question(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=True)
    where.board.put(Standing(DeviceId(recorder.id)))
    found = await only(desk_of(where, store), channel.camera, MONTH)
    assert found.holdings[0].offset is not None
    assert abs(found.holdings[0].offset - timedelta(seconds=recorder.clock_offset_s)) < 3 * SECOND


async def test_what_is_older_than_anything_kept_is_told_apart_from_a_gap(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=False)
    start = NOW - timedelta(days=recorder.retention_days + 10)
    found = await only(desk_of(where, store), channel.camera, Period(start, NOW))
    assert [gap.lack for gap in found.gaps] == [Lack.BEFORE_OLDEST]
    assert abs(found.gaps[0].period.end - (NOW - timedelta(days=recorder.retention_days))) < timedelta(minutes=30)


async def test_a_recorder_that_does_not_answer_makes_its_seconds_unknown_and_nothing_else(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=False)
    other, another = next(
        (one, two) for one in where.simulated.of_kind("recorder") if one.id != recorder.id for two in one.channels if not two.gappy
    )
    where.state.ail(recorder, Fault(answer=Answer.SILENT))
    window = Period(NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    silent, told = await desk_of(where, store, ask_s=0.5).of([DeviceId(channel.camera), DeviceId(another.camera)], window)
    assert (silent.unknown, silent.gaps, silent.recorded) == ((window,), (), ())
    assert (silent.holdings[0].told, silent.holdings[0].reason) == (Told.NOTHING, "timeout")
    assert told.holdings[0].device == other.id
    assert told.recorded == (window,)


async def test_a_card_is_found_by_asking_its_camera_and_merged_with_the_recorder(where: Street, store: Store) -> None:
    camera = carded(where)
    desk = desk_of(where, store)
    found = await only(desk, camera.id, Period(NOW - timedelta(days=3), NOW))
    assert {holding.source for holding in found.holdings} == {Source.RECORDER, Source.CARD}
    assert any(piece.sources == (found.holdings[0].device, camera.id) for piece in found.pieces)
    for holding in found.holdings:
        device = next(one for one in where.simulated.devices if one.id == holding.device)
        channel = next(one for one in device.channels if one.camera == camera.id)
        assert near(holding.recorded, kept(device, channel, found.window))


async def test_the_countdown_comes_from_the_devices_own_setting_until_it_is_measured(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=False)
    desk = desk_of(where, store)
    window = Period(NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    countdown = (await only(desk, channel.camera, window)).countdown
    assert countdown is not None
    assert (countdown.basis, countdown.at) == (Basis.RETENTION, window.start + timedelta(days=recorder.retention_days))


async def test_how_fast_a_recorder_overwrites_is_measured_over_looks_and_kept_over_a_restart(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=False)
    device, first = DeviceId(recorder.id), NOW - timedelta(hours=2)
    looks = looks_of(where, store)
    for _ in range(4):
        looks.note(device, channel.token, where.clock.now() - timedelta(days=recorder.retention_days))
        await where.clock.advance(600)
    await looks.keep()
    again = looks_of(where, store)
    await again.load()
    assert again.of(device, channel.token) == looks.of(device, channel.token)
    where.state.set_clock(recorder, where.clock.now().timestamp() + recorder.clock_offset_s)
    await only(desk_of(where, store, looks=again), channel.camera, Period(first, NOW))
    seen = again.of(device, channel.token)
    assert len(seen) == 5
    found = countdown(first, seen, retention=None, now=where.clock.now())
    assert (found.basis, found.at is not None) == (Basis.MEASURED, True)
    assert abs((found.at or NOW) - (first + timedelta(days=recorder.retention_days))) < timedelta(hours=1)


async def test_what_the_health_checks_see_counts_as_looks(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=False)
    device, looks = DeviceId(recorder.id), looks_of(where, store)
    for hour in range(3):
        earliest = (NOW - timedelta(days=30) + timedelta(hours=hour)).isoformat(timespec="seconds")
        facts = {"recording": {"channels": {str(channel.number): {"camera": channel.camera, "earliest": earliest}}}}
        where.board.put(Standing(device, offset=timedelta(seconds=60), facts=facts))
        looks._harvest()
        looks._harvest()
        await where.clock.advance(3_600)
    seen = looks.of(device, channel.token)
    assert [look.oldest for look in seen] == [NOW - timedelta(days=30, seconds=60) + timedelta(hours=hour) for hour in range(3)]


async def test_a_camera_that_is_silent_is_only_missed_where_its_card_is_known(where: Street, store: Store) -> None:
    camera, looks = carded(where), looks_of(where, store)
    desk = desk_of(where, store, ask_s=0.5, looks=looks)
    window = Period(NOW - timedelta(days=40), NOW - timedelta(days=39))
    where.state.ail(camera, Fault(answer=Answer.SILENT))
    assert [holding.source for holding in (await only(desk, camera.id, window)).holdings] == [Source.RECORDER]
    where.state.cure(camera)
    await only(desk, camera.id, window)
    where.state.ail(camera, Fault(answer=Answer.SILENT))
    found = await only(desk_of(where, store, ask_s=0.5, looks=looks), camera.id, window)
    assert [(holding.source, holding.told) for holding in found.holdings] == [
        (Source.RECORDER, Told.HISTORY),
        (Source.CARD, Told.NOTHING),
    ]
    assert found.unknown == (window,)


async def test_a_question_that_cannot_be_asked_is_refused_with_what_is_wrong(where: Street, store: Store) -> None:
    recorder, channel = recorder_only(where, gappy=False)
    desk = desk_of(where, store)
    for cameras, window in (
        ([], MONTH),
        ([DeviceId("nowhere")], MONTH),
        ([DeviceId(recorder.id)], MONTH),
        ([DeviceId(channel.camera)], Period(NOW, NOW - SECOND)),
        ([DeviceId(channel.camera)], Period(NOW + SECOND, NOW + 2 * SECOND)),
        ([DeviceId(channel.camera)], Period(NOW - timedelta(days=99), NOW)),
    ):
        with pytest.raises(InvalidInput) as caught:
            await desk.of(cameras, window)
        assert len(caught.value.faults) == 1
