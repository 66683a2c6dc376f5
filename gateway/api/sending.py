"""Sends a file, or a part of it, piece by piece, and asks before each whether it may still go out."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.api.byte_ranges import Part
from gateway.domain.handover import Span
from gateway.evidence.contents import Altered

_PIECE: Final = 256 << 10
_LOOK_S: Final = 1.0
_OVER: Final = "it may go out no more, or nobody reads it"
_READERS: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="footage-out")
"""Reads what goes out, a piece a step, in turns: other file work goes on, however many downloads there are and however slow the disk."""
_KIND_OF: Final = {
    ".mp4": "video/mp4",
    ".json": "application/json",
    ".pem": "application/x-pem-file",
    ".txt": "text/plain; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".zip": "application/zip",
}
_OTHER: Final = "application/octet-stream"
KINDS: Final = (*(kind.partition(";")[0] for kind in _KIND_OF.values()), _OTHER)
"""The media types of what an evidence package holds, and its own."""


def attachment(name: str, sha256: str = "") -> dict[str, str]:
    """The head of a file that goes out under `name`, to be kept and not shown; with its digest, in hex, where that is known (RFC 9530)."""
    told = {
        "Content-Type": _KIND_OF.get(Path(name).suffix, _OTHER),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if sha256:
        told["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
    return told


def pieces_of(path: Path, span: Span) -> Iterator[bytes]:
    """The bytes of `span` of a file. OSError."""
    with path.open("rb") as file:
        file.seek(span.start)
        left = span.length
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


async def _unheard(_: Altered) -> None:
    """Nothing that was sealed goes out."""


async def send(
    request: web.Request,
    part: Part,
    pieces: Iterator[bytes],
    *,
    headers: Mapping[str, str],
    stop: Callable[[], bool],
    sent: Callable[[int], object] = lambda _: None,
    damaged: Callable[[Altered], Awaitable[object]] = _unheard,
) -> web.StreamResponse:
    """Answer with `part`, whose bytes are `pieces`; `sent` is told how many bytes have gone out, piece by piece.

    An empty piece means that there is none yet. ConnectionError, which the reader sees as broken off, when `stop` says so meanwhile, the
    reader has gone, the file became shorter or is not what was sealed (`Altered`): `damaged` is told before the reader sees it.
    """
    loop = asyncio.get_running_loop()
    answer = web.StreamResponse(status=HTTPStatus.OK if part.whole else HTTPStatus.PARTIAL_CONTENT, headers=headers)
    answer.content_length = left = part.span.length
    await answer.prepare(request)
    while left and not stop() and request.transport is not None:
        try:
            piece = await loop.run_in_executor(_READERS, next, pieces, None)
        except Altered as error:
            await damaged(error)
            break
        if piece is None:
            break
        if piece:
            await answer.write(piece)
            left -= len(piece)
            sent(len(piece))
    if left:
        raise ConnectionError("it may go out no more, became shorter or is damaged")
    await answer.write_eof()
    return answer


async def send_live(
    request: web.Request, pieces: AsyncIterator[bytes], *, headers: Mapping[str, str], stop: Callable[[], bool]
) -> web.StreamResponse:
    """Answer with `pieces`, however many there will be.

    ConnectionError, which the reader sees as broken off, when the reader has gone or `stop` says so. It is asked before each piece and
    every second, so that a reader who reads no more holds nothing up.
    """
    answer = web.StreamResponse(headers=headers)
    await answer.prepare(request)
    broken = False
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_watch(stop), name="watch over what is shown")
            await _pour(answer, pieces, stop)
            watch.cancel()
    except* ConnectionError:
        broken = True
    if broken:
        raise ConnectionError(_OVER)
    await answer.write_eof()
    return answer


async def _pour(answer: web.StreamResponse, pieces: AsyncIterator[bytes], stop: Callable[[], bool]) -> None:
    async for piece in pieces:
        if stop():
            raise ConnectionError(_OVER)
        await answer.write(piece)


async def _watch(stop: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        if stop():
            raise ConnectionError(_OVER)
