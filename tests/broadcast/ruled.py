"""A house under rules of one's own, and what tests of the rules ask of it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest

from gateway.broadcast.orders import Order, Rules
from gateway.broadcast.views import View
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import ClipContent, Programme
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.errors import GatewayError, NotFound
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR, House, furnished, running
from tests.media.test_clips import tone, wav

SHANGHAI = ZoneInfo("Asia/Shanghai")
MARKET = ZoneId("z1")  # s1 and s2 are in it
SECOND = Person(Actor(ActorKind.API_KEY, "key-2"), "Wang")
T = TypeVar("T")
Make = Callable[..., contextlib.AbstractAsyncContextManager[House]]


@pytest.fixture
def make(store: Store, clock: SimulatedClock, tmp_path: Path) -> Make:
    """A running house under rules of one's own, its clock at a time of the city's day."""

    @contextlib.asynccontextmanager
    async def made(at: str = "2026-06-01 12:00", hours: SpeakingHours | None = None, **rules: object) -> AsyncIterator[House]:
        clock.step(datetime.fromisoformat(at).replace(tzinfo=SHANGHAI).astimezone(UTC) - clock.now())
        house = await furnished(store, clock, tmp_path / "clips")
        house.rules = replace(Rules(max_speakers=3), **rules)  # type: ignore[arg-type]  # each test names fields of Rules
        house.hours = hours or SpeakingHours(SHANGHAI)
        house.service = house.make_service()
        async with running(house.service):
            yield house
        assert not [complaint for speaker in house.speakers.values() for complaint in speaker.complaints]

    return made


async def refused(house: House, order: Order) -> GatewayError:
    """Why it is refused; nothing of it was heard, or is on record."""
    with pytest.raises(GatewayError) as caught:
        await house.service.submit(order)
    with pytest.raises(NotFound):
        await house.view(order.id)
    return caught.value


def silent(house: House) -> bool:
    return not any(speaker.sound for speaker in house.speakers.values())


async def long_clip(house: House, seconds: float = 15.0) -> Programme:
    return Programme(ClipContent((await house.shelf.add(wav(tone(seconds)), name="long", actor=ACTOR)).id))


# -- giving way, and going on -----------------------------------------------------------------------------------------


async def heard_again(house: House, sounds: int) -> None:
    """Let time pass until so many sounds were begun at the first loudspeaker, and the last is heard."""
    speaker = house.speakers[DeviceId("s1")]
    while len(speaker.turns) < sounds or not speaker.turns[-1]:
        await tick(house)


async def calmly_ended(house: House, name: str) -> View:
    """As `House.ended`, in so much simulated time as it takes on a disk that takes none."""
    while (view := await house.view(name)).open:
        await tick(house)
    return view


async def tick(house: House) -> None:
    """Let a packet's time pass, when nothing waits for the disk any more."""
    for _ in range(4):
        await house.settled()
    await house.clock.advance(0.02)
