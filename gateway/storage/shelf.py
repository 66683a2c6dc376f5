"""Files kept under the hash of their content: whole and on the disk, names included, before anybody is told of them (rule 2)."""

import contextlib
import hashlib
import os
import threading
from pathlib import Path

from gateway.errors import StorageFailed


def keep(folder: Path, data: bytes, *, what: str) -> str:
    """Write `data` into `folder`, which is made where it is missing, under its SHA-256 (hex), and give that; what is there and sound stays.

    `what` it is, for the message of the StorageFailed that a full or broken disk raises.
    """
    name = hashlib.sha256(data).hexdigest()
    path = folder / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() == data:
            sync_folder(folder)  # who wrote it may not have come so far yet
        else:
            replace_file(path, data)
    except OSError as error:
        raise StorageFailed(f"the {what} could not be stored: {error.strerror}") from error
    return name


def read(folder: Path, name: str, *, what: str, code: str, hint: str = "") -> bytes:
    """The file that is called `name`, its hash. StorageFailed (`code`) when it is gone or not what its name says."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise StorageFailed(f"the {what}'s file cannot be read: {error.strerror}", code=code, hint=hint) from error
    if hashlib.sha256(data).hexdigest() != name:
        raise StorageFailed(f"the {what}'s file is not what was stored", code=code, hint=hint)
    return data


def replace_file(path: Path, data: bytes) -> None:
    """Let `path` hold `data`, durably: the old content or the new, never a part of it, whatever happens. OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
