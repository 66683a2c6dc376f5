"""The daemon's folder: made private, and held by one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import Conflict, InvalidInput

_LOCK = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for the duration, making it (mode 0700) where it is missing.

    Raises Conflict (`in-use`) while another process holds it, InvalidInput when it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder, error.strerror) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        hint = "a daemon runs here: use gatewayctl, or stop it first"
        raise Conflict(f"the data folder {folder} is in use by another process", code="in-use", hint=hint) from error
    try:
        yield
    finally:
        os.close(descriptor)  # closing releases the lock


def check_data_dir(folder: Path) -> None:
    """InvalidInput when `held` could not make `folder` or write in it; nothing is made, and whether somebody holds it is not asked."""
    if why := why_unwritable(folder / _LOCK):
        raise _unusable(folder, why)


def why_unwritable(file: Path) -> str:
    """Why `file` could be neither made nor written, "" when it could; nothing is made."""
    if (above := closed_above(file)) is not None:
        return f"{above} is no folder to write in"
    if os.path.lexists(file) and (file.is_dir() or not os.access(file, os.R_OK | os.W_OK)):
        return f"{file} cannot be written"
    return ""


def closed_above(place: Path) -> Path | None:
    """The nearest that is there above `place`, if it is no folder to make something in; None when it is one."""
    above = next(folder for folder in place.absolute().parents if os.path.lexists(folder))
    return None if above.is_dir() and os.access(above, os.W_OK | os.X_OK) else above


def _unusable(folder: Path, why: str | None) -> InvalidInput:
    hint = "make it a folder of the user that the gateway runs as (chown -R), or name another as data_dir in the configuration"
    return InvalidInput(f"the data folder {folder} cannot be used: {why}", hint=hint)
