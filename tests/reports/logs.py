"""Random logs of transitions for tests: a city of some devices, and what the store would know of them."""

import asyncio
import random
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId
from gateway.domain.health import HealthState, Transition
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

UNKNOWN, UP, DEGRADED, DOWN = HealthState


def city_of(count: int) -> City:
    """Cameras in three groups and two districts, of two vendors."""
    city = City()
    groups = [
        CameraGroup(GroupId(f"g-{number}"), f"路口{number}", district="历下" if number else "市中", street="舜耕") for number in range(3)
    ]
    devices = [
        Device(
            DeviceId(f"cam-{number}"),
            DeviceKind.CAMERA,
            f"枪机{number}",
            f"127.8.0.{number + 1}",
            group=GroupId(f"g-{number % 3}"),
            vendor=("海康", "大华")[number % 2],
            model=f"M{number % 2}",
            maintainer="维保一队",
        )
        for number in range(count)
    ]
    city.replace(devices=devices, groups=groups)
    return city


def life(dice: random.Random, device: DeviceId, start: datetime, end: datetime) -> Sequence[Transition]:
    """From UNKNOWN on, a change every few hours or days."""
    at, state, found = start + timedelta(hours=dice.randrange(90)), UNKNOWN, list[Transition]()
    while at < end:
        after = dice.choice([one for one in (UP, UP, UP, DEGRADED, DOWN, UNKNOWN) if one is not state])
        found.append(Transition(device, state, after, at, "timeout" if after is DOWN else "", "reach"))
        state = after
        at += timedelta(seconds=dice.choice([40, 3_000, 20_000, 90_000, 400_000]), microseconds=dice.randrange(1_000_000))
    return found


def lived_in(template: Path, path: Path, dice: random.Random, city: City, start: datetime, end: datetime) -> Path:
    """A copy of the store `template` at `path` with what `store_lives` writes, for many tests to take copies of."""

    async def live() -> None:
        async with Store.open(f"sqlite:///{path}", clock=SimulatedClock(end), key=bytes(32)) as store, asyncio.TaskGroup() as group:
            writing = group.create_task(store.writer.run())
            await store_lives(store, dice, city, start, end)
            writing.cancel()

    shutil.copy(template, path)
    asyncio.run(live())
    return path


async def store_lives(store: Store, dice: random.Random, city: City, start: datetime, end: datetime) -> None:
    """A life of each device, and complaints of two checks."""

    for device in city.devices:
        await store.writer.write(partial(_store_life, device=device, dice=dice, start=start, end=end), lane=Lane.HEALTH)


async def _store_life(tx: Tx, *, device: DeviceId, dice: random.Random, start: datetime, end: datetime) -> None:
    for transition in life(dice, device, start, end):
        await tx.health.record(transition)
    await tx.complaints.begin(device, ["clock", "picture"], start + timedelta(hours=dice.randrange(500)))
    for check in ("clock", "picture"):
        at = start
        while dice.random() < 0.8:
            at += timedelta(hours=1 + dice.randrange(200))
            await tx.complaints.rise(device, check, "clock-skew", at)
            if dice.random() < 0.2:
                break
            at += timedelta(hours=1 + dice.randrange(50))
            await tx.complaints.clear(device, check, at)


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)
