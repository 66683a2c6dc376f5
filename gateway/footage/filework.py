"""File work in threads that outlive nobody: whoever comes next finds the folder as they left it."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_the_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns or raises, done in a thread; whoever is cancelled meanwhile leaves when it is done.

    A thread cannot be stopped. One that was left alone would go on removing, linking or writing by what it had read before, while a
    later run of its caller has looked at the folder already and gives the same names anew: a row would lose its file.
    """
    working = asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # looked at: nobody is left to hear of it
        raise
