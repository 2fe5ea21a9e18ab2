"""Statistics add up: scores do not depend on how the items were batched."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.utils import instantiate
from torch import Tensor

from auraloss.freq import RandomResolutionSTFTLoss
from auraloss.time import DCLoss, ESRLoss
from tests.loss_calls import LOSSES, PER_ITEM, build, evaluate, every_loss, for_each, ordinary, pooled

METRICS = Path(__file__).parent.parent / "configs" / "metrics"
CASES = {
    f"{path.stem}-{name}": config
    for path in (METRICS / "standard.yaml", METRICS / "paper2020.yaml")
    for name, config in yaml.safe_load(path.read_text()).items()
}
every_metric = pytest.mark.parametrize("config", CASES.values(), ids=CASES)


def make(config: dict[str, Any]) -> Any:
    loss = instantiate(config)
    return loss.draw(5, samples=9000) if isinstance(loss, RandomResolutionSTFTLoss) else loss


@pytest.fixture
def items() -> tuple[Tensor, Tensor]:
    """Five stereo items of very different level, the last one silent."""
    generator = torch.Generator().manual_seed(1)
    levels = torch.tensor([1.0, 0.3, 0.1, 0.01, 0.0])[:, None, None]
    target = levels * torch.randn(5, 2, 9000, generator=generator)
    return target + 0.05 * torch.randn(5, 2, 9000, generator=generator) + 0.02, target


@every_metric
def test_statistics_are_those_of_each_item_whatever_the_batch(
    config: dict[str, Any], items: tuple[Tensor, Tensor]
) -> None:
    loss = make(config)
    whole = loss.statistics(*items)
    assert whole.shape == (5, 2, loss.size)
    parts = [loss.statistics(*(signal[i : i + 2] for signal in items)) for i in (0, 2, 4)]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=2e-6, atol=1e-6)


@every_metric
def test_the_batch_loss_follows_from_the_statistics(config: dict[str, Any], items: tuple[Tensor, Tensor]) -> None:
    loss = make(config)
    statistics = loss.statistics(*items).double()
    if loss.pool == "item":
        expected = torch.stack(
            [
                loss(items[0][i : i + 1, c : c + 1], items[1][i : i + 1, c : c + 1]).double()
                for i in range(5)
                for c in range(2)
            ]
        ).mean()
        torch.testing.assert_close(loss.value(statistics).mean(), expected, rtol=1e-5, atol=0)
    else:
        expected = loss.value(statistics.sum((0, 1)))
    torch.testing.assert_close(loss(*items).double(), expected, rtol=1e-5, atol=0)


def test_pooling_weights_items_by_their_energy() -> None:
    target = torch.tensor([[[1.0, 1.0]], [[0.1, 0.1]]])
    input = torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]])
    # Per item the ratios are 0 and 1; pooled it is 0.02 / 2.02.
    assert ESRLoss(eps=0.0)(input, target).item() == pytest.approx(0.5)
    assert ESRLoss(eps=0.0, pool="batch")(input, target).item() == pytest.approx(0.02 / 2.02)


def test_pooled_dc_cancels_between_items_of_opposite_sign() -> None:
    target = torch.tensor([[[1.0, -1.0]], [[1.0, -1.0]]])
    offset = torch.tensor([[[0.1, 0.1]], [[-0.1, -0.1]]])
    assert DCLoss(eps=0.0)(target + offset, target).item() == pytest.approx(0.01)
    assert DCLoss(eps=0.0, pool="batch")(target + offset, target).item() == pytest.approx(0.0, abs=1e-12)


@every_loss
def test_forward_is_value_of_statistics(call: str) -> None:
    loss = build(call)
    statistics = loss.statistics(*ordinary())
    assert statistics.shape[-1] == loss.size
    if call in PER_ITEM:
        torch.testing.assert_close(loss(*ordinary()), loss.value(statistics).mean())
    torch.testing.assert_close(pooled(call)(*ordinary()), loss.value(statistics.flatten(0, -2).sum(0)))


# All but those that treat every item by itself before they sum: remove its mean, filter it, or scale it.
ONE_LONG_SIGNAL = [
    call for call in LOSSES if call.startswith("time.") and not ("SDR" in call or call == "time.SNRLoss()")
]


@for_each(ONE_LONG_SIGNAL)
def test_a_batch_pooled_is_one_long_signal(call: str) -> None:
    input, target = ordinary()
    value, *gradients = evaluate(pooled(call), input, target)
    expected, *references = evaluate(build(call), input.view(-1), target.view(-1))
    torch.testing.assert_close(value, expected)
    for gradient, reference in zip(gradients, references, strict=True):
        torch.testing.assert_close(gradient.view(-1), reference)
