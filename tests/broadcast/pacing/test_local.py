import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from gateway.broadcast.pacing.local import LocalPacer as Pacer
from gateway.broadcast.pacing.stream import Stream, StreamEnd
from gateway.clock import SimulatedClock
from tests.broadcast.house import Loudspeaker, Session


class LatecomingClock(SimulatedClock):
    """A clock on which the process is kept from running now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.absent_s = 0.0

    async def sleep(self, seconds: float) -> None:
        absent, self.absent_s = self.absent_s, 0.0
        await super().sleep(seconds + absent)


@pytest.fixture
async def clock() -> LatecomingClock:
    return LatecomingClock()


@pytest.fixture
async def pacer(clock: LatecomingClock) -> AsyncIterator[Pacer]:
    made = Pacer(clock)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()


def session(clock: SimulatedClock, encoding: str = "PCMA") -> Session:
    return Session(Loudspeaker(clock), encoding)


def times(heard: Session) -> list[float]:
    return [round(at, 6) for at, _ in heard.packets]


async def test_the_last_packet_is_filled_up_with_silence(pacer: Pacer, clock: LatecomingClock) -> None:
    for encoding, silence in (("PCMA", b"\xd5"), ("PCMU", b"\xff")):
        heard = session(clock, encoding)
        pacer.start([Stream(heard, b"\x01" * 200, lead_in_s=0.02)])
        await clock.advance(1)
        assert [payload for _, payload in heard.packets] == [silence * 160, b"\x01" * 160, b"\x01" * 40 + silence * 120]


@pytest.mark.parametrize(
    ("samples", "at"),
    [(80, [0.0, 0.01, 0.02, 0.03, 0.04, 0.05]), (320, [0.0, 0.04]), (240, [0.0, 0.03])],
)
async def test_packets_of_other_sizes_are_as_far_apart_as_they_are_long(
    pacer: Pacer, clock: LatecomingClock, samples: int, at: list[float]
) -> None:
    loudspeaker = Loudspeaker(clock)
    heard = Session(loudspeaker, "PCMA", samples)
    stream = Stream(heard, b"\x01" * 480)
    pacer.start([stream])
    await clock.advance(1)
    assert times(heard) == at
    assert {len(payload) for _, payload in heard.packets} == {samples}
    assert b"".join(payload for _, payload in heard.packets).rstrip(b"\xd5") == b"\x01" * 480
    assert (await stream.finished, stream.figures.packets, loudspeaker.complaints) == (StreamEnd.PLAYED, len(at), [])


async def test_who_refuses_a_second_of_large_packets_is_lost(pacer: Pacer, clock: LatecomingClock) -> None:
    loudspeaker = Loudspeaker(clock, drains=False)
    stream = Stream(Session(loudspeaker, "PCMA", 1024), bytes(80_000))
    pacer.start([stream])
    await clock.advance(1.1)
    assert (await stream.finished, stream.figures.dropped) == (StreamEnd.LOST, 8)


async def test_a_stream_ends_when_its_last_packet_has_had_its_time(pacer: Pacer, clock: LatecomingClock) -> None:
    stream = Stream(session(clock), bytes(320))
    pacer.start([stream])
    await clock.advance(0.039)
    assert not stream.finished.done()
    await clock.advance(0.002)
    assert await stream.finished is StreamEnd.PLAYED


async def test_a_short_absence_is_made_up_for_and_nothing_drifts(pacer: Pacer, clock: LatecomingClock) -> None:
    heard = session(clock)
    pacer.start([Stream(heard, bytes(160 * 20))])
    await clock.advance(0.05)
    clock.absent_s = 0.1
    await clock.advance(2)
    assert times(heard)[-1] == 19 * 0.02


async def test_a_long_absence_is_not_followed_by_a_burst(pacer: Pacer, clock: LatecomingClock) -> None:
    heard = session(clock)
    pacer.start([Stream(heard, bytes(160 * 20))])
    await clock.advance(0.05)
    clock.absent_s = 3
    await clock.advance(10)
    at = times(heard)
    assert len(at) == 20
    assert min(b - a for a, b in itertools.pairwise(at)) > 0.019


async def test_who_joins_later_falls_into_step(pacer: Pacer, clock: LatecomingClock) -> None:
    first, second = session(clock), session(clock)
    pacer.start([Stream(first, bytes(1600))])
    await clock.advance(0.05)
    pacer.start([Stream(second, bytes(1600))])
    await clock.advance(1)
    assert times(second)[0] == 0.05
    assert all(round(at % 0.005, 6) in (0, 0.005) for at in times(second))


async def test_a_stopped_stream_sends_nothing_more_and_the_others_go_on(pacer: Pacer, clock: LatecomingClock) -> None:
    first, second = session(clock), session(clock)
    stopped = Stream(first, bytes(1600))
    pacer.start([stopped, Stream(second, bytes(1600))])
    await clock.advance(0.03)
    pacer.stop(stopped)
    await clock.advance(1)
    assert (len(first.packets), len(second.packets)) == (2, 10)
    assert await stopped.finished is StreamEnd.STOPPED


async def test_a_session_that_breaks_ends_alone(pacer: Pacer, clock: LatecomingClock) -> None:
    class Broken(Session):
        def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
            raise RuntimeError("a defect")

    sound = session(clock)
    broken = Stream(Broken(Loudspeaker(clock), "PCMA"), bytes(1600))
    pacer.start([broken, Stream(sound, bytes(1600))])
    await clock.advance(1)
    assert await broken.finished is StreamEnd.LOST
    assert len(sound.packets) == 10
