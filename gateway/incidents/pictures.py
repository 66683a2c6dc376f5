"""Pictures of what was found and mended: JPEG and PNG alone, told by their own bytes, kept as files under their hash."""

import asyncio
from pathlib import Path

from gateway.errors import InvalidInput, NotFound
from gateway.storage import shelf

LARGEST = 5 << 20
_MAGIC = {"image/jpeg": (b"\xff\xd8\xff", b"\xff\xd9"), "image/png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")}


class PictureFolder:
    """`folder` is made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, data: bytes) -> tuple[str, str]:
        """Hash and media type of `data`, which is on the disk when this returns. InvalidInput, StorageFailed."""
        media_type = told_by_its_bytes(data)
        return await asyncio.to_thread(shelf.keep, self._folder, data, what="picture"), media_type

    async def read(self, sha256: str) -> bytes:
        """NotFound; StorageFailed (`picture-damaged`) when the file is not what its name says."""
        if len(sha256) != 64 or not sha256.isalnum():
            raise NotFound("There is no such picture.", code="no-picture-on-record")
        return await asyncio.to_thread(shelf.read, self._folder, sha256, what="picture", code="picture-damaged")


def told_by_its_bytes(data: bytes) -> str:
    """The media type. InvalidInput for what is neither JPEG nor PNG from its first to its last bytes, or too large."""
    if len(data) > LARGEST:
        raise InvalidInput(f"The picture is larger than {LARGEST >> 20} MiB.", code="picture-too-large", hint="Send a smaller one.")
    for media_type, (begin, end) in _MAGIC.items():
        if data.startswith(begin) and data.rstrip(b"\x00").endswith(end):
            return media_type
    raise InvalidInput(
        "This is no whole JPEG or PNG picture.", code="picture-format", hint="Send a JPEG or a PNG as it came from the camera."
    )
