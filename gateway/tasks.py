"""What is begun anew after it failed runs in a task of its own each time."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def in_own_task(attempt: Coroutine[Any, Any, None], *, name: str) -> None:
    """Await `attempt` in a task called `name`; who cancels the caller cancels that, and learns of it. Raises what it raises, and
    RuntimeError where it ends as cancelled though nobody has cancelled the caller.

    In Python 3.11 a TaskGroup whose child fails while it waits for its children leaves its task marked as cancelled: no timeout would end
    as one there any more, but as a cancellation that nobody asked for. It also forgets a cancellation that comes while it fails.
    """
    try:
        await asyncio.create_task(attempt, name=name)
    except (Exception, asyncio.CancelledError) as end:
        if (caller := asyncio.current_task()) is not None and caller.cancelling():
            raise asyncio.CancelledError from None
        if isinstance(end, asyncio.CancelledError):
            raise RuntimeError(f"{name} ended as cancelled, and nobody asked for that") from end
        raise
