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
        raise InvalidInput(
            f"the data folder {folder} cannot be used: {error.strerror}", hint="see data_dir in the configuration"
        ) from error
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
