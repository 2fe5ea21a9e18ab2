"""Mel bands between two frequencies, and the multi-scale mel loss of neural codecs against its released formula."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from auraloss.filterbank import mel_filterbank
from auraloss.freq import MelSTFTLoss, MultiScaleMelLoss, STFTLoss
from tests.loss_calls import some_step_helps

SCALES = [(5, 32), (10, 64), (20, 128), (40, 256), (80, 512), (160, 1024), (320, 2048)]
"""Bands and window of the 44.1 kHz model of Descript Audio Codec."""


@pytest.fixture(scope="module")
def filters() -> Any:
    return pytest.importorskip("librosa").filters


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """Noise, of which a part is below every floor."""
    generator = torch.Generator().manual_seed(0)
    target = 0.1 * torch.randn(2, 1, 9000, generator=generator, dtype=torch.float64)
    target[0, 0, 3000:6000] *= 1e-7
    return 0.9 * target + 1e-3 * torch.randn(target.shape, generator=generator, dtype=torch.float64), target


def released(
    filters: Any, x: Tensor, y: Tensor, rate: float, scales: list[tuple[int, int]], **limits: float
) -> tuple[Tensor, Tensor]:
    """The mel loss of Descript Audio Codec: its logarithmic part, which its models are trained with, and its linear."""
    log = linear = torch.zeros((), dtype=x.dtype)
    for bands, window in scales:
        with warnings.catch_warnings(action="ignore"):  # of bands without a bin
            bank = torch.from_numpy(filters.mel(sr=rate, n_fft=window, n_mels=bands, **limits)).to(x)
        taper = torch.hann_window(window, dtype=x.dtype)
        mel_x, mel_y = (
            bank @ torch.stft(s.flatten(0, 1), window, window // 4, window=taper, return_complex=True).abs()
            for s in (x, y)
        )
        log = log + torch.nn.functional.l1_loss(mel_x.clamp(1e-5).log10(), mel_y.clamp(1e-5).log10())
        linear = linear + torch.nn.functional.l1_loss(mel_x, mel_y)
    return log, linear


@pytest.mark.parametrize(
    ("rate", "scales", "limits"),
    [(44_100, SCALES, {}), (24_000, SCALES, {}), (44_100, SCALES[4:], {"f_min": 200.0, "f_max": 9000.0})],
    ids=["44.1 kHz", "24 kHz", "200 Hz to 9 kHz"],
)
def test_it_is_the_released_formula_to_the_digit(
    filters: Any, pair: tuple[Tensor, Tensor], rate: int, scales: list[tuple[int, int]], limits: dict[str, float]
) -> None:
    bands, windows = zip(*scales, strict=True)
    log, linear = released(filters, *pair, rate, scales, **{name.replace("_", ""): f for name, f in limits.items()})
    for weight, accuracy in ((0.0, 1e-7), (2.0, 1e-4)):  # the linear part has no floor there
        loss = MultiScaleMelLoss(rate, bands, windows, **limits, w_lin_mag=weight)
        torch.testing.assert_close(loss(*pair), log + weight * linear, rtol=accuracy, atol=0)
        single = loss(*(signal.float() for signal in pair))
        torch.testing.assert_close(single, (log + weight * linear).float(), rtol=max(accuracy, 1e-5), atol=0)


def test_the_defaults_are_the_released_settings(pair: tuple[Tensor, Tensor]) -> None:
    bands, windows = zip(*SCALES, strict=True)
    assert MultiScaleMelLoss(44_100)(*pair) == MultiScaleMelLoss(44_100, bands, windows)(*pair)


def test_a_prediction_below_the_floor_is_led_up() -> None:
    target = 0.1 * torch.randn(1, 1, 300, generator=torch.Generator().manual_seed(1))
    loss = MultiScaleMelLoss(8000, [4, 8], [32, 64])
    for level in (0.0, 1e-9):
        input = (level * target).requires_grad_()
        loss(input, target).backward()
        assert input.grad is not None
        assert some_step_helps(loss, input.grad, input.detach(), target)
    assert loss(1e-9 * target, 1e-8 * target) == 0


def test_terms_are_sums_over_the_scales(pair: tuple[Tensor, Tensor]) -> None:
    loss = MultiScaleMelLoss(44_100, w_log_mag=0.5, w_lin_mag=3.0, output="full")
    report = loss.report(*pair)
    value, _, log, linear, _ = loss(*pair)
    torch.testing.assert_close(report["log_magnitude"], sum(log))
    torch.testing.assert_close(report["linear_magnitude"], sum(linear))
    torch.testing.assert_close(value, 0.5 * sum(log) + 3 * sum(linear))


@pytest.mark.parametrize(("f_min", "f_max"), [(0.0, 8000.0), (40.0, None), (500.0, 12_000.0)])
@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
def test_bands_between_two_frequencies_are_those_of_librosa(filters: Any, f_min: float, f_max: float | None) -> None:
    expected = torch.from_numpy(filters.mel(sr=44_100, n_fft=1024, n_mels=60, fmin=f_min, fmax=f_max))
    found = mel_filterbank(44_100, 1024, 60, f_min, f_max)
    torch.testing.assert_close(found, expected[expected.any(-1)], atol=1e-6, rtol=0)


def test_what_is_outside_the_bands_is_not_heard() -> None:
    time = torch.arange(8192) / 44_100
    low, high = (0.1 * torch.sin(2 * torch.pi * f * time)[None, None] for f in (100.0, 15_000.0))
    loss = MelSTFTLoss(44_100, n_mels=40, window="blackmanharris", f_min=500.0, f_max=10_000.0, w_log_mag=0.0)
    middle = 0.1 * torch.sin(2 * torch.pi * 2000 * time)[None, None]
    assert loss(middle + low + high, middle) < 0.05 * loss(1.5 * middle, middle)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"f_min": -1.0}, r"0 <= f_min < f_max <= 22050\.0 Hz, half the sample rate, got f_min=-1\.0 and f_max=None"),
        ({"f_min": 900.0, "f_max": 900.0}, "f_min=900.0 and f_max=900.0"),
        ({"f_max": 30_000.0}, "f_max=30000.0"),
        ({"f_min": 1.0, "f_max": 2.0}, r"a bin every 43\.1 Hz at 44100 Hz, and none in the bands"),
    ],
)
def test_limits_that_hold_no_bin_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MelSTFTLoss(44_100, **options)


def test_limits_and_floors_of_no_use_are_refused() -> None:
    with pytest.raises(ValueError, match=r"f_min=20\.0 and f_max=None are of mel bands, got scale='chroma'"):
        STFTLoss(scale="chroma", n_bins=12, sample_rate=44_100, f_min=20.0)
    with pytest.raises(ValueError, match=r"floor=0\.0 must be positive"):
        MultiScaleMelLoss(44_100, floor=0.0)
    with pytest.raises(ValueError, match="needs one of each for a resolution"):
        MultiScaleMelLoss(44_100, n_mels=[4], win_lengths=[32, 64])
