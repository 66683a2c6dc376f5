"""Pictures before and after: of the view that a broadcast is meant for, never waited for, kept under their hash, dropped in time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.broadcast.pictures import PictureDesk, PictureRules
from gateway.domain.bindings import Binding, BindingState
from gateway.domain.broadcast import BroadcastId, ClipTimes, Delivery, DeliveryState, Figures, Targets, View
from gateway.domain.broadcast_ledger import Moment, of_before
from gateway.domain.devices import DeviceId
from gateway.errors import NotFound, Unreachable
from tests.broadcast.house import ACTOR, House, events_of, playing
from tests.waiting import stopped, until

CAMERA, B1 = DeviceId("cam"), BroadcastId("b1")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Lens:
    """What the camera gives: a new JPEG each time, an error, or nothing for ever."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fails = self.hangs = False
        self.waits = asyncio.Event()
        self.waits.set()
        self.shown_at: datetime | None = None

    def shown(self, _camera: DeviceId, within: timedelta) -> tuple[bytes, datetime] | None:
        self.within = within
        return None if self.shown_at is None else (b"\xff\xd8\xff shown \xff\xd9", self.shown_at)

    async def take(self, camera: DeviceId, case: str, _actor: object) -> bytes:
        self.asked.append((camera, case))
        if self.hangs:
            await asyncio.Event().wait()
        await self.waits.wait()
        if self.fails:
            raise Unreachable("no answer")
        return b"\xff\xd8\xff picture %d \xff\xd9" % len(self.asked)


@pytest.fixture
async def lens(house: House) -> AsyncIterator[Lens]:
    made = Lens()
    rules = PictureRules(after=timedelta(seconds=20), keep_for=timedelta(days=1))
    house.pictures = PictureDesk(
        store=house.store, clock=house.clock, folder=house.folder / "p", take=made.take, shown=made.shown, rules=rules
    )
    heard = Binding(CAMERA, DeviceId("s1")).decided(BindingState.CONFIRMED, by="user:li", at=house.clock.now())
    house.city.bind(put=[heard])
    task = asyncio.create_task(house.pictures.run())
    await house.clock.advance(0)
    yield made
    await stopped(task)


async def say(house: House, **changes: object) -> None:
    await house.service.submit(house.order(targets=Targets(views=(View(CAMERA),)), case="C-7", **changes))


async def pictures(house: House, count: int) -> list:
    await until(lambda: _has(house, count))
    return list((await house.view()).pictures)


async def _has(house: House, count: int) -> bool:
    return len((await house.view()).pictures) == count


async def test_a_picture_is_taken_before_and_another_so_long_after_the_end(house: House, lens: Lens) -> None:
    house.speakers[DeviceId("s1")].opens.clear()
    await say(house)
    [before] = await pictures(house, 1)
    house.speakers[DeviceId("s1")].opens.set()
    assert (before.moment, before.camera, lens.asked) == (Moment.BEFORE, CAMERA, [(CAMERA, "C-7")])
    await house.ended()
    await house.clock.advance(19)
    assert len(lens.asked) == 1
    await house.clock.advance(1.5)
    _, after = await pictures(house, 2)
    assert after.moment is Moment.AFTER
    kept, data = await house.pictures.read(B1, after.sha256, ACTOR)
    assert (kept, data) == (after, b"\xff\xd8\xff picture 2 \xff\xd9")
    async with house.store.read() as tx:
        assert "broadcast.look" in [row.entry.action for row in await tx.audit.page(subject="b1", limit=10)]


@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_a_camera_that_gives_no_picture_keeps_nobody_from_speaking(house: House, lens: Lens, trouble: str) -> None:
    setattr(lens, trouble, True)
    await say(house)
    view = await house.ended()
    assert [delivery.state for delivery in view.deliveries] == [DeliveryState.DONE]
    assert view.pictures == ()
    if trouble == "fails":
        missing = await until(lambda: missed(house), wanted=lambda found: len(found) == 1)
        assert [(one.camera, one.moment, one.reason) for one in missing] == [(CAMERA, Moment.BEFORE, "unreachable")]
        assert missing[0].detail == "no answer"
        [event] = await events_of(house, "broadcast.picture-missing")
        assert (event.subject, event.data["reason"]) == ("b1", "unreachable")


async def missed(house: House) -> tuple:
    return (await house.view()).missing


async def test_a_picture_that_comes_when_the_voice_has_begun_is_none_of_before(house: House, lens: Lens) -> None:
    lens.waits.clear()
    await playing(house, targets=Targets(views=(View(CAMERA),)))
    lens.waits.set()
    [late] = await pictures(house, 1)
    assert late.moment is Moment.DURING


async def test_what_somebody_has_just_looked_at_is_the_picture_of_before(house: House, lens: Lens) -> None:
    lens.shown_at = house.clock.now() - timedelta(seconds=5)
    await playing(house, targets=Targets(views=(View(CAMERA),)))
    [before] = await pictures(house, 1)
    assert (before.moment, before.at, lens.within, lens.asked) == (Moment.BEFORE, lens.shown_at, timedelta(seconds=60), [])
    assert b"shown" in (await house.pictures.read(B1, before.sha256, ACTOR))[1]
    await house.ended()
    await house.clock.advance(20.5)
    _, after = await pictures(house, 2)
    assert (after.moment, lens.asked) == (Moment.AFTER, [(CAMERA, "")])


async def test_what_a_former_life_left_to_be_taken_is_on_record_as_missing(house: House, lens: Lens) -> None:
    lens.waits.clear()
    await say(house)
    await house.ended()
    house.clock.step(timedelta(seconds=1))
    later = PictureDesk(store=house.store, clock=house.clock, folder=house.folder / "p", take=lens.take)
    task = asyncio.create_task(later.run())
    missing = await until(lambda: missed(house), wanted=lambda found: len(found) == 2)
    assert [(one.moment, one.reason) for one in missing] == [(Moment.BEFORE, "gateway-stopped"), (Moment.AFTER, "gateway-stopped")]
    await stopped(task)


SENT = Figures("PCMA", 9, 0, START, START, "backchannel")


@pytest.mark.parametrize(
    ("state", "figures", "moment"),
    [
        (DeliveryState.CONNECTING, Figures(), Moment.BEFORE),
        (DeliveryState.FAILED, Figures(), Moment.BEFORE),
        (DeliveryState.PLAYING, Figures(), Moment.DURING),
        (DeliveryState.UNKNOWN, Figures(), Moment.DURING),
        (DeliveryState.DONE, SENT, Moment.DURING),
        (DeliveryState.DONE, replace(SENT, first_packet_at=START + timedelta(seconds=2)), Moment.BEFORE),
        (DeliveryState.DONE, Figures(path="audio-clip"), Moment.DURING),
        (DeliveryState.CANCELLED, Figures(path="audio-clip"), Moment.DURING),
    ],
)
def test_a_picture_is_one_of_before_only_where_no_voice_can_have_begun(state: DeliveryState, figures: Figures, moment: Moment) -> None:
    delivery = Delivery(B1, DeviceId("s1"), state, START, figures=figures)
    assert of_before(START + timedelta(seconds=1), [delivery]) is moment


@pytest.mark.parametrize(("asked_s", "moment"), [(0.5, Moment.DURING), (1.5, Moment.BEFORE)])
def test_what_a_device_played_by_itself_began_when_it_was_told_to_also_once_that_has_ended(asked_s: float, moment: Moment) -> None:
    clip = ClipTimes(asked_at=START + timedelta(seconds=asked_s))
    delivery = Delivery(B1, DeviceId("s1"), DeliveryState.DONE, START, figures=Figures(path="audio-clip"), clip=clip)
    gone_on = replace(delivery, figures=replace(SENT, first_packet_at=START + timedelta(seconds=9)))
    assert [of_before(START + timedelta(seconds=1), [one]) for one in (delivery, gone_on)] == [moment, moment]


async def test_what_is_meant_for_no_view_has_no_picture(house: House, lens: Lens) -> None:
    await house.service.submit(house.order())
    await house.ended()
    await house.clock.advance(30)
    assert lens.asked == []


async def test_pictures_are_dropped_when_their_time_is_over_and_the_record_says_so(house: House, lens: Lens) -> None:
    await say(house)
    await house.ended()
    await house.clock.advance(20)
    before, _ = await pictures(house, 2)
    await house.clock.advance(90_000)
    await house.pictures.sweep()
    assert [picture.gone for picture in (await house.view()).pictures] == [True, True]
    assert not (house.folder / "p" / before.sha256).exists()
    with pytest.raises(NotFound):
        await house.pictures.read(B1, before.sha256, ACTOR)
