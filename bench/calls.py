"""From an order to what is heard: the whole service over real drivers, the city's own ONVIF, and loudspeakers that note the kernel's time.

For `bench.broadcast`. The clocks of all processes are the machine's one.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from bench.choir import Ready, ears, pacing, percentile
from bench.health import line_of, say
from bench.served import served
from bench.trap_listener import PROFILES, entry, login
from demo import usage
from demo.processes import free_port
from gateway.broadcast.orders import Order, Rules
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pacing.live import LiveSource, encode
from gateway.broadcast.pacing.stream import Stream
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.stage import Manner
from gateway.broadcast.verification import verification
from gateway.clock import SystemClock
from gateway.domain.broadcast import BroadcastId, Priority, Programme, Speech, Targets
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.health import Board, HealthState, Introduction, Standing
from gateway.drivers.base import Line
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.drivers.rtp.udp import UdpPair
from gateway.media.clips import PreparedClip
from gateway.storage.store import Store
from simulators.city import City as SimCity
from simulators.city import plan

SPEAKERS = 110
ASKED = 50
STOPS = 5
TALKERS = 5
AT_A_TIME = 20
"""What a key may reach at once, unless somebody says otherwise."""
_UNASKED_S = 0.2
_ACTOR = Actor(ActorKind.API_KEY, "bench")


class _OneSound:
    """Every programme is the same sound, and ready: what is measured is the way to the speakers."""

    def __init__(self, seconds: float) -> None:
        sound = bytes(round(8_000 * seconds))
        self._clip = PreparedClip(bytes(2 * len(sound)), {"PCMA": sound, "PCMU": sound})

    async def prepared(self, _programme: Programme) -> PreparedClip:
        return self._clip


@dataclass(frozen=True, slots=True)
class House:
    service: BroadcastService
    speakers: Sequence[str]
    addresses: dict[str, str]
    city: City
    board: Board
    pacer: ChildPacer
    ear: "subprocess.Popen[str]"

    def meet(self, speakers: Sequence[str]) -> None:
        """As if a health check had just been told who these are."""
        clock = SystemClock()
        for device in (self.city.devices[DeviceId(speaker)] for speaker in speakers):
            told = Introduction(device.place, clock.monotonic())
            facts = {"identity": {"serial": device.serial}}
            self.board.put(Standing(device.id, HealthState.UP, last_seen=clock.now(), facts=facts, introduction=told))

    async def order(self, name: str, speakers: Sequence[str], priority: Priority = Priority.NOTICE) -> float:
        """Give one order; when that was."""
        targets = Targets(speakers=tuple(DeviceId(speaker) for speaker in speakers))
        not_after = SystemClock().now() + timedelta(seconds=30)
        order = Order(BroadcastId(name), Programme(Speech("clear the road", "en")), targets, priority, not_after, _ACTOR)
        at = time.time()
        await self.service.submit(order)
        return at

    async def ended(self, name: str) -> None:
        while (await self.service.get(BroadcastId(name))).open:  # a state of the service, not an event
            await asyncio.sleep(0.02)

    async def heard(self, word: str = "ends") -> dict[str, list[float]]:
        """By address: when the first and the last packet came, and how many, since the last time."""
        await asyncio.sleep(0.05)
        say(self.ear, word)
        return {address: times for address, times in json.loads(line_of(self.ear)).items() if address != "speakers"}


async def answers() -> dict[str, float]:
    """`first_packet_cold_p99_ms`, `first_packet_warm_p99_ms`: order to first packet, one speaker at a time."""
    async with street(seconds=0.02) as house:
        asked = house.speakers[:ASKED]
        cold = [await _first_packet(house, f"cold-{speaker}", speaker) for speaker in asked]
        house.meet(asked)
        warm = [await _first_packet(house, f"warm-{speaker}", speaker) for speaker in asked]
    return {
        "first_packet_cold_p50_ms": round(1000 * statistics.median(cold), 2),
        "first_packet_cold_p99_ms": round(1000 * percentile(cold, 99), 2),
        "first_packet_warm_p50_ms": round(1000 * statistics.median(warm), 2),
        "first_packet_warm_p99_ms": round(1000 * percentile(warm, 99), 2),
    }


async def _first_packet(house: House, name: str, speaker: str) -> float:
    at = await house.order(name, [speaker])
    await asyncio.sleep(_UNASKED_S)  # until it has begun, nobody else keeps the service busy
    await house.ended(name)
    heard = await house.heard()
    return heard[house.addresses[speaker]][0] - at


async def silences() -> dict[str, float]:
    """`stop_all_p99_ms`: from the call to the last packet that any speaker hears, with all of them speaking."""
    took: list[float] = []
    async with street(seconds=30.0) as house:
        for number in range(STOPS):
            await house.order(f"all-{number}", house.speakers, Priority.EMERGENCY)
            await asyncio.sleep(3.0 + 0.007 * number)
            at = time.time()
            house.service.stop_all(_ACTOR)
            await house.ended(f"all-{number}")
            heard = await house.heard()
            took += [max(0.0, last - at) for _, last, _ in heard.values()]
            await asyncio.sleep(1.5)
    return {
        "stop_all_p50_ms": round(1000 * statistics.median(took), 2),
        "stop_all_p99_ms": round(1000 * percentile(took, 99), 2),
        "stopped": len(took),
    }


async def preemptions() -> dict[str, float]:
    """`preemption_p99_ms`: from the order of an emergency to its first packet, where something else plays; `_110`: everywhere at once."""
    figures: dict[str, float] = {}
    async with street(seconds=30.0) as house:
        house.meet(house.speakers)
        for count, word in ((AT_A_TIME, ""), (SPEAKERS, f"_{SPEAKERS}")):
            took = [wait for number in range(STOPS) for wait in await _preempt(house, f"{count}-{number}", house.speakers[:count])]
            figures[f"preemption_p50_ms{word}"] = round(1000 * statistics.median(took), 2)
            figures[f"preemption_p99_ms{word}"] = round(1000 * percentile(took, 99), 2)
    return figures


async def _preempt(house: House, name: str, speakers: Sequence[str]) -> list[float]:
    await house.order(f"notice-{name}", speakers)
    await asyncio.sleep(1.5)
    at = await house.order(f"emergency-{name}", speakers, Priority.EMERGENCY)
    await asyncio.sleep(1.5)
    house.service.stop_all(_ACTOR)
    await house.ended(f"notice-{name}")
    await house.ended(f"emergency-{name}")
    deliveries = (await house.service.get(BroadcastId(f"emergency-{name}"))).deliveries
    return [first.timestamp() - at for delivery in deliveries if (first := delivery.figures.first_packet_at) is not None]


async def talks(seconds: float = 10.0) -> dict[str, float]:
    """`mic_to_wire_p95_ms`: from a frame's arrival in the daemon (`LiveSource.push`) to the kernel of the loudspeaker, over UDP.

    Most of it is the wait for the pacer's next slot of 10 ms. They speak once they are heard, so that a frame that is lost
    (`mic_frames_lost`) was lost on the way. `mic_cpu_pct_of_core_each`: what a talker costs from there on, this process
    and the pacer's, without `mic_clock_pct_of_core_each`: that of the bench's own clock, taken with talkers whom nobody hears.
    """
    clock = await _clock_alone(seconds / 2)
    frames = round(seconds / 0.02)
    with ears("udp") as ear, contextlib.closing(UdpPair("127.0.0.1")) as pair:
        port = json.loads(line_of(ear))["port"]
        async with pacing() as pacer:
            sources = [LiveSource() for _ in range(TALKERS)]
            hosts = [f"127.30.0.{number + 1}" for number in range(TALKERS)]
            lines = [Line(pair.socket, 8, lend=lambda *_: None, returned=lambda _: None, destination=(host, port)) for host in hosts]
            streams = [Stream(Ready(line), source) for line, source in zip(lines, sources, strict=True)]
            pacer.start(streams)
            assert pacer.standing.pid is not None
            used = time.process_time() + usage.exact_cpu_seconds(pacer.standing.pid)
            talkers = enumerate(zip(sources, streams, strict=True))
            said = await asyncio.gather(*(_speak(source, frames, number, stream) for number, (source, stream) in talkers))
            used = time.process_time() + usage.exact_cpu_seconds(pacer.standing.pid) - used
            await asyncio.wait([stream.finished for stream in streams])
        await asyncio.sleep(0.1)
        say(ear, "all")
        heard = json.loads(line_of(ear))
    waited = [wait for host, times in zip(hosts, said, strict=True) for wait in _waits(times, *heard[host])]
    return {
        "mic_to_wire_p50_ms": round(1000 * statistics.median(waited), 2),
        "mic_to_wire_p95_ms": round(1000 * percentile(waited, 95), 2),
        "mic_cpu_pct_of_core_each": round(100 * used / seconds / TALKERS - clock, 3),
        "mic_clock_pct_of_core_each": round(clock, 3),
        "mic_frames_lost": TALKERS * frames - len(waited),
    }


async def _clock_alone(seconds: float) -> float:
    """What the bench's clock costs a talker, in percent of a core."""
    used = time.process_time()
    await asyncio.gather(*(_speak(LiveSource(), round(seconds / 0.02), number) for number in range(TALKERS)))
    return 100 * (time.process_time() - used) / seconds / TALKERS


async def _speak(source: LiveSource, frames: int, number: int, stream: Stream | None = None) -> list[float]:
    """Push frames at the pace of a microphone, of silence until the stream has begun, then of one loud value each that tells which it is;
    when each of these was pushed."""
    due = time.monotonic() + 0.1 + 0.0037 * number
    said: list[float] = []
    while len(said) < frames:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += 0.02
        if stream is not None and not said and not stream.figures.packets:
            source.push(bytes(320))
            continue
        said.append(time.time())
        source.push(_loud(len(said) - 1) * 160)
    source.close()
    return said


def _waits(said: Sequence[float], times: Sequence[float], values: Sequence[int]) -> Iterator[float]:
    """How long each frame took that came; silence between them is passed over."""
    frame = 0
    for at, value in zip(times, values, strict=True):
        if value == _QUIET:
            continue
        while frame < len(said) and _value(frame) != value:
            frame += 1  # was let go
        if frame < len(said):
            yield at - said[frame]
            frame += 1


def _loud(frame: int) -> bytes:
    return (1_000 * (frame % 25 + 1)).to_bytes(2, "little")


def _value(frame: int) -> int:
    return encode(_loud(frame), "PCMA")[0]


_QUIET = 0xD5


@contextlib.asynccontextmanager
async def street(*, seconds: float) -> AsyncIterator[House]:
    """The service over `SPEAKERS` loudspeakers of the simulated city that answer ONVIF there and hear here."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder, ears("rtsp") as ear:
        told = json.loads(line_of(ear))
        planned = plan(groups=1, speakers=SPEAKERS, http_port=free_port(0), rtsp_port=told["rtsp"])
        chosen = [device for device in planned.devices if device.kind == "speaker" and device.profile != "sip"]
        file = Path(folder) / "city.json"
        planned.save(file)
        with served(file, only="http"):
            city, board, pacer = City(), Board(), ChildPacer(SystemClock())
            city.replace(devices=[replace(entry(device, planned), serial=device.serial) for device in planned.devices])
            async with _service(Path(folder), planned, city, board, pacer, seconds=seconds) as service:
                addresses = {device.id: device.address for device in chosen}
                yield House(service, list(addresses), addresses, city, board, pacer, ear)


@contextlib.asynccontextmanager
async def _service(
    folder: Path, planned: SimCity, city: City, board: Board, pacer: ChildPacer, *, seconds: float
) -> AsyncIterator[BroadcastService]:
    clock = SystemClock()
    async with (
        Store.open(f"sqlite:///{folder}/bench.db", clock=clock, key=bytes(32)) as store,
        Drivers(city, clock, Profiles.load(PROFILES), walk_every_s=60) as drivers,
        asyncio.TaskGroup() as group,
    ):
        drivers.renew({DeviceId(device.id): login(device) for device in planned.devices})
        verify = verification(city=city, board=board, clock=clock, identity_of=drivers.onvif_of, quirks_of=drivers.quirks_of)
        await drivers.warm()  # as the daemon does as soon as it has started
        service = BroadcastService(
            store=store,
            city=city,
            board=board,
            clock=clock,
            sounds=_OneSound(seconds),
            speaker_of=drivers.speaker_of,
            verify=verify,
            rules=Rules(max_speakers=SPEAKERS),
            manner=Manner(linger_s=0.0),
            pacer=pacer,
        )
        running = [group.create_task(store.writer.run()), group.create_task(service.run())]
        while not service.taking_orders:  # that it takes orders is a state of the service, not an event
            await asyncio.sleep(0.01)
        yield service
        for task in reversed(running):
            task.cancel()
            await asyncio.wait([task])
