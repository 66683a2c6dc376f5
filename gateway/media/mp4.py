"""Recorded video with its sound as a fragmented MP4 file (ISO/IEC 14496-12), written once from front to back and hashed on the way."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple, Protocol

from gateway.errors import ProtocolError
from gateway.media.boxes import EPOCH, SOUND, TIMESCALE, VIDEO, Run, fragment, header, rows
from gateway.media.depacketize import AccessUnit
from gateway.media.parameter_sets import configure, from_format
from gateway.media.sound import SoundFormat

FRAGMENT_SPAN = 2 * TIMESCALE  # a fragment ends at the first key frame after so much footage,
FRAGMENT_BYTES = 8 << 20  # or anywhere once it holds so many bytes: what is in memory stays bounded


class Track(Protocol):
    """What is being written, as `drivers.base.TrackDescription` has it."""

    @property
    def encoding(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a finished file holds. `skipped`: pictures before the first that could be decoded."""

    sha256: str
    size: int
    frames: int
    skipped: int
    damaged: int


class Mp4Writer:
    """Pictures of one track, and the sound of another where there is one, in; bytes out through `write`, never again looked at.

    NAL units and pieces of sound are stored as they came, each NAL unit after its length. The file's time is the recorder's (the RTP
    clock where it gives none), so a gap in the footage is a picture that stays. Parameter sets come from the track's description or its
    first pictures.
    """

    def __init__(self, write: Callable[[bytes], object], track: Track, sound: SoundFormat | None = None) -> None:
        if track.encoding not in ("H264", "H265"):
            raise ProtocolError(f"{track.encoding} has no place in this file", code="no-codec")
        self._write = write
        self._encoding = track.encoding
        self._sets = list(from_format(track.encoding, track.parameters))
        self._timeline = _Timeline()
        self._sound = sound
        self._hash = hashlib.sha256()
        self._size = self._frames = self._skipped = self._damaged = 0
        self._begun = False
        self._fragments = 0
        self._samples: list[_Sample] = []
        self._sounds: list[_Sound] = []
        self._heard_to = 0
        self._held = 0

    def add(self, unit: AccessUnit) -> bool:
        """Append one picture. Those before the first key frame with its parameter sets are counted as skipped, not written: False."""
        if not self._begun and not self._begin(unit):
            self._skipped += 1
            return False
        decode, offset = self._timeline.place(unit)
        if self._samples and self._ends_fragment(unit, decode):
            self._flush(decode)
        self._samples.append((unit, decode, offset))
        self._held += unit.size
        self._frames += 1
        self._damaged += unit.damaged
        return True

    def add_sound(self, data: bytes, at: timedelta, duration: int) -> None:
        """Append a piece of sound that began `at` after the first picture and lasts so many ticks of its clock; none before a picture."""
        if not self._begun or self._sound is None:
            return
        start = max(round(at / timedelta(seconds=1) * self._sound.rate), self._heard_to)
        self._heard_to = start + duration
        self._sounds.append(_Sound(data, start, duration))
        self._held += len(data)
        if self._held >= FRAGMENT_BYTES:
            self._flush(self._timeline.following if self._samples else 0)

    def close(self) -> Written:
        """Write what is left. A file without pictures has no bytes."""
        if self._samples or self._sounds:
            self._flush(self._timeline.following if self._samples else 0)
        return Written(self._hash.hexdigest(), self._size, self._frames, self._skipped, self._damaged)

    def _begin(self, unit: AccessUnit) -> bool:
        """Write the header, once a picture has come from which a decoder can begin."""
        if not unit.key:
            return False
        nals = unit.nals
        configuration = configure(self._encoding, nals) or configure(self._encoding, [*self._sets, *nals])
        if configuration is None:
            return False
        self._put(header(configuration, self._sound, unit.ntp or EPOCH))
        self._begun = True
        return True

    def _ends_fragment(self, unit: AccessUnit, decode: int) -> bool:
        return self._held >= FRAGMENT_BYTES or (unit.key and decode - self._samples[0][1] >= FRAGMENT_SPAN)

    def _flush(self, following: int) -> None:
        """Write the fragment in hand; `following`: the decoding time of what comes after it."""
        self._fragments += 1
        parts = chain.from_iterable(unit.parts for unit, _, _ in self._samples)
        heard = [sound.data for sound in self._sounds]
        size = sum(map(len, heard))
        runs = [_pictures(self._samples, following, self._held - size)] if self._samples else []
        runs += [_sounds(self._sounds, size)] if heard else []
        self._put(b"".join(chain((fragment(self._fragments, runs),), parts, heard)))
        self._samples, self._sounds, self._held = [], [], 0

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._write(data)


_Sample = tuple[AccessUnit, int, int]
"""A picture, its decoding time, its presentation less that."""


class _Sound(NamedTuple):
    data: bytes
    start: int
    duration: int


def _pictures(samples: Sequence[_Sample], following: int, size: int) -> Run:
    starts = [decode for _, decode, _ in samples]
    ends = [*starts[1:], following]
    told = [(end - decode, unit.size, unit.key, offset) for (unit, decode, offset), end in zip(samples, ends, strict=True)]
    return Run(VIDEO, starts[0], rows(told), len(told), size)


def _sounds(sounds: Sequence[_Sound], size: int) -> Run:
    """Each piece lasts until the next one begins, so that silence where nothing was recorded stays."""
    ends = [sound.start for sound in sounds[1:]] + [sounds[-1].start + sounds[-1].duration]
    told = [(end - sound.start, len(sound.data), True, 0) for sound, end in zip(sounds, ends, strict=True)]
    return Run(SOUND, sounds[0].start, rows(told), len(told), size)


class _Timeline:
    """Where pictures stand on the file's clock: decoding times only grow, presentation keeps the recorder's word."""

    def __init__(self) -> None:
        self.usual = TIMESCALE // 25
        self._origin: datetime | None = None
        self._decode = -1
        self._shown = 0
        self._rtp: int | None = None

    @property
    def following(self) -> int:
        """The decoding time of the next picture, should it come when it usually does."""
        return self._decode + self.usual

    def place(self, unit: AccessUnit) -> tuple[int, int]:
        """Decoding time, and presentation less decoding time."""
        shown = self._presentation(unit)
        before = self._decode
        decode = shown if shown > before else before + 1
        if before >= 0 and decode <= before + TIMESCALE:
            self.usual = decode - before
        self._decode, self._shown, self._rtp = decode, shown, unit.timestamp
        return decode, max(shown - decode, -0x80000000) if shown < decode else 0

    def _presentation(self, unit: AccessUnit) -> int:
        if unit.ntp is None:
            step = 0 if self._rtp is None else (unit.timestamp - self._rtp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            return max(0, self._shown + step)
        if self._origin is None:
            self._origin = unit.ntp - timedelta(seconds=self._shown / TIMESCALE)
        return max(0, _ticks(unit.ntp - self._origin))


def _ticks(span: timedelta) -> int:
    """The nearest number of ticks of 1/90,000 s."""
    return (span.days * 86_400 + span.seconds) * TIMESCALE + (span.microseconds * 9 + 50) // 100
