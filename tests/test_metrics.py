"""Loudness error and gain reduction error: answers on paper, an independent NumPy computation, hostile input."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from auraloss import presets
from scripts.scoring.metrics import AtRate, GainReductionError, LoudnessError

ROOT = Path(__file__).parent.parent
RATES = (44_100, 48_000)
HALF_DB = 20 * math.log10(2)  # 6.02


def noise(*shape: int, seed: int = 0, level: float = 0.1) -> Tensor:
    return level * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sine(rate: int, hz: float = 997.0, seconds: float = 3.0) -> Tensor:
    return torch.sin(2 * math.pi * hz / rate * torch.arange(int(seconds * rate), dtype=torch.float64))[None, None]


def lufs(signal: np.ndarray, rate: int) -> float:
    """BS.1770-4 of ``(channels, samples)`` at 48 kHz, with the standard's own coefficients."""
    assert rate == 48_000
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585])
    highpass = ([1.0, -2.0, 1.0], [1, -1.99004745483398, 0.99007225036621])
    weighted = scipy.signal.lfilter(*highpass, scipy.signal.lfilter(*shelf, signal))
    blocks = np.lib.stride_tricks.sliding_window_view(weighted, 19_200, axis=-1)[:, ::4_800]
    powers = np.square(blocks).mean(-1).sum(0)
    loudness = -0.691 + 10 * np.log10(powers)
    above = powers[loudness > -70]
    relative = -0.691 + 10 * math.log10(above.mean()) - 10
    return -0.691 + 10 * math.log10(powers[(loudness > -70) & (loudness > relative)].mean())


def gain_difference(output: np.ndarray, target: np.ndarray, input: np.ndarray, hop: int, floor: float) -> float:
    """Mean absolute difference of two gain curves, each from its device's output and the common input."""
    errors = []
    for start in range(0, len(target) - 2 * hop + 1, hop):
        of_output, of_target, of_input = (
            10 * math.log10(np.mean(s[start : start + 2 * hop] ** 2)) for s in (output, target, input)
        )
        if of_target >= floor:
            errors.append(abs((max(of_output, floor) - of_input) - (of_target - of_input)))
    return float(np.mean(errors))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("metric", [LoudnessError(), GainReductionError()])
def test_half_the_level_is_six_decibels(metric: Any, rate: int) -> None:
    target = noise(2, 1, rate)
    assert float(metric.at(rate)(0.5 * target, target)) == pytest.approx(HALF_DB, abs=1e-3)
    assert float(metric.at(rate)(2 * target, target)) == pytest.approx(HALF_DB, abs=1e-3)
    assert float(metric.at(rate)(-target, target)) == 0
    assert metric.at(rate).unit == {"LoudnessError": "LU", "GainReductionError": "dB"}[type(metric).__name__]


@pytest.mark.parametrize("rate", RATES)
def test_a_full_scale_sine_against_silence_has_the_loudness_of_the_standard(rate: int) -> None:
    """0 dBFS at 997 Hz in one channel is −3.01 LUFS, ±0.1 for a meter (EBU Tech 3341); silence is at the gate."""
    tone = sine(rate)
    value = LoudnessError(rate)(tone, torch.zeros_like(tone))
    assert float(value) == pytest.approx(-3.01 + 70, abs=0.1)


def test_loudness_is_that_of_an_independent_computation() -> None:
    output, target = noise(3, 2, 96_000, seed=1), noise(3, 2, 96_000, seed=2, level=0.02)
    output[:, :, 40_000:] *= 0.001  # gated
    target[:, 0] *= 3
    statistics = LoudnessError(48_000).statistics(output, target)
    assert statistics.shape == (3, 2, 2)
    pairs = zip(output.double().numpy(), target.double().numpy(), strict=True)
    expected = [abs(lufs(x, 48_000) - lufs(y, 48_000)) for x, y in pairs]
    assert min(expected) > 1
    for channel in (0, 1):
        assert statistics[:, channel, 0].tolist() == pytest.approx(expected, abs=0.01)
        assert statistics[:, channel, 1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("rate", "hop"), [(44_100, 441), (48_000, 480), (22_050, 220)])
def test_gain_reduction_is_that_of_an_independent_computation(rate: int, hop: int) -> None:
    input = noise(20_000, seed=3)
    swell = torch.linspace(-80, 0, 20_000)
    target = input * 10 ** (swell / 20)
    output = target * (1 + 0.5 * torch.sin(torch.arange(20_000) / 900))
    value = GainReductionError(rate, floor_db=-60)(output[None, None], target[None, None])
    arrays = [signal.double().numpy() for signal in (output, target, input)]
    expected = gain_difference(arrays[0], arrays[1], arrays[2], hop, -60)
    assert expected > 1
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_frames_below_the_floor_do_not_count() -> None:
    target = torch.cat([noise(1, 1, 4410), 1e-4 * noise(1, 1, 4410)], -1)
    output = torch.cat([0.5 * target[..., :4410], noise(1, 1, 4410, seed=5)], -1)
    total, count = GainReductionError(44_100).statistics(output, target)[0, 0].tolist()
    assert count == 10  # nine frames of noise, and the one that is half noise
    assert total == pytest.approx(9 * HALF_DB, abs=15)
    silent_output = GainReductionError(44_100).at(44_100)(torch.zeros(1, 1, 4410), noise(1, 1, 4410))
    assert float(silent_output) == pytest.approx(40, abs=0.5)  # noise at −20 dBFS against the floor


@pytest.mark.parametrize("metric", [LoudnessError(44_100), GainReductionError(44_100)])
def test_silence_is_finite_and_a_prediction_that_is_not_a_number_is_told(metric: Any) -> None:
    silence, sound = torch.zeros(1, 1, 30_000), noise(1, 1, 30_000)
    for output, target in ((silence, silence), (sound, silence), (silence, sound)):
        assert torch.isfinite(metric(output, target))
    assert float(metric(silence, silence)) == 0
    broken = sound.clone()
    broken[..., 1000] = torch.nan
    assert torch.isnan(metric(broken, sound))


def test_a_target_without_a_frame_above_the_floor_has_no_weight() -> None:
    metric = GainReductionError(44_100, pool="batch")
    target = noise(2, 1, 4410)
    target[1] = 0
    sums = metric.statistics(0.5 * noise(2, 1, 4410), target).sum((0, 1))
    assert sums[1] == 9
    assert float(metric.value(sums)) == pytest.approx(HALF_DB, abs=1e-4)


@pytest.mark.parametrize("metric", [LoudnessError(44_100), GainReductionError(44_100)])
def test_sums_add_up_whatever_the_batch_the_memory_layout_and_the_precision(metric: Any) -> None:
    output, target = noise(3, 2, 22_050, seed=1), noise(3, 2, 22_050, seed=2, level=0.3)
    sums = metric.statistics(output, target)
    alone = torch.cat([metric.statistics(output[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(sums, alone)
    layout = metric.statistics(output.mT.contiguous().mT, target.mT.contiguous().mT)
    torch.testing.assert_close(layout, sums, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(metric.statistics(output.double(), target.double()).to(sums), sums, rtol=1e-5, atol=1e-4)
    shared = metric.statistics(output, target[:1].expand_as(output))
    torch.testing.assert_close(shared, metric.statistics(output, target[:1].repeat(3, 1, 1)))


def test_channels_of_one_item_are_one_loudness() -> None:
    """Two equal channels are 3 dB louder than one beside silence."""
    target = noise(1, 1, 44_100).repeat(1, 2, 1)
    output = target.clone()
    output[:, 1] = 0
    assert LoudnessError(44_100)(output, target).item() == pytest.approx(10 * math.log10(2), abs=1e-4)


@pytest.mark.parametrize(
    ("metric", "shapes", "message"),
    [
        (LoudnessError(44_100), [(1, 1, 17_000)] * 2, "0.4 s, 17640 samples or more at 44100 Hz, got 17000"),
        (LoudnessError(44_100), [(1, 6, 20_000)] * 2, "1 to 5 channels"),
        (LoudnessError(44_100), [(20_000,)] * 2, "1 to 5 channels"),
        (GainReductionError(44_100), [(1, 1, 881)] * 2, "882 samples at 44100 Hz, got 881"),
        (GainReductionError(44_100), [(1, 1, 2000), (1, 1, 2001)], r"\(1, 1, 2000\) and target \(1, 1, 2001\)"),
        (GainReductionError(44_100), [(1, 1, 0)] * 2, "no samples"),
        (GainReductionError(), [(1, 1, 2000)] * 2, "needs the sample rate"),
        (LoudnessError(), [(1, 1, 20_000)] * 2, "needs the sample rate"),
    ],
)
def test_what_cannot_be_measured_is_refused(metric: Any, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric.statistics(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.parametrize("metric", [LoudnessError, GainReductionError])
def test_a_pool_that_does_not_exist_is_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="'typo'"):
        metric(pool="typo")


def test_a_metric_is_made_for_the_rate_of_the_recordings() -> None:
    metric = AtRate(partial(presets.stft, scale="mel", n_bins=40))
    assert metric.at(48_000).sample_rate == 48_000
    assert metric.at(48_000) is metric.at(48_000)
    assert (metric.pool, metric.score_sign, metric.unit) == ("item", 1, "")
    with pytest.raises(ValueError, match="n_bins"):
        AtRate(partial(presets.stft, scale="mel"))


def test_the_shipped_metrics_take_the_rate_of_the_recordings() -> None:
    metrics = {
        name: instantiate(metric) for name, metric in OmegaConf.load(ROOT / "configs/metrics/further.yaml").items()
    }
    assert list(metrics) == ["SI-SDR", "Mel", "MR-mel", "Loudness", "GR"]
    assert [m.score_sign for m in metrics.values()] == [-1, 1, 1, 1, 1]
    assert [m.unit for m in metrics.values()] == ["dB", "", "", "LU", "dB"]
    for name in ("Mel", "MR-mel", "Loudness", "GR"):
        assert metrics[name].at(48_000).sample_rate == 48_000, name
