"""A loudspeaker that keeps clips, and a broadcast service that speaks through it over its real protocol."""

from __future__ import annotations

import array
import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo import sound
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.orders import Order
from gateway.broadcast.rulebook import NEVER_QUIET
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.stage import Manner
from gateway.clock import SystemClock
from gateway.domain.broadcast import BroadcastId, ClipContent, ClipId, ClipTimes, Delivery, Priority, Programme, Targets
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board
from gateway.domain.speaking import SpeakerPath, SpeakerWays
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.clips import Clips
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.volume import Volumes
from gateway.drivers.speaker import BackchannelPath, Loudspeaker
from gateway.media.clips import ClipPreparer, PreparedClip
from gateway.storage.store import Store
from simulators import http
from simulators.city import SimDevice, plan
from simulators.heard import Heard
from simulators.onvif.clips import SERVICE
from simulators.onvif.site import Site
from simulators.onvif.soap import Call
from simulators.onvif.unit import Unit
from simulators.rtsp import server as rtsp
from simulators.state import State
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.conftest import running as store_running
from tests.simulators.street import free_ports
from tests.waiting import until

HORN = DeviceId("horn")
SPOKEN = sound.speech_like(0.6)


@dataclass
class Pole:
    """One loudspeaker that keeps clips, and a broadcast service that speaks through it."""

    horn: SimDevice
    state: State
    store: Store
    service: BroadcastService
    next_life: Callable[[], BroadcastService]
    speaker: Loudspeaker
    shelf: ClipShelf
    clip: ClipId
    hours: list[SpeakingHours]
    """The last ones hold."""

    async def say(self, name: str = "b", *, repeats: int = 1, priority: Priority = Priority.NOTICE, resume: bool = False) -> None:
        programme, not_after = Programme(ClipContent(self.clip), repeats=repeats), SystemClock().now() + timedelta(seconds=20)
        await self.service.submit(
            Order(BroadcastId(name), programme, Targets(speakers=(HORN,)), priority, not_after, ACTOR, resume=resume, again=True)
        )

    async def delivery(self, name: str = "b") -> Delivery:
        return (await self.service.get(BroadcastId(name))).deliveries[0]

    async def ended(self, name: str = "b") -> Delivery:
        return await until(lambda: self.delivery(name), wanted=lambda delivery: not delivery.open, within_s=60)

    async def timed(self, wanted: set[str], name: str = "b") -> ClipTimes:
        """The times of its clip, once those of them are on record that are wanted."""

        async def look() -> ClipTimes:
            return (await self.delivery(name)).clip

        return await until(look, wanted=lambda times: times.known.keys() == wanted)

    async def prepared(self) -> PreparedClip:
        return await self.service._sounds.prepared(Programme(ClipContent(self.clip)))

    @property
    def heard(self) -> Heard:
        return self.state.heard_by(self.horn)

    @property
    def volume(self) -> int | None:
        return self.state.cabinet(self.horn).volume

    @property
    def plays(self) -> bool:
        return self.heard.is_playing(int(self.state.now() * 1e9))

    def played(self) -> array.array[int]:
        return sound.read_wav(self.heard.wav(int(self.state.now() * 1e9)))


@pytest.fixture
async def pole(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Pole]:
    port, rtsp_port = free_ports(2)
    street, state, clock = plan(seed=7, groups=4, speakers=8, http_port=port, rtsp_port=rtsp_port), State(), SystemClock()
    horn = next(horn for horn in street.of_kind("speaker") if not horn.lacks and not state.quirks_of(horn))
    login, ladder = Credentials(horn.username, horn.password), [SpeakerPath.AUDIO_CLIP, SpeakerPath.BACKCHANNEL]
    target = Target(HORN, horn.address, Ports(onvif=port, rtsp=rtsp_port), login, speaker=SpeakerWays(paths=tuple(ladder)))
    onvif, city = OnvifDevice(target, Http(), clock), City()
    speaker = Loudspeaker(lambda: target, {SpeakerPath.BACKCHANNEL: BackchannelPath(onvif)}, clock, clips=Clips(onvif, clock))
    city.replace(devices=[Device(HORN, DeviceKind.SPEAKER, "horn", horn.address, target.ports)])

    async def verify(_: DeviceId) -> None:
        pass

    async with (
        http.listen(Site(street, state).lookup, port=port),
        rtsp.serve(street, rtsp_port, state),
        store_running(sqlite_url, clock) as store,
    ):
        shelf, hours = ClipShelf(store, tmp_path / "clips", ClipPreparer(), clock), [NEVER_QUIET]
        life = partial(
            BroadcastService, store=store, city=city, board=Board(), clock=clock, sounds=SoundDesk(shelf),
            speaker_of=lambda _: speaker, verify=verify, manner=Manner(lead_in_s=0.0, linger_s=0.1),
            hours=lambda: hours[-1], volume_of=lambda _: Volumes(onvif),
        )  # fmt: skip
        async with service_running(service := life()):
            clip = await shelf.add(sound.wav(SPOKEN), name="clip", actor=ACTOR)
            yield Pole(horn, state, store, service, life, speaker, shelf, clip.id, hours)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[Unit, Call], str | Coroutine[Any, Any, str]]], None]:
    """Let loudspeakers answer an operation in another way."""
    assert isinstance(SERVICE.operations, dict)
    operations = SERVICE.operations
    return lambda name, answer: monkeypatch.setitem(operations, name, answer)


async def never() -> str:
    await asyncio.Event().wait()
    return ""
