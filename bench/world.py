"""One schedule, acted out: a gateway that lives, dies and lives again over one store, in a street of loudspeakers."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import delete

from bench.deeds import CLIPS, SPEAKERS, Command, Import, Schedule, address_of
from bench.street import MAKER, MODEL, SHARED_SERIAL, Horn, Street, Way, sound
from bench.virtual import START, VirtualLoop
from gateway.api.orders import read_order
from gateway.api.problems import problem_of
from gateway.api.services import Caller
from gateway.broadcast.orders import Rules
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.stage import Manner
from gateway.broadcast.verification import verification
from gateway.domain.access import Permission
from gateway.domain.broadcast import ClipContent, Programme
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind
from gateway.domain.events import Actor, ActorKind
from gateway.domain.health import Board
from gateway.domain.identity import SHARED
from gateway.domain.quirks import NONE, Quirk, Quirks
from gateway.drivers.base import Target
from gateway.drivers.snmp.reader import Reading
from gateway.errors import DeadlineExceeded
from gateway.health.checks.subject import Tools
from gateway.health.service import HealthService
from gateway.media.clips import PreparedClip
from gateway.mqtt import Sender
from gateway.mqtt.answers import Answers
from gateway.mqtt.commands import Commands
from gateway.mqtt.stops import StopAlls
from gateway.mqtt.topics import Topics
from gateway.storage.broadcasts import stops
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Change, Lane

T = TypeVar("T")
PACKETS = 6
PLATFORM = Caller(Actor(ActorKind.API_KEY, "platform"), "platform", frozenset(Permission))
TOPICS = Topics("gateway/v1")
LONGEST_TTL_S = 60.0


class WorldClock:
    """The gateway's clock by the loop's time; `step` sets it forward or back, as an operator or NTP does."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._stepped = timedelta()

    def step(self, by: timedelta) -> None:
        self._stepped += by

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.elapsed) + self._stepped

    def monotonic(self) -> float:
        return self._loop.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


# -- a life of the gateway --------------------------------------------------------------------------------------------


class Life:
    """A gateway from its start to its end. `step` is called between any two steps; at the one that was chosen, it dies."""

    def __init__(self, steps: int | None) -> None:
        self.alive = True
        self.ended = asyncio.Event()
        self._left = steps

    def step(self) -> None:
        if not self.alive:
            raise asyncio.CancelledError
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self.end()
            raise asyncio.CancelledError

    def end(self) -> None:
        self.alive = False
        self.ended.set()


class MortalWriter:
    """The store's writer, as far as a life may reach it: each change is two steps, so that a death falls before it or before its answer."""

    def __init__(self, store: Store, life: Life, world: "World") -> None:
        self._store = store
        self._life = life
        self._world = world

    async def write(self, change: Change[Any], *, lane: Lane) -> Any:
        self._life.step()
        answer = await asyncio.shield(self._store.writer.write(change, lane=lane))
        await self._world.clock.sleep(self._world.chance.choice((0.0, 0.0, 0.005, 0.02, 0.4)))  # the disk's time
        self._life.step()
        return answer


class MortalStore:
    """The store that one life sees."""

    def __init__(self, store: Store, life: Life, world: "World") -> None:
        self.read = store.read
        self.writer = MortalWriter(store, life, world)


class Sounds:
    """Programmes of the clips alone, which are there already."""

    def __init__(self) -> None:
        self._ready = {clip: PreparedClip(**sound(number, PACKETS)) for number, clip in enumerate(CLIPS, 1)}

    async def prepared(self, programme: Programme) -> PreparedClip:
        assert isinstance(programme.content, ClipContent)
        return self._ready[programme.content.clip]


SOUNDS = Sounds()


# -- the world --------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """One schedule, acted out."""

    schedule: Schedule
    store: Store
    clock: WorldClock
    chance: random.Random
    stopped_at: list[float] = field(default_factory=list)
    begun: float = 0.0
    wall: dict[str, datetime] = field(default_factory=dict)
    given: dict[str, float] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.city = City()
        self.city.replace(devices=[_speaker(each, shared=each in self.schedule.by_hardware) for each in SPEAKERS])
        hanging = [(one.address, Horn(f"serial-{one.id}", one.serial, _hardware_of(one.id))) for one in self.city.devices.values()]
        self.street = Street(hanging, self.clock, self.chance)
        self._door: Commands | None = None
        self._stop_door: StopAlls | None = None
        self._health: HealthService | None = None
        self._life: Life | None = None
        self._opened = asyncio.Event()

    async def run(self) -> None:
        """Let everything happen, and time pass until all must have ended."""
        self.begun = self.clock.monotonic()
        await self.store.writer.write(_forget_stops, lane=Lane.STOP)  # those of the world before
        deeds = [*self._deeds()]
        lives = asyncio.create_task(self._lives())
        try:
            await asyncio.gather(*deeds)
            await self.clock.sleep(LONGEST_TTL_S + 15)
        finally:
            lives.cancel()
            await asyncio.gather(lives, return_exceptions=True)

    def _deeds(self) -> Iterator[Awaitable[None]]:
        for command in self.schedule.commands:
            yield self._at(command.given_s, partial(self._give, command))
            for at in command.copies:
                yield self._at(max(at, command.given_s + 0.001), partial(self._hand_over, command, retained=False))
            for at in command.retained:
                yield self._at(max(at, command.given_s + 0.001), partial(self._hand_over, command, retained=True))
        for at in self.schedule.stops:
            yield self._at(at, self._stop)
        for at, by in self.schedule.clock_steps:
            yield self._at(at, partial(self._step_clock, by))
        for at, one, other, outage_s in self.schedule.swaps:
            yield self._at(at, partial(self.street.swap, address_of(one), address_of(other), outage_s))
        for at, speaker in self.schedule.visits:
            yield self._at(at, partial(self._visit, speaker))
        for mistaken in self.schedule.imports:
            yield self._at(mistaken.at, partial(self._import, mistaken))

    async def _at(self, seconds: float, deed: Callable[[], Awaitable[None]]) -> None:
        await self.clock.sleep(seconds)
        await deed()

    async def _give(self, command: Command) -> None:
        """A person gives the command: from now on its time runs."""
        self.wall[command.id] = self.clock.now() + timedelta(seconds=command.ttl_s)
        self.given[command.id] = self.clock.monotonic()

    async def _visit(self, speaker: DeviceId) -> None:
        """A health check looks at a speaker, if there is a gateway."""
        if self._health is not None and self._life is not None and self._life.alive:
            await _outlived(self._life, self._health.check_now(speaker))

    async def _import(self, one: Import) -> None:
        """The inventory has a speaker at another address: where it is in truth, or for a while."""
        before = self.city.devices[one.speaker].address
        if one.moves:
            self.street.readdress(before, one.address)
        self._have_at(one.speaker, one.address)
        if not one.moves:
            await self.clock.sleep(one.mended_s)
            self._have_at(one.speaker, before)

    def _have_at(self, speaker: DeviceId, address: str) -> None:
        known = self.city.devices
        self.city.replace(devices=[*({**known, speaker: replace(known[speaker], address=address)}).values()])
        if self._health is not None:
            self._health.resync()

    async def _step_clock(self, by: float) -> None:
        self.clock.step(timedelta(seconds=by))

    async def _hand_over(self, command: Command, *, retained: bool) -> None:
        """The broker brings the command until it is acknowledged (MQTT 3.1.1, 4.3.2)."""
        body = {
            "id": command.id,
            "clip": command.clip,
            "targets": {"speakers": command.speakers},
            "priority": command.priority,
            "not_after": self.wall[command.id].isoformat(),
            "resume": command.resume,
        }
        if command.dated:
            body["issued_at"] = (self.wall[command.id] - timedelta(seconds=command.ttl_s)).isoformat()
        while True:
            await self._opened.wait()
            door, life = self._door, self._life
            assert door is not None
            assert life is not None
            answering = await _outlived(life, door.broadcast(json.dumps(body).encode(), retained=retained))
            if answering is not None:
                answer = answering.result()
                self.answers[str((answer.problem or {}).get("type", answer.result)).rpartition("/")[2]] += 1
                return

    async def _stop(self) -> None:
        """The broker brings the stop until it is acknowledged, which is when it is on the disk."""
        while True:
            await self._opened.wait()
            door, life = self._stop_door, self._life
            assert door is not None
            assert life is not None
            door.obey(b"{}", retained=False)
            at = self.clock.monotonic()
            if await _outlived(life, door.written()) is not None:
                self.stopped_at.append(at)
                return

    # -- lives --------------------------------------------------------------------------------------------------------

    async def _lives(self) -> None:
        for steps, absence_s in self.schedule.lives:
            await self._live(Life(steps))
            await self.clock.sleep(absence_s)
        await self._live(Life(None))

    async def _live(self, life: Life) -> None:
        service, self._health = self._services(life)
        running = asyncio.create_task(service.run())
        try:
            await self._health.load()
            while not (service.taking_orders or running.done() or life.ended.is_set()):
                await self.clock.sleep(0.001)
            self._open_doors(service)
            self._life = life
            if life.alive:
                self._opened.set()
            await life.ended.wait()
        finally:
            self._opened.clear()
            life.end()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _open_doors(self, service: BroadcastService) -> None:
        sender = _sender(self.city)
        answers = Answers(TOPICS, clock=self.clock, problem=sender.problem)
        self._stop_door = StopAlls(TOPICS, clock=self.clock, broadcasts=service, sender=sender, answers=answers)
        self._door = Commands(TOPICS, clock=self.clock, broadcasts=service, sender=sender, answers=answers, stop_alls=self._stop_door)

    def _services(self, life: Life) -> tuple[BroadcastService, HealthService]:
        ways = {speaker: Way(self.street, partial(self._address_of, speaker), lambda: life.alive, life.step) for speaker in SPEAKERS}
        board: Any = Board()
        mortal: Any = MortalStore(self.store, life, self)
        checks = Tools(onvif_of=ways.__getitem__, target_of=self._target_of, sensors=_NoSensors(), clock=self.clock, timeout_s=2.0)
        broadcasts = BroadcastService(
            store=mortal,
            city=self.city,
            board=board,
            clock=self.clock,
            sounds=SOUNDS,
            speaker_of=ways.__getitem__,
            verify=verification(
                city=self.city,
                board=board,
                clock=self.clock,
                identity_of=ways.__getitem__,
                quirks_of=lambda speaker: self._target_of(speaker).quirks,
            ),
            rules=Rules(max_speakers=10, not_after_max_s=LONGEST_TTL_S),
            manner=Manner(lead_in_s=0.04, linger_s=0.02, barrier_s=0.5, setup_timeout_s=2.0),
        )
        return broadcasts, HealthService(city=self.city, board=board, store=mortal, tools=checks)

    def _address_of(self, speaker: DeviceId) -> str:
        return self.city.devices[speaker].address

    def _target_of(self, speaker: DeviceId) -> Target:
        device = self.city.devices[speaker]
        return Target(speaker, device.address, device.ports, Credentials(), quirks=_SHARED if device.mac else NONE)


class _NoSensors:
    """Of loudspeakers that speak no SNMP, and so are silent; the inventory has no log-in for it, so that no check asks."""

    async def read(self, target: Target, *, timeout_s: float) -> Reading:
        raise DeadlineExceeded(f"{target.device} did not answer within {timeout_s} s")


_SHARED = Quirks({SHARED: Quirk("Q18", SHARED)})


def _speaker(name: DeviceId, *, shared: bool) -> Device:
    """A speaker of the inventory, known by its serial number or, where its model shares one, by its hardware."""
    serial, mac = (SHARED_SERIAL, _hardware_of(name)) if shared else (f"serial-{name}", "")
    return Device(name, DeviceKind.SPEAKER, name, address_of(name), serial=serial, mac=mac, vendor=MAKER, model=MODEL)


def _sender(city: City) -> Sender:
    return Sender(
        PLATFORM.actor, read_order=partial(read_order, caller=PLATFORM, city=city), problem=lambda error: problem_of(error).body()
    )


def _hardware_of(speaker: DeviceId) -> str:
    return f"02:00:00:00:00:{1 + SPEAKERS.index(speaker):02}"


async def _outlived(life: Life, work: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
    """`work` when it is done before `life` ends, else None."""
    working = asyncio.create_task(work)
    ending = asyncio.create_task(life.ended.wait())
    await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if life.alive and not working.cancelled():
        return working
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return None


async def _forget_stops(tx: Tx) -> None:
    await tx.conn.execute(delete(stops))
