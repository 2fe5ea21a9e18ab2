"""Gain reduction, level map and response from recordings whose gain is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from devices_under_test import Array, static_compressor
from scipy.signal import butter, lfilter, sosfilt

from auraloss.level import GainReductionLoss
from data.la2a import gain_reduction, la2a
from scripts.measure.recorded import gain_reduction_trace, level_map, levels, mean_error, transfer

RATE = 44_100
RATES = (44_100, 48_000, 96_000)


def noise(seconds: float, level_db: float, seed: int = 0, rate: int = RATE) -> Array:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return samples * 10 ** (level_db / 20) / math.sqrt(2)


def sine(seconds: float, level_db: float, frequency: float = 1000.0, rate: int = RATE) -> Array:
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", RATES)
def test_the_level_of_a_sine_is_that_of_its_amplitude(rate: int) -> None:
    times, before, after = levels(sine(1, -20, rate=rate), sine(1, -30, rate=rate), rate, 0.02, 0.005)
    np.testing.assert_allclose(before, -20, atol=0.01)
    np.testing.assert_allclose(after, -30, atol=0.01)
    assert (times[0], times[-1]) == (pytest.approx(0.01, abs=1e-3), pytest.approx(0.99, abs=6e-3))


@pytest.mark.parametrize("rate", RATES)
def test_the_trace_of_a_gain_is_that_gain(rate: int) -> None:
    x = noise(1, -20, rate=rate)
    for factor in (0.5, 1.0, -2.0):
        _, reduction = gain_reduction_trace(x, factor * x, rate)
        np.testing.assert_allclose(reduction, -20 * math.log10(abs(factor)), atol=1e-9)


def test_the_trace_follows_a_gain_that_changes() -> None:
    x = noise(2, -20)
    seconds = np.arange(len(x)) / RATE
    times, reduction = gain_reduction_trace(x, x * 10 ** (-(6 + 3 * np.sin(2 * np.pi * seconds)) / 20), RATE)
    np.testing.assert_allclose(reduction, 6 + 3 * np.sin(2 * np.pi * times), atol=0.15)
    np.testing.assert_allclose(np.diff(times), 0.005, rtol=0.01)


def test_a_step_of_the_gain_is_in_the_middle_of_its_trace() -> None:
    x = sine(1, -20)
    y = x * np.where(np.arange(len(x)) < 0.4 * RATE, 1.0, 0.1)
    times, reduction = gain_reduction_trace(x, y, RATE, hop=0.001)
    assert np.interp(10 * math.log10(1 / 0.505), reduction, times) == pytest.approx(0.4, abs=1e-3)  # half the power
    np.testing.assert_allclose(reduction[times < 0.389], 0, atol=1e-6)
    np.testing.assert_allclose(reduction[times > 0.411], 20, atol=1e-6)


def test_of_a_constant_gain_the_traces_differ_as_the_metric_says() -> None:
    x = noise(1, -20)
    traces = [gain_reduction_trace(x, gain * x, RATE)[1] for gain in (0.5, 0.4)]
    output, target = (torch.from_numpy(gain * x) for gain in (0.4, 0.5))
    metric = GainReductionLoss(RATE)(output, target).item()
    assert mean_error(traces[1] - traces[0]) == pytest.approx(20 * math.log10(1.25), abs=1e-9)
    assert metric == pytest.approx(20 * math.log10(1.25), abs=1e-9)


def test_the_trace_has_a_gap_where_the_input_is_silent() -> None:
    x = np.concatenate([noise(0.5, -20), np.zeros(RATE // 2), noise(0.5, -70), noise(0.5, -20)])
    times, reduction = gain_reduction_trace(x, 0.5 * x + 1e-3, RATE)
    gap = (times > 0.52) & (times < 1.48)
    assert np.isnan(reduction[gap]).all()
    assert np.isfinite(reduction[(times < 0.49) | (times > 1.52)]).all()


def test_an_output_that_is_silent_has_a_finite_gain_reduction() -> None:
    x = sine(0.5, 0)
    np.testing.assert_allclose(gain_reduction_trace(x, np.zeros_like(x), RATE)[1], 200, atol=0.1)


def test_the_trace_of_the_la2a_is_its_gain_reduction() -> None:
    x = np.concatenate([sine(0.5, -40), sine(1.0, 0), sine(1.0, -40)])
    times, reduction = gain_reduction_trace(x, la2a(x, 80, seed=None), RATE)
    own = gain_reduction(x, 80)
    expected = np.interp(times, np.arange(len(own)) * 16 / RATE, own)
    away = (np.abs(times - 0.5) > 0.03) & (np.abs(times - 1.5) > 0.03)
    np.testing.assert_allclose(reduction[away], expected[away], atol=0.3)


def test_the_level_map_of_a_static_compressor_is_its_curve() -> None:
    x = np.concatenate([sine(0.5, level) for level in np.arange(-58.5, 0, 3)])
    curve = level_map(x, static_compressor(-20.0, 4.0)(x), RATE)
    np.testing.assert_allclose(curve.input_db, np.arange(-58.5, 0, 3))
    expected = np.where(curve.input_db > -20, -20 + (curve.input_db + 20) / 4, curve.input_db)
    np.testing.assert_allclose(curve.median_db, expected, atol=0.05)
    assert np.all(curve.lower_db <= curve.median_db)
    assert np.all(curve.median_db <= curve.upper_db)


def test_the_quartiles_of_the_level_map_hold_the_middle_half() -> None:
    """One second at each gain from 0 to −8 dB in equal parts: quartiles −2, −4, −6 dB."""
    x = sine(9, -22.5)
    y = x * np.repeat(10 ** (-np.arange(9) / 20), RATE)
    curve = level_map(x, y, RATE)
    (full,) = np.flatnonzero(curve.count)
    assert curve.input_db[full] == -22.5
    found = np.array([curve.lower_db[full], curve.median_db[full], curve.upper_db[full]])
    np.testing.assert_allclose(found, (-28.5, -26.5, -24.5), atol=0.6)


def test_levels_that_hardly_occur_are_not_in_the_level_map() -> None:
    curve = level_map(np.concatenate([sine(2, -22.5), np.zeros(RATE)]), np.zeros(3 * RATE), RATE)
    common = np.abs(curve.input_db + 22.5) < 0.1
    np.testing.assert_array_equal(curve.median_db[common], -200)
    assert np.isnan(curve.median_db[~common]).all()
    assert curve.count[~common].max() < 5


@pytest.mark.parametrize("rate", RATES)
def test_the_transfer_of_a_filter_is_its_response(rate: int) -> None:
    x = noise(10, -20, rate=rate)
    sections = butter(2, 3000, output="sos", fs=rate)
    found = transfer(x, sosfilt(sections, x), rate)
    audible = (found.frequencies > 20) & (found.frequencies < 12_000)
    ratio = np.tan(np.pi * found.frequencies[audible] / rate) / np.tan(np.pi * 3000 / rate)
    np.testing.assert_allclose(found.magnitude_db[audible], -10 * np.log10(1 + ratio**4), atol=0.1)
    assert found.coherence[audible].min() > 0.99


def test_noise_in_the_output_lowers_the_coherence_and_not_the_magnitude() -> None:
    """Noise as loud as the signal explains half of the output's power."""
    x = noise(20, -20)
    found = transfer(x, x + noise(20, -20, seed=1), RATE)
    assert np.median(found.coherence) == pytest.approx(0.5, abs=0.02)
    assert np.mean(found.magnitude_db[1:-1]) == pytest.approx(0, abs=0.1)


def test_transfer_of_silence_is_unknown_and_of_a_silent_output_the_floor() -> None:
    zeros, x = np.zeros(RATE), noise(1, -20)
    unknown = transfer(zeros, x, RATE)
    assert np.isnan(unknown.magnitude_db).all()
    assert np.isnan(unknown.coherence).all()
    silent = transfer(x, zeros, RATE)
    np.testing.assert_array_equal(silent.magnitude_db, -200)
    assert np.isnan(silent.coherence).all()


def test_transfer_of_a_dull_input_stays_quiet_where_it_has_nothing() -> None:
    low = lfilter([1, 1], [1], noise(2, -20))
    found = transfer(low, 0.5 * low, RATE)
    np.testing.assert_allclose(found.magnitude_db[np.isfinite(found.magnitude_db)], -6.0206, atol=0.01)


def test_signals_that_do_not_belong_together_are_refused() -> None:
    x = np.ones(RATE)
    for function in (gain_reduction_trace, level_map, transfer):
        with pytest.raises(ValueError, match=r"\(44100,\) and \(44099,\)"):
            function(x, x[1:], RATE)
        with pytest.raises(ValueError, match=r"\(2, 44100\)"):
            function(np.stack([x, x]), np.stack([x, x]), RATE)
        with pytest.raises(ValueError, match="100 samples are shorter than a window of"):
            function(x[:100], x[:100], RATE)
        with pytest.raises(ValueError, match="the output has 1 samples that are not finite, the first at 3"):
            function(x, np.where(np.arange(RATE) == 3, np.nan, x), RATE)
