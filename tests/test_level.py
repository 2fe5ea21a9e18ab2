"""Losses of level over time: answers on paper, independent computations, meters."""

import math
from collections.abc import Callable

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import torch
from numpy.typing import NDArray
from torch import Tensor

from auraloss.level import CumulativeEnergyLoss, GainReductionLoss, LoudnessLoss

Audio = NDArray[np.float64]
HALF_DB = 20 * math.log10(2)  # 6.02


def noise(*shape: int, seed: int = 0, level: float = 0.1) -> Tensor:
    return level * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def swell(samples: int) -> Tensor:
    """From −90 to 0 dB."""
    return 10 ** (torch.linspace(-90, 0, samples, dtype=torch.float64) / 20)


# Gain reduction


@pytest.mark.parametrize("samples", [8820, 9000, 1000])
def test_gain_reduction_is_that_of_an_independent_computation(samples: int) -> None:
    target = noise(samples) * swell(samples)
    input = target * (1 + 0.5 * torch.sin(torch.arange(samples) / 900))
    errors = []
    starts = range(0, samples - 2 * 441 + 1, 441)
    for start in starts:
        end = start + 882 if start < starts[-1] else samples
        levels = [10 * math.log10(2 * np.mean(s.numpy()[start:end] ** 2)) for s in (input, target)]
        if levels[1] > -60:
            errors.append(abs(max(levels[0], -60) - levels[1]))
    assert 0 < len(errors) < len(starts) or samples == 1000
    assert GainReductionLoss(44_100)(input, target).item() == pytest.approx(np.mean(errors or [0]), rel=1e-9)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_half_the_level_is_six_decibels_of_either_sign(rate: int) -> None:
    target = noise(2, 1, 8820)
    for gain in (0.5, -0.5, 2):
        assert GainReductionLoss(rate)(gain * target, target).item() == pytest.approx(HALF_DB)


def test_a_target_without_a_frame_above_the_floor_has_no_weight() -> None:
    target = noise(2, 1, 4410)
    target[1] = 0
    input = 0.5 * noise(2, 1, 4410)
    assert GainReductionLoss(44_100, reduction="none")(input, target).flatten().tolist() == pytest.approx([HALF_DB, 0])
    assert GainReductionLoss(44_100, pool="batch")(input, target).item() == pytest.approx(HALF_DB)


def test_silence_in_place_of_sound_is_at_the_floor() -> None:
    """Noise at −17 dBFS."""
    loss = GainReductionLoss(44_100)(torch.zeros(1, 1, 4410), noise(1, 1, 4410))
    assert loss.item() == pytest.approx(60 - 20 + 3, abs=0.5)


def test_the_gradient_turns_the_gain_to_the_targets() -> None:
    sound = noise(4410).float()
    target = sound * torch.linspace(1, 0.1, 4410)
    gain = torch.ones(10, requires_grad=True)
    optimizer = torch.optim.Adam([gain], lr=0.05)
    loss = GainReductionLoss(44_100).bind(target)
    for _ in range(60):
        optimizer.zero_grad()
        envelope = torch.nn.functional.interpolate(gain[None, None], 4410, mode="linear")[0, 0]
        error = loss(sound * envelope)
        assert isinstance(error, Tensor)
        error.backward()
        optimizer.step()
    assert error < 0.5


# Loudness


def lufs(signal: Audio) -> float:
    """BS.1770-4 of `(channels, samples)` at 48 kHz, with the standard's own coefficients."""
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585])
    highpass = ([1.0, -2.0, 1.0], [1, -1.99004745483398, 0.99007225036621])
    weighted = scipy.signal.lfilter(*highpass, scipy.signal.lfilter(*shelf, signal))
    blocks = np.lib.stride_tricks.sliding_window_view(weighted, 19_200, axis=-1)[:, ::4_800]
    powers = np.array([1, 1, 1, 1.41, 1.41])[: len(signal)] @ np.square(blocks).mean(-1)
    loudness = -0.691 + 10 * np.log10(powers)
    relative = -0.691 + 10 * math.log10(powers[loudness > -70].mean()) - 10
    return float(-0.691 + 10 * math.log10(powers[(loudness > -70) & (loudness > relative)].mean()))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_loudness_is_that_of_the_standard(channels: int) -> None:
    signal = noise(channels, 60_000)
    signal[:, 20_000:40_000] *= 0.05  # below the relative gate
    signal[:, 40_000:] *= 1e-4  # below the absolute one
    loudness = LoudnessLoss(48_000).loudness(signal)
    assert loudness.shape == (1,)
    assert loudness.item() == pytest.approx(lufs(signal.numpy()), abs=1e-6)
    assert LoudnessLoss(48_000).loudness(signal.float()).item() == pytest.approx(loudness.item(), abs=1e-4)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
def test_a_sine_of_full_scale_has_minus_3_lufs(rate: int) -> None:
    """EBU Tech 3341, which allows ±0.1; pyloudnorm, whose filters differ a little, agrees as far."""
    tone = torch.sin(2 * math.pi * 997 / rate * torch.arange(rate, dtype=torch.float64))
    loudness = LoudnessLoss(rate).loudness(tone).item()
    assert loudness == pytest.approx(-3.01, abs=0.04)
    assert loudness == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(tone.numpy()), abs=0.1)


def test_silence_is_at_the_gate_and_half_the_level_is_six_units() -> None:
    input, silence = noise(2, 2, 30_000), torch.zeros(2, 2, 30_000, dtype=torch.float64)
    for x, y in ((input, silence), (silence, input)):
        expected = np.mean([LoudnessLoss(44_100).loudness(item).item() + 70 for item in input])
        assert LoudnessLoss(44_100)(x, y).item() == pytest.approx(expected)
    assert LoudnessLoss(44_100)(0.5 * input, input).item() == pytest.approx(HALF_DB, abs=1e-3)


def test_channels_of_one_item_are_one_loudness() -> None:
    """Two equal channels are 3 dB louder than one beside silence."""
    target = noise(1, 1, 44_100).repeat(1, 2, 1)
    input = target.clone()
    input[:, 1] = 0
    assert LoudnessLoss(44_100)(input, target).item() == pytest.approx(10 * math.log10(2), abs=1e-4)


def test_less_than_a_block_is_one_block() -> None:
    short = noise(1, 1, 5000)
    assert LoudnessLoss(44_100)(0.5 * short, short).item() == pytest.approx(HALF_DB, abs=1e-6)


# Cumulative energy


def test_cumulative_energy_is_that_of_an_independent_computation() -> None:
    input, target = noise(2, 1, 500), noise(2, 1, 500, seed=1)
    x, y = (np.cumsum(signal.numpy() ** 2, axis=-1) for signal in (input, target))
    expected = (np.abs(x - y).mean(-1) / y[..., -1]).mean()
    assert CumulativeEnergyLoss()(input, target).item() == pytest.approx(expected, rel=1e-9)
    repeated = CumulativeEnergyLoss(pool="batch")(input[:1].repeat(3, 1, 1), target[:1].repeat(3, 1, 1))
    assert repeated.item() == pytest.approx(CumulativeEnergyLoss()(input[:1], target[:1]).item())


def test_the_farther_a_burst_the_more_it_costs() -> None:
    def burst(start: int) -> Tensor:
        return torch.nn.functional.pad(noise(100), (start, 2900 - start))

    costs = [CumulativeEnergyLoss()(burst(start), burst(0)).item() for start in range(0, 2900, 100)]
    assert np.diff(costs) == pytest.approx(100 / 3000, rel=1e-6)


# What cannot be measured


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GainReductionLoss(0), "GainReductionLoss: sample_rate=0 must be a number of Hz above 0"),
        (lambda: GainReductionLoss(44_100, hop=0.0), r"hop=0\.0 must be a positive number of seconds"),
        (lambda: GainReductionLoss(44_100)(torch.ones(881), torch.ones(881)), "a frame has 882 samples, got 881"),
        (lambda: LoudnessLoss(3000), "LoudnessLoss: sample_rate=3000 must be a number of Hz above 3364"),
        (lambda: LoudnessLoss(44_100)(torch.ones(1, 6, 9), torch.ones(1, 6, 9)), r"1 to 5 channels.*\(1, 6, 9\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
