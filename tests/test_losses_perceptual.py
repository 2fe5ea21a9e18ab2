"""Filters before a loss."""

import numpy as np
import pytest
import scipy.signal
import torch
from matplotlib import pyplot

from auraloss.perceptual import FIRFilter, PreEmphasis, SumAndDifference
from auraloss.time import ESRLoss

# IEC 61672-1, table 3: frequency in Hz, A-weighting in dB.
A_WEIGHTING = [(500, -3.2), (1000, 0.0), (2000, 1.2), (4000, 1.0)]


@pytest.mark.parametrize(
    ("filter_type", "expected"),
    [("hp", [0, 0, 1, -0.85, 0, 0, 0, 0]), ("fd", [0, 0, 1, 0, -0.85, 0, 0, 0])],
)
def test_an_impulse_gives_the_taps_and_only_later(filter_type: str, expected: list[float]) -> None:
    impulse = torch.zeros(1, 1, 8)
    impulse[..., 2] = 1
    torch.testing.assert_close(FIRFilter(filter_type).filter(impulse)[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("filter_type", ["hp", "fd", "aw"])
def test_against_scipy_on_any_channels(filter_type: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 400)).astype(np.float32)
    fir = FIRFilter(filter_type)
    filtered, same = fir(torch.tensor(x), torch.tensor(x))
    taps = fir.taps.numpy()
    delay = len(taps) // 2 if filter_type == "aw" else 0
    late = np.pad(x, ((0, 0), (0, 0), (0, delay)))
    expected = scipy.signal.lfilter(taps, [1.0], late)[..., delay:]
    np.testing.assert_allclose(filtered.numpy(), expected, atol=1e-5)
    assert torch.equal(filtered, same)


def test_a_weighting_follows_the_standard() -> None:
    taps = FIRFilter("aw", fs=44100).taps.double().numpy()
    assert len(taps) == 101
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-7)
    _, response = scipy.signal.freqz(taps, worN=[frequency for frequency, _ in A_WEIGHTING], fs=44100)
    expected = [level for _, level in A_WEIGHTING]
    # 101 taps resolve 437 Hz, and the bilinear transform bends the curve towards half the sample rate.
    np.testing.assert_allclose(20 * np.log10(np.abs(response)), expected, atol=0.2)


def test_taps_are_a_buffer() -> None:
    fir = FIRFilter("aw")
    assert list(fir.state_dict()) == ["taps"]
    assert list(fir.parameters()) == []
    assert fir.to(torch.bfloat16).taps.dtype == torch.float32  # 8 bits would make another filter
    assert fir.to("meta").taps.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_filtered_in_float32(dtype: torch.dtype) -> None:
    x = torch.randn(1, 2, 300, generator=torch.Generator().manual_seed(0)).to(dtype)
    fir = FIRFilter("aw")
    with torch.autocast("cpu", torch.bfloat16):
        filtered = fir.filter(x)
    assert torch.equal(filtered, fir.filter(x.float()))


def test_pre_emphasis_is_the_loss_of_the_filtered_signals() -> None:
    generator = np.random.default_rng(0)
    y, x = generator.standard_normal((2, 500))
    loss = PreEmphasis(FIRFilter("hp", coef=0.95), ESRLoss())
    value = loss(torch.tensor(x)[None, None], torch.tensor(y)[None, None])
    difference, signal = (scipy.signal.lfilter([1, -0.95], [1], s) for s in (y - x, y))
    assert value.item() == pytest.approx((difference**2).sum() / (signal**2).sum(), rel=1e-6)


def test_sum_and_difference() -> None:
    left, right = torch.randn(2, 4, 1, 9, generator=torch.Generator().manual_seed(0))
    total, difference = SumAndDifference()(torch.cat([left, right], 1))
    assert torch.equal(total, left + right)
    assert torch.equal(difference, left - right)
    with pytest.raises(ValueError, match=r"\(4, 1, 9\)"):
        SumAndDifference()(left)


def test_a_filter_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gca().lines[0].get_xydata()))
    pyplot.switch_backend("agg")
    FIRFilter("hp", coef=0.5, plot=True)
    pyplot.close("all")
    (frequencies, levels) = shown[0].T
    assert frequencies[-1] < 22_050
    np.testing.assert_allclose(
        levels, 20 * np.log10(abs(1 - 0.5 * np.exp(-2j * np.pi * frequencies / 44_100))), atol=1e-4
    )
