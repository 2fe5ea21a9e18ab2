"""A knob that moves: devices whose steps and noise are known on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from data.la2a import la2a
from models.net import LONGEST_WAY
from models.tcn import TCN
from scripts.measure.devices import Array, Moved, moved_la2a, moved_network, network_at
from scripts.measure.knob_sweep import BLOCK, sweep_of

RATE = 44_100
SLOPE = -0.2  # dB for a position of the knob: 16 dB in all
NOISE = 0.1 * np.random.default_rng(0).standard_normal(5000)


def gain(x: Array, knob: Array) -> Array:
    """Follows the knob at once."""
    return x * 10 ** (SLOPE * (knob - 20) / 20)


def smooth(x: Array, knob: Array) -> Array:
    """The same, through two one-poles of 20 ms."""
    keep = math.exp(-1 / (0.02 * RATE))
    for _ in range(2):
        knob = knob[0] + lfilter([1 - keep], [1, -keep], knob - knob[0])
    return gain(x, knob)


def staircase_db(rate: int, block: int, seconds: float = 1.0) -> float:
    """What lies outside a ramp in steps: a sawtooth, whose RMS is a step over √12."""
    step = 16 / seconds * block / rate * math.log(10) / 20
    return 20 * math.log10(step / math.sqrt(12))


@pytest.mark.parametrize(("rate", "block"), [(RATE, 64), (RATE, 128), (48_000, 64)])
def test_a_gain_that_follows_at_once_has_the_noise_of_a_staircase(rate: int, block: int) -> None:
    assert sweep_of(gain, rate, block=block).zipper_db == pytest.approx(staircase_db(rate, block), abs=0.5)
    assert staircase_db(RATE, 64) == pytest.approx(-62.3, abs=0.1)


def test_a_gain_that_glides_has_no_noise() -> None:
    sweep = sweep_of(smooth, RATE)
    assert sweep.zipper_db < -100
    assert sweep.step_db == pytest.approx(16 / 1000, rel=0.05)
    assert sweep.backwards_db < 1e-3


def test_distortion_that_does_not_move_is_no_zipper_noise() -> None:
    assert sweep_of(lambda x, knob: np.tanh(5 * smooth(x, knob)) + 0.1, RATE).zipper_db < -90


def test_the_gain_over_time_is_that_of_the_knob() -> None:
    sweep = sweep_of(gain, RATE)
    np.testing.assert_allclose(sweep.gain_db, SLOPE * (sweep.knob - 20), atol=0.05)
    assert (sweep.knob[0], sweep.knob.max(), sweep.knob[-1]) == (20, 100, 20)
    np.testing.assert_allclose(np.diff(sweep.times), 1e-3, rtol=0.01)
    assert sweep.times[-1] == pytest.approx(2.9, abs=0.01)


def test_a_jump_is_a_step_and_a_bump_the_wrong_way_is_found_on_both_ways() -> None:
    def jumps(x: Array, knob: Array) -> Array:
        return x * np.where(knob < 60, 1.0, 10**-0.05)

    def bump(x: Array, knob: Array) -> Array:
        """3 dB up from 50 to 60."""
        return smooth(x, knob) * 10 ** (np.interp(knob, [50, 60], [0, 5]) / 20)

    jump = sweep_of(jumps, RATE)
    assert 0.5 <= jump.step_db <= 0.85
    assert jump.backwards_db < 1e-6
    assert jump.zipper_db > -55
    assert sweep_of(bump, RATE).backwards_db == pytest.approx(3, abs=0.2)
    assert sweep_of(lambda x, knob: x / gain(np.ones_like(x), knob), RATE).backwards_db == pytest.approx(16, abs=0.1)


@pytest.mark.parametrize("switch", [0, 1])
def test_the_la2a_glides(switch: int) -> None:
    sweep = sweep_of(moved_la2a(RATE, switch), RATE)
    assert sweep.zipper_db < -80
    assert sweep.step_db < 0.1
    assert sweep.backwards_db < 0.05
    assert sweep.gain_db[0] == pytest.approx(0, abs=0.2)
    reduced = sweep.gain_db[(sweep.times > 1.7) & (sweep.times < 1.8)].mean()
    assert reduced == pytest.approx(-23.0 if switch else -18.5, abs=0.5)  # the published curves


def moving(samples: int = len(NOISE)) -> Array:
    return np.repeat(np.linspace(20, 100, -(-samples // BLOCK)), BLOCK)[:samples]


def small_net(causal: bool) -> TCN:
    torch.manual_seed(0)
    net = TCN(blocks=3, kernel_size=5, channels=4, causal=causal)
    with torch.no_grad():
        for parameter in net.parameters():  # a new one is the identity
            parameter += 0.1 * torch.randn(parameter.shape)
    return net.eval()


@pytest.mark.parametrize("causal", [False, True])
def test_a_network_with_a_knob_that_stays_is_the_network_at_that_setting(causal: bool) -> None:
    net = small_net(causal)
    expected = network_at(net)(1, 60)(NOISE)
    moved = moved_network(net, 1)
    for _ in range(2):  # the first does not change the second
        np.testing.assert_allclose(moved(NOISE, np.full(len(NOISE), 60.0)), expected, atol=1e-6)
    moved(NOISE, moving())


def test_a_network_meets_the_knob_where_it_changes() -> None:
    net = small_net(causal=True)
    knob = np.where(np.arange(len(NOISE)) < 2000, 20.0, 90.0)
    y, device = moved_network(net, 0)(NOISE, knob), network_at(net)
    before, after = 2000, 2000 + LONGEST_WAY + net.receptive_field
    np.testing.assert_allclose(y[:before], device(0, 20)(NOISE)[:before], atol=1e-6)
    np.testing.assert_allclose(y[after:], device(0, 90)(NOISE)[after:], atol=1e-6)
    assert np.abs(y[before : before + 64] - device(0, 20)(NOISE)[before : before + 64]).max() > 1e-4


def test_the_moved_la2a_is_the_one_of_the_data_set_without_noise() -> None:
    moved: Moved = moved_la2a(48_000, 1)
    np.testing.assert_array_equal(moved(NOISE, np.full(len(NOISE), 70.0)), la2a(NOISE, 70, 1, 48_000, seed=None))


def test_a_knob_that_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="from a lower to a higher peak reduction, 0 … 100, got 90 and 20"):
        sweep_of(gain, RATE, (90, 20))
