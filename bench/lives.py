"""`kill -9` of the whole daemon in the midst of broadcasts, seen from outside: by whoever ordered them, and by the loudspeakers.

A small street of its own processes: loudspeakers that are spoken to over UDP, over TCP, and by telephone, counting packets with the
kernel's times. Each broadcast is ordered by HTTP under an id; the daemon is killed at a random moment, from before it has the order to
after the last packet, and begins again on the same files. Who ordered and got no answer asks again under the same id, as a platform would.

    duplicates        loudspeakers that heard more than the sound has, or heard it in two sessions
    unexplained       deliveries in no end state, or with another word than `done` or `gateway-restarted`; `busy` is explained where held
    lied              said to be done and not heard whole, or said never to have begun and heard
    held              times that a loudspeaker took itself for spoken to when the next life was ready: after a death between SETUP and PLAY
                      over UDP, or while a call is taken, nobody is left who could end that; the device does, after a minute
    orphans           processes that outlived their daemon
    silent_after_death_p99_ms   from the kill to the last packet that a loudspeaker heard of that life: the kernel takes a dead process
                                apart before its sockets close, and waits for a core where all are busy
    restart_to_ready_s          from the start of a daemon until it answers (median of the first few; the others come without their imports)
"""

import asyncio
import math
import os
import random
import shutil
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.choir import percentile
from bench.daemon import Nursery, alive, lives
from bench.trap_listener import PROFILES
from demo import processes, sound, usage
from demo.city import speaking_hours
from simulators import inventory
from simulators.city import plan

SPEAKERS: Final = 6
TELEPHONES: Final = 2
AT_ONCE: Final = 3
SECONDS: Final = 0.4
LEAD_IN_S: Final = 0.2
WHOLE: Final = round(8_000 * (SECONDS + LEAD_IN_S))
"""Octets of G.711 that a loudspeaker hears of it all."""
PACKET: Final = 480
"""The last packet is filled up; no model's are longer."""
CAREFUL_SHARE: Final = 0.25
"""So many of the kills fall into the first moments, in which an order is read, written and answered."""
LATEST_S: Final = 1.3
WHOLE_STARTS: Final = 5
"""So many lives begin as a user has them begin; the others are children of a process that has imported everything."""
PATIENCE_S: Final = 20.0
GONE_WITHIN_S: Final = 2.0
HELD_S: Final = 65.0
"""RFC 2326, 12.37: a device forgets a session of which it hears nothing for a minute."""


@dataclass(slots=True)
class Found:
    """What `kill` found. `words`: how often deliveries ended with each state and reason."""

    words: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    unexplained: int = 0
    lied: int = 0
    held: int = 0
    orphans: int = 0
    held_at: dict[str, float] = field(default_factory=dict)
    silent: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)

    def figures(self, kills: int) -> dict[str, Any]:
        return {
            "kills": kills,
            "deliveries": self.words.total(),
            **{f"ended_{word}": count for word, count in sorted(self.words.items())},
            "duplicates": self.duplicates,
            "unexplained": self.unexplained,
            "lied": self.lied,
            "held": self.held,
            "orphans": self.orphans,
            "heard_at_death": len(self.silent),
            "silent_after_death_p50_ms": round(1000 * statistics.median(self.silent), 1) if self.silent else math.nan,
            "silent_after_death_p99_ms": round(1000 * percentile(self.silent, 99), 1) if self.silent else math.nan,
            "restart_to_ready_s": round(statistics.median(self.ready_s), 2),
        }


@dataclass(frozen=True, slots=True)
class Street:
    """A configured gateway that does not run yet, and loudspeakers that do."""

    http: aiohttp.ClientSession
    control: aiohttp.ClientSession
    config: Path
    speakers: Sequence[str]

    async def heard(self, speaker: str) -> Mapping[str, Any]:
        async with self.control.get(f"/speakers/{speaker}/heard") as answer:
            told: Mapping[str, Any] = await answer.json()
            return told

    async def forget(self) -> None:
        for speaker in self.speakers:
            async with self.control.delete(f"/speakers/{speaker}/heard"):
                pass


async def kill(kills: int, chance: random.Random, *, whole_starts: int = WHOLE_STARTS) -> Found:
    """Kill it so often; the first `whole_starts` lives after a death begin as a user has them begin."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        async with _street(Path(folder)) as street, Nursery(street.http, street.config).open() as nursery, AsyncExitStack() as last:
            life = await last.enter_async_context(alive(street.http, street.config))
            clip = await _upload(street)
            for number in range(kills):
                order = _order(f"d-{number}", clip, chance.sample(street.speakers, AT_ONCE))
                asking = asyncio.create_task(_ask(street.http, order))
                await asyncio.sleep(chance.uniform(0, 0.08) if chance.random() < CAREFUL_SHARE else chance.uniform(0, LATEST_S))
                children, at = usage.descendants(life.pid), time.time()
                os.kill(life.pid, signal.SIGKILL)
                await last.aclose()
                whole = number < whole_starts
                life = await last.enter_async_context(alive(street.http, street.config) if whole else nursery.quick())
                found.ready_s += [life.ready_s] if whole else []
                found.orphans += await _left(children)
                await asking
                await _judge(street, order["id"], at, found)
                await street.forget()
    return found


async def _judge(street: Street, name: str, at: float, found: Found) -> None:
    view = await _ended(street.http, name)
    for delivery in view["deliveries"]:
        told = await _released(street, delivery["speaker"])
        talks = [talk for talk in told["sessions"] if talk["packets"]]
        word = f"{delivery['state']}_{delivery['reason']}".rstrip("_")
        found.words[word] += 1
        held = any(talk["ended_ns"] is None for talk in told["sessions"])
        found.held += held
        if held:
            found.held_at[delivery["speaker"]] = time.monotonic()
        twice = told["octets"] > WHOLE + PACKET or len(talks) > 1
        lied = (word == "done" and told["octets"] < WHOLE) or (word == "failed_gateway-restarted" and bool(talks))
        refused = word == "failed_busy" and time.monotonic() - found.held_at.get(delivery["speaker"], -math.inf) < HELD_S
        strange = not refused and word not in {"done", "failed_gateway-restarted", "unknown_gateway-restarted"}
        found.duplicates += twice
        found.lied += lied
        found.unexplained += strange
        if word == "unknown_gateway-restarted" and talks and talks[0]["last_ns"] / 1e9 > at - 0.1:
            found.silent.append(max(0.0, talks[0]["last_ns"] / 1e9 - at))
        if twice or lied or strange or held:
            print(name, delivery["speaker"], word, delivery["detail"], told["octets"], told["sessions"], flush=True)


async def _released(street: Street, speaker: str) -> Mapping[str, Any]:
    """What a loudspeaker heard, once nobody talks to it any more, or after a while."""
    until = time.monotonic() + GONE_WITHIN_S
    while True:
        told = await street.heard(speaker)
        if time.monotonic() > until or all(talk["ended_ns"] is not None for talk in told["sessions"]):
            return told
        await asyncio.sleep(0.02)


async def _left(children: Sequence[int]) -> int:
    """How many of a dead daemon's processes still live after a while."""
    until = time.monotonic() + GONE_WITHIN_S
    while (left := sum(map(lives, children))) and time.monotonic() < until:  # nobody tells of them
        await asyncio.sleep(0.02)
    return left


# -- who orders -------------------------------------------------------------------------------------------------------


def _order(name: str, clip: str, speakers: Sequence[str]) -> dict[str, Any]:
    not_after = datetime.now(UTC) + timedelta(seconds=30)
    return {"id": name, "clip": clip, "targets": {"speakers": list(speakers)}, "again": True, "not_after": not_after.isoformat()}


async def _ask(http: aiohttp.ClientSession, order: Mapping[str, Any]) -> None:
    """Order, and order again under the same id, until somebody has answered."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with http.post("/v1/broadcasts", json=order) as answer:
                    if answer.status == 202:
                        return
                    if answer.status not in {429, 503}:
                        raise AssertionError(f"an order was answered {answer.status}: {await answer.text()}")
            except aiohttp.ClientError:
                pass  # nobody lives
            await asyncio.sleep(0.02)


async def _ended(http: aiohttp.ClientSession, name: str) -> Mapping[str, Any]:
    """The broadcast once it has ended, or as it is after a while."""
    until = time.monotonic() + PATIENCE_S
    while True:
        async with http.get(f"/v1/broadcasts/{name}") as answer:
            answer.raise_for_status()
            view: Mapping[str, Any] = await answer.json()
        if not view["open"] or time.monotonic() > until:
            return view
        await asyncio.sleep(0.02)


async def _upload(street: Street) -> str:
    wav = sound.wav(sound.speech_like(SECONDS))
    async with street.http.post("/v1/clips?name=road", data=wav, headers={"Content-Type": "audio/wav"}) as answer:
        answer.raise_for_status()
        clip: str = (await answer.json())["id"]
        return clip


# -- the street -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _street(folder: Path) -> AsyncIterator[Street]:
    ports = [processes.free_port(0) for _ in range(6)]
    _profiles(folder / "profiles")
    speakers = _city(folder, *ports[2:])
    config = folder / "gateway.yaml"
    config.write_text(_configuration(folder, ports[0]), encoding="utf-8")
    files = [str(folder / "city" / name) for name in ("cells.geojson", "inventory.yaml")]
    await processes.run("gateway", "import", "--config", str(config), *files, log=folder / "import.log")
    admin = (await processes.output("gateway", "create-key", "--config", str(config), "--role", "admin", "--name", "lives")).strip()
    serve = ["simulators", "serve", "--city", str(folder / "city" / "city.json"), "--control", f"127.0.0.1:{ports[1]}"]
    async with (
        processes.running(serve, log=folder / "simulators.log"),
        aiohttp.ClientSession(f"http://127.0.0.1:{ports[0]}", headers={"Authorization": f"Bearer {admin}"}) as http,
        aiohttp.ClientSession(f"http://127.0.0.1:{ports[1]}") as control,
    ):
        yield Street(http, control, config, speakers)


def _city(folder: Path, http: int, rtsp: int, snmp: int, sip: int) -> Sequence[str]:
    """Loudspeakers and nothing else, by turns of UDP and TCP where they are no telephones; their names."""
    whole = plan(groups=SPEAKERS, speakers=SPEAKERS, telephones=TELEPHONES, http_port=http, rtsp_port=rtsp, snmp_port=snmp, sip_port=sip)
    horns = [replace(horn, audio_output_of="", uplink="", uplink_port=0) for horn in whole.of_kind("speaker")]
    plain = [replace(horn, lacks=("audio-clips",)) for horn in horns if not horn.sip_user]
    dealt = [replace(horn, profile=("spoken-udp", "spoken-tcp")[number % 2]) for number, horn in enumerate(plain)]
    city = replace(whole, devices=(*dealt, *(horn for horn in horns if horn.sip_user)))
    inventory.write(city, folder / "city")
    return [horn.id for horn in city.devices]


def _profiles(folder: Path) -> None:
    shutil.copytree(PROFILES, folder)
    shutil.copy(PROFILES.with_name("quirks.yaml"), folder.with_name("quirks.yaml"))
    for carrier in ("udp", "tcp"):
        (folder / f"spoken-{carrier}.yaml").write_text(
            f"profile: spoken-{carrier}\nextends: mib2-base\nspeaker:\n  paths: [backchannel]\n  backchannel: {{carriers: [{carrier}]}}\n"
        )


def _configuration(folder: Path, port: int) -> str:
    return f"""\
data_dir: {folder}/data
key_file: {folder}/store-key
profiles_dir: {folder}/profiles
http:
  port: {port}
broadcast:
  hours_file: {speaking_hours(folder)}
  lead_in_ms: {round(1000 * LEAD_IN_S)}
  per_minute: 10000
  repeat_s: 0
  cool_down_s: {{schedule: 0, notice: 0, enforcement: 0, talk: 0}}
"""
