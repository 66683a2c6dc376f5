import math
import random
from array import array

import pytest

from gateway.broadcast import microphone
from gateway.broadcast.microphone import FRAME_BYTES, Downsampler, Meter, check_frame
from gateway.errors import InvalidInput

SAMPLES = FRAME_BYTES // 2


def sine(hertz: float, *, level: float = 20_000, frames: int = 50) -> array:
    return array("h", (round(level * math.sin(2 * math.pi * hertz * n / 16_000)) for n in range(frames * SAMPLES)))


def down(samples: array) -> array:
    sampler = Downsampler()
    frames = (samples[at : at + SAMPLES] for at in range(0, len(samples), SAMPLES))
    return array("h", b"".join(sampler.take(frame.tobytes()) for frame in frames))


def gain_db(hertz: float) -> float:
    heard = down(sine(hertz))[400:]
    return 20 * math.log10(math.sqrt(sum(a * a for a in heard) / len(heard)) / (20_000 / math.sqrt(2)) + 1e-9)


@pytest.mark.parametrize("hertz", [100, 300, 1_000, 2_000, 3_000, 3_400])
def test_the_band_of_a_voice_passes_as_it_is(hertz: float) -> None:
    assert abs(gain_db(hertz)) < 0.1


@pytest.mark.parametrize("hertz", [4_600, 5_000, 6_000, 7_500])
def test_what_eight_kilohertz_cannot_carry_is_not_folded_into_the_voice(hertz: float) -> None:
    assert gain_db(hertz) < -50


def test_one_multiplication_of_long_numbers_is_the_filter_sample_by_sample_also_where_it_overshoots() -> None:
    noise = random.Random(1)
    samples = array("h", (noise.choice((-32_768, 32_767, noise.randint(-32_768, 32_767))) for _ in range(10 * SAMPLES)))
    even, odd = samples[::2], samples[1::2]
    for n, heard in enumerate(down(samples)[100:], start=100):
        taps = sum(tap * odd[n - 23 + place] for place, tap in enumerate(microphone._TAPS))
        meant = taps / 32_768 + even[n - 11] / 2
        assert abs(max(-32_768, min(32_767, meant)) - heard) <= 2


def test_the_level_is_that_of_the_sound_and_clipping_is_told() -> None:
    meter = Meter()
    for _ in range(3):
        meter.take(sine(1_000, level=3_276.8, frames=1).tobytes())
    level = meter.level()
    assert (level.rms_db, level.peak_db, level.clipping, level.silent) == (-23.0, -20.0, False, False)
    for _ in range(3):
        meter.take(array("h", [32_767, -32_768] * 80).tobytes())
    assert meter.level().clipping
    meter.take(bytes(320))
    assert meter.level().silent


def test_the_level_of_a_stretch_is_that_of_its_power_and_of_its_highest_peak() -> None:
    meter = Meter()
    for frame in (sine(1_000, level=3_276.8, frames=1).tobytes(), bytes(640), bytes(640), bytes(640)):
        meter.take(frame)
    level = meter.level()
    assert (level.rms_db, level.peak_db) == (-29.0, -20.0)  # a quarter of the power: 6 dB less
    assert meter.level().silent


@pytest.mark.parametrize("size", [0, 638, 642, 1280])
def test_a_frame_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidInput, match="640 bytes"):
        check_frame(bytes(size))
