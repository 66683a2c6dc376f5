"""A loudspeaker: its way found through ONVIF, its sound carried by the RTSP backchannel."""

from collections.abc import Sequence

from gateway.drivers.base import AudioSession, MediaProfile
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.rtsp.backchannel import SpeakerRtsp, open_audio
from gateway.errors import AuthenticationFailed, DeviceFault, NotSupported

STANDARD = SpeakerRtsp()


class BackchannelSpeaker:
    """The `AudioSink` of `drivers.base` for a device with ONVIF media and a backchannel (ONVIF Streaming, 5.3).

    The path of the stream is asked for once, by `prepare` or by the first `open_audio`, and kept until the device refuses it.
    """

    __slots__ = ("_manner", "_onvif", "_path")

    def __init__(self, onvif: OnvifDevice, manner: SpeakerRtsp = STANDARD) -> None:
        self._onvif = onvif
        self._manner = manner
        self._path = ""

    async def prepare(self, *, timeout_s: float) -> None:
        """Find the way, so that the first `open_audio` need not. Does nothing when it is known."""
        if not self._path:
            self._path = await self._find_path(timeout_s)

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        await self.prepare(timeout_s=timeout_s)
        try:
            return await open_audio(self._onvif.target, prefer=prefer, timeout_s=timeout_s, manner=self._at(self._path))
        except (DeviceFault, AuthenticationFailed):
            self._path = ""  # it may have moved: ask anew the next time
            raise

    def _at(self, path: str) -> SpeakerRtsp:
        manner = self._manner
        return SpeakerRtsp(path, manner.transports, manner.all_tracks, manner.zero_timestamps)

    async def _find_path(self, timeout_s: float) -> str:
        profiles = await self._onvif.profiles(timeout_s=timeout_s)
        if not profiles:
            raise NotSupported("the device has no media profile to speak through", code="no-backchannel")
        return await self._onvif.stream_path(_best(profiles).token, timeout_s=timeout_s)


def _best(profiles: Sequence[MediaProfile]) -> MediaProfile:
    """The profile with an audio output, or else the first: many devices have a backchannel and no such configuration."""
    return next((profile for profile in profiles if profile.audio_output), profiles[0])
