"""Picture strips out of real replays: the right moments, gaps said, nothing before an approval, each look on record."""

import contextlib
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cache

import av
import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period, Step
from gateway.errors import Conflict, InvalidInput, Overloaded
from gateway.footage.clocks import KnownClocks
from gateway.footage.strips import WIDTH, StripDesk, moments
from gateway.footage.turns import Claim, Rank, Turn, Wanted
from simulators import footage as truth
from simulators.faults import Answer, Fault
from tests.footage.desk import NOW, WANG, ZHAO, Desk, filing

SECOND = timedelta(seconds=1)


def strips_of(desk: Desk, turn: Turn | None = None, *, turn_within_s: float = 60.0) -> StripDesk:
    where = desk.street
    return StripDesk(
        store=desk.store,
        city=where.city,
        clocks=KnownClocks(desk.store, where.board),
        clock=desk.clock,
        turn=turn or desk.service.turn,
        source_of=cache(where.search_of),
        target_of=where.target_of,
        turn_within_s=turn_within_s,
    )


async def test_a_strip_shows_even_moments_of_the_window_on_the_true_clock(desk: Desk) -> None:
    _, channel = desk.street.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    request = (await desk.fulfilled(filing(cameras=(camera,)))).request
    strips = strips_of(desk)
    stills = await strips.of(request.id, camera, 4, by=WANG)
    window = request.window_of(camera)
    assert [still.at for still in stills] == list(moments(window, 4))
    for still in stills:
        assert still.reason == ""
        assert still.taken_at is not None
        assert -5 * SECOND < still.taken_at - still.at <= SECOND
        picture = next(av.open(io.BytesIO(still.jpeg)).decode(video=0))
        assert picture.width <= WIDTH
    assert len({still.jpeg for still in stills}) == 4
    assert await strips.of(request.id, camera, 4, by=WANG) is stills
    looks = [line for line in (await desk.service.dossier(request.id)).custody if line.step is Step.LOOKED]
    assert [(line.by, line.detail["camera"], line.detail["pictures"]) for line in looks] == [(WANG, camera, 4)] * 2


async def test_a_moment_in_a_gap_has_the_next_picture_or_none_and_says_so(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=True)
    week = truth.Span((NOW - timedelta(days=5)).timestamp(), (NOW - timedelta(hours=2)).timestamp())
    gap = next(one for one in reversed(truth.gaps(recorder, channel, week)) if one.end - one.start > 200)
    start = NOW + (gap.start - recorder.clock_offset_s - NOW.timestamp()) * SECOND
    window = Period(start - 60 * SECOND, start + 60 * SECOND)
    request = (await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=window))).request
    stills = await strips_of(desk).of(request.id, DeviceId(channel.camera), 4, by=WANG)
    assert [bool(still.jpeg) for still in stills] == [True, True, False, False]
    assert all(still.reason for still in stills[2:])


async def test_what_failed_is_asked_for_again_and_what_is_sure_is_not(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    request = (await desk.fulfilled(filing(cameras=(camera,)))).request
    turns = 0

    @contextlib.asynccontextmanager
    async def turn(device: DeviceId, claim: Claim) -> AsyncIterator[Wanted]:
        nonlocal turns
        turns += 1
        desk.street.state.ail(recorder, Fault(answer=Answer.REFUSE) if turns == 2 else Fault())
        async with desk.service.turn(device, claim) as wanted:
            yield wanted

    strips = strips_of(desk, turn)
    first = await strips.of(request.id, camera, 3, by=WANG)
    assert [bool(still.jpeg) for still in first] == [True, False, True]
    again = await strips.of(request.id, camera, 3, by=WANG)
    assert all(still.jpeg for still in again)
    assert (again[0], again[2]) == (first[0], first[2])
    assert turns == 4


async def test_who_waits_too_long_has_what_came_and_the_next_look_goes_on(desk: Desk) -> None:
    _, channel = desk.street.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    request = (await desk.fulfilled(filing(cameras=(camera,)))).request

    @contextlib.asynccontextmanager
    async def slow(device: DeviceId, claim: Claim) -> AsyncIterator[Wanted]:
        await desk.clock.advance(25)
        async with desk.service.turn(device, claim) as wanted:
            yield wanted

    strips = strips_of(desk, slow)
    assert [still.reason for still in await strips.of(request.id, camera, 4, by=WANG)] == ["", "", "too-slow", "too-slow"]
    assert all(still.jpeg for still in await strips.of(request.id, camera, 4, by=WANG))


async def test_while_exports_have_the_recorder_a_strip_says_busy_instead_of_waiting(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    request = (await desk.fulfilled(filing(cameras=(camera,)))).request
    strips = strips_of(desk, turn_within_s=0.0)
    async with contextlib.AsyncExitStack() as exports:
        for _ in range(2):
            await exports.enter_async_context(desk.service.turn(DeviceId(recorder.id), Claim(Rank.ORDINARY, NOW)))
        with pytest.raises(Overloaded) as caught:
            await strips.of(request.id, camera, 2, by=WANG)
        assert (caught.value.code, bool(caught.value.hint)) == ("busy", True)
    assert all(still.jpeg for still in await strips.of(request.id, camera, 2, by=WANG))


async def test_nothing_is_looked_at_before_somebody_else_has_approved(desk: Desk) -> None:
    _, channel = desk.street.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    request = await desk.service.submit(filing(cameras=(camera,)), by=WANG)
    strips = strips_of(desk)
    with pytest.raises(Conflict) as caught:
        await strips.of(request.id, camera, 4, by=WANG)
    assert caught.value.code == "wrong-state"
    await desk.service.reject(request.id, by=ZHAO, note="文书不符")
    with pytest.raises(Conflict):
        await strips.of(request.id, camera, 4, by=WANG)
    assert not [line for line in (await desk.service.dossier(request.id)).custody if line.step is Step.LOOKED]


async def test_only_the_requests_own_cameras_are_shown(desk: Desk) -> None:
    _, channel = desk.street.recorded(gappy=False)
    _, another = desk.street.recorded(gappy=True)
    request = (await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))).request
    for camera, count in ((another.camera, 4), (channel.camera, 0), (channel.camera, 99)):
        with pytest.raises(InvalidInput):
            await strips_of(desk).of(request.id, DeviceId(camera), count, by=WANG)
