"""Presets mean the same at every sample rate, and at 44.1 kHz the defaults of the classes."""

import math
from collections.abc import Callable

import pytest
import torch

from auraloss import presets
from auraloss.base import Loss
from auraloss.freq import MultiResolutionSTFTLoss, RandomResolutionSTFTLoss, STFTLoss

RATES = [8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]
LOSSES = [
    presets.stft,
    presets.multi_resolution_stft,
    presets.multi_resolution_mel,
    lambda rate: presets.random_resolution_stft(rate, seed=0).draw(0, rate),
]


def test_at_44100_hz_they_are_the_defaults() -> None:
    rate = {"sample_rate": 44_100}
    assert repr(presets.stft(44_100)) == repr(STFTLoss(**rate))
    assert repr(presets.multi_resolution_stft(44_100)) == repr(MultiResolutionSTFTLoss(**rate))
    assert repr(presets.random_resolution_stft(44_100)) == repr(RandomResolutionSTFTLoss(**rate))
    assert presets.pre_emphasis(44_100).coef == 0.85


@pytest.mark.parametrize("rate", RATES)
def test_windows_last_the_same_at_every_rate(rate: int) -> None:
    loss = presets.multi_resolution_stft(rate)
    for length, seconds in zip(loss.win_lengths, (600 / 44_100, 1200 / 44_100, 240 / 44_100), strict=True):
        assert length / rate == pytest.approx(seconds, abs=0.5 / rate)
    for fft_size, length in zip(loss.fft_sizes, loss.win_lengths, strict=True):
        assert 1.5 * length <= fft_size < 3 * length
    assert 0.5 < presets.random_resolution_stft(rate).max_fft_size / rate < 1.1


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("make", LOSSES)
def test_a_preset_scores_a_second_of_audio(make: Callable[[int], Loss], rate: int) -> None:
    generator = torch.Generator().manual_seed(0)
    input, target = 0.1 * torch.randn(2, 1, 1, rate, generator=generator)
    value = make(rate)(input.requires_grad_(), target)
    value.backward()
    assert value > 0
    assert input.grad is not None
    assert input.grad.isfinite().all()


@pytest.mark.parametrize("rate", RATES)
def test_the_pre_emphasis_has_its_corner_at_one_frequency(rate: int) -> None:
    """The zero at z = coef is the one at s = rate·ln(coef)."""
    assert rate * math.log(presets.pre_emphasis(rate).coef) == pytest.approx(44_100 * math.log(0.85))


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize(
    "make", [presets.stft, presets.multi_resolution_stft, presets.random_resolution_stft, presets.pre_emphasis]
)
def test_a_rate_that_is_none_is_refused(make: Callable[[float], object], rate: float) -> None:
    with pytest.raises(ValueError, match=f"sample_rate={rate} must be a positive number of Hz"):
        make(rate)
