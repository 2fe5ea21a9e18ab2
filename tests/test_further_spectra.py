"""Distances of complex spectra and of their phases, and transport between spectra, against independent formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from auraloss.freq import ComplexSTFTLoss, SpectralTransportLoss, STFTLoss
from auraloss.spectrum import make_window
from tests.loss_calls import noise

RESOLUTION = (256, 60, 200)
Pair = tuple[Tensor, Tensor]


def transforms(pair: Pair, window: str = "hann_window") -> list[Tensor]:
    fft_size, hop_size, win_length = RESOLUTION
    taper = make_window(window, win_length).double()
    return [torch.stft(s, fft_size, hop_size, win_length, taper, return_complex=True) for s in pair]


@pytest.fixture(scope="module")
def pair() -> Pair:
    target = noise(1, 2000)
    return 0.8 * target + noise(1, 2000, seed=1) / 5, target


def tone(phase: Tensor, cycles: float = 50.0) -> Tensor:
    return torch.sin(2 * math.pi * cycles * torch.arange(2000, dtype=torch.float64) / 2000 + phase)


# Complex spectra


def test_the_complex_distance_is_torchs_of_complex_numbers(pair: Pair) -> None:
    """Which is what PyNeuralFX trains with."""
    expected = torch.nn.functional.l1_loss(*transforms(pair))
    torch.testing.assert_close(ComplexSTFTLoss(*RESOLUTION)(*pair), expected, rtol=1e-9, atol=0)


def test_a_power_compresses_the_magnitudes_and_keeps_the_phases(pair: Pair) -> None:
    x, y = (torch.polar(spectrum.abs() ** 0.3, spectrum.angle()) for spectrum in transforms(pair))
    expected = (x - y).abs().mean()
    torch.testing.assert_close(ComplexSTFTLoss(*RESOLUTION, power=0.3)(*pair), expected, rtol=1e-6, atol=0)


def test_the_phase_term_is_the_weighted_cosine(pair: Pair) -> None:
    x, y = transforms(pair)
    expected = (y.abs() * (1 - torch.cos(x.angle() - y.angle()))).sum() / y.abs().sum()
    terms = ComplexSTFTLoss(*RESOLUTION, w_complex=2.0, w_phase=0.5).report(*pair)
    torch.testing.assert_close(terms["phase"], expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(terms["loss"], 2 * terms["complex"] + 0.5 * terms["phase"])


def test_the_phase_term_is_smooth_at_opposite_phases_where_the_wrapped_difference_jumps() -> None:
    def slope(loss: Callable[[Tensor, Tensor], Tensor], phase: float) -> float:
        angle = torch.tensor(phase, dtype=torch.float64, requires_grad=True)
        loss(tone(angle)[500:1500], tone(torch.tensor(0.0))[500:1500]).backward()
        assert angle.grad is not None
        return angle.grad.item()

    smooth = ComplexSTFTLoss(*RESOLUTION, w_complex=0.0, w_phase=1.0)
    wrapped = STFTLoss(*RESOLUTION, w_sc=0.0, w_log_mag=0.0, w_phs=1.0)
    near, beyond = math.pi - 0.01, math.pi + 0.01
    assert slope(smooth, near) == pytest.approx(0.01, abs=0.02)
    assert slope(smooth, beyond) == pytest.approx(-0.01, abs=0.02)
    assert slope(wrapped, near) - slope(wrapped, beyond) > 1
    for phase in (0.3, 1.5, 2.5):  # the reflections at the ends have phases of their own
        assert slope(smooth, phase) == pytest.approx(math.sin(phase), rel=0.2)


# Transport


def powers(pair: Pair) -> list[np.ndarray]:
    return [(spectrum[0].abs() ** 2).T.numpy() for spectrum in transforms(pair)]


def test_the_first_order_is_scipys_wasserstein_distance(pair: Pair) -> None:
    places = np.linspace(0, 1, RESOLUTION[0] // 2 + 1)
    distances = [scipy.stats.wasserstein_distance(places, places, x, y) for x, y in zip(*powers(pair), strict=True)]
    loss = SpectralTransportLoss(*RESOLUTION, window="hann_window", order=1, eps=1e-30)
    assert loss(*pair).item() == pytest.approx(np.mean(distances), rel=1e-9)


def test_the_second_order_is_the_integral_over_quantiles(pair: Pair) -> None:
    distances = []
    for x, y in zip(*powers(pair), strict=True):
        cumulated = [np.cumsum(p / p.sum()) for p in (x, y)]
        levels = np.sort(np.concatenate(cumulated))
        middle = (levels + np.append(0, levels[:-1])) / 2
        places = [np.searchsorted(c, middle).clip(max=len(x) - 1) / (len(x) - 1) for c in cumulated]
        distances.append(math.sqrt(np.sum(np.diff(levels, prepend=0) * (places[0] - places[1]) ** 2)))
    loss = SpectralTransportLoss(*RESOLUTION, window="hann_window", eps=1e-30)
    assert loss(*pair).item() == pytest.approx(np.mean(distances), rel=1e-6)


@pytest.mark.parametrize("cycles", [80.0, 200.0, 700.0])
def test_a_tone_is_led_to_another_however_far_and_whatever_its_level(cycles: float) -> None:
    place = torch.tensor(cycles, dtype=torch.float64, requires_grad=True)
    time = torch.arange(2000, dtype=torch.float64) / 2000
    input, target = (torch.sin(2 * math.pi * c * time) for c in (place, torch.tensor(300.0)))
    loss = SpectralTransportLoss(*RESOLUTION, window="blackmanharris")
    value = loss(input, target)
    value.backward()
    assert value.item() == pytest.approx(abs(cycles - 300) / 1000, abs=0.03)  # of half the sample rate
    assert place.grad is not None
    assert place.grad.sign() == math.copysign(1, cycles - 300)
    assert loss(0.1 * input, target).item() == pytest.approx(value.item(), rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ComplexSTFTLoss(64, 16, 65), "ComplexSTFTLoss: needs 0 < win_length <= fft_size"),
        (lambda: ComplexSTFTLoss(w_complex=0.0), "both weights are 0"),
        (lambda: ComplexSTFTLoss(power=0.0), r"power=0\.0 and eps=1e-08 must be positive"),
        (
            lambda: ComplexSTFTLoss()(torch.ones(512), torch.ones(512)),
            "ComplexSTFTLoss: fft_size=1024 needs more than 512",
        ),
        (lambda: SpectralTransportLoss(order=3), "order=3 is neither 1 nor 2"),
        (lambda: SpectralTransportLoss(eps=0.0), r"eps=0\.0 must be positive"),
        (lambda: SpectralTransportLoss(hop_size=0), "SpectralTransportLoss: needs .* hop_size >= 1"),
        (
            lambda: SpectralTransportLoss()(torch.ones(9), torch.ones(9)),
            "fft_size=2048 needs more than 1024 samples, got 9",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
