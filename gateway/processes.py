"""The end of a process of our own."""

import asyncio
import contextlib


async def put_down(process: asyncio.subprocess.Process) -> None:
    """Kill `process` unless it has ended, and return once it is gone, also when cancelled meanwhile: what is killed is gone in a moment.

    What it wrote and nobody read is read away: asyncio tells of the end only after the last byte of every pipe, and a reader that is
    full takes none, so that `Process.wait` alone would wait for ever. Nobody else may be reading from it.
    """
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            await process.communicate()
            break
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
