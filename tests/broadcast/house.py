"""A broadcast service with loudspeakers that tests can watch, over a real store; time is the tests' own."""

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.orders import Order, Rules
from gateway.broadcast.rulebook import NEVER_QUIET
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.stage import Manner
from gateway.broadcast.views import View
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import BroadcastId, ClipContent, ClipId, Delivery, Priority, Programme, Targets
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, CellCode, Device, DeviceId, DeviceKind, GridCell, GroupId, Position, Zone, ZoneId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.health import Board
from gateway.domain.remarks import Remark
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import AudioFormat, VolumeControl
from gateway.errors import Busy, DeviceError, WrongDevice
from gateway.media.clips import ClipPreparer
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.media.test_clips import tone, wav
from tests.waiting import until

ACTOR = Actor(ActorKind.API_KEY, "key-1")
PCM = tone(0.1)
SPEAKERS = tuple(DeviceId(f"s{number}") for number in range(1, 5))


class Session:
    """What one loudspeaker hears in one session."""

    def __init__(self, speaker: "Loudspeaker", encoding: str, packet_samples: int = 160) -> None:
        self.format = AudioFormat(encoding, 8000, 8, packet_samples)
        self.path = SpeakerPath.BACKCHANNEL
        self.missed: int | None = None
        self.packets: list[tuple[float, bytes]] = []
        self.offered = 0
        self.begun: list[int] = []  # which packets were the first ones of sounds
        self.heard = asyncio.Event()
        self.left = False
        self.closed = asyncio.Event()
        self._speaker = speaker

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
        self._speaker.expect(not self.left, "a packet after the end of the session")
        if timestamp == 0:  # one more sound
            self.offered = 0
            self.begun.append(len(self.packets))
        self._speaker.expect(marker == (len(self.packets) == self.begun[-1]), "the marker on another packet than the first")
        self._speaker.expect(timestamp == self.format.packet_samples * self.offered, "a timestamp that does not count samples")
        self.offered += 1
        if not self._speaker.drains:
            return False
        self.packets.append((self._speaker.clock.monotonic(), payload))
        self.heard.set()
        return True

    @property
    def line(self) -> None:
        return None

    @property
    def ended(self) -> bool:
        return self.left or self.closed.is_set()

    async def close(self) -> None:
        self.left = True
        await self._speaker.confirms.wait()
        self.closed.set()


@dataclass
class Loudspeaker:
    clock: SimulatedClock
    encoding: str = "PCMA"
    failure: DeviceError | None = None
    drains: bool = True
    many: bool = False  # a new talker may come before the last one's end is confirmed
    sessions: list[Session] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    opens: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    confirms: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: int = 0

    def expect(self, kept: bool, rule: str) -> None:
        """Note each rule of a session that was not kept; the house looks at the end."""
        if not kept:
            self.complaints.append(rule)

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> Session:
        self.expect(all(session.ended for session in self.sessions), "two talkers at once")
        self.asked.set()
        await self.opens.wait()
        if not self.many and not all(session.closed.is_set() for session in self.sessions):
            self.refusals += 1
            raise Busy("453 Not Enough Bandwidth")
        if self.failure is not None:
            raise self.failure
        session = Session(self, self.encoding)
        self.sessions.append(session)
        self.opened.set()
        return session

    @property
    def turns(self) -> list[list[tuple[float, bytes]]]:
        """The packets of each sound, in as many sessions as it took."""
        bounds = ((session, itertools.pairwise([*session.begun, len(session.packets)])) for session in self.sessions)
        return [session.packets[begin:end] for session, pairs in bounds for begin, end in pairs]

    @property
    def sound(self) -> bytes:
        return b"".join(payload for session in self.sessions for _, payload in session.packets)


class House:
    def __init__(self, store: Store, clock: SimulatedClock, folder: Path) -> None:
        self.store, self.clock, self.folder = store, clock, folder
        self.city, self.board = _city(), Board()
        self.speakers = {speaker: Loudspeaker(clock) for speaker in SPEAKERS}
        for speaker in self.speakers.values():
            speaker.opens.set()
            speaker.confirms.set()
        self.swapped: set[DeviceId] = set()
        self.unidentified: dict[DeviceId, Remark] = {}
        self.shelf = ClipShelf(store, folder, ClipPreparer(), clock)
        self.clip = ClipId("")
        self.rules, self.hours = Rules(max_speakers=3), NEVER_QUIET
        self.knobs: dict[DeviceId, VolumeControl] = {}
        self.manner = Manner(lead_in_s=0.0, linger_s=0.0, barrier_s=1.0)
        self.service = self.make_service()

    def make_service(self) -> BroadcastService:
        return BroadcastService(
            store=self.store,
            city=self.city,
            board=self.board,
            clock=self.clock,
            sounds=SoundDesk(self.shelf),
            speaker_of=self.speakers.__getitem__,
            verify=self._verify,
            rules=self.rules,
            hours=lambda: self.hours,
            volume_of=self.knobs.get,
            manner=self.manner,
        )

    async def _verify(self, speaker: DeviceId) -> Remark | None:
        if speaker in self.swapped:
            raise WrongDevice(f"{speaker}: another serial number")
        return self.unidentified.get(speaker)

    def move(self, speaker: str, address: str) -> None:
        """An import gives a speaker another address."""
        known = self.city.devices
        self.city.replace(devices=[replace(one, address=address) if one.id == speaker else one for one in known.values()])

    def order(self, name: str = "b1", *speakers: str, **changes: object) -> Order:
        targets = Targets(speakers=tuple(map(DeviceId, speakers or ("s1",))))
        not_after = self.clock.now() + timedelta(seconds=30)
        if clip := changes.pop("clip", None):
            changes["programme"] = Programme(ClipContent(clip))
        made = Order(BroadcastId(name), Programme(ClipContent(self.clip)), targets, Priority.NOTICE, not_after, ACTOR)
        return replace(made, **changes)

    async def view(self, name: str = "b1") -> View:
        return await self.service.get(BroadcastId(name))

    async def delivery(self, name: str = "b1", speaker: str = "s1") -> Delivery:
        return next(delivery for delivery in (await self.view(name)).deliveries if delivery.speaker == speaker)

    async def heard(self, speaker: str = "s1") -> Session:
        """The speaker's newest session, once a packet has come."""
        loudspeaker = self.speakers[DeviceId(speaker)]
        await loudspeaker.opened.wait()
        await loudspeaker.sessions[-1].heard.wait()
        return loudspeaker.sessions[-1]

    async def settled(self) -> None:
        """Return once all that was handed to the store before is in it, and told."""
        await self.store.writer.write(_nothing, lane=Lane.HEALTH)
        await self.clock.advance(0)

    async def ended(self, name: str = "b1", *, step_s: float = 0.1) -> View:
        """Let time pass, a little at a time, until the broadcast has ended and all of it is in the store."""
        going = self.service.follow(BroadcastId(name))
        while any(one.open for one in going()) or (view := await self.view(name)).open:
            await self.store.writer.write(_nothing, lane=Lane.HEALTH)  # time waits for the disk, however busy the machine is
            await self.clock.advance(step_s)
        await self.service.written()
        return view


@contextlib.asynccontextmanager
async def broken(store: Store, table: str = "deliveries") -> AsyncIterator[None]:
    """The store, unable to take what becomes of deliveries, or what belongs in another table."""
    await _rename(store, table, "away")
    try:
        yield
    finally:
        await _rename(store, "away", table)


async def _rename(store: Store, before: str, after: str) -> None:
    await store.writer.write(lambda tx: tx.conn.execute(text(f"ALTER TABLE {before} RENAME TO {after}")), lane=Lane.STOP)


@contextlib.asynccontextmanager
async def running(service: BroadcastService) -> AsyncIterator[asyncio.Task[None]]:
    """The service at work; its task, so that a test can end it early."""
    task = asyncio.create_task(service.run())
    await until(lambda: service.taking_orders or task.done())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _nothing(_tx: object) -> None:
    pass


def _city() -> City:
    city = City()
    ring = tuple(Position(26.0 + y, 106.0 + x) for x, y in ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0)))
    speakers = [
        Device(speaker, DeviceKind.SPEAKER, f"horn {speaker}", "127.0.0.1", group=GroupId("g1"), cell=CellCode("c1"), horns=2)
        for speaker in SPEAKERS[:3]
    ]
    city.replace(
        devices=[
            *speakers,
            Device(SPEAKERS[3], DeviceKind.SPEAKER, "horn s4", "127.0.0.1", enabled=False),
            Device(DeviceId("cam"), DeviceKind.CAMERA, "camera", "127.0.0.1", group=GroupId("g1"), cell=CellCode("c1")),
        ],
        groups=[CameraGroup(GroupId("g1"), "junction"), CameraGroup(GroupId("g2"), "mute")],
        cells=[GridCell(CellCode("c1"), "cell", (ring,))],
        zones=[Zone(ZoneId("z1"), "market", frozenset(SPEAKERS[:2]))],
    )
    return city


async def furnished(store: Store, clock: SimulatedClock, folder: Path) -> House:
    """A house with one clip on the shelf."""
    house = House(store, clock, folder)
    clip = await house.shelf.add(wav(PCM), name="please move on", actor=ACTOR)
    house.clip = clip.id
    return house


async def events_of(house: House, kind: str) -> list:
    return [event for event in await house.store.events.read_after(0, limit=1000) if event.type == kind]


async def playing(house: House, name: str = "b1", *speakers: str, **changes: object) -> None:
    """A long broadcast that is being heard."""
    clip = await house.shelf.add(long_wav(), name="long", actor=ACTOR)
    await house.service.submit(house.order(name, *speakers, clip=clip.id, **changes))
    for speaker in speakers or ("s1",):
        await house.speakers[DeviceId(speaker)].opened.wait()
        while not house.speakers[DeviceId(speaker)].sound:
            await house.clock.advance(0.02)


@functools.cache
def long_wav() -> bytes:
    """Long enough that simulated time cannot reach its end while a busy disk keeps the next order waiting."""
    return wav(tone(15))
