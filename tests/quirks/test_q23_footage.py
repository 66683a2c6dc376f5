"""Q23: footage that is hard to get: few replays at once, ends that are ignored, recordings that no search shows, holes between files."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Dossier, ExportState, FootageState, Period
from gateway.drivers.base import Span
from gateway.drivers.rtsp.replay import ReplayEnd, replay
from tests.footage.conftest import clock, desk, where
from tests.footage.desk import NOW, Desk, Street, filing

__all__ = ["clock", "desk", "where"]

pytestmark = pytest.mark.quirk("Q23")


def window_of(where: Street) -> Span:
    """One minute, an hour ago."""
    start = NOW - timedelta(hours=1)
    return Span(start, start + timedelta(minutes=1))


async def passing(clock: SimulatedClock, awaited: asyncio.Task[Dossier]) -> Dossier:
    """What `awaited` returns, while the clock goes on by seconds and everything else has its moment."""
    while not awaited.done():
        await asyncio.wait([awaited], timeout=0.05)
        await clock.advance(1)
    return awaited.result()


async def test_a_recorder_that_plays_to_somebody_else_is_waited_for(desk: Desk, clock: SimulatedClock) -> None:
    where = desk.street
    recorder, channel = where.recorded(gappy=False)
    where.state.switch_quirk(recorder, "few-replays", {"sessions": 1})
    target = where.target_of(DeviceId(recorder.id))
    other = await replay(target, f"/replay/{channel.token}", window_of(where), timeout_s=5)
    wanted = asyncio.create_task(desk.fulfilled(filing(cameras=(DeviceId(channel.camera),))))
    async with asyncio.timeout(60):
        while where.state.counters["rtsp.too_many_replays.recorder"] < 4:
            await asyncio.wait([wanted], timeout=0.05)
            await clock.advance(10)
    assert not wanted.done()
    await other.close()
    dossier = await passing(clock, wanted)
    assert (dossier.request.state, dossier.exports[0].gaps) == (FootageState.READY, ())


async def test_a_replay_ends_at_the_end_of_the_window_though_the_recorder_goes_on(where: Street) -> None:
    recorder, channel = where.recorded(gappy=False)
    where.state.switch_quirk(recorder, "ignores-range-end", {})
    window = window_of(where)
    session = await replay(where.target_of(DeviceId(recorder.id)), f"/replay/{channel.token}", window, timeout_s=5)
    latest = [packet.ntp async for there in session.arrivals() for _, packet in there if packet.ntp is not None][-1]
    await session.close()
    assert session.ended is ReplayEnd.WINDOW
    assert window.end - timedelta(milliseconds=81) <= latest < window.end


async def test_a_recording_that_no_search_shows_is_asked_for_by_replay(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    desk.street.state.switch_quirk(recorder, "hides-recordings", {})
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
    assert (dossier.request.state, dossier.request.reason) == (FootageState.READY, "")
    assert dossier.exports[0].gaps == ()


async def test_what_a_hidden_recording_does_not_hold_is_said_not_to_be_recorded(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    desk.street.state.switch_quirk(recorder, "hides-recordings", {})
    long_ago = NOW - timedelta(days=recorder.retention_days + 2)
    window = Period(long_ago, long_ago + timedelta(minutes=1))
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=window))
    assert (dossier.request.state, dossier.exports[0].state) == (FootageState.UNAVAILABLE, ExportState.NOTHING)


async def test_each_hole_between_two_files_of_a_recorder_is_listed(desk: Desk) -> None:
    """Its search tells of none; the pictures do. The holes lie at the recorder's own half hours."""
    recorder, channel = desk.street.recorded(gappy=False)
    desk.street.state.switch_quirk(recorder, "segment-gaps", {"seconds": 20, "every_minutes": 2})
    start = NOW - timedelta(hours=1, seconds=30)
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=Period(start, start + timedelta(minutes=4))))
    assert dossier.request.state is FootageState.PARTIAL
    holes = [(gap.start, gap.end) for gap in dossier.exports[0].gaps]
    offset = timedelta(seconds=recorder.clock_offset_s)
    expected = [datetime(2026, 9, 21, 13, minute, tzinfo=UTC) - offset for minute in (0, 2)]
    assert [abs(began - at) < timedelta(milliseconds=81) for (began, _), at in zip(holes, expected, strict=True)] == [True, True]
    assert all(timedelta(seconds=19.9) <= end - began < timedelta(seconds=22.1) for began, end in holes)


@pytest.mark.parametrize("gappy", [False, True])
async def test_a_search_that_tells_local_time_as_utc_is_seen_through_by_footage_from_the_future(where: Street, gappy: bool) -> None:
    recorder, channel = where.recorded(gappy=gappy)
    window = Span(NOW - timedelta(days=10), NOW - timedelta(hours=1))
    honest = await where.search_of(DeviceId(recorder.id)).history(channel.token, window, timeout_s=10)
    where.state.switch_quirk(recorder, "search-local-time", {"hours": 8})
    lying = await where.search_of(DeviceId(recorder.id)).history(channel.token, window, timeout_s=10)
    assert (lying.told, lying.spans) == (honest.told, honest.spans)
    assert honest.oldest is not None
    assert lying.oldest is not None
    assert abs(lying.oldest - honest.oldest) < timedelta(minutes=5)
