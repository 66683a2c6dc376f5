"""Pictures out of a camera's stream, for those that give none over HTTP (quirk Q20)."""

from collections.abc import Callable
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.drivers.base import MediaPacket, MediaSource, Target, TrackDescription
from gateway.drivers.refusals import Door, Refusals
from gateway.drivers.rtsp.live import look
from gateway.media.stills import KeyPicture, StillDecoder

TIMEOUT_S: Final = 15.0
"""A key picture may be ten seconds away."""


class StreamStills:
    """Takes the next key picture of a stream; decoding it costs nothing of the daemon."""

    def __init__(
        self,
        *,
        target_of: Callable[[DeviceId], Target],
        refusals_of: Callable[[DeviceId], Refusals],
        decoder: StillDecoder | None = None,
    ) -> None:
        self._target_of = target_of
        self._refusals_of = refusals_of
        self._decoder = decoder or StillDecoder()

    async def take(self, camera: DeviceId, source: MediaSource, profile: str) -> bytes:
        """One JPEG of what `profile` streams. Raises the DeviceErrors."""
        path = await source.stream_path(profile, timeout_s=TIMEOUT_S)
        with self._refusals_of(camera).minded(self._target_of(camera), Door.STREAM) as attempt:
            encoding, stream = await look(attempt.target, path, _eye, timeout_s=TIMEOUT_S, let_in=attempt.let_in)
        return await self._decoder.jpeg(encoding, stream)


def _eye(track: TrackDescription) -> Callable[[MediaPacket], tuple[str, bytes] | None]:
    key_picture = KeyPicture(track)

    def seen(packet: MediaPacket) -> tuple[str, bytes] | None:
        stream = key_picture(packet)
        return None if stream is None else (track.encoding, stream)

    return seen
