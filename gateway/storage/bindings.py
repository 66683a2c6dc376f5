"""Where cameras look, and which loudspeakers are heard there, in the store."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, Double, ForeignKey, Row, Table, Text, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.bindings import Binding, BindingKey, BindingState, Sight, SightKey
from gateway.domain.devices import DeviceId
from gateway.storage.schema import UtcTime, metadata

_PAGE = 100  # rows written before the loop gets its turn

sights = Table(
    "sights",
    metadata,
    Column("camera", Text, ForeignKey("devices.id"), primary_key=True),
    Column("preset", Text, primary_key=True),
    Column("bearing_deg", Double, nullable=False),
    Column("distance_m", Double, nullable=False),
)

bindings = Table(
    "bindings",
    metadata,
    Column("camera", Text, ForeignKey("devices.id"), primary_key=True),
    Column("preset", Text, primary_key=True),
    Column("speaker", Text, ForeignKey("devices.id"), primary_key=True),
    Column("reach_m", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", UtcTime),
    Column("note", Text, nullable=False),
)


class BindingRepository:
    """Sights and bindings: read whole, written over by key. Their devices are there before them and leave after them."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def sights(self) -> list[Sight]:
        """All of them, by camera and preset."""
        return [_sight(row) for row in await self._conn.execute(select(sights).order_by(*sights.primary_key.columns))]

    async def bindings(self) -> list[Binding]:
        """All of them, by camera, preset and loudspeaker."""
        return [_binding(row) for row in await self._conn.execute(select(bindings).order_by(*bindings.primary_key.columns))]

    async def put_sights(self, found: Sequence[Sight]) -> None:
        await self._put(sights, [_sight_row(sight) for sight in found])

    async def put(self, found: Sequence[Binding]) -> None:
        """Add these, or write them over what is there under the same key. Conflict when a device of one is not there."""
        await self._put(bindings, [_binding_row(binding) for binding in found])

    async def remove_sights(self, keys: Collection[SightKey]) -> None:
        await self._remove(sights, [{"b_camera": key.camera, "b_preset": key.preset} for key in keys])

    async def remove(self, keys: Collection[BindingKey]) -> None:
        """What is not there is no error."""
        await self._remove(bindings, [{"b_camera": key.camera, "b_preset": key.preset, "b_speaker": key.speaker} for key in keys])

    async def forget(self, devices: Collection[DeviceId]) -> None:
        """Remove all that names one of `devices`."""
        for column in (sights.c.camera, bindings.c.camera, bindings.c.speaker):
            if devices:
                statement = delete(column.table).where(column == bindparam("b_id", type_=Text))
                await self._conn.execute(statement, [{"b_id": device} for device in devices])

    async def _put(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table)
        changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
        keys = [column.name for column in table.primary_key.columns]
        upsert = statement.on_conflict_do_update(index_elements=keys, set_=changed)
        for start in range(0, len(rows), _PAGE):
            await self._conn.execute(upsert, rows[start : start + _PAGE])

    async def _remove(self, table: Table, keys: list[dict[str, str]]) -> None:
        if keys:
            same = [column == bindparam(f"b_{column.name}", type_=Text) for column in table.primary_key.columns]
            await self._conn.execute(delete(table).where(*same), keys)


def _sight(row: Row[Any]) -> Sight:
    return Sight(DeviceId(row.camera), row.preset, row.bearing_deg, row.distance_m)


def _sight_row(sight: Sight) -> dict[str, Any]:
    return {"camera": sight.camera, "preset": sight.preset, "bearing_deg": sight.bearing_deg, "distance_m": sight.distance_m}


def _binding(row: Row[Any]) -> Binding:
    return Binding(
        camera=DeviceId(row.camera),
        speaker=DeviceId(row.speaker),
        preset=row.preset,
        reach_m=row.reach_m,
        state=BindingState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
    )


def _binding_row(binding: Binding) -> dict[str, Any]:
    return {
        "camera": binding.camera,
        "preset": binding.preset,
        "speaker": binding.speaker,
        "reach_m": binding.reach_m,
        "state": binding.state.value,
        "decided_by": binding.decided_by,
        "decided_at": binding.decided_at,
        "note": binding.note,
    }
