"""The observer's ears: a test clip, and how faithfully it was heard."""

from __future__ import annotations

import array
import io
import math
import random
import wave

RATE_HZ = 8_000
BEST_DB = 99.0


def speech_like(seconds: float, *, seed: int = 1) -> array.array[int]:
    """16-bit mono at 8 kHz with the rhythm and the band of speech: gliding harmonics in syllables, between short silences."""
    rng = random.Random(seed)
    samples = array.array("h")
    phase = 0.0
    while len(samples) < seconds * RATE_HZ:
        length, pitch = rng.randint(900, 2400), rng.uniform(110, 240)
        for n in range(length):
            phase += 2 * math.pi * pitch * (1 + 0.15 * n / length) / RATE_HZ
            envelope = math.sin(math.pi * n / length) ** 0.5
            voice = sum(math.sin(k * phase) / k for k in range(1, 9))
            samples.append(int(9_000 * envelope * voice))
        samples.extend([0] * rng.randint(200, 900))
    return samples[: int(seconds * RATE_HZ)]


def wav(samples: array.array[int]) -> bytes:
    """The samples as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def read_wav(data: bytes) -> array.array[int]:
    """The samples of a 16-bit mono WAV file at 8 kHz; ValueError for any other."""
    with wave.open(io.BytesIO(data)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE_HZ):
            raise ValueError("expected 16-bit mono at 8 kHz")
        return array.array("h", file.readframes(file.getnframes()))


def snr_db(reference: array.array[int], heard: array.array[int], *, longest_lead_s: float = 2.0) -> float:
    """Signal to noise in dB of `heard` against `reference`, at the lead-in where they fit best; -99 when they do not fit at all.

    What is missing at the end counts as noise, so that a clip that was cut short scores badly.
    """
    anchor = next((n for n, sample in enumerate(reference) if abs(sample) > 1_000), 0)
    probe = reference[anchor : anchor + 400]
    leads = range(-RATE_HZ // 50, int(longest_lead_s * RATE_HZ))
    lead = max(leads, key=lambda at: _likeness(probe, heard, anchor + at))
    signal = sum(s * s for s in reference)
    noise = sum((s - _at(heard, n + lead)) ** 2 for n, s in enumerate(reference))
    if signal == 0:
        return -BEST_DB
    return min(BEST_DB, max(-BEST_DB, 10 * math.log10(signal / noise))) if noise else BEST_DB


def loudness(samples: array.array[int]) -> float:
    """The mean power of `samples`."""
    return sum(sample * sample for sample in samples) / max(1, len(samples))


def _likeness(probe: array.array[int], heard: array.array[int], at: int) -> float:
    if at < 0 or at + len(probe) > len(heard):
        return -math.inf
    return -sum(abs(a - b) for a, b in zip(probe[::4], heard[at : at + len(probe) : 4], strict=True))


def _at(samples: array.array[int], n: int) -> int:
    return samples[n] if 0 <= n < len(samples) else 0
