"""One deadline over a whole conversation with a device, over whatever protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.drivers.base import Target
from gateway.errors import DeadlineExceeded, Unreachable


@asynccontextmanager
async def deadline(target: Target, timeout_s: float, *, protocol: str) -> AsyncIterator[None]:
    """Everything inside has `timeout_s` in all; the network's errors are translated into ours, which name the `protocol`.

    Raises DeadlineExceeded, and Unreachable (refused, reset, no-route).
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"{target.device}: no answer over {protocol} within {timeout_s:g} s") from None
    except ConnectionRefusedError as error:
        raise Unreachable(f"{target.device}: the {protocol} port refuses connections", code="refused") from error
    except ConnectionError as error:
        raise Unreachable(f"{target.device}: the {protocol} connection broke", code="reset") from error
    except OSError as error:
        raise Unreachable(f"{target.device}: no way to the {protocol} port ({error.strerror})", code="no-route") from error
