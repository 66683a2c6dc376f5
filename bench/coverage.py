"""What is recorded of 12 cameras in 30 days: how long the answer takes, what it costs, and whether it is true to the second.

The whole simulated city answers from a process of its own. `first_s`: the first question to those devices, with their services,
clocks and logins yet to be met; then the median of the same again. Once the cameras lie on as many recorders as there are, once on few.
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.served import served
from bench.trap_listener import PROFILES, entry, login
from demo.processes import free_port
from gateway.clock import SystemClock
from gateway.domain.city import City
from gateway.domain.coverage import Coverage
from gateway.domain.devices import Channel, DeviceId
from gateway.domain.footage import Period
from gateway.domain.health import Board, Standing
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.footage.clocks import KnownClocks
from gateway.footage.coverage import CoverageDesk
from gateway.footage.looks import Looks
from gateway.storage.store import Store
from simulators import footage as truth
from simulators.city import City as SimCity
from simulators.city import SimChannel, SimDevice, plan

CAMERAS: Final = 12
DAYS: Final = 30
ROUNDS: Final = 5
Kept = tuple[SimDevice, SimChannel]


def measure() -> dict[str, Any]:
    """The figures; takes half a minute."""
    with tempfile.TemporaryDirectory(prefix="city-bench-") as folder:
        city = plan(http_port=free_port(0), rtsp_port=free_port(0), snmp_port=1)
        city.save(Path(folder, "city.json"))
        with served(Path(folder, "city.json"), only="http"):
            return asyncio.run(_measured(city, Path(folder)))


async def _measured(city: SimCity, folder: Path) -> dict[str, Any]:
    known = City()
    known.replace(devices=[replace(entry(device, city), channels=_channels(device)) for device in city.devices])
    board = Board()
    for device in city.devices:
        board.put(Standing(DeviceId(device.id), offset=timedelta(seconds=device.clock_offset_s)))
    figures: dict[str, float] = {"cameras": CAMERAS, "days": DAYS}
    for name, chosen in {"spread": _spread(city), "together": _together(city)}.items():
        async with (
            Store.open(f"sqlite:///{folder}/{name}.db", clock=SystemClock(), key=bytes(32)) as store,
            Drivers(known, SystemClock(), Profiles.load(PROFILES), walk_every_s=60) as drivers,
        ):
            drivers.renew({DeviceId(device.id): login(device) for device in city.devices})
            looks = Looks(store=store, city=known, board=board, clock=SystemClock())
            desk = CoverageDesk(city=known, clock=SystemClock(), clocks=KnownClocks(store, board), looks=looks, keeper_of=drivers.onvif_of)
            cameras = [DeviceId(channel.camera) for _, channel in chosen]
            await _asked(desk, [DeviceId(_kept(city)[-1][1].camera)])  # loads zeep's schemas, as the daemon's own checks do at its start
            cold, _ = await _asked(desk, cameras)
            warm = [await _asked(desk, cameras) for _ in range(ROUNDS)]
            cpu = time.process_time()
            _, found = await _asked(desk, cameras)
            figures |= {
                f"{name}_recorders": len({recorder.id for recorder, _ in chosen}),
                f"{name}_first_s": round(cold, 3),
                f"{name}_s": round(statistics.median(seconds for seconds, _ in warm), 3),
                f"{name}_cpu_s": round(time.process_time() - cpu, 3),
                f"{name}_worst_edge_error_s": max(_error(*kept, one) for kept, one in zip(chosen, found, strict=True)),
            }
    return {"figures": figures}


async def _asked(desk: CoverageDesk, cameras: Sequence[DeviceId]) -> tuple[float, list[Coverage]]:
    end, began = datetime.now(UTC), time.perf_counter()
    found = await desk.of(cameras, Period(end - timedelta(days=DAYS), end))
    return time.perf_counter() - began, found


def _channels(device: SimDevice) -> tuple[Channel, ...]:
    kept = device.channels if device.kind == "recorder" else ()
    return tuple(Channel(channel.number, DeviceId(channel.camera), channel.token) for channel in kept)


def _kept(city: SimCity) -> list[Kept]:
    return [(recorder, channel) for recorder in city.of_kind("recorder") for channel in recorder.channels if channel.gappy]


def _spread(city: SimCity) -> list[Kept]:
    first: dict[str, Kept] = {}
    for recorder, channel in _kept(city):
        first.setdefault(recorder.id, (recorder, channel))
    return list(first.values())[:CAMERAS]


def _together(city: SimCity) -> list[Kept]:
    counts = Counter(recorder.id for recorder, _ in _kept(city))
    return sorted(_kept(city), key=lambda kept: (-counts[kept[0].id], kept[0].id))[:CAMERAS]


def _error(recorder: SimDevice, channel: SimChannel, found: Coverage) -> float:
    """How far the worst edge of what the recorder is said to have is from what it has, but for the end that is still being written."""
    (holding,) = (one for one in found.holdings if one.device == recorder.id)
    window, offset = found.window, recorder.clock_offset_s
    span = truth.Span(window.start.timestamp() + offset, window.end.timestamp() + offset)
    spans = truth.recorded(recorder, channel, span, span.end)
    told = [edge.timestamp() + offset for period in holding.recorded for edge in (period.start, period.end)]
    real = [edge for one in spans for edge in (one.start, one.end)]
    if len(told) != len(real):
        return float("inf")
    return round(max(abs(one - other) for one, other in zip(told[:-1], real[:-1], strict=True)), 3)
