"""What each camera's pictures are compared with, as it is stored."""

from array import array
from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, Double, LargeBinary, Table, Text, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.domain.pictures import Reference
from gateway.storage.schema import UtcTime, metadata

picture_references = Table(
    "picture_references",
    metadata,
    Column("camera", Text, primary_key=True),
    Column("light", Text, primary_key=True),
    Column("fields", LargeBinary, nullable=False),
    Column("sharpness", Double, nullable=False),
    Column("pictures", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
)
_FINE = 256  # a field's brightness is stored in steps of so small a part


class PictureRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def references(self, camera: DeviceId) -> Mapping[str, Reference]:
        """A camera's references by light."""
        rows = await self._conn.execute(select(picture_references).where(picture_references.c.camera == camera))
        return {row.light: Reference(_fields(row.fields), row.sharpness, row.pictures, row.at) for row in rows}

    async def put(self, camera: DeviceId, light: str, reference: Reference) -> None:
        """Keep `reference` in the place of what was known."""
        fine = array("H", (min(round(value * _FINE), 65_535) for value in reference.fields))
        known = {"fields": fine.tobytes(), "sharpness": reference.sharpness, "pictures": reference.pictures, "at": reference.at}
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        upsert = dialect.insert(picture_references).values(camera=camera, light=light, **known)
        await self._conn.execute(upsert.on_conflict_do_update(index_elements=["camera", "light"], set_=known))

    async def forget(self, camera: DeviceId) -> None:
        """Know nothing of a camera's pictures."""
        await self._conn.execute(delete(picture_references).where(picture_references.c.camera == camera))


def _fields(stored: bytes) -> tuple[float, ...]:
    return tuple(value / _FINE for value in array("H", stored))
