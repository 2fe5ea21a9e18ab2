"""Spectral losses against NumPy in float64, term by term."""

from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from numpy.typing import NDArray
from torch import Tensor

from auraloss.filterbank import mel_filterbank
from auraloss.freq import (
    MelSTFTLoss,
    MultiResolutionSTFTLoss,
    SpectralConvergenceLoss,
    STFTLoss,
    STFTMagnitudeLoss,
    SumAndDifferenceSTFTLoss,
)
from auraloss.perceptual import FIRFilter

Array = NDArray[np.float64]


def transform(signal: Array, fft_size: int, hop: int, length: int, window: Any = "hann") -> Array:
    """Reflected at both ends, framed, windowed in the middle of the frame, transformed: `(frames, bins)`."""
    padded = np.pad(signal, fft_size // 2, mode="reflect")
    taper = np.zeros(fft_size)
    start = (fft_size - length) // 2
    taper[start : start + length] = scipy.signal.get_window(window, length)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop]
    return np.fft.rfft(frames * taper)


def stft_loss(x: Array, y: Array, *resolution: Any, eps: float = 1e-8) -> float:
    magnitude = (np.sqrt(np.maximum(np.abs(transform(s, *resolution)) ** 2, eps)) for s in (x, y))
    x_mag, y_mag = magnitude
    convergence = np.sqrt(((y_mag - x_mag) ** 2).sum() / (y_mag**2).sum())
    return float(convergence + np.abs(np.log(y_mag) - np.log(x_mag)).mean())


def noise(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = 0.3 * torch.randn(shape, generator=generator)
    return 0.8 * target + 0.1 * torch.randn(shape, generator=generator), target


RESOLUTIONS = [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)]


@pytest.mark.parametrize("eps", [1e-8, 1e-7, 1.0])
def test_stft_loss_against_numpy(eps: float) -> None:
    input, target = noise(2, 2, 6000)
    x, y = input.double().numpy(), target.double().numpy()
    values = STFTLoss(1024, 256, 1024, eps=eps, reduction="none")(input, target)
    expected = [[stft_loss(x[i, c], y[i, c], 1024, 256, 1024, eps=eps) for c in range(2)] for i in range(2)]
    np.testing.assert_allclose(values.numpy(), expected, rtol=2e-6)


def test_multi_resolution_against_numpy() -> None:
    input, target = noise(2, 1, 6000)
    x, y = input.double().numpy(), target.double().numpy()
    loss, *terms = MultiResolutionSTFTLoss(output="full")(input, target)
    expected = np.mean([[stft_loss(x[i, 0], y[i, 0], *r) for r in RESOLUTIONS] for i in range(2)])
    assert loss.item() == pytest.approx(expected, rel=2e-6)
    assert [len(term) for term in terms] == [3, 3, 3, 3]
    torch.testing.assert_close(sum(terms[0]) / 3 + sum(terms[1]) / 3, loss)


@pytest.mark.parametrize("distance", ["L1", "L2"])
@pytest.mark.parametrize(("log_eps", "log_fac"), [(0.0, 1.0), (0.0, 10.0), (1.0, 10.0)])
def test_magnitude_terms_against_numpy(distance: str, log_eps: float, log_fac: float) -> None:
    input, target = noise(1, 1, 6000)
    x_mag, y_mag = (np.abs(transform(s[0, 0].double().numpy(), 512, 100, 300)) for s in (input, target))
    order = {"L1": 1, "L2": 2}[distance]
    log = (np.abs(np.log(log_fac * y_mag + log_eps) - np.log(log_fac * x_mag + log_eps)) ** order).mean()
    linear = (np.abs(y_mag - x_mag) ** order).mean()
    loss = STFTLoss(
        512,
        100,
        300,
        w_sc=0.0,
        w_log_mag=0.5,
        w_lin_mag=2.0,
        mag_distance=distance,
        log_eps=log_eps,
        log_fac=log_fac,
        output="full",
    )
    value, _, log_term, linear_term, _ = loss(input, target)
    np.testing.assert_allclose([value, log_term, linear_term], [0.5 * log + 2 * linear, log, linear], rtol=5e-6)


def test_parts_on_magnitudes() -> None:
    x, y = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)) + 0.1
    convergence = SpectralConvergenceLoss(reduction="none")(x, y)
    torch.testing.assert_close(convergence, torch.linalg.matrix_norm(y - x) / torch.linalg.matrix_norm(y))
    assert convergence.shape == (3,)
    pooled = SpectralConvergenceLoss(pool="batch")(x, y)
    torch.testing.assert_close(pooled, (y - x).norm() / y.norm())
    torch.testing.assert_close(STFTMagnitudeLoss()(x, y), (x.log() - y.log()).abs().mean())
    torch.testing.assert_close(STFTMagnitudeLoss(log=False, distance="L2")(x, y), (x - y).square().mean())


def test_phase_is_wrapped_and_reduced() -> None:
    input, target = noise(2, 1, 6000)
    options: dict[str, Any] = {"w_sc": 0.0, "w_log_mag": 0.0, "w_phs": 1.0, "reduction": "none"}
    expected = []
    for x, y in zip(input.double().numpy(), target.double().numpy(), strict=True):
        difference = np.angle(transform(y[0], 1024, 256, 1024)) - np.angle(transform(x[0], 1024, 256, 1024))
        assert np.abs(difference).max() > 6
        wrapped = (difference + np.pi) % (2 * np.pi) - np.pi
        expected.append([(wrapped**2).mean()])
    # Bins at 0 Hz and at half the sample rate are real: the difference of opposite signs is +π or −π.
    np.testing.assert_allclose(STFTLoss(**options)(input, target).numpy(), expected, rtol=1e-5)
    assert not STFTLoss(**options, eps=1e9)(input, target).any()


def test_scale_invariance_in_a_batch() -> None:
    input, target = noise(3, 2, 6000)
    loss = STFTLoss(scale_invariance=True, reduction="none")
    gains = torch.tensor([0.1, 1.0, 7.0])[:, None, None]
    torch.testing.assert_close(loss(input, gains * target), loss(input, target), rtol=1e-4, atol=0)
    assert (loss(gains * target, target) < 1e-4).all()


def test_perceptual_weighting_is_the_loss_of_the_filtered_signals() -> None:
    signals = noise(1, 2, 6000)
    filtered = FIRFilter("aw", fs=48000)(*signals)
    options: dict[str, Any] = {"perceptual_weighting": True, "sample_rate": 48000}
    for kind in (STFTLoss, MultiResolutionSTFTLoss):
        torch.testing.assert_close(kind(**options)(*signals), kind()(*filtered))


def test_mel_loss_against_numpy() -> None:
    input, target = noise(1, 1, 6000)
    bands = mel_filterbank(44100, 1024, 40).double().numpy()
    assert bands.shape == (40, 513)
    x, y = (bands @ np.abs(transform(s[0, 0].double().numpy(), 1024, 256, 1024)).T for s in (input, target))
    expected = np.sqrt(((y - x) ** 2).sum() / (y**2).sum()) + np.abs(np.log(y) - np.log(x)).mean()
    assert MelSTFTLoss(44100, n_mels=40)(input, target).item() == pytest.approx(expected, rel=5e-6)


def test_mean_over_bands_does_not_depend_on_the_other_terms() -> None:
    signals = noise(1, 1, 6000)
    keywords: dict[str, Any] = {"n_mels": 40, "w_lin_mag": 1.0, "w_phs": 1.0, "output": "full"}
    everything = MelSTFTLoss(44100, **keywords)(*signals)
    alone = MelSTFTLoss(44100, **keywords, w_sc=0.0, w_log_mag=0.0)(*signals)
    torch.testing.assert_close(alone[3:], everything[3:])


@pytest.mark.parametrize("window", ["kaiser_window", "blackmanharris", "hann_window"])
def test_windows_are_float32_buffers(window: str) -> None:
    loss = MultiResolutionSTFTLoss(window=window)
    buffers = loss.state_dict()
    assert [len(buffer) for buffer in buffers.values()] == [600, 1200, 240]
    input, target = noise(1, 1, 6000)
    assert loss(input, target).dtype == torch.float32
    assert loss(input.double(), target.double()).dtype == torch.float64
    for cast in (loss.double(), loss.to(torch.bfloat16)):
        assert {buffer.dtype for buffer in cast.buffers()} == {torch.float32}
    torch.testing.assert_close(STFTLoss(window="hann")(input, target), STFTLoss(window="hann_window")(input, target))


@pytest.mark.parametrize("window", ["flattop", ("kaiser", 8.0), ("tukey", 0.3)])
def test_windows_of_scipy_against_numpy(window: Any) -> None:
    input, target = noise(1, 1, 6000)
    expected = stft_loss(*(s[0, 0].double().numpy() for s in (input, target)), 512, 100, 301, window)
    one = STFTLoss(512, 100, 301, window)(input, target).item()
    of_two = MultiResolutionSTFTLoss([512, 512], [100, 100], [301, 301], [window, window])(input, target).item()
    shared = MultiResolutionSTFTLoss([512, 512], [100, 100], [301, 301], window)(input, target).item()
    assert [one, of_two, shared] == pytest.approx(3 * [expected], rel=5e-6)


def test_a_loss_made_in_inference_mode_trains_later() -> None:
    def make() -> list[STFTLoss]:
        aw = {"perceptual_weighting": True, "sample_rate": 44100}
        return [STFTLoss(64, 16, 62), STFTLoss(64, 16, 61, **aw), MelSTFTLoss(44100, 64, 16, 62, n_mels=3)]

    with torch.inference_mode():
        made = make()
    for loss in made + make():
        input, target = noise(1, 1, 500)
        loss(input.requires_grad_(), target).backward()
        assert input.grad is not None


def test_sum_and_difference() -> None:
    input, target = noise(2, 2, 6000)
    mrstft = MultiResolutionSTFTLoss()
    of_sum = mrstft(input[:, :1] + input[:, 1:], target[:, :1] + target[:, 1:])
    of_difference = mrstft(input[:, :1] - input[:, 1:], target[:, :1] - target[:, 1:])
    result = SumAndDifferenceSTFTLoss(w_sum=2.0, w_diff=0.5, output="full")(input, target)
    torch.testing.assert_close(result, ((2 * of_sum + 0.5 * of_difference) / 2, of_sum, of_difference))
