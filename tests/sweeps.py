"""A sound to speak with, and how clearly it was heard, whatever came before and after."""

import array
import heapq
import io
import math
import wave
from functools import lru_cache
from operator import mul

SWEEP_S, PAUSE_S = 0.6, 0.2


def sweep(at: float) -> float:
    """A tone that rises from 400 Hz to 2.4 kHz within `SWEEP_S`."""
    return math.sin(2 * math.pi * (400 + 1_000 * at / SWEEP_S) * at) if 0 <= at < SWEEP_S else 0.0


def sweeps(times: int, *, rate: int) -> array.array:
    """The sweep so often, each with a pause after it: signed 16 bit."""
    one = array.array("h", (round(12_000 * sweep(number / rate)) for number in range(round((SWEEP_S + PAUSE_S) * rate))))
    return one * times


def wav(samples: array.array, *, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def clearest_db(heard: array.array, *, rate: int = 8_000) -> float:
    """The signal to noise of the sweep that was heard best, wherever between two samples it begins, however loud; -99 for none."""
    length = round(SWEEP_S * rate)
    meant = _late(0, rate)[0][::7]
    likeness = {at: abs(sum(map(mul, heard[at : at + length : 7], meant))) for at in range(len(heard) - length)}
    rough = heapq.nlargest(12, likeness, key=likeness.__getitem__)
    return max((_fit_db(heard[at : at + length], part, rate) for at in rough for part in range(-20, 21)), default=-99.0)


def _fit_db(heard: array.array, part: int, rate: int) -> float:
    meant, signal = _late(part, rate)
    told = sum(map(mul, heard, meant))
    power = told * told / signal
    noise = max(0.0, sum(map(mul, heard, heard)) - power)  # what is left when the sweep, as loud as it fits best, is taken away
    return 10 * math.log10(power / noise) if noise and power else -99.0 if not power else 99.0


@lru_cache(maxsize=64)
def _late(part: int, rate: int) -> tuple[tuple[float, ...], float]:
    """The sweep, so many twentieths of a sample later, and its energy."""
    meant = tuple(sweep((number + part / 20) / rate) for number in range(round(SWEEP_S * rate)))
    return meant, sum(map(mul, meant, meant))
