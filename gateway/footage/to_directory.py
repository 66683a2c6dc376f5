"""A destination that is a mounted folder, such as a share of the police platform: a part, synced and read back, gets its name last."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from gateway.domain.deliveries import Way
from gateway.footage.destinations import NotSent, Parcel
from gateway.footage.filework import to_the_end

_PIECE: Final = 1 << 20
_SPARE: Final = 16 << 20
"""So much stays free there."""
_ROOM: Final = "make room there, then send again"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class DirectoryDestination:
    """The folder `path`. `mounted`: it has to lie on a mount, so that nothing is written into the empty folder below a lost one."""

    way = Way.DIRECTORY
    plain_because = ""

    def __init__(self, name: str, path: Path, *, mounted: bool) -> None:
        self.name = name
        self._path = path
        self._mounted = mounted

    def where(self, key: str = "") -> str:
        return str(self._path / key)

    async def size_of(self, key: str) -> int | None:
        return await asyncio.to_thread(self._size_of, key)

    async def write(self, key: str, parcel: Parcel) -> None:
        part = self._path / f"{key}.part"
        file = await to_the_end(self._open, part, parcel.size)
        try:
            async for piece in parcel.pieces():
                await to_the_end(_append, file, piece)
            await to_the_end(_sync, file)
        except BaseException:
            await to_the_end(_abandon, file, part)
            raise
        await to_the_end(self._publish, part, self._path / key, parcel.sha256)

    async def digest_of(self, key: str) -> str:
        return await to_the_end(_digest, self._path / key)

    def _size_of(self, key: str) -> int | None:
        self._check_there()
        with _told():
            try:
                return (self._path / key).stat().st_size
            except FileNotFoundError:
                return None

    def _open(self, part: Path, size: int) -> BinaryIO:
        self._check_there()
        with _told():
            room = os.statvfs(self._path)
            if room.f_bavail * room.f_frsize < size + _SPARE:
                raise NotSent("the destination has no room for the package", code="destination-full", hint=_ROOM)
            part.parent.mkdir(exist_ok=True)
            return part.open("wb", buffering=0)

    def _publish(self, part: Path, path: Path, sha256: str) -> None:
        """Give the part its name when what lies there is what was read here."""
        if _digest(part) != sha256:
            with _told():
                part.unlink()
            raise NotSent("what was written there reads otherwise", code="destination-differs", hint="look after that disk", again=True)
        with _told():
            part.rename(path)
            for folder in (path.parent, path.parent.parent):
                _sync_folder(folder)

    def _check_there(self) -> None:
        if not self._path.is_dir():
            raise NotSent(f"there is no folder {self._path}", code="not-mounted", hint="mount it", again=True)
        if self._mounted and not any(os.path.ismount(folder) for folder in (self._path, *self._path.parents[:-1])):
            hint = "mount it, or set `mounted: false` for a folder of this machine's own"
            raise NotSent(f"nothing is mounted at {self._path}", code="not-mounted", hint=hint, again=True)


@contextmanager
def _told() -> Iterator[None]:
    """What the operating system says of the destination, as NotSent."""
    try:
        yield
    except OSError as error:
        words = f"the destination: {error.strerror or error}"
        if error.errno in _FULL:
            raise NotSent(words, code="destination-full", hint=_ROOM) from error
        if error.errno in _REFUSED:
            raise NotSent(words, code="destination-refused", hint="let the gateway's user write there, then send again") from error
        raise NotSent(words, again=True) from error


def _append(file: BinaryIO, piece: bytes) -> None:
    with _told():
        view = memoryview(piece)
        while view:
            view = view[file.write(view) :]


def _sync(file: BinaryIO) -> None:
    with _told(), file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # it is read back from where it lies, not from our memory


def _abandon(file: BinaryIO, part: Path) -> None:
    """Leave nothing behind, as far as the destination lets us; its fault was told already."""
    for undo in (file.close, part.unlink):
        try:
            undo()
        except OSError:
            pass


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with _told(), path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
