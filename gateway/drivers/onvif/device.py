"""One ONVIF device with all its capabilities: clock and identity by the cheap path, the others by the rich one.

It is a `ClockSource`, `IdentitySource`, `MediaSource` and `PresetSource`, and the search half of a `RecordingSource`.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gateway.drivers.base import DeviceClock, Hardware, History, Identity, MediaProfile, Preset, Recording, Span
from gateway.drivers.http import Conversation
from gateway.drivers.onvif import media, ptz, search
from gateway.drivers.onvif.answers import read_identity
from gateway.drivers.onvif.caller import Caller
from gateway.drivers.onvif.hardware import GET_INTERFACES, read_hardware
from gateway.errors import NotSupported


class OnvifDevice(Caller):
    """A camera, recorder or loudspeaker that speaks ONVIF."""

    __slots__ = ("_hardware", "_movement", "_pictureless")

    def _meet(self) -> None:
        super()._meet()
        self._movement = ptz.Movement()
        self._pictureless: frozenset[str] = frozenset()
        self._hardware: Hardware | None = None

    def _lessons(self) -> Iterator[tuple[str, str]]:
        yield from super()._lessons()
        if self._pictureless:
            yield "pictures", "from the stream"
        if not self._movement.takes_timeout:
            yield "timeout of moves", "refused"
        if not self._movement.takes_stop:
            yield "stop", "by a speed of zero"

    async def check(self, *, timeout_s: float) -> tuple[DeviceClock | None, Identity]:
        """The health check: clock anonymously and identity signed, on one connection. No clock: the device tells no possible time."""
        return await self.converse(self._check(), timeout_s=timeout_s)

    async def read_clock(self, *, timeout_s: float) -> DeviceClock:
        return await self.converse(self.clock(), timeout_s=timeout_s)

    async def identity(self, *, timeout_s: float) -> Identity:
        return (await self.check(timeout_s=timeout_s))[1]

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:
        """What its network interfaces are called; asked anew when the last answer is older than `fresh_s`."""
        now, asked = self._clock.monotonic(), self.target
        if self._hardware is not None and now - self._hardware.asked_at <= fresh_s:
            return self._hardware
        told = Hardware(read_hardware(await self.call(GET_INTERFACES, timeout_s=timeout_s)), now)
        if asked.place == self.target.place:
            self._hardware = told
        return told

    async def profiles(self, *, timeout_s: float) -> Sequence[MediaProfile]:
        return await media.profiles(self, timeout_s=timeout_s)

    async def stream_path(self, profile: str, *, timeout_s: float) -> str:
        return await media.stream_path(self, profile, timeout_s=timeout_s)

    async def snapshot_path(self, profile: str, *, timeout_s: float) -> str:
        return await media.snapshot_path(self, profile, timeout_s=timeout_s)

    async def snapshot(self, profile: str, *, timeout_s: float) -> bytes:
        """One JPEG over HTTP. NotSupported where the device has none, which is asked once."""
        if profile in self._pictureless:
            raise NotSupported("the device gives no pictures over HTTP", code="no-picture")
        try:
            return await media.snapshot(self, profile, timeout_s=timeout_s)
        except NotSupported:
            self._pictureless |= {profile}
            raise

    async def presets(self, profile: str, *, timeout_s: float) -> Sequence[Preset]:
        return await ptz.presets(self, profile, timeout_s=timeout_s)

    async def goto_preset(self, profile: str, preset: str, *, timeout_s: float) -> None:
        """Start moving to a preset."""
        await ptz.goto_preset(self, profile, preset, timeout_s=timeout_s)

    async def move(self, profile: str, *, pan: float, tilt: float, zoom: float, run_s: float, timeout_s: float) -> None:
        """Start moving, speeds from -1 to 1; the caller must `stop` after `run_s`, because some devices do not by themselves."""
        await ptz.move(self, self._movement, profile, pan=pan, tilt=tilt, zoom=zoom, run_s=run_s, timeout_s=timeout_s)

    async def stop(self, profile: str, *, timeout_s: float) -> None:
        """Stop all movement."""
        await ptz.stop(self, self._movement, profile, timeout_s=timeout_s)

    async def recordings(self, *, timeout_s: float) -> Sequence[Recording]:
        return await search.recordings(self, timeout_s=timeout_s)

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        return await search.coverage(self, recording, window, timeout_s=timeout_s)

    async def history(self, recording: str, window: Span, *, timeout_s: float) -> History:
        """What the device says of a recording in `window`, both by its own clock, and how surely."""
        return await search.history(self, recording, window, timeout_s=timeout_s)

    async def retention(self, recording: str, *, timeout_s: float) -> timedelta | None:
        """For how long the device keeps what it records; None where it sets no such limit."""
        return await search.retention(self, recording, timeout_s=timeout_s)

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:
        """Path and query of the RTSP URI that replays a recording."""
        return await search.replay_path(self, recording, timeout_s=timeout_s)

    def _check(self) -> Conversation[tuple[DeviceClock | None, Identity]]:
        clock = yield from self.clock_if_told(last=False)
        identity = read_identity((yield from self.identify(clock_read=True)))
        return self.truly(clock) if clock is not None else None, identity
