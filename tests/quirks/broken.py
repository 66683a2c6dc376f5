"""The gateway without one of its behaviours: what `--break-quirk` does, so that each quirk's test can be seen to fail.

One small function a quirk: it takes away what the gateway does about it, nowhere but in the one place where that is done.
"""

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from gateway.drivers.onvif import access


def _signs_with_our_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "_shift", lambda _signing, _offset_s, _zone_s: 0.0)


BROKEN: Final[Mapping[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "Q1": _signs_with_our_clock,
}
