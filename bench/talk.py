"""Live talk from outside: people with microphones at the WebSocket of the whole daemon, and loudspeakers of the simulated city.

Ten talk at once, each at a loudspeaker of their own. Every tenth frame is loud; each is found again in what its loudspeaker heard,
with the kernel's time of the packet that brought it. All clocks are the machine's one. A frame's way: the client's socket, the
daemon's loop, its filter, G.711, the shared memory in which it waits for the pacer's next slot (of 10 ms), RTP, and over TCP the
loudspeaker's process. Loudspeakers with packets of another length than 20 ms are left out. What the gateway alone does, from a frame's
arrival in the daemon, is `mic_to_wire_p95_ms` of `./gw bench broadcast`.

    talk_to_wire_p50_ms, …_p95_ms   from the moment in which a frame is sent to the gateway until the loudspeaker's kernel has it
    talker_cpu_pct                  of a core, what a talker costs the daemon and the pacer by their own clocks: all of them on air against
                                    none before and after, divided by their number; `talker_daemon_cpu_pct` and `talker_pacer_cpu_pct` are
                                    its parts. The pacer's wake-ups, a hundred a second at the most, are shared by all who speak
    lone_talker_cpu_pct, …          the same where only one speaks, who bears all of the wake-ups
    bare_talker_cpu_pct, …          what plain connections and a plain ticker cost that do nothing with a frame (`bench.bare_talks`), just
                                    before and just after; `ratios.talker_vs_bare` compares
    bench_talker_cpu_pct            what the bench itself spends on each of its talkers; in none of the figures above
    talk_frames_lost                loud frames that no loudspeaker heard
    press_to_air_p50_ms             from the order until the talker is told to be on air

    uneven_pct                      frames that the bench itself sent more than 5 ms late: a measure of how busy the machine was
"""

import array
import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import bare_talks
from demo import sound, usage
from demo.observer import Observer
from demo.processes import free_port
from demo.standing import Plan, standing_city
from demo.talker import FRAME_BYTES, FRAME_S, Talker, talking

TALKERS = 10
SECONDS = 20.0
LOUD_EVERY = 10
_LATE_S = 0.005
_VOICE = array.array("h", [9_000, 8_000, 4_000, 0, -4_000, -8_000, -9_000, -8_000, -4_000, 0, 4_000, 8_000] * 27)[
    : FRAME_BYTES // 2
].tobytes()


@dataclass(slots=True)
class _Said:
    """What one person said: when each loud frame was sent, how late the bench was, how long it took to be on air."""

    speaker: str
    loud: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    air_s: float = 0.0


def measure(*, talkers: int = TALKERS, seconds: float = SECONDS) -> dict[str, Any]:
    """Let them talk; returns {"figures": …, "ratios": …}."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        before = _bare(talkers, seconds / 4)
        figures = asyncio.run(_measured(Path(folder), talkers, seconds))
        after = _bare(talkers, seconds / 4)
    bare = {name: statistics.mean((cost, after[name])) for name, cost in before.items()}
    ratios = {f"{name}_vs_bare": round(figures[f"{name}_cpu_pct"] / cost, 2) for name, cost in bare.items()}
    return {"figures": figures | {f"bare_{name}_cpu_pct": round(cost, 3) for name, cost in bare.items()}, "ratios": ratios}


def _bare(talkers: int, seconds: float) -> dict[str, float]:
    return {"lone_talker": bare_talks.cpu_pct(1, seconds), "talker": bare_talks.cpu_pct(talkers, seconds)}


async def _measured(folder: Path, talkers: int, seconds: float) -> dict[str, float]:
    async with standing_city(folder, Plan(groups=6, speakers=2 * talkers, port=free_port(0))) as (_, observer):
        speakers = await _speakers(observer)
        costs = [await _cost(observer, seconds, spoken=())]
        lone, said = [_Said(speakers[0])], [_Said(speaker) for speaker in speakers[:talkers]]
        for spoken in (lone, said):
            costs += [await _cost(observer, seconds, spoken=spoken), await _cost(observer, seconds, spoken=())]
            waited = [await _waits(observer, one) for one in spoken]
    found = [wait for waits in waited for wait in waits]
    late = [each for one in said for each in one.late]
    return {
        "talkers": talkers,
        "talk_to_wire_p50_ms": round(1000 * statistics.median(found), 2),
        "talk_to_wire_p95_ms": round(1000 * statistics.quantiles(found, n=20)[-1], 2),
        "talk_frames_lost": sum(len(one.loud) for one in said) - len(found),
        **_shares("lone_talker", costs[:3], 1),
        **_shares("talker", costs[2:], talkers),
        "bench_talker_cpu_pct": round((costs[3].bench - (costs[2].bench + costs[4].bench) / 2) / talkers, 3),
        "press_to_air_p50_ms": round(1000 * statistics.median(one.air_s for one in said), 1),
        "uneven_pct": round(100 * sum(each > _LATE_S for each in late) / len(late), 1),
    }


@dataclass(frozen=True, slots=True)
class _Cost:
    """What each process spent over a while, in percent of a core. `pacer`: the daemon's children."""

    daemon: float
    pacer: float
    bench: float


async def _cost(observer: Observer, seconds: float, *, spoken: Sequence[_Said]) -> _Cost:
    """What `seconds` cost with these on air: neither pressing nor letting go is counted."""
    gates = begin, leave = asyncio.Barrier(len(spoken) + 1), asyncio.Barrier(len(spoken) + 1)
    async with asyncio.TaskGroup() as group:
        for number, one in enumerate(spoken):
            group.create_task(_talk(observer, one, seconds, number, gates))
        await begin.wait()
        before, began = _spent(observer.daemon), time.monotonic()
        await asyncio.sleep(seconds)
        after, took = _spent(observer.daemon), time.monotonic() - began
        await leave.wait()
    return _Cost(*(100 * (late - early) / took for early, late in zip(before, after, strict=True)))


def _spent(daemon: int) -> tuple[float, float, float]:
    children = sum(usage.exact_cpu_seconds(child) for child in usage.descendants(daemon))
    return usage.exact_cpu_seconds(daemon), children, time.process_time()


def _shares(name: str, costs: Sequence[_Cost], talkers: int) -> dict[str, float]:
    """A talker's share: the middle of three costs against those without anybody before and after it."""
    before, busy, after = costs
    daemon = (busy.daemon - (before.daemon + after.daemon) / 2) / talkers
    pacer = (busy.pacer - (before.pacer + after.pacer) / 2) / talkers
    parts = {"": daemon + pacer, "_daemon": daemon, "_pacer": pacer}
    return {f"{name}{part}_cpu_pct": round(share, 3) for part, share in parts.items()}


async def _speakers(observer: Observer) -> list[str]:
    """The loudspeakers that are spoken to by RTSP, once all are up."""
    known = (await observer.call("viewer", "GET", "/v1/devices?limit=1000"))["items"]
    await observer.until_verified(len(known), within_s=120)
    return [device["id"] for device in known if device["kind"] == "speaker" and await _takes_20_ms(observer, device["id"])]


async def _takes_20_ms(observer: Observer, speaker: str) -> bool:
    """Whether the loudspeaker, asked to say a word, gets packets of 20 ms by RTSP."""
    async with talking(observer.http, observer.gateway, observer.keys["operator"], {"targets": {"speakers": [speaker]}}) as talker:
        await talker.on_air()
        ended = await talker.release()
    packets = (await observer.street(f"/speakers/{speaker}/heard/packets"))["packets"]
    async with observer.http.delete(f"{observer.control}/speakers/{speaker}/heard"):
        return ended["broadcast"]["deliveries"][0]["path"] == "backchannel" and {row["bytes"] for row in packets} == {160}


async def _talk(observer: Observer, said: _Said, seconds: float, number: int, gates: tuple[asyncio.Barrier, asyncio.Barrier]) -> None:
    """Speak for so long from when all are on air, and let go when all have spoken: `gates` open when all have come to them."""
    await asyncio.sleep(0.0037 * number)  # nobody's frames fall upon another's
    pressed = time.monotonic()
    order = {"targets": {"speakers": [said.speaker]}}
    async with talking(observer.http, observer.gateway, observer.keys["operator"], order) as talker:
        await talker.on_air()
        said.air_s = time.monotonic() - pressed
        await _hushed(talker, gates[0])
        await _speak(talker, said, seconds)
        await _hushed(talker, gates[1])
        await talker.release()


async def _hushed(talker: Talker, until: asyncio.Barrier) -> None:
    """Send silence, as a microphone does, until all have come so far."""
    waiting = asyncio.ensure_future(until.wait())
    while not waiting.done():
        await talker.send([bytes(FRAME_BYTES)])
    await waiting


async def _speak(talker: Talker, said: _Said, seconds: float) -> None:
    begun = time.monotonic()
    for number in range(round(seconds / FRAME_S)):
        due = begun + number * FRAME_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        said.late.append(time.monotonic() - due)
        loud = number % LOUD_EVERY == LOUD_EVERY - 1
        if loud:
            said.loud.append(time.time())
        await talker.socket.send_bytes(_VOICE if loud else bytes(FRAME_BYTES))


async def _waits(observer: Observer, said: _Said) -> list[float]:
    """How long each loud frame took that was heard."""
    heard = sound.read_wav(await observer.street(f"/speakers/{said.speaker}/heard.wav"))
    packets = (await observer.street(f"/speakers/{said.speaker}/heard/packets"))["packets"]
    came, begin = [], len(heard)
    for row in reversed(packets):
        begin -= row["bytes"]
        if begin >= 0 and _is_loud(heard[begin : begin + row["bytes"]]):
            came.append(row["arrival_ns"] / 1e9)
    return _matched(said.loud, came[::-1])


def _is_loud(packet: Sequence[int]) -> bool:
    return sum(abs(sample) > 2_000 for sample in packet) > len(packet) // 2


def _matched(sent: Sequence[float], came: Sequence[float]) -> list[float]:
    """How long each frame took whose packet came before the next frame was sent."""
    firsts = (next((at for at in came if begin <= at < end), None) for begin, end in pairwise([*sent, math.inf]))
    return [first - begin for first, begin in zip(firsts, sent, strict=True) if first is not None]
