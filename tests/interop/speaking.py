"""A broadcast through the whole service to a foreign loudspeaker."""

import asyncio
from datetime import timedelta
from pathlib import Path

from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.kept_sounds import KeptSounds
from gateway.broadcast.microphone import FRAME_BYTES, FRAME_S
from gateway.broadcast.orders import Order
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.speech import SpeechDesk
from gateway.broadcast.stage import Manner
from gateway.broadcast.talk import TalkDesk
from gateway.clock import SystemClock
from gateway.domain.broadcast import BroadcastId, ClipContent, Delivery, Priority, Programme, Speech, Talk, Targets
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board
from gateway.domain.talk import TalkEnd
from gateway.drivers.base import AudioSink
from gateway.media.clips import ClipPreparer, Leveller
from gateway.media.speech import EspeakEngine
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.conftest import running as store_running
from tests.waiting import stopped

HORN = DeviceId("horn")
LEAD_IN_S = 0.1
WITHIN = timedelta(seconds=20)


async def spoken(content: bytes | Speech, speaker: AudioSink, url: str, folder: Path) -> tuple[Delivery, bytes]:
    """One broadcast of a clip or a text through the whole service; what became of it, and the sound as it was prepared."""
    clock, city = SystemClock(), City()
    pacer = ChildPacer(clock)
    city.replace(devices=[Device(HORN, DeviceKind.SPEAKER, "horn", "127.0.0.1")])

    async def verify(_: DeviceId) -> None:
        pass

    async with store_running(url, clock) as store:
        shelf = ClipShelf(store, folder / "clips", ClipPreparer(), clock)
        leveller = Leveller()
        sounds = SoundDesk(shelf, SpeechDesk(EspeakEngine(longest_s=60), leveller, KeptSounds(folder / "speech"), clock))
        service = BroadcastService(
            store=store, city=city, board=Board(), clock=clock, sounds=sounds,
            speaker_of=lambda _: speaker, verify=verify, manner=Manner(lead_in_s=LEAD_IN_S, linger_s=1.0),
            pacer=pacer,
        )  # fmt: skip
        async with service_running(service):
            said = content if isinstance(content, Speech) else ClipContent((await shelf.add(content, name="clip", actor=ACTOR)).id)
            not_after = clock.now() + timedelta(seconds=20)
            order = Order(BroadcastId("b"), Programme(said), Targets(speakers=(HORN,)), Priority.NOTICE, not_after, ACTOR)
            await service.submit(order)
            async for event in store.events.follow(after=0):
                if event.type == "broadcast.ended":
                    break
            assert pacer.standing.apart
            view = await service.get(BroadcastId("b"))
            await leveller.close()
            return view.deliveries[0], (await sounds.prepared(Programme(said))).pcm


async def talked(pcm: bytes, speaker: AudioSink, url: str, folder: Path) -> Delivery:
    """Somebody says `pcm` (16 kHz) live, through the whole service; what became of it."""
    clock, city = SystemClock(), City()
    city.replace(devices=[Device(HORN, DeviceKind.SPEAKER, "horn", "127.0.0.1")])

    async def verify(_: DeviceId) -> None:
        pass

    async with store_running(url, clock) as store:
        service = BroadcastService(
            store=store, city=city, board=Board(), clock=clock, sounds=SoundDesk(ClipShelf(store, folder / "clips", ClipPreparer(), clock)),
            speaker_of=lambda _: speaker, verify=verify, manner=Manner(linger_s=1.0), pacer=ChildPacer(clock),
        )  # fmt: skip
        async with service_running(service), asyncio.TaskGroup() as group:
            desk = TalkDesk(broadcasts=service, clock=clock)
            working = group.create_task(desk.run())
            await asyncio.sleep(0)
            order = Order(BroadcastId("t"), Programme(Talk()), Targets(speakers=(HORN,)), Priority.TALK, clock.now() + WITHIN, ACTOR)
            talk = await desk.begin(order)
            due, silence = clock.monotonic(), bytes(FRAME_BYTES)
            said = (pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES))
            while not talk.ended:
                frame = silence if talk.times.on_air is None else next(said, None)
                if frame is None:
                    talk.end(TalkEnd.RELEASED)
                    break
                talk.hear(frame.ljust(FRAME_BYTES, b"\0"))
                due += FRAME_S
                await clock.sleep(due - clock.monotonic())
            await talk.finished.wait()
            await stopped(working)
            return (await service.get(talk.id)).deliveries[0]
