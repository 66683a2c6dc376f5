"""The pacer's process in a call: it sends the sound, hears of its end, and hangs up when nobody else is left to."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pacing.stream import Stream, StreamEnd
from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.speaking import Carrier, SipHabits
from gateway.drivers.base import Target
from gateway.drivers.sip.agent import SipAgent
from gateway.drivers.sip.manner import SipManner
from gateway.drivers.sip.session import SipSession, open_call
from simulators.city import SimDevice, plan
from simulators.heard import HeardSession
from simulators.sip import server as sip
from simulators.state import State
from tests.simulators.street import free_ports
from tests.waiting import until

SOUND = bytes(range(1, 161)) * 20


@dataclass
class Pole:
    horn: SimDevice
    state: State
    server: sip.SipServer
    target: Target
    agent: SipAgent
    pacer: ChildPacer

    async def call(self, carrier: Carrier = Carrier.UDP) -> SipSession:
        manner = SipManner(SipHabits(carrier=carrier))
        return await open_call(self.agent, self.target, prefer=self.horn.audio, timeout_s=5, manner=manner)

    @property
    def talk(self) -> HeardSession:
        return self.state.heard_by(self.horn).sessions[-1]

    @property
    def in_a_call(self) -> bool:
        horn = self.server.horn_at(self.horn.address)
        return horn is not None and horn.call is not None


@pytest.fixture
async def pole() -> AsyncIterator[Pole]:
    city = plan(seed=7, groups=4, speakers=1, telephones=1, sip_port=free_ports(1)[0])
    horn, state, agent, pacer = city.of_kind("speaker")[0], State(), SipAgent(), ChildPacer(SystemClock())
    target = Target(DeviceId("horn"), horn.address, Ports(sip=city.sip_port), Credentials(horn.username, horn.password))
    running = asyncio.create_task(pacer.run())
    async with sip.serve(city, city.sip_port, state) as server:
        await pacer.ready()
        yield Pole(horn, state, server, target, agent, pacer)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    agent.close()


async def test_the_whole_sound_is_heard_once_and_in_order(pole: Pole) -> None:
    session = await pole.call()
    stream = Stream(session, SOUND)
    pole.pacer.start([stream])
    assert await stream.finished is StreamEnd.PLAYED
    await stream.returned
    await until(lambda: pole.talk.packets == 20)
    await session.close()
    assert bytes(pole.talk.audio) == SOUND
    assert (pole.talk.refused, pole.talk.missing_samples, pole.in_a_call) == (0, 0, False)
    assert (stream.figures.packets, stream.figures.path) == (20, "sip")


async def test_a_second_sound_goes_on_in_the_same_call(pole: Pole) -> None:
    session = await pole.call()
    for _ in range(2):
        stream = Stream(session, SOUND)
        pole.pacer.start([stream])
        assert await stream.finished is StreamEnd.PLAYED
        await stream.returned
    await until(lambda: pole.talk.packets == 40)
    await session.close()
    assert bytes(pole.talk.audio) == SOUND * 2


async def test_a_horn_that_refuses_all_that_it_is_sent_is_lost(pole: Pole) -> None:
    session = await pole.call()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        elsewhere = closed.getsockname()
    session.line.socket.connect(elsewhere)
    stream = Stream(session, SOUND)
    pole.pacer.start([stream])
    assert await stream.finished is StreamEnd.LOST
    await stream.returned
    await session.close()


async def test_a_horn_that_hangs_up_is_lost_at_once(pole: Pole) -> None:
    pole.state.habits[pole.horn.id] = pole.state.habits_of(pole.horn).changed({"hangs_up_after_s": 0.1})
    session = await pole.call()
    stream = Stream(session, SOUND * 50)
    pole.pacer.start([stream])
    assert await stream.finished is StreamEnd.LOST
    await stream.returned
    await session.close()


async def test_a_call_is_ended_after_the_pacer_has_died(pole: Pole) -> None:
    session = await pole.call()
    stream = Stream(session, SOUND * 50)
    pole.pacer.start([stream])
    await until(lambda: pole.talk.packets > 3)
    os.kill(pole.pacer.standing.pid, signal.SIGKILL)
    assert await stream.finished is StreamEnd.DIED
    await stream.returned
    await session.close()
    assert not pole.in_a_call


@pytest.mark.parametrize("carrier", Carrier)
async def test_when_the_daemon_is_gone_the_horn_is_told_bye(pole: Pole, carrier: Carrier) -> None:
    session = await pole.call(carrier)
    stream = Stream(session, SOUND * 50)
    pole.pacer.start([stream])
    await until(lambda: pole.talk.packets > 3)
    pole.pacer._child.control.shutdown(socket.SHUT_WR)
    await until(lambda: not pole.in_a_call)
    assert await stream.finished is StreamEnd.DIED
    await stream.returned
    await session.close()
