"""Pictures of what was found and mended: JPEG and PNG alone, told by their own bytes, kept as files under their hash."""

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path

from gateway.errors import InvalidInput, NotFound, StorageFailed

LARGEST = 5 << 20
_MAGIC = {"image/jpeg": (b"\xff\xd8\xff", b"\xff\xd9"), "image/png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")}


class PictureFolder:
    """`folder` is made where it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, data: bytes) -> tuple[str, str]:
        """Hash and media type of `data`, which is on the disk when this returns. InvalidInput, StorageFailed."""
        media_type = told_by_its_bytes(data)
        return await asyncio.to_thread(_keep, self._folder, data), media_type

    async def read(self, sha256: str) -> bytes:
        """NotFound; StorageFailed (`picture-damaged`) when the file is not what its name says."""
        return await asyncio.to_thread(_read, self._folder, sha256)


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


def _keep(folder: Path, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    path, part = folder / name, folder / f".{name}.{os.getpid()}.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size == len(data):
            return name
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise StorageFailed(f"the picture could not be stored: {error.strerror}") from error
    return name


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path, sha256: str) -> bytes:
    if len(sha256) != 64 or not sha256.isalnum():
        raise NotFound("There is no such picture.", code="no-picture-on-record")
    try:
        data = (folder / sha256).read_bytes()
    except OSError as error:
        raise StorageFailed(f"the picture's file cannot be read: {error.strerror}", code="picture-damaged") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StorageFailed("the picture's file is not what was stored", code="picture-damaged")
    return data
