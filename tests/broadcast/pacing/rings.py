"""Both ways of sending to many connections, for tests: the one that the kernel refuses is skipped by its name."""

from collections.abc import Callable

import pytest

from gateway.broadcast.pacing.uring import ENTRIES, Ring


def ring_of(entries: int = ENTRIES) -> Ring:
    try:
        return Ring(entries)
    except OSError as error:
        pytest.skip(f"io_uring: {error.strerror}")


def no_ring() -> None:
    return None


WAYS = pytest.mark.parametrize("way", [pytest.param(ring_of, id="io_uring"), pytest.param(no_ring, id="a-call-each")])
Way = Callable[[], Ring | None]
