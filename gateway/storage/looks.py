"""Looks at recordings in the store: when the oldest moment of a recording was which, one row a recording."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.coverage import Look
from gateway.domain.devices import DeviceId
from gateway.storage.schema import Json, UtcTime, metadata

footage_looks = Table(
    "footage_looks",
    metadata,
    Column("device", Text, primary_key=True),
    Column("recording", Text, primary_key=True),
    Column("looks", Json, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)


class Recorded(NamedTuple):
    """One recording of one device."""

    device: DeviceId
    recording: str


class LookRepository:
    """What was seen of how recordings are overwritten."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def all(self) -> Mapping[Recorded, Sequence[Look]]:
        """By recording, each in order."""
        rows = await self._conn.execute(select(footage_looks))
        return {Recorded(DeviceId(row.device), row.recording): tuple(_look(*pair) for pair in row.looks) for row in rows}

    async def put(self, seen: Mapping[Recorded, Sequence[Look]]) -> None:
        """These are all the looks at these recordings; none may be empty."""
        for recorded, looks in seen.items():
            told = [[look.at.isoformat(), look.oldest.isoformat()] for look in looks]
            table = footage_looks.c
            await self._conn.execute(delete(footage_looks).where(table.device == recorded.device, table.recording == recorded.recording))
            row = {"device": recorded.device, "recording": recorded.recording, "looks": told, "seen_at": looks[-1].at}
            await self._conn.execute(insert(footage_looks).values(row))

    async def drop(self, gone: Iterable[DeviceId]) -> None:
        """Forget those devices."""
        await self._conn.execute(delete(footage_looks).where(footage_looks.c.device.in_(list(gone))))


def _look(at: str, oldest: str) -> Look:
    return Look(datetime.fromisoformat(at), datetime.fromisoformat(oldest))
