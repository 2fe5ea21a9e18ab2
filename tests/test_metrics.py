"""Metrics that depend on the sample rate, and those that configs/metrics ships."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from auraloss import presets
from auraloss.level import GainReductionLoss, LoudnessLoss
from scripts.scoring.metrics import AtRate

ROOT = Path(__file__).parent.parent


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

    sound = 0.1 * torch.randn(1, 1, 48_000, generator=torch.Generator().manual_seed(0))
    for name, loss in (("Loudness", LoudnessLoss(48_000)), ("GR", GainReductionLoss(48_000))):
        assert metrics[name].at(48_000)(0.5 * sound, sound) == loss(0.5 * sound, sound), name
