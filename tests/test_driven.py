"""All figures of a device at several settings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from devices_under_test import Array, identity, silent, slow_compressor

from scripts.measure.devices import Device, la2a_at
from scripts.measure.driven import measure

RATE = 44_100


def compressor_at(switch: int, peak_reduction: float) -> Device:
    """Ratio 4, or 10 in Limit; the threshold falls from 0 to −40 dBFS."""
    return slow_compressor(RATE, -0.4 * peak_reduction, 10 if switch else 4, 0.01, 0.1)


def test_each_setting_is_measured_at_that_setting() -> None:
    measurement = measure(compressor_at, [(0, 50), (1, 75)], RATE)
    assert [(s.switch, s.peak_reduction) for s in measurement.settings] == [(0, 50), (1, 75)]
    for setting, threshold, ratio in zip(measurement.settings, (-20, -30), (4, 10), strict=True):
        over = np.maximum(measurement.input_db - threshold, 0)
        np.testing.assert_allclose(setting.output_db, measurement.input_db - over * (1 - 1 / ratio), atol=0.05)
        assert setting.attack_ms == pytest.approx(10 * math.log((-5 - threshold) * (1 - 1 / ratio)), abs=1)
        assert setting.release_ms == pytest.approx(100 * math.log(2), abs=1)
        np.testing.assert_allclose(setting.response_db, 0, atol=0.05)
        assert np.all(setting.thd_percent < 0.5)


def test_the_axes_belong_to_the_curves() -> None:
    measurement = measure(lambda switch, peak_reduction: identity, [(0, 50)], RATE, levels_db=(-30, -20, 0))
    setting = measurement.settings[0]
    np.testing.assert_array_equal(measurement.input_db, (-30, -20, 0))
    assert setting.output_db.shape == setting.thd_percent.shape == (3,)
    assert setting.harmonics_dbc.shape == (3, 9)
    assert setting.gain_db.shape == measurement.times.shape
    assert setting.response_db.shape == measurement.frequencies.shape
    assert (measurement.step_down, measurement.step_db) == (1.0, (-40.0, -5.0))


def test_a_device_processes_12_seconds_of_audio_for_a_setting() -> None:
    seconds = []

    def device(x: Array) -> Array:
        seconds.append(len(x) / RATE)
        return x

    measure(lambda switch, peak_reduction: device, [(0, 50), (0, 90)], RATE)
    assert sum(seconds) == pytest.approx(2 * 12.1, abs=0.01)


@pytest.mark.parametrize(("device", "output"), [(identity, [-20.0, 0.0]), (silent, [-200.0, -200.0])])
def test_a_device_that_does_not_compress_has_levels_and_no_attack(device: Device, output: list[float]) -> None:
    measurement = measure(lambda switch, peak_reduction: device, [(0, 50)], RATE, levels_db=(-20, 0))
    assert measurement.input_db.tolist() == [-20.0, 0.0]
    assert measurement.settings[0].output_db == pytest.approx(output, abs=1e-6)
    assert np.isnan(measurement.settings[0].attack_ms)


def test_more_peak_reduction_of_the_la2a_reduces_more_and_limit_more_than_compress() -> None:
    measurement = measure(la2a_at(RATE), [(0, 40), (0, 60), (0, 90), (1, 90)], RATE)
    loudest = [setting.output_db[-1] for setting in measurement.settings]
    assert loudest == sorted(loudest, reverse=True)
    np.testing.assert_allclose(loudest, (-10.0, -12.6, -23.0, -28.6), atol=0.2)  # the published curves


def test_no_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one setting"):
        measure(compressor_at, [], RATE)
