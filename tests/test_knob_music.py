"""The error on programme material while the knob moves."""

from __future__ import annotations

import numpy as np
import pytest

from auraloss.freq import MultiResolutionSTFTLoss
from auraloss.time import ESRLoss
from scripts.benchmark.evaluate import shipped_metrics
from scripts.measure import knob_music
from scripts.measure.devices import Array, moved_la2a
from scripts.measure.knob_music import BLOCK, errors, moving, turned

RATE = 44_100
NOISE = 0.2 * np.random.default_rng(0).standard_normal(RATE)


def test_the_knob_goes_up_and_down_in_blocks() -> None:
    knob = moving(RATE)
    assert knob.shape == (RATE,)
    assert len(np.unique(knob[:BLOCK])) == 1
    assert (knob[0], knob.argmax()) == (0, pytest.approx(RATE / 2, abs=BLOCK))
    assert knob.max() == pytest.approx(100, abs=200 * BLOCK / RATE)
    steps = np.diff(knob[::BLOCK])
    np.testing.assert_allclose(np.abs(steps[steps != 0]).max(), 200 * BLOCK / RATE)


def test_a_device_meets_the_knob_and_equal_ones_have_no_error() -> None:
    heard: list[Array] = []

    def device(x: Array, knob: Array) -> Array:
        heard.append(knob)
        return moved_la2a(RATE, 0)(x, knob)

    y = turned(device, NOISE)
    np.testing.assert_array_equal(heard[0], moving(RATE))
    assert errors([y], [y]) == {"ESR": 0, "MR": 0}
    assert errors([NOISE], [y])["ESR"] > 0.1


def test_errors_are_means_over_signals() -> None:
    halves = [np.full(4096, 0.5), np.full(8192, 1.0)]
    assert errors(halves, [np.ones(4096), np.ones(8192)])["ESR"] == pytest.approx(0.125)


def test_the_metrics_are_those_of_the_tables() -> None:
    """Also what they say of a silent target, and to what floor."""
    shipped = shipped_metrics(["standard"])["standard"]
    assert isinstance(knob_music.METRICS["ESR"], ESRLoss)
    assert isinstance(knob_music.METRICS["MR"], MultiResolutionSTFTLoss)
    for name, metric in knob_music.METRICS.items():
        assert vars_of(metric) == vars_of(shipped[name])


def vars_of(metric: object) -> dict[str, object]:
    return {name: value for name, value in vars(metric).items() if isinstance(value, int | float | str | list | tuple)}
