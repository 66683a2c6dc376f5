"""The gateway without one of its behaviours: what `--break-quirk` does, so that each quirk's test can be seen to fail.

One small function a quirk: it takes away what the gateway does about it, nowhere but in the one place where that is done.
"""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from gateway.drivers import speaker
from gateway.drivers.onvif import access
from gateway.drivers.rtsp import backchannel


def _signs_with_our_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "_shift", lambda _signing, _offset_s, _zone_s: 0.0)


def _speaks_by_the_book(patch: pytest.MonkeyPatch) -> None:
    """Knows no loudspeaker's ways, learns none, and leaves talks to themselves whose connection broke."""

    async def leave(*_of: object) -> None:
        return None

    patch.setattr(speaker, "manner_of", lambda _quirks, *, path: backchannel.SpeakerRtsp(path=path))
    patch.setattr(backchannel, "_speaks_of_require", lambda _refusal, *, required: False)
    patch.setattr(backchannel, "take_leave", leave)


BROKEN: Final[Mapping[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "Q1": _signs_with_our_clock,
    "Q21": _speaks_by_the_book,
}
