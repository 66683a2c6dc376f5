"""A sound to speak with, and how clearly it was heard, whatever came before and after."""

import array
import io
import math
import wave

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
    meant = [sweep(number / rate) for number in range(0, length, 7)]
    likeness = {at: abs(sum(map(lambda a, b: a * b, heard[at : at + length : 7], meant))) for at in range(len(heard) - length)}
    rough = sorted(likeness, key=lambda at: -likeness[at])[:12]
    return max((_fit_db(heard[at : at + length], part / 20 / rate, rate) for at in rough for part in range(-20, 21)), default=-99.0)


def _fit_db(heard: array.array, late_s: float, rate: int) -> float:
    meant = [sweep(number / rate + late_s) for number in range(len(heard))]
    signal = sum(b * b for b in meant)
    gain = sum(a * b for a, b in zip(heard, meant, strict=True)) / signal
    noise = sum((a - gain * b) ** 2 for a, b in zip(heard, meant, strict=True))
    power = gain * gain * signal
    return 10 * math.log10(power / noise) if noise and power else -99.0 if not power else 99.0
