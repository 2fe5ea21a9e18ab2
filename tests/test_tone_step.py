"""Attack and release of compressors whose time constants are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from devices_under_test import identity, silent, slow_compressor, static_compressor

from scripts.measure.devices import la2a_at
from scripts.measure.tone_step import tone_step

RATES = (44_100, 48_000)


@pytest.mark.parametrize(
    ("rate", "attack", "release"), [(44_100, 0.02, 0.1), (48_000, 0.005, 0.3), (96_000, 0.005, 0.1)]
)
def test_attack_and_release_of_one_poles_are_found_to_a_millisecond(rate: int, attack: float, release: float) -> None:
    """From 0 to 15 dB · 3/4 = 11.25 dB: within 1 dB after τ·ln 11.25, half gone after τ·ln 2."""
    step = tone_step(slow_compressor(rate, -20.0, 4.0, attack, release), rate)
    assert step.attack_ms == pytest.approx(1000 * attack * math.log(11.25), abs=1)
    assert step.release_ms == pytest.approx(1000 * release * math.log(2), abs=1)


def test_the_gain_over_time_is_that_of_the_one_poles() -> None:
    step = tone_step(slow_compressor(44_100, -20.0, 4.0, 0.03, 0.1), 44_100)
    up = (step.times > 0.003) & (step.times < 0.99)
    down = step.times > 1.003
    np.testing.assert_allclose(step.gain_db[step.times < -0.003], 0, atol=0.01)
    np.testing.assert_allclose(step.gain_db[up], -11.25 * (1 - np.exp(-step.times[up] / 0.03)), atol=0.15)
    np.testing.assert_allclose(step.gain_db[down], -11.25 * np.exp(-(step.times[down] - 1) / 0.1), atol=0.15)


@pytest.mark.parametrize("rate", RATES)
def test_times_are_milliseconds_around_the_step(rate: int) -> None:
    step = tone_step(identity, rate, high_seconds=0.8, release_seconds=0.5)
    np.testing.assert_allclose(np.diff(step.times), 1e-3, rtol=0.01)
    assert (step.times[0], step.times[-1]) == (pytest.approx(-0.2, abs=2e-3), pytest.approx(1.3, abs=2e-3))
    assert step.down == 0.8


def test_a_device_without_compression_has_neither_attack_nor_release() -> None:
    for device in (identity, lambda x: 0.1 * x, lambda x: 1.1 * np.tanh(x)):
        step = tone_step(device, 44_100)
        assert math.isnan(step.attack_ms)
        assert math.isnan(step.release_ms)
    np.testing.assert_allclose(tone_step(identity, 44_100).gain_db, 0, atol=1e-9)


def test_a_compressor_without_delay_has_an_attack_within_the_resolution() -> None:
    step = tone_step(static_compressor(-30.0, 4.0), 44_100)
    assert abs(step.attack_ms) < 1.5
    assert abs(step.release_ms) < 1.5


def test_a_device_that_looks_ahead_has_a_shorter_attack() -> None:
    plain, early = (tone_step(slow_compressor(44_100, -20, 4, 0.02, 0.1, ahead), 44_100) for ahead in (0, 0.03))
    assert early.attack_ms == pytest.approx(plain.attack_ms - 30, abs=1)
    assert early.release_ms == pytest.approx(plain.release_ms - 30, abs=1)


def test_a_release_that_is_not_half_done_in_time_is_none() -> None:
    step = tone_step(slow_compressor(44_100, -20.0, 4.0, 0.01, 5.0), 44_100)
    assert step.attack_ms == pytest.approx(10 * math.log(11.25), abs=1)
    assert math.isnan(step.release_ms)


def test_a_gain_that_never_settles_has_no_attack() -> None:
    """A tremolo of ±3 dB on top of the compression."""
    compressor = static_compressor(-30.0, 4.0)
    step = tone_step(lambda x: compressor(x) * 10 ** (0.15 * np.sin(np.arange(len(x)) / 500)), 44_100)
    assert math.isnan(step.attack_ms)


def test_attack_and_release_of_the_la2a_are_the_published_ones() -> None:
    """Within 1 dB after 6 … 12 ms; half of the release 53 ms after a burst of 1 s, at a peak reduction of 80."""
    device = la2a_at(44_100, seed=None)(0, 80)
    step = tone_step(device, 44_100, low_db=-60.0, high_db=0.0)
    assert 6 <= step.attack_ms <= 12
    assert step.release_ms == pytest.approx(53, abs=2)
    longer = tone_step(device, 44_100, low_db=-60.0, high_db=0.0, high_seconds=20.0)
    assert longer.release_ms == pytest.approx(65, abs=2)


def test_silence_has_a_gain_of_the_floor_and_no_times() -> None:
    step = tone_step(silent, 44_100)
    assert np.all(step.gain_db < -150)
    assert math.isnan(step.attack_ms)
    assert math.isnan(step.release_ms)


def test_levels_that_do_not_rise_and_a_burst_too_short_are_refused() -> None:
    with pytest.raises(ValueError, match=r"-40\.0 dBFS is not above -5\.0"):
        tone_step(identity, 44_100, low_db=-5.0, high_db=-40.0)
    with pytest.raises(ValueError, match=r"lasts 0\.1 s; it takes 0\.6 s"):
        tone_step(identity, 44_100, high_seconds=0.1)
