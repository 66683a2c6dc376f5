"""A loudspeaker: its way found through ONVIF, its sound carried by the RTSP backchannel."""

from collections.abc import Sequence

from gateway.domain.quirks import Quirks
from gateway.drivers.base import AudioSession, MediaProfile
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.rtsp.backchannel import Habits, SpeakerRtsp, open_audio
from gateway.errors import AuthenticationFailed, DeviceFault, NotSupported


class BackchannelSpeaker:
    """The `AudioSink` of `drivers.base` for a device with ONVIF media and a backchannel (ONVIF Streaming, 5.3).

    The path of the stream is asked for once, by `prepare` or by the first `open_audio`, and kept until the device refuses it. So is
    what talks taught of the device; how it wants to be spoken to beside that, its profile says.
    """

    __slots__ = ("_habits", "_onvif", "_path")

    def __init__(self, onvif: OnvifDevice) -> None:
        self._onvif = onvif
        self._habits = Habits()
        self._path = ""

    async def prepare(self, *, timeout_s: float) -> None:
        """Find the way, so that the first `open_audio` need not. Does nothing when it is known."""
        if not self._path:
            self._path = await self._find_path(timeout_s)

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        await self.prepare(timeout_s=timeout_s)
        try:
            target = self._onvif.target
            manner = manner_of(target.quirks, path=self._path)
            return await open_audio(target, prefer=prefer, timeout_s=timeout_s, manner=manner, habits=self._habits)
        except (DeviceFault, AuthenticationFailed):
            self._path = ""  # it may have moved: ask anew the next time
            raise

    async def _find_path(self, timeout_s: float) -> str:
        profiles = await self._onvif.profiles(timeout_s=timeout_s)
        if not profiles:
            raise NotSupported("the device has no media profile to speak through", code="no-backchannel")
        return await self._onvif.stream_path(_best(profiles).token, timeout_s=timeout_s)


def manner_of(quirks: Quirks, *, path: str) -> SpeakerRtsp:
    """How a device with these quirks wants to be spoken to."""
    return SpeakerRtsp(
        path=path,
        require="refuses-require" not in quirks,
        packet_bytes=int(quirks.number("packet-bytes", "bytes", 0)),
        swallows_s=quirks.number("loses-first", "ms", 0) / 1000,
        buffers_s=quirks.number("late-buffer", "seconds", 0),
    )


def _best(profiles: Sequence[MediaProfile]) -> MediaProfile:
    """The profile with an audio output, or else the first: many devices have a backchannel and no such configuration."""
    return next((profile for profile in profiles if profile.audio_output), profiles[0])
