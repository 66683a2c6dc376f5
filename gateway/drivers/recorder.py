"""A recorder: its recordings searched through ONVIF, replayed through RTSP."""

from collections.abc import Sequence

from gateway.drivers.base import Recording, ReplaySession, Span
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.rtsp.replay import ReplayManner, replay

STANDARD = ReplayManner()


class OnvifRecorder:
    """The `RecordingSource` of `drivers.base` for a device with ONVIF Recording Search and Replay (Profile G)."""

    __slots__ = ("_manner", "_onvif")

    def __init__(self, onvif: OnvifDevice, manner: ReplayManner = STANDARD) -> None:
        self._onvif = onvif
        self._manner = manner

    async def recordings(self, *, timeout_s: float) -> Sequence[Recording]:
        return await self._onvif.recordings(timeout_s=timeout_s)

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        return await self._onvif.coverage(recording, window, timeout_s=timeout_s)

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:
        """Path and query of the RTSP URI that replays `recording`."""
        return await self._onvif.replay_path(recording, timeout_s=timeout_s)

    async def replay(self, recording: str, window: Span, *, timeout_s: float) -> ReplaySession:
        path = await self.replay_path(recording, timeout_s=timeout_s)
        return await replay(self._onvif.target, path, window, timeout_s=timeout_s, manner=self._manner)
