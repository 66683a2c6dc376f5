"""A made-up city and twelve months of what its devices went through: seeded, and as uneven as real ones are."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, CellCode, Channel, Device, DeviceId, DeviceKind, GridCell, GroupId, Position
from gateway.storage.availability import recording_days, recording_months
from gateway.storage.complaints import checked_since, complaints
from gateway.storage.health import device_health, transitions

GROUPS = 759
KINDS = ((DeviceKind.CAMERA, 1_707), (DeviceKind.SPEAKER, 110), (DeviceKind.RECORDER, 110), (DeviceKind.SWITCH, 799))
DISTRICTS = ("历下区", "市中区", "槐荫区", "天桥区", "历城区", "长清区")
VENDORS = ("Hikvision", "Dahua", "Uniview", "Tiandy", "Axis")
START, END = datetime(2025, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 20, 3, tzinfo=UTC)
DAY = 86_400


def city(dice: random.Random) -> City:
    """As many devices of each kind as the demo has, over 759 groups in six districts."""
    groups = [
        CameraGroup(
            GroupId(f"G-{number:04}"),
            f"路口{number}",
            cell=CellCode(f"C-{number}"),
            street=f"街道{number % 40}",
            district=DISTRICTS[number % 6],
        )
        for number in range(GROUPS)
    ]
    corner = Position(36.6, 117.0)
    cells = [GridCell(group.cell, f"网格{group.id}", ((corner, corner, corner),), group.district) for group in groups if group.cell]
    devices = [
        Device(
            DeviceId(f"{kind.value[:3].upper()}-{number:05}"),
            kind,
            f"{kind.value} {number}",
            f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            group=groups[number % GROUPS].id,
            cell=groups[number % GROUPS].cell,
            vendor=(vendor := dice.choice(VENDORS)),
            model=f"{vendor[:2].upper()}-{dice.randrange(8)}",
            maintainer=f"维保{number % 5}队",
            channels=(Channel(1, DeviceId(f"CAM-{number:05}")),) if kind is DeviceKind.RECORDER else (),
        )
        for kind, count in KINDS
        for number in range(count)
    ]
    made = City()
    made.replace(devices=devices, groups=groups, cells=cells)
    return made


async def write(conn: AsyncConnection, city: City, dice: random.Random) -> int:
    """The history of all devices; how many transitions it has."""
    cuts = [START + timedelta(seconds=dice.randrange(380 * DAY)) for _ in range(24)]  # power cuts: a district each
    written = 0
    for number, device in enumerate(city.devices.values()):
        district = DISTRICTS[number % 6]
        rows = list(_life(device.id, dice, [cut for at, cut in enumerate(cuts) if DISTRICTS[at % 6] == district]))
        written += len(rows)
        await conn.execute(insert(transitions), rows)
        last = rows[-1]
        await conn.execute(
            insert(device_health).values(
                device=device.id, state=last["after_state"], since=last["at"], reason="", check_name="reach", facts={}
            )
        )
        if device.kind is not DeviceKind.SWITCH:
            await _checks(conn, device, dice)
        if device.kind is DeviceKind.CAMERA:
            await _recordings(conn, device.id, dice)
    return written


def _life(device: DeviceId, dice: random.Random, cuts: list[datetime]) -> Iterator[dict[str, Any]]:
    """Up but for short outages and complaints, the long repair now and then; one device in twenty is a bad one."""
    mean = DAY * (1.2 if dice.random() < 0.05 else 9)
    turns = [(START + timedelta(seconds=dice.randrange(3_600)), "up")]
    at = turns[0][0]
    while (at := at + timedelta(seconds=dice.expovariate(1 / mean))) < END:
        lasts = dice.lognormvariate(7, 1.3) if dice.random() < 0.97 else dice.uniform(1, 6) * DAY
        turns += [(at, dice.choice(("down", "down", "degraded"))), (at + timedelta(seconds=lasts), "up")]
        at = turns[-1][0]
    turns += [turn for cut in cuts for turn in ((cut, "down"), (cut + timedelta(seconds=dice.uniform(7_000, 9_000)), "up"))]
    state, number = "unknown", 0
    for moment, after in sorted(turns):
        if after != state and moment < END:
            number += 1
            yield {
                "device": device, "number": number, "before_state": state, "after_state": after, "at": moment,
                "reason": "timeout" if after == "down" else "", "check_name": "reach", "facts": {},
            }  # fmt: skip
            state = after


async def _checks(conn: AsyncConnection, device: Device, dice: random.Random) -> None:
    names = ["clock", "picture"] if device.kind is DeviceKind.CAMERA else ["clock"]
    await conn.execute(
        insert(checked_since), [{"device": device.id, "check_name": name, "since": START + timedelta(hours=2)} for name in names]
    )
    rows, at = [], START + timedelta(hours=3)
    while (at := at + timedelta(seconds=dice.expovariate(1 / (40 * DAY)))) < END:
        until = at + timedelta(seconds=dice.expovariate(1 / (2 * DAY)))
        rows.append({"device": device.id, "check_name": dice.choice(names), "since": at, "until": until, "reason": "clock-drift"})
        at = until
    if rows:
        await conn.execute(insert(complaints), rows)


async def _recordings(conn: AsyncConnection, camera: DeviceId, dice: random.Random) -> None:
    """A day's seconds for each day, as the nightly search would have found them."""
    first, sums, rows = (START + timedelta(hours=8)).date(), dict[str, list[int]](), []
    for number in range((END.date() - first).days):
        day = first + timedelta(days=number)
        recorded = DAY if dice.random() < 0.9 else dice.randrange(DAY)
        rows.append({"camera": camera, "day": day.isoformat(), "recorder": "REC-00001", "expected_s": DAY, "recorded_s": recorded})
        month = sums.setdefault(day.replace(day=1).isoformat(), [0, 0])
        month[0] += DAY
        month[1] += recorded
    await conn.execute(insert(recording_days), rows)
    months = [
        {"month": month, "camera": camera, "expected_s": expected, "recorded_s": recorded} for month, (expected, recorded) in sums.items()
    ]
    await conn.execute(insert(recording_months), months)
