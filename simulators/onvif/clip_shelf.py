"""The audio clips in a loudspeaker's memory: announced, uploaded, played (ONVIF Media2, release 25.06, "Audio clip management")."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from simulators.heard import Heard, PlayedClip
from simulators.wave_file import MU_LAW, PCM, Sound

MAX_CLIPS: Final = 20
MAX_KIB: Final = 200
"""A quarter of a minute of linear PCM."""
UPLOAD_S: Final = 300.0
TYPES: Final = {"audio/vnd.wave;codec=1": PCM, "audio/vnd.wave;codec=7": MU_LAW}
"""What is played, by the codec of a WAV file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A clip's configuration (tr2:AudioClip); `cycles`: repetitions after the first run, -1: without end; `interval_s` between them."""

    enabled: bool
    name: str
    outputs: tuple[str, ...]
    type: str
    cycles: int
    interval_s: int = 0
    level: int | None = None


@dataclass(slots=True)
class Clip:
    """`secret`: the part of the upload's address that nobody else knows; `expires`: until when it holds, by the device's clock."""

    token: str
    settings: Settings
    secret: str
    expires: float
    sound: Sound | None = None
    playing: PlayedClip | None = None


@dataclass(slots=True)
class ClipShelf:
    """All clips of one loudspeaker, by token."""

    clips: dict[str, Clip] = field(default_factory=dict)
    _next: int = 1

    def listed(self) -> list[Clip]:
        """Those that can be played: a clip is listed only once it has been uploaded."""
        return [clip for clip in self.clips.values() if clip.sound is not None]

    def announce(self, settings: Settings, now: float) -> Clip | None:
        """Make room for a clip that is going to be uploaded; None when there is none."""
        for token in [token for token, clip in self.clips.items() if clip.sound is None and clip.expires <= now]:
            del self.clips[token]
        if len(self.clips) >= MAX_CLIPS:
            return None
        clip = Clip(f"AudioClip_{self._next}", settings, secrets.token_hex(12), now + UPLOAD_S)
        self._next += 1
        self.clips[clip.token] = clip
        return clip

    def awaiting(self, token: str, secret: str) -> Clip | None:
        """The clip whose upload has this address."""
        clip = self.clips.get(token)
        return clip if clip is not None and secrets.compare_digest(clip.secret.encode(), secret.encode()) else None


def play(clip: Clip, heard: Heard, *, cycles: int, now_ns: int, level: int) -> None:
    """Play a clip from now on, `cycles` times more than once, at its own level or else at `level`; what it played before ends here."""
    assert clip.sound is not None
    stop(clip, now_ns=now_ns)
    clip.playing = PlayedClip(
        clip.token,
        now_ns,
        clip.sound.encoding,
        clip.sound.audio,
        run_s=clip.sound.seconds,
        pause_s=float(clip.settings.interval_s),
        runs=None if cycles < 0 else cycles + 1,
        level=level if clip.settings.level is None else clip.settings.level,
    )
    heard.clips.append(clip.playing)


def stop(clip: Clip, *, now_ns: int) -> None:
    if clip.playing is not None and clip.playing.is_playing(now_ns):
        clip.playing.stopped_ns = now_ns
    clip.playing = None
