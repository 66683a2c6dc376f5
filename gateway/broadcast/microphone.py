"""A microphone's sound made into what loudspeakers take: 16 kHz down to 8 kHz, frame by frame, and how loud it is."""

import math
from array import array
from dataclasses import dataclass

from gateway.errors import InvalidInput

RATE = 16_000
FRAME_S = 0.020
FRAME_BYTES = round(RATE * FRAME_S) * 2
SPOKEN_RATE = 8_000
SILENT_DB = -50.0
"""Below this, nobody speaks: a quiet room with the gain of a browser lies some 10 dB lower."""
FLOOR_DB = -99.0
_FULL = 32_768
_METERED = 3  # every third sample of a voice has the same power as all of them
_CLIPPED = 32_700

# The filter is a half-band one: every second coefficient is 0 but for the middle one, which is 1/2. So an output is half of an even sample
# plus a sum over odd ones, 24 of them. That sum, for all 160 samples of a frame, is one multiplication of two long integers, in which each
# sample and each coefficient has 32 bits to itself (Kronecker substitution): some 4 µs, and nothing to install. A frame is such an integer
# as it comes, an even sample below and an odd one above in each lane. For all that the sums must be positive: samples are shifted up by
# 32,768, and the shift is taken out at the end.
_ODD = 24  # taps on odd samples: 3.4 kHz pass within 0.1 dB, from 4.6 kHz on less than -50 dB is left
_BITS = 32
_SCALE = 1 << 15
_SAMPLES = round(SPOKEN_RATE * FRAME_S)
_WINDOW_BETA = 5.0


def _taps() -> list[int]:
    """The coefficients of the odd samples, oldest first: a windowed sinc (Kaiser), their sum exactly one half of `_SCALE`."""
    ideal = [math.sin(math.pi * at / 2) / (math.pi * at) * _kaiser(at / _ODD) for at in range(1 - _ODD, _ODD, 2)]
    scaled = [round(tap / sum(ideal) * _SCALE / 2) for tap in ideal]
    scaled[_ODD // 2] += _SCALE // 2 - sum(scaled)
    return scaled


def _kaiser(at: float) -> float:
    return _bessel(_WINDOW_BETA * math.sqrt(1 - at * at)) / _bessel(_WINDOW_BETA)


def _bessel(x: float) -> float:
    """The modified Bessel function of the first kind and order 0."""
    return sum((x / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(25))


def _packed(values: list[int]) -> int:
    return sum(value << _BITS * place for place, value in enumerate(values))


_TAPS = _taps()
# In a product of polynomials the newest sample meets the coefficient of degree 0.
_FILTER = _packed(list(reversed(_TAPS)))
_LANES = _ODD - 1 + _SAMPLES
_LANE = (1 << 16) - 1
_SIGNS = _packed([0x8000_8000] * _LANES)
# What all lanes have too much from the shifts (half from each branch), against what they shall have: 2^31 for zero, and one half to round.
_REST = _packed([(1 << 31) + (1 << 15) - _SCALE * 0x8000] * _LANES)
_DOUBLED = array("h", (max(-_FULL, min(_FULL - 1, 2 * (half - _FULL))) for half in range(1 << 16)))
_BEFORE = _BITS * (_ODD - 1)  # the bits of lanes that not all taps have met
_ODD_ONES = _packed([_LANE] * _LANES)
_MIDDLE = _BITS * _ODD // 2  # where the even samples begin that the middle tap meets
_MIDDLE_ONES = _packed([_LANE] * _SAMPLES) << _MIDDLE
_HALF = _BEFORE + (_SCALE // 2).bit_length() - 1 - _MIDDLE
_TOPS = _packed([1 << 31] * _SAMPLES) << _BEFORE
_FRAME_BITS = _BITS * _SAMPLES
_FRAME_ONES = (1 << _FRAME_BITS) - 1


class Downsampler:
    """Half the rate of one stream of frames; the filter takes 1.5 ms."""

    def __init__(self) -> None:
        self._past = 0

    def take(self, frame: bytes) -> bytes:
        """The next 20 ms (`FRAME_BYTES`, 16 kHz, mono, signed 16 bit, little endian) at 8 kHz, saturated where the filter overshoots."""
        samples = self._past | int.from_bytes(frame, "little") << _BEFORE
        self._past = samples >> _FRAME_BITS
        samples ^= _SIGNS
        lanes = (samples >> 16 & _ODD_ONES) * _FILTER + ((samples & _MIDDLE_ONES) << _HALF) + _REST
        if (lanes ^ lanes << 1) & _TOPS != _TOPS:  # in some lane the two highest bits are the same: twice as much would not fit
            return array("h", map(_DOUBLED.__getitem__, _upper(lanes >> _BEFORE))).tobytes()
        return _upper(lanes >> _BEFORE - 1).tobytes()  # what the shift pushes out of a lane is the 2^31 that stood for zero


def _upper(lanes: int) -> "array[int]":
    """The upper 16 bits of the lowest lanes, one for each sample of a frame at 8 kHz."""
    return array("H", (lanes & _FRAME_ONES).to_bytes(4 * _SAMPLES, "little"))[1::2]


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a stretch of sound was, in dB below full scale (a full sine has a `rms_db` of -3). `clipping`: it was cut off at the top."""

    rms_db: float
    peak_db: float
    clipping: bool

    @property
    def silent(self) -> bool:
        return self.rms_db < SILENT_DB


class Meter:
    """Measures a stream in stretches."""

    def __init__(self) -> None:
        self._length = 0.0  # of the vector of all samples: its square is their power
        self._count = self._peak = self._clipped = 0

    def take(self, pcm: bytes) -> float:
        """Count samples of signed 16 bit in; how loud these were, as `Level.rms_db`."""
        samples = array("h", pcm)[::_METERED].tolist()  # as a list, each becomes an object once and not three times
        length = math.hypot(*samples)
        highest, lowest = max(samples), min(samples)
        peak = max(highest, -lowest)
        self._length = math.hypot(self._length, length)
        self._count += len(samples)
        self._peak = max(self._peak, peak)
        self._clipped += peak >= _CLIPPED
        return _decibels(length / math.sqrt(len(samples)))

    def level(self) -> Level:
        """That of all since the last call."""
        found = Level(_decibels(self._length / math.sqrt(max(1, self._count))), _decibels(self._peak), self._clipped > 1)
        self._length = 0.0
        self._count = self._peak = self._clipped = 0
        return found


def check_frame(frame: bytes) -> None:
    """Raises InvalidInput (`bad-frame`)."""
    if len(frame) != FRAME_BYTES:
        why = f"a frame has {FRAME_BYTES} bytes (20 ms at 16 kHz, mono, signed 16 bit, little endian), not {len(frame)}"
        raise InvalidInput(why, code="bad-frame")


def _decibels(amplitude: float) -> float:
    return max(FLOOR_DB, round(20 * math.log10(amplitude / _FULL), 1)) if amplitude > 0 else FLOOR_DB
