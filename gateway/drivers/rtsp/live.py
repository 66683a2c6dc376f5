"""A short look at a live stream: its video packets until the one that looks has seen enough."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.drivers.base import MediaPacket, Target, TrackDescription
from gateway.drivers.rtp.packets import parse
from gateway.drivers.rtsp.connection import connect, deadline
from gateway.drivers.rtsp.session import Transport, aggregate_url, describe, media_url, set_up
from gateway.drivers.sdp import Media, SessionDescription
from gateway.errors import DeviceError, GatewayError, NotSupported, Unreachable

T = TypeVar("T")
BYTES_LIMIT = 16 << 20
"""More than the longest group of pictures worth waiting for."""


Eye = Callable[[MediaPacket], T | None]


async def look(
    target: Target, path: str, eye_of: Callable[[TrackDescription], Eye[T]], *, timeout_s: float, let_in: Callable[[], None] = lambda: None
) -> T:
    """Play the stream at `path` over interleaved TCP until the eye made for its video track returns something, which is the result.

    What the eye raises ends it too. `let_in`: as of `Connection`. Raises NotSupported (no-track), Unreachable when the stream ends before,
    and the other DeviceErrors.
    """
    async with deadline(target, timeout_s):
        connection = await connect(target)
        connection.let_in = let_in
        url = ""
        try:
            base, description = await describe(connection, path)
            url = aggregate_url(connection, base, description)
            media = _video(description)
            eye = eye_of(media.tracks()[0])
            wire = await set_up(connection, media_url(connection, base, media), order=(Transport.TCP,))
            watch = _Watch(target, wire.channel, eye)
            connection.on_frame, connection.on_end = watch.take, watch.end
            try:
                await connection.request("PLAY", url)
                return await watch.seen
            finally:
                watch.seen.cancel()
        finally:
            connection.abandon(url)


class _Watch(Generic[T]):
    """Shows an eye the packets of one channel; `seen`: what it says of them in the end, or why it saw nothing."""

    def __init__(self, target: Target, channel: int | None, eye: Eye[T]) -> None:
        self._target = target
        self._channel = channel
        self._eye = eye
        self._taken = 0
        self.seen: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def take(self, channel: int, payload: bytes) -> None:
        packet = parse(payload) if channel == self._channel and not self.seen.done() else None
        if packet is None:
            return
        self._taken += len(payload)
        try:
            found = self._eye(packet)
            if found is not None:
                self.seen.set_result(found)
            elif self._taken > BYTES_LIMIT:
                self.seen.set_exception(NotSupported(f"{self._target.device}: the stream shows no key picture", code="no-picture"))
        except GatewayError as error:
            self.seen.set_exception(error)

    def end(self, error: DeviceError | None) -> None:
        if not self.seen.done():
            self.seen.set_exception(error or Unreachable(f"{self._target.device}: ended the stream at once", code="closed"))


def _video(description: SessionDescription) -> Media:
    for media in description.media:
        if media.kind == "video" and media.encodings:
            return media
    raise NotSupported("the stream holds no video", code="no-track")
