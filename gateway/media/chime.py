"""The chime before a voice: two falling tones that make people look up."""

import array
import math

_TONES = ((0.0, 659.26), (0.45, 523.25))  # seconds from the beginning, hertz: E5 and C5
_LASTS_S = 1.5
_GAIN = 34_000  # gives peaks of 20,000 and -16 LUFS, as loud as levelled speech
_ATTACK_S, _DECAY_S = 0.008, 0.32
_OVERTONES = ((1.0, 1.0), (2.0, 0.35), (3.0, 0.12))


def chime(rate: int) -> bytes:
    """Signed 16 bit mono at `rate` Hz, 1.5 s long, silent at both ends."""
    samples = array.array("h", (round(_GAIN * _at(step / rate)) for step in range(round(_LASTS_S * rate))))
    return samples.tobytes()


def _at(moment: float) -> float:
    """The sum of the tones that have begun, each struck and left to fade; -1 to 1."""
    fade_out = min(1.0, (_LASTS_S - moment) / 0.1)
    return fade_out * sum(_struck(moment - begins, hertz) for begins, hertz in _TONES if moment >= begins) / len(_TONES)


def _struck(since: float, hertz: float) -> float:
    loud = min(1.0, since / _ATTACK_S) * math.exp(-since / _DECAY_S)
    return loud * sum(share * math.sin(2 * math.pi * hertz * times * since) for times, share in _OVERTONES) / 1.2
