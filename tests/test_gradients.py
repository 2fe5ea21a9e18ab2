"""The backward passes that are written out, against autograd of the plain formulas and against finite differences."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from auraloss.base import Loss
from auraloss.filterbank import chroma_filterbank, mel_filterbank
from auraloss.freq import MultiResolutionSTFTLoss, STFTLoss
from auraloss.magnitude import Distances
from auraloss.perceptual import FIRFilter
from auraloss.spectrum import make_window, overlap_add, spectrum
from auraloss.time import ESRLoss, LogCoshLoss, SISDRLoss, SNRLoss

EPS = 1e-8


def noise(samples: int, rows: int = 2, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    target = 0.1 * torch.randn(rows, 1, samples, generator=generator, dtype=torch.float64)
    input = 0.8 * target + 0.02 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    return input.to(dtype), target.to(dtype)


def plain_stft_loss(
    x: Tensor,
    y: Tensor,
    fft_size: int = 1024,
    hop_size: int = 256,
    win_length: int = 1024,
    window: str = "hann_window",
    weights: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0),
    squared: bool = False,
    log_eps: float = 0.0,
    log_fac: float = 1.0,
    bank: Tensor | None = None,
    scale_invariance: bool = False,
) -> Tensor:
    """The formula of `STFTLoss`, step by step with `torch.stft`."""
    taper = make_window(window, win_length).to(x)
    spectra = [torch.stft(s.flatten(0, 1), fft_size, hop_size, win_length, taper, return_complex=True) for s in (x, y)]
    x_mag, y_mag = ((s.real.square() + s.imag.square()).clamp(min=EPS).sqrt() for s in spectra)
    if bank is not None:
        x_mag, y_mag = bank.to(x) @ x_mag, bank.to(x) @ y_mag
    if scale_invariance:
        y_mag = y_mag * (x_mag * y_mag).sum((-2, -1), True) / y_mag.square().sum((-2, -1), True)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b).square() if squared else (a - b).abs()).mean()

    norms = ((x_mag - y_mag).square().sum((-2, -1)) / y_mag.square().sum((-2, -1))).sqrt()
    log = distance((log_fac * x_mag + log_eps).log(), (log_fac * y_mag + log_eps).log())
    angles = spectra[0].angle() - spectra[1].angle()
    phase = torch.remainder(angles + torch.pi, 2 * torch.pi) - torch.pi
    terms = (norms.mean(), log, distance(x_mag, y_mag), phase.square().mean())
    return sum((weight * term for weight, term in zip(weights, terms, strict=True)), torch.zeros(()))


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"fft_size": 512, "hop_size": 50, "win_length": 240}, {}),
    ({"fft_size": 2048, "hop_size": 77, "win_length": 1201, "window": "blackman"}, {}),
    ({"fft_size": 255, "hop_size": 300, "win_length": 100}, {}),
    ({"w_lin_mag": 0.5, "w_sc": 0.2}, {"weights": (0.2, 1.0, 0.5, 0.0)}),
    ({"w_phs": 0.3}, {"weights": (1.0, 1.0, 0.0, 0.3)}),
    ({"w_sc": 0.0, "w_log_mag": 0.0, "w_phs": 1.0}, {"weights": (0.0, 0.0, 0.0, 1.0)}),
    ({"mag_distance": "L2", "w_lin_mag": 0.5}, {"squared": True, "weights": (1.0, 1.0, 0.5, 0.0)}),
    ({"log_eps": 0.1, "log_fac": 3.0}, {"log_eps": 0.1, "log_fac": 3.0}),
    ({"log_eps": 0.1, "mag_distance": "L2"}, {"log_eps": 0.1, "squared": True}),
    ({"scale_invariance": True}, {"scale_invariance": True}),
    ({"scale": "mel", "n_bins": 40, "sample_rate": 44100}, {"bank": mel_filterbank(44100, 1024, 40)}),
    ({"scale": "chroma", "n_bins": 12, "sample_rate": 44100}, {"bank": chroma_filterbank(44100, 1024, 12)}),
]


@pytest.mark.parametrize(("options", "formula"), CASES, ids=[str(options) for options, _ in CASES])
def test_stft_loss_and_both_gradients_are_those_of_the_plain_formula(
    options: dict[str, Any], formula: dict[str, Any]
) -> None:
    resolution = {name: options[name] for name in ("fft_size", "hop_size", "win_length", "window") if name in options}
    results = []
    for loss in (STFTLoss(**options), lambda x, y: plain_stft_loss(x, y, **resolution, **formula)):
        signals = tuple(signal.requires_grad_() for signal in noise(5000))
        value = loss(*signals)
        results.append((value, *torch.autograd.grad(value, signals)))
    (value, *gradients), (expected, *expected_gradients) = results
    assert value.item() == pytest.approx(expected.item(), rel=1e-7)
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        assert (gradient - reference).norm() <= 1e-5 * reference.norm()


def test_float32_gradients_are_no_farther_from_the_truth_than_those_of_autograd() -> None:
    def gradient(loss: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> Tensor:
        input, target = noise(16_384, dtype=dtype)
        return torch.autograd.grad(loss(input.requires_grad_(), target), input)[0].double()

    def plain(x: Tensor, y: Tensor) -> Tensor:
        resolutions = [(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)]
        return sum((plain_stft_loss(x, y, *resolution) for resolution in resolutions), torch.zeros(())) / 3

    truth = gradient(plain, torch.float64)
    ours = (gradient(MultiResolutionSTFTLoss(), torch.float32) - truth).norm() / truth.norm()
    autograd = (gradient(plain, torch.float32) - truth).norm() / truth.norm()
    assert ours <= 1.2 * autograd
    assert (gradient(MultiResolutionSTFTLoss(), torch.float64) - truth).norm() <= 1e-5 * truth.norm()


@pytest.mark.parametrize(("fft_size", "hop", "length"), [(16, 4, 16), (16, 5, 12), (15, 16, 9), (8, 20, 8), (32, 1, 2)])
def test_spectrum_is_that_of_torch_up_to_a_rotation(fft_size: int, hop: int, length: int) -> None:
    signal = noise(50)[0].flatten(0, 1)
    window = make_window("hamming_window", length).double()
    transform, magnitude = spectrum(signal, window, fft_size, hop, EPS)
    expected = torch.stft(signal, fft_size, hop, length, window, return_complex=True).mT
    assert transform.shape == expected.shape
    torch.testing.assert_close(magnitude, expected.abs().clamp(min=EPS**0.5))
    shift = torch.arange(fft_size // 2 + 1, dtype=torch.float64) * 2 * torch.pi * ((fft_size - length) // 2) / fft_size
    torch.testing.assert_close(transform * torch.polar(torch.ones_like(shift), -shift), expected)


@pytest.mark.parametrize(("fft_size", "hop", "length"), [(16, 4, 16), (15, 16, 9), (8, 20, 8)])
def test_first_and_second_derivatives_of_the_spectrum(fft_size: int, hop: int, length: int) -> None:
    window = make_window("hamming_window", length).double()
    signal = noise(26, rows=1)[0].flatten(0, 1).requires_grad_()

    def both(signal: Tensor) -> tuple[Tensor, Tensor]:
        transform, magnitude = spectrum(signal, window, fft_size, hop, 1e-12)
        return torch.view_as_real(transform), magnitude

    # Of a random direction instead of every sample by itself, and therefore nearer.
    near = {"fast_mode": True, "atol": 1e-9, "rtol": 1e-6}
    assert torch.autograd.gradcheck(both, signal, **near)
    assert torch.autograd.gradgradcheck(both, signal, **near)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize(
    "terms", [(True, True, True), (True, False, False), (False, True, False), (False, False, True)]
)
def test_first_and_second_derivatives_of_the_distances(squared: bool, terms: tuple[bool, bool, bool]) -> None:
    x, y = ((signal.abs() + 0.1).view(2, 3, 2).requires_grad_() for signal in noise(6))

    def distances(x: Tensor, y: Tensor) -> Tensor:
        return Distances.apply(x, y, squared, 0.2, *terms)

    assert torch.autograd.gradcheck(distances, (x, y))
    assert torch.autograd.gradgradcheck(distances, (x, y))


@pytest.mark.parametrize(
    "loss", [ESRLoss(), SNRLoss(), SISDRLoss(zero_mean=False), LogCoshLoss(a=2.0), LogCoshLoss(eps=0.5)], ids=repr
)
def test_first_and_second_derivatives_of_losses_on_the_waveform(loss: Loss) -> None:
    input, target = (10 * signal for signal in noise(8))
    assert torch.autograd.gradcheck(loss, (input.requires_grad_(), target.requires_grad_()))
    assert torch.autograd.gradgradcheck(loss, (input, target))


@pytest.mark.parametrize("filter_type", ["hp", "fd", "aw"])
def test_gradient_of_a_filter(filter_type: str) -> None:
    signal = noise(20)[0].requires_grad_()
    assert torch.autograd.gradcheck(FIRFilter(filter_type, ntaps=5).filter, signal)


def test_overlap_add_of_frames_by_hand() -> None:
    frames = torch.tensor([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
    assert overlap_add(frames, 2, 6).tolist() == [[1, 2, 13, 20, 30, 0]]
    assert overlap_add(frames, 4, 6).tolist() == [[1, 2, 3, 0, 10, 20]]
