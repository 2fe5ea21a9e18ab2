"""Searches for a signal, a level or a set of options for which a loss breaks its rules."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from auraloss.base import Loss
from auraloss.freq import (
    ChromaSTFTLoss,
    MelSTFTLoss,
    MultiResolutionSTFTLoss,
    RandomResolutionSTFTLoss,
    STFTLoss,
)
from auraloss.perceptual import FIRFilter, PreEmphasis
from auraloss.time import (
    DCLoss,
    ESRLoss,
    L1Loss,
    LogCoshLoss,
    MSELoss,
    SDSDRLoss,
    SISDRLoss,
    SNRLoss,
)
from tests.loss_calls import everywhere

# The same examples in every run, none kept on the disk.
search = settings(derandomize=True, database=None, deadline=None)
few = settings(search, max_examples=25)
many = settings(search, max_examples=50)

# Signals.

LEVELS = [1e-9, 1e-7, 1e-5, 1e-3, 0.1, 1.0, 30.0, 1e4]
KINDS = ["noise", "silence", "constant", "impulse", "tone", "square", "ramp", "denormal", "sparse", "quiet tail"]


def waveform(kind: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """One kind of signal, float64, of magnitude 1 at most (noise: more or less)."""
    generator = torch.Generator().manual_seed(seed)
    samples = torch.arange(shape[-1], dtype=torch.float64)
    noise = 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    drawn = torch.rand((*shape[:-1], 1), generator=generator, dtype=torch.float64)
    made: dict[str, Tensor] = {
        "noise": noise,
        "silence": torch.zeros(shape, dtype=torch.float64),
        "constant": (2 * drawn - 1).expand(shape),
        "impulse": (samples == (drawn * shape[-1]).floor()).double(),
        "tone": torch.sin(math.pi * drawn * samples),
        "square": torch.where(samples % 2 == 0, 1.0, -1.0).expand(shape) * drawn,
        "ramp": (samples / shape[-1] * drawn).expand(shape),
        "denormal": 1e-40 * noise,
        "sparse": noise * (torch.rand(shape, generator=generator) < 0.02),
        "quiet tail": noise * torch.where(samples < 0.1 * shape[-1], 1.0, 1e-7),
    }
    return made[kind].clone()


def noise_of(seed: int) -> Tensor:
    return waveform("noise", (2, 1, 200), seed)


kinds, levels, seeds = st.sampled_from(KINDS), st.sampled_from(LEVELS), st.integers(0, 2**16)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(65, 200))
dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


@st.composite
def pairs(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> tuple[Tensor, Tensor]:
    """Input and target of any kinds and levels, or the input a damaged copy of the target; float64."""
    size = draw(shapes) if shape is None else shape
    target = draw(levels) * waveform(draw(kinds), size, draw(seeds))
    other = draw(levels) * waveform(draw(kinds), size, draw(seeds))
    match draw(st.sampled_from(["unlike", "added", "gain", "shift", "equal", "polarity"])):
        case "added":
            return target + other, target
        case "gain":
            # At most 5.2e4, which float16 still holds.
            return draw(st.sampled_from([0.0, 1e-6, 0.5, 1 + 1e-6, 4.0])) * target, target
        case "shift":
            return target.roll(draw(st.integers(1, 40)), -1), target
        case "equal":
            return target.clone(), target
        case "polarity":
            return -target, target
    return other, target


# Losses.

REDUCTIONS = ["mean", "sum", "none"]
WINDOWS = ["hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window", "boxcar", "nuttall"]
weights = st.sampled_from([0.0, 0.1, 1.0, 5.0])
sample_rates = st.sampled_from([8000, 44100, 48000])
filters = st.builds(
    FIRFilter, st.sampled_from(["hp", "fd", "aw"]), coef=st.floats(0.0, 1.0), fs=sample_rates, ntaps=st.just(101)
)
waveform_losses = st.one_of(
    st.builds(L1Loss),
    st.builds(MSELoss),
    st.builds(ESRLoss, eps=st.sampled_from([0.0, 1e-8, 1e-4]), floor_db=st.sampled_from([-120.0, -90.0, -60.0])),
    st.builds(DCLoss, eps=st.sampled_from([0.0, 1e-8, 1e-4]), floor_db=st.sampled_from([-120.0, -90.0, -60.0])),
    st.builds(LogCoshLoss, a=st.floats(0.01, 1e4)),
)
decibel_losses = st.one_of(
    st.builds(kind, zero_mean=st.booleans(), eps=st.sampled_from([1e-8, 1e-4]))
    for kind in (SNRLoss, SISDRLoss, SDSDRLoss)
)


@st.composite
def stft_options(draw: st.DrawFn, **fixed: Any) -> dict[str, Any]:
    """Arguments of any `STFTLoss` but its resolution."""
    terms = {name: fixed.get(name, draw(weights)) for name in ("w_sc", "w_log_mag", "w_lin_mag", "w_phs")}
    if not any(terms.values()):
        terms["w_sc"] = 1.0
    log_eps = draw(st.sampled_from([0.0, 1e-5, 1.0]))
    return {
        **terms,
        "sample_rate": draw(sample_rates),
        "perceptual_weighting": draw(st.booleans()),
        "scale_invariance": draw(st.booleans()),
        "eps": draw(st.sampled_from([1e-12, 1e-8, 1e-5, 1e-2])),
        "mag_distance": draw(st.sampled_from(["L1", "L2"])),
        "log_eps": log_eps,
        "log_fac": draw(st.sampled_from([1.0, 10.0, 1e3])),
    } | fixed


@st.composite
def resolutions(draw: st.DrawFn) -> tuple[int, int, int]:
    """FFT size (also odd ones), hop and window length; the shortest signal fits."""
    fft_size = draw(st.one_of(st.sampled_from([16, 32, 64, 128]), st.integers(4, 128)))
    win_length = draw(st.integers(max(4, fft_size // 4), fft_size))
    return fft_size, draw(st.integers(max(1, win_length // 10), win_length)), win_length


@st.composite
def spectral_losses(draw: st.DrawFn, **fixed: Any) -> Loss:
    options = draw(stft_options(**fixed))
    window, bands = draw(st.sampled_from(WINDOWS)), draw(st.integers(1, 80))
    match draw(st.sampled_from(["plain", "mel", "chroma", "multi", "multi mel", "random"])):
        case "mel":
            return MelSTFTLoss(options.pop("sample_rate"), *draw(resolutions()), window, n_mels=bands, **options)
        case "chroma":
            return ChromaSTFTLoss(options.pop("sample_rate"), *draw(resolutions()), window, n_chroma=12, **options)
        case "random":
            seed = draw(seeds)
            return RandomResolutionSTFTLoss(2, 16, 128, windows=[window], randomize_rate=1000, seed=seed, **options)
        case "plain":
            return STFTLoss(*draw(resolutions()), window, **options)
        case scale:
            mel = {"scale": "mel", "n_bins": bands} if scale == "multi mel" else {}
            sizes = zip(*(draw(resolutions()) for _ in range(2)), strict=True)
            return MultiResolutionSTFTLoss(*sizes, window, **options, **mel)


def filtered(losses: st.SearchStrategy[Loss]) -> st.SearchStrategy[Loss]:
    return st.one_of(losses, st.builds(PreEmphasis, filters, losses))


positive_losses = st.one_of(filtered(waveform_losses), spectral_losses())
every_loss = st.one_of(positive_losses, decibel_losses)


# Rules.


@settings(many, max_examples=150)
@given(loss=every_loss, pair=pairs(), dtype=dtypes)
def test_values_and_gradients_are_finite_and_no_loss_but_the_decibels_is_negative(
    loss: Loss, pair: tuple[Tensor, Tensor], dtype: torch.dtype
) -> None:
    input, target = (signal.to(dtype).float().requires_grad_() for signal in pair)
    values = everywhere(loss, reduction="none")(input, target)
    values.mean().backward()
    assert values.isfinite().all()
    assert loss.unit == "dB" or (values >= 0).all()
    for signal in (input, target):
        assert signal.grad is not None
        assert signal.grad.isfinite().all()


@many
@given(loss=st.one_of(filtered(waveform_losses), spectral_losses(scale_invariance=False, w_phs=0.0)), pair=pairs())
def test_equal_signals_cost_nothing_and_pull_nowhere(loss: Loss, pair: tuple[Tensor, Tensor]) -> None:
    for signal in pair:
        input = signal.float().requires_grad_()
        value = loss(input, signal.float())
        value.backward()
        assert value == 0
        assert input.grad is not None
        assert not input.grad.any()


@many
@given(loss=spectral_losses(scale_invariance=True), signal=pairs())
def test_equal_signals_cost_nothing_whatever_the_scale(loss: Loss, signal: tuple[Tensor, Tensor]) -> None:
    # The best gain is 1, and the phases of equal numbers differ by 0, but for rounding; log_fac multiplies that.
    assert loss(signal[1], signal[1].clone()) <= 1e-6


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Items of different kinds and levels side by side."""
    items, channels, samples = draw(shapes)
    input, target = zip(*(draw(pairs(shape=(1, channels, samples))) for _ in range(items + 1)), strict=True)
    return torch.cat(input), torch.cat(target)


@many
@given(loss=every_loss, batch=batches(), data=st.data())
def test_items_count_by_themselves_in_any_order_and_batch(
    loss: Loss, batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    """The mean of a batch is that of its items, their order is that of their values, and however a data set is cut into
    batches, the sums and what is computed from them are the same.
    """
    values = torch.stack([loss(*(signal[i : i + 1] for signal in batch)) for i in range(len(batch[0]))])
    torch.testing.assert_close(loss(*batch), values.mean(), rtol=1e-6, atol=1e-9)
    order = data.draw(st.permutations(range(len(values))))
    shuffled = everywhere(loss, reduction="none")(*(signal[order] for signal in batch))
    torch.testing.assert_close(shuffled.mean(-1), values[order], rtol=1e-6, atol=1e-9)

    cut = data.draw(st.integers(1, len(values) - 1))
    parts = [[signal[:cut] for signal in batch], [signal[cut:] for signal in batch]]
    summed = torch.stack([loss.statistics(*part).reshape(-1, loss.size).sum(0) for part in parts]).sum(0)
    whole = loss.statistics(*batch).reshape(-1, loss.size).sum(0)
    torch.testing.assert_close(summed, whole, rtol=1e-9, atol=1e-12)
    everywhere(loss, pool="batch")
    torch.testing.assert_close(loss(*batch), loss.value(summed), rtol=1e-6, atol=1e-9)


@few
@given(loss=st.one_of(spectral_losses(), filtered(waveform_losses)), pair=pairs())
def test_a_nan_is_never_lost(loss: Loss, pair: tuple[Tensor, Tensor]) -> None:
    for index in (0, 1):
        signals = [signal.clone() for signal in pair]
        signals[index][-1, 0, signals[index].shape[-1] // 2] = math.nan
        assert loss(*signals).isnan()


RATIOS = [ESRLoss(eps=0.0), DCLoss(eps=0.0), PreEmphasis(FIRFilter("hp"), ESRLoss(eps=0.0))]


@few
@given(gain=st.floats(0.01, 100), kind=st.sampled_from(["noise", "tone", "square", "impulse"]), seed=seeds)
@pytest.mark.parametrize("loss", RATIOS, ids=["ESR", "DC", "pre-emphasis"])
def test_ratios_do_not_hear_a_gain_on_both_signals(loss: Loss, gain: float, kind: str, seed: int) -> None:
    target = 0.1 * noise_of(seed) + waveform(kind, (2, 1, 200), seed)  # above the floor of −90 dB at any gain
    input = 0.7 * target + 0.1 * noise_of(seed + 1)
    torch.testing.assert_close(loss(gain * input, gain * target), loss(input, target), rtol=1e-9, atol=1e-12)


@few
@given(gain=st.floats(0.1, 100), sign=st.sampled_from([-1, 1]), seed=seeds, zero_mean=st.booleans())
def test_si_sdr_does_not_hear_the_gain_of_the_input(gain: float, sign: int, seed: int, zero_mean: bool) -> None:
    target = noise_of(seed)
    input = 0.7 * target + 0.1 * noise_of(seed + 1)
    loss = SISDRLoss(zero_mean)
    torch.testing.assert_close(loss(sign * gain * input, target), loss(input, target), rtol=1e-4, atol=1e-3)


@few
@given(gain=st.floats(1e-2, 1e2), seed=seeds)
def test_distances_grow_with_the_gain_as_their_formula_says(gain: float, seed: int) -> None:
    input, target = noise_of(seed), noise_of(seed + 1)
    for loss, power in ((L1Loss(), 1), (MSELoss(), 2)):
        torch.testing.assert_close(loss(gain * input, gain * target), gain**power * loss(input, target))


@few
@given(loss=spectral_losses(w_sc=1.0, w_log_mag=1.0, w_phs=0.0, w_lin_mag=0.0, log_eps=0.0, eps=1e-12), seed=seeds)
def test_magnitudes_know_no_polarity(loss: Loss, seed: int) -> None:
    input, target = noise_of(seed), noise_of(seed + 1)
    torch.testing.assert_close(loss(-input, target), loss(input, target), rtol=1e-5, atol=1e-9)
