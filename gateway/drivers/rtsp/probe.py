"""Whether a stream really delivers: the first RTP packet of a live stream."""

import asyncio
from dataclasses import dataclass

from gateway.drivers.base import Target, TrackDescription
from gateway.drivers.rtp.packets import parse
from gateway.drivers.rtsp.connection import connect, deadline
from gateway.drivers.rtsp.session import Transport, aggregate_url, describe, media_url, set_up
from gateway.drivers.sdp import Media, SessionDescription
from gateway.errors import DeviceError, NotSupported, Unreachable


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """What came, and how many seconds after the connection was begun."""

    track: TrackDescription
    after_s: float


async def first_packet(target: Target, path: str, *, timeout_s: float, kind: str = "video") -> FirstPacket:
    """Play the stream at `path` over interleaved TCP until its first RTP packet, then end it; all within `timeout_s`.

    Raises NotSupported (no-track) and the other DeviceErrors.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with deadline(target, timeout_s):
        connection = await connect(target)
        arrival: asyncio.Future[float] = loop.create_future()
        url = ""
        try:
            base, description = await describe(connection, path)
            url = aggregate_url(connection, base, description)
            media = _media(description, kind)
            wire = await set_up(connection, media_url(connection, base, media), order=(Transport.TCP,))

            def on_frame(channel: int, payload: bytes) -> None:
                if channel == wire.channel and not arrival.done() and parse(payload) is not None:
                    arrival.set_result(loop.time())

            def on_end(error: DeviceError | None) -> None:
                if not arrival.done():
                    arrival.set_exception(error or Unreachable(f"{target.device}: ended the stream at once", code="closed"))

            connection.on_frame, connection.on_end = on_frame, on_end
            await connection.request("PLAY", url)
            return FirstPacket(media.tracks()[0], await arrival - began)
        finally:
            arrival.cancel()
            connection.abandon(url)


def _media(description: SessionDescription, kind: str) -> Media:
    for media in description.media:
        if media.kind == kind and media.encodings:
            return media
    raise NotSupported(f"the stream holds no {kind}", code="no-track")
