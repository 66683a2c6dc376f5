"""A loudspeaker: chooses the path by which it is spoken to, and remembers for a while which paths it turned out not to have."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from gateway.clock import Clock
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import AudioSession, ClipPlayer, DeviceClip, Heir, Loaded, MediaProfile, Target, no_heir
from gateway.drivers.onvif.clips import Clips
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.refusals import Door, Refusals
from gateway.drivers.rtsp.backchannel import Habits, manner_of, open_audio
from gateway.drivers.rtsp.connection import deadline
from gateway.errors import AuthenticationFailed, Busy, DeviceError, DeviceFault, NotSupported, WrongDevice

ABSENT_FOR: Final = timedelta(hours=12)
"""How long a path is left alone that a device says not to have: firmware may learn it."""
FAILED_FOR: Final = timedelta(minutes=1)
"""How long another path is tried first after one failed."""
_SHARE: Final = 0.5  # of the time that is left, for a path that is not the last one


_OF_THE_SOUND: Final = frozenset({"no-common-encoding", "device-clip-too-large", "device-clip-format"})

T = TypeVar("T")


class StreamPath(Protocol):
    """One path by which a loudspeaker hears a stream."""

    async def prepare(self, *, timeout_s: float) -> None:
        """Do what can be done ahead; nothing when it was done. Raises the DeviceErrors."""
        ...

    async def open(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        """As `AudioSink.open_audio`."""
        ...


class Loudspeaker:
    """The `ClipSink` of `drivers.base` for a device with the ladder of paths that its profile lists.

    One path after the other is tried, those last that failed lately, and the next one only while nothing can have sounded: no session was
    open. Where somebody else talks, nobody talks over him by another path (`SpeakerWays.single_talker`); where a login is refused, it is
    not tried at another door of the device.
    """

    def __init__(
        self, target: Callable[[], Target], paths: Mapping[SpeakerPath, StreamPath], clock: Clock, *, clips: Clips | None = None
    ) -> None:
        """`target`: how the inventory has the device now; `paths`, `clips`: all that there are, whether or not this one has them."""
        self._target = target
        self._paths = paths
        self._clips = clips
        self._clock = clock
        self._met = _place(target())
        self._failures: dict[SpeakerPath, _Failure] = {}

    @property
    def keeps_clips(self) -> bool:
        return self._clips is not None and SpeakerPath.AUDIO_CLIP in self._target().speaker.paths

    @property
    def player(self) -> ClipPlayer | None:
        return self._clips

    async def prepare(self, *, timeout_s: float) -> None:
        """Find the way, so that the first `open_audio` need not. Does nothing when it is known."""
        ladder, begun = self._ladder(self._paths), self._clock.monotonic()
        for place, path in enumerate(ladder):
            try:
                await self._paths[path].prepare(timeout_s=timeout_s - (self._clock.monotonic() - begun))
            except NotSupported as absence:
                self._note(path, absence)
                if place == len(ladder) - 1:
                    raise
            else:
                return

    async def keep(self, clips: Sequence[DeviceClip], *, timeout_s: float) -> None:
        """Bring clips to a device that plays them by itself, so that they need not be brought when they are wanted: each in `timeout_s`."""
        for clip in clips:
            if self._clips is None or SpeakerPath.AUDIO_CLIP not in self._ladder({SpeakerPath.AUDIO_CLIP}):
                return
            try:
                await self._clips.ensure(clip, timeout_s=timeout_s)
            except NotSupported as absence:
                self._note(SpeakerPath.AUDIO_CLIP, absence)
                return

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        async def attempt(path: SpeakerPath, timeout_s: float) -> AudioSession:
            return await self._paths[path].open(prefer=prefer, timeout_s=timeout_s)

        return await self._climb(self._ladder(self._paths), attempt, timeout_s)

    async def open(self, clip: DeviceClip, *, prefer: Sequence[str], timeout_s: float) -> AudioSession | Loaded:
        """As in `ClipSink`. What will not be wanted again is brought to a device only where it hears no stream."""
        clips, known = self._clips, set(self._paths)

        async def attempt(path: SpeakerPath, timeout_s: float) -> AudioSession | Loaded:
            if path is SpeakerPath.AUDIO_CLIP and clips is not None:
                return Loaded(clips, await clips.ensure(clip, timeout_s=timeout_s), clip)
            return await self._paths[path].open(prefer=prefer, timeout_s=timeout_s)

        ladder = self._ladder(known if clips is None else known | {SpeakerPath.AUDIO_CLIP})
        if not clip.lasting:
            ladder.sort(key=lambda path: path is SpeakerPath.AUDIO_CLIP)
        return await self._climb(ladder, attempt, timeout_s)

    async def _climb(self, ladder: Sequence[SpeakerPath], attempt: Callable[[SpeakerPath, float], Awaitable[T]], timeout_s: float) -> T:
        """What the first attempt gives that does not fail."""
        begun = self._clock.monotonic()
        for place, path in enumerate(ladder):
            last = place == len(ladder) - 1
            left_s = timeout_s - (self._clock.monotonic() - begun)
            try:
                opened = await attempt(path, left_s if last else left_s * _SHARE)
            except DeviceError as failure:
                self._note(path, failure)
                if last or not self._may_try_another(failure):
                    raise
            else:
                self._failures.pop(path, None)
                return opened
        raise NotSupported("the device's profile lists no path for this sound", code="no-path")

    def learned(self) -> Mapping[str, str]:
        """What talks taught of the paths, in words; nothing that the device said."""
        return dict(self._lessons())

    def _ladder(self, known: Container[SpeakerPath]) -> list[SpeakerPath]:
        """Of the paths that we know, in the order in which to try them now. One that the device said not to have is left out while there is
        another."""
        target, now = self._target(), self._clock.now()
        if self._met != _place(target):
            self._met, self._failures = _place(target), {}
        self._failures = {path: failure for path, failure in self._failures.items() if failure.until > now}
        listed = [path for path in target.speaker.paths if path in known]
        hopeful = [path for path in listed if path not in self._failures]
        failed = [path for path in listed if path in self._failures and not self._failures[path].absent]
        return [*hopeful, *failed] or listed

    def _note(self, path: SpeakerPath, failure: DeviceError) -> None:
        if isinstance(failure, Busy | AuthenticationFailed | WrongDevice) or failure.code in _OF_THE_SOUND:
            return  # says nothing of the path
        absent = isinstance(failure, NotSupported)
        self._failures[path] = _Failure(failure.code, self._clock.now() + (ABSENT_FOR if absent else FAILED_FOR), absent)

    def _may_try_another(self, failure: DeviceError) -> bool:
        if isinstance(failure, Busy):
            return not self._target().speaker.single_talker
        return not isinstance(failure, AuthenticationFailed | WrongDevice)

    def _lessons(self) -> Iterator[tuple[str, str]]:
        now = self._clock.now()
        yield from () if self._clips is None else self._clips.learned()
        for path, failure in self._failures.items():
            if failure.until > now:
                yield f"path {path}", f"{failure.code} until {failure.until:%Y-%m-%dT%H:%M:%SZ}"


class BackchannelPath:
    """The RTSP backchannel, its way found through ONVIF media (ONVIF Streaming, 5.3).

    The path of the stream is asked for once, by `prepare` or by the first `open`, and kept until the device refuses it. So is what talks
    taught of the device; how it wants to be spoken to beside that, its profile says. A password that was refused is not said again.
    """

    __slots__ = ("_finding", "_habits", "_heir", "_onvif", "_path", "_refusals")

    def __init__(self, onvif: OnvifDevice, heir: Heir = no_heir, refusals: Refusals | None = None) -> None:
        """`heir`: who ends a session that is being set up when the daemon dies; `refusals`: the device's, its own without."""
        self._onvif = onvif
        self._refusals = refusals or Refusals()
        self._heir = heir
        self._habits = Habits()
        self._path = ""
        self._finding = asyncio.Lock()

    async def prepare(self, *, timeout_s: float) -> None:
        if self._path:
            return
        async with deadline(self._onvif.target, timeout_s), self._finding:  # who comes meanwhile is served by the same search
            self._path = self._path or await self._find_path(timeout_s)

    async def open(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        target = self._onvif.target
        await self.prepare(timeout_s=timeout_s)
        manner = manner_of(target.speaker, path=self._path)
        try:
            with self._refusals.minded(target, Door.BACKCHANNEL) as attempt:
                return await open_audio(
                    attempt.target,
                    prefer=prefer,
                    timeout_s=timeout_s,
                    manner=manner,
                    habits=self._habits,
                    heir=self._heir,
                    let_in=attempt.let_in,
                )
        except (DeviceFault, AuthenticationFailed):
            self._path = ""  # it may have moved: ask anew the next time
            raise

    async def _find_path(self, timeout_s: float) -> str:
        profiles = await self._onvif.profiles(timeout_s=timeout_s)
        if not profiles:
            raise NotSupported("the device has no media profile to speak through", code="no-backchannel")
        return await self._onvif.stream_path(_best(profiles).token, timeout_s=timeout_s)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a path did not lead to the device, and until when that is believed; `absent`: it said not to have it."""

    code: str
    until: datetime
    absent: bool


def _place(target: Target) -> object:
    """What makes it another device, of which nothing is known."""
    return target.place, target.speaker


def _best(profiles: Sequence[MediaProfile]) -> MediaProfile:
    """The profile with an audio output, or else the first: many devices have a backchannel and no such configuration."""
    return next((profile for profile in profiles if profile.audio_output), profiles[0])
