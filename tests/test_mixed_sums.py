"""Weighted sums of losses that have a value for each channel and losses that have one for an item."""

import pytest
import torch
from torch import Tensor

from auraloss.base import WeightedSum
from auraloss.freq import STFTLoss
from auraloss.level import LoudnessLoss
from auraloss.perceptual import SumAndDifferenceLoss
from auraloss.time import L1Loss
from tests.loss_calls import everywhere, noise


@pytest.fixture
def stereo() -> tuple[Tensor, Tensor]:
    target = noise(2, 2, 300)
    return target * torch.tensor([0.5, 0.8])[:, None], target


def mixed(**settings: str) -> WeightedSum:
    stft = STFTLoss(64, 16, 64)
    parts = {"l1": L1Loss(), "lufs": LoudnessLoss(8000), "stft": stft, "sd": SumAndDifferenceLoss(stft)}
    for loss in parts.values():
        everywhere(loss, **settings)
    return WeightedSum(parts, {"l1": 1.0, "lufs": 0.1, "stft": 0.5, "sd": 2.0})


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("pool", ["item", "batch"])
def test_the_sum_is_that_of_its_losses(stereo: tuple[Tensor, Tensor], reduction: str, pool: str) -> None:
    loss = mixed(reduction=reduction, pool=pool)
    input, target = stereo
    alone = {name: part(input, target) for name, part in loss.losses.items()}
    expected = sum(loss.weights[name] * value for name, value in alone.items())
    for call in (loss, loss.bind(target)):
        report = call.report(input) if call is not loss else loss.report(input, target)
        torch.testing.assert_close(report["loss"], expected)
        for name, value in alone.items():
            torch.testing.assert_close(report[name], value)
    torch.testing.assert_close(loss(input, target, [300, 300]), expected)


def test_an_item_has_one_value(stereo: tuple[Tensor, Tensor]) -> None:
    input, target = stereo
    values = mixed(reduction="none")(input, target)
    assert values.shape == (2, 1)
    torch.testing.assert_close(values.mean(), mixed()(input, target))
    alone = mixed()(input[:1], target[:1])
    torch.testing.assert_close(values[0, 0], alone)


@pytest.mark.parametrize("pool", ["item", "batch"])
def test_the_value_follows_from_the_statistics(stereo: tuple[Tensor, Tensor], pool: str) -> None:
    loss = mixed(pool=pool)
    for sums in (loss.statistics(*stereo), loss.bind(stereo[1]).statistics(stereo[0])):
        assert sums.shape == (2, 2, loss.size)
        value = loss.value(sums).mean() if pool == "item" else loss.value(sums.sum((0, 1)))
        torch.testing.assert_close(value, loss(*stereo))
    if pool == "batch":  # added up exactly, and not counted once for each channel
        torch.testing.assert_close(sums[..., 3].sum(), torch.tensor(2.0, dtype=sums.dtype))


def test_a_signal_without_channels_has_one_value() -> None:
    input, target = noise(300), noise(300, seed=1)
    loss = WeightedSum({"l1": L1Loss(), "lufs": LoudnessLoss(8000)})
    torch.testing.assert_close(loss(input, target), L1Loss()(input, target) + LoudnessLoss(8000)(input, target))
