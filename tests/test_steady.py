"""Static curve, distortion and frequency response of devices that are known on paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from devices_under_test import Array, delay, identity, silent, slow_compressor, static_compressor
from scipy.signal import butter, sosfilt

from scripts.measure.devices import Device, la2a_at
from scripts.measure.steady import (
    LEVELS_DB,
    Timing,
    distortion,
    frequency_response,
    harmonics,
    static_curve,
)

RATES = (44_100, 48_000)
LEVELS = np.array(LEVELS_DB, dtype=float)


def harmonic_distortion(device: Device, rate: int, levels: Sequence[float] = LEVELS_DB) -> tuple[Array, Array]:
    return distortion(harmonics(device, rate, levels))


@pytest.mark.parametrize("rate", RATES)
def test_the_identity_has_its_input_level_no_distortion_and_a_flat_response(rate: int) -> None:
    np.testing.assert_allclose(static_curve(identity, rate), LEVELS, atol=1e-9)
    thd, relative = harmonic_distortion(identity, rate)
    assert np.all(thd < 1e-6)
    assert np.all(relative < -150)
    frequencies, magnitude = frequency_response(identity, rate)
    assert (frequencies[0], frequencies[-1]) == (21, 20_001)
    np.testing.assert_allclose(magnitude, 0, atol=1e-9)


@pytest.mark.parametrize("rate", RATES)
def test_a_gain_and_a_delay_show_as_a_gain(rate: int) -> None:
    late = delay(round(0.05 * rate))
    np.testing.assert_allclose(static_curve(lambda x: 0.5 * late(x), rate), LEVELS - 6.0206, atol=1e-3)
    np.testing.assert_allclose(frequency_response(lambda x: 0.5 * late(x), rate)[1], -6.0206, atol=1e-3)


@pytest.mark.parametrize("rate", RATES)
def test_the_curve_of_a_hard_knee_is_found(rate: int) -> None:
    curve = static_curve(static_compressor(-22.0, 4.0), rate)
    expected = np.where(LEVELS > -22, -22 + (LEVELS + 22) / 4, LEVELS)
    np.testing.assert_allclose(curve, expected, atol=0.01)


def test_a_slow_compressor_is_measured_when_it_has_settled() -> None:
    curve = static_curve(slow_compressor(44_100, -30.0, 3.0, 0.05, 0.5), 44_100)
    np.testing.assert_allclose(curve, np.where(LEVELS > -30, -30 + (LEVELS + 30) / 3, LEVELS), atol=0.05)


def test_a_device_that_looks_ahead_for_less_than_the_guard_has_the_same_curve() -> None:
    plain, early = (static_curve(slow_compressor(44_100, -30, 3, 0.02, 0.2, ahead), 44_100) for ahead in (0, 0.16))
    np.testing.assert_allclose(early, plain, atol=0.01)


@pytest.mark.parametrize("frequency", [100.0, 1000.0, 5000.0])
def test_noise_and_offset_do_not_count_as_level(frequency: float) -> None:
    noise = np.random.default_rng(0)
    curve = static_curve(lambda x: x + 0.1 + 1e-4 * noise.standard_normal(len(x)), 44_100, frequency=frequency)
    np.testing.assert_allclose(curve, LEVELS, atol=0.1)


@pytest.mark.parametrize("rate", RATES)
def test_distortion_of_a_polynomial_is_that_of_its_chebyshev_expansion(rate: int) -> None:
    """With x = A·sin: x² holds A²/2 of harmonic 2, x³ holds 3/4·A³ of the fundamental and A³/4 of harmonic 3."""
    levels = (-40.0, -20.0, -6.0, 0.0)
    thd, relative = harmonic_distortion(lambda x: x + 0.1 * x**2 + 0.05 * x**3, rate, levels)
    a = 10 ** (np.array(levels) / 20)
    first, second, third = a + 0.0375 * a**3, 0.05 * a**2, 0.0125 * a**3
    np.testing.assert_allclose(thd, 100 * np.hypot(second, third) / first, rtol=1e-3)
    np.testing.assert_allclose(relative[:, 0], 20 * np.log10(second / first), atol=0.01)
    np.testing.assert_allclose(relative[1:, 1], 20 * np.log10(third / first)[1:], atol=0.01)


@pytest.mark.parametrize("rate", RATES)
def test_distortion_of_a_hard_waveshaper_is_that_of_its_fourier_series(rate: int) -> None:
    """Clipping has harmonics up to many times the sample rate: folded back, they fall between the first ten."""

    def clipped(x: Array) -> Array:
        return np.clip(20 * x, -1, 1)

    amplitudes = harmonics(clipped, rate, (-20.0, 0.0))
    angle = 2 * np.pi * np.arange(2**16) / 2**16
    for found, amplitude in zip(amplitudes, (0.1, 1.0), strict=True):
        one_period = clipped(amplitude * np.sin(angle))
        series = [2 * abs(np.mean(one_period * np.exp(-1j * k * angle))) for k in range(1, 11)]
        np.testing.assert_allclose(found, series, atol=2e-4)


def test_harmonics_above_half_the_sample_rate_are_not_there() -> None:
    amplitudes = harmonics(np.tanh, 44_100, (0.0,), frequency=5000.0)
    assert np.isnan(amplitudes[0, 4:]).all()
    assert np.isfinite(amplitudes[0, :4]).all()
    thd, relative = distortion(amplitudes)
    assert thd[0] == pytest.approx(100 * np.sqrt(np.sum(amplitudes[0, 1:4] ** 2)) / amplitudes[0, 0])
    assert np.isnan(relative[0, 3:]).all()


@pytest.mark.parametrize(
    ("rate", "order", "cutoff", "kind"),
    [(44_100, 2, 3000.0, "low"), (48_000, 4, 200.0, "high"), (96_000, 1, 60.0, "high")],
)
def test_the_response_of_a_butterworth_filter_is_its_formula(rate: int, order: int, cutoff: float, kind: str) -> None:
    sections = butter(order, cutoff, kind, output="sos", fs=rate)

    def device(x: Array) -> Array:
        filtered: Array = sosfilt(sections, x)
        return filtered

    frequencies, magnitude = frequency_response(device, rate)
    ratio = np.tan(np.pi * frequencies / rate) / np.tan(np.pi * cutoff / rate)
    expected = -10 * np.log10(1 + (ratio if kind == "low" else 1 / ratio) ** (2 * order))
    np.testing.assert_allclose(magnitude, expected, atol=0.02)


def test_a_response_is_measured_below_the_threshold_of_a_compressor() -> None:
    _, magnitude = frequency_response(static_compressor(-20.0, 10.0), 44_100)
    np.testing.assert_allclose(magnitude, 0, atol=0.01)


@pytest.mark.parametrize(
    ("rate", "switch", "peak_reduction", "reduction"),  # steady state of the published curves, right to 0.2 dB
    [
        (44_100, 0, 50, (0, 0, 0, 0, 0, 0.1, 0.7, 2.4, 5.0, 8.1, 11.5)),
        (48_000, 0, 90, (0, 0, 0.2, 1.0, 2.9, 5.7, 8.9, 12.3, 15.8, 19.4, 23.0)),
        (96_000, 1, 70, (0, 0, 0, 0, 0.1, 0.6, 2.4, 5.6, 9.5, 13.8, 18.1)),
    ],
)
def test_static_curves_of_the_la2a(rate: int, switch: int, peak_reduction: float, reduction: tuple[float, ...]) -> None:
    levels = (-60, -50, -40, -35, -30, -25, -20, -15, -10, -5, 0)
    curve = static_curve(la2a_at(rate, seed=None)(switch, peak_reduction), rate, levels)
    np.testing.assert_allclose(np.array(levels) - curve, reduction, atol=0.2)


def test_distortion_of_the_la2a_is_that_of_its_tube() -> None:
    """Taylor series of tanh(0.205·v + 0.0586): 0.6 % of the second harmonic and 0.35 % of the third at full scale."""
    thd, _ = harmonic_distortion(la2a_at(44_100, seed=None)(0, 0), 44_100, (-6.0, 0.0))
    v = 10 ** (np.array([-6.0, 0.0]) / 20)
    expected = 100 * np.hypot(0.205 * np.tanh(0.0586) / 2 * v, 0.205**2 / 12 * v**2)
    np.testing.assert_allclose(thd, expected, rtol=0.05)


def test_silence_has_the_level_of_the_floor_and_no_distortion() -> None:
    np.testing.assert_array_equal(static_curve(silent, 44_100), -200.0)
    thd, relative = harmonic_distortion(silent, 44_100)
    assert np.isnan(thd).all()
    assert np.isnan(relative).all()
    np.testing.assert_array_equal(frequency_response(silent, 44_100)[1], -200.0)


@pytest.mark.parametrize("frequency", [0.0, 5.0, 30_000.0])
def test_a_tone_that_does_not_fit_is_refused(frequency: float) -> None:
    with pytest.raises(ValueError, match=f"{frequency} Hz does not fit 4410 samples at 44100 Hz"):
        static_curve(identity, 44_100, frequency=frequency)


def test_the_steps_last_as_long_as_their_timing_says() -> None:
    lengths = []

    def device(x: Array) -> Array:
        lengths.append(len(x))
        return x

    static_curve(device, 48_000, (-20.0, -10.0, 0.0), timing=Timing(0.4, 0.05, 0.1))
    assert lengths == [3 * round(0.55 * 48_000)]


def test_the_test_tone_has_no_clicks() -> None:
    signals = []

    def device(x: Array) -> Array:
        signals.append(x)
        return x

    static_curve(device, 44_100, (-60.0, 0.0))
    spectrum = np.abs(np.fft.rfft(signals[0] * np.hanning(len(signals[0]))))
    frequencies = np.fft.rfftfreq(len(signals[0]), 1 / 44_100)
    assert 20 * np.log10(spectrum[frequencies > 8000].max() / spectrum.max()) < -90
