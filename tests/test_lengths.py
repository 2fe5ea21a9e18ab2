"""Batches padded to the longest item, and calls that activation checkpointing repeats."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from auraloss.freq import RandomResolutionSTFTLoss
from auraloss.time import ESRLoss, L1Loss
from tests.loss_calls import PER_ITEM, T, build, evaluate, for_each, noise, pooled, values_of

LENGTHS = [T, 200, T, 161]


def padded(filler: float) -> tuple[Tensor, Tensor]:
    input, target = noise(4, 2, T, seed=3), noise(4, 2, T, seed=4)
    for item, count in enumerate(LENGTHS):
        input[item, :, count:] = target[item, :, count:] = filler
    return input, target


@for_each(PER_ITEM)
def test_a_padded_item_is_that_item_alone(call: str) -> None:
    loss, (input, target) = values_of(call), padded(torch.nan)
    values = loss(input, target, LENGTHS)
    alone = [loss(input[i : i + 1, :, :count], target[i : i + 1, :, :count]) for i, count in enumerate(LENGTHS)]
    torch.testing.assert_close(values, torch.cat(alone), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("call", ["time.ESRLoss()", "freq.STFTLoss(64, 16, 64)"])
def test_padding_has_no_gradient_and_counts_in_no_ratio(call: str) -> None:
    input, target = padded(5.0)
    lengths = torch.tensor(LENGTHS)
    for loss in (build(call), pooled(call)):
        value, gradient, _ = evaluate(lambda x, y, loss=loss: loss(x, y, lengths), input, target)
        assert value == loss.report(input, target, lengths)["loss"]
        for item, count in enumerate(LENGTHS):
            assert gradient[item, :, :count].any(-1).all()
            assert not gradient[item, :, count:].any()
    sums = loss.statistics(input, target, lengths).sum((0, 1))
    torch.testing.assert_close(loss.value(sums), value)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([9, 8], "needs a whole number of samples for each item of (3, 1, 9), got lengths=[9, 8]"),
        ([9.0, 8.0, 7.0], "a whole number"),
        ([9, 10, 1], "ESRLoss: lengths=[9, 10, 1] must be from 1 to 9 samples"),
        ([9, 0, 1], "must be from 1 to 9 samples"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(lengths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ESRLoss()(torch.ones(3, 1, 9), torch.ones(3, 1, 9), lengths)
    with pytest.raises(ValueError, match="a whole number"):
        L1Loss()(torch.ones(9), torch.ones(9), [9])


def test_an_item_may_have_a_single_sample() -> None:
    input = torch.tensor([[[0.5, 9.0, 9.0]], [[0.25, 0.75, 9.0]]])
    assert L1Loss()(input, torch.zeros(2, 1, 3), [1, 2]) == 0.5


# Random resolutions in a replay


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("rate", [1, 3])
def test_a_replay_draws_as_the_call_did(reentrant: bool, rate: int) -> None:
    input, target = noise(1, 1, 400).float(), noise(1, 1, 400, seed=1).float()

    def steps(repeat: bool) -> list[Tensor]:
        """Two losses in each of four steps, with one outside of any training between."""
        loss = RandomResolutionSTFTLoss(2, 16, 256, seed=3, randomize_rate=rate)
        found = []
        for _ in range(4):
            x = input.clone().requires_grad_()
            options = {"use_reentrant": reentrant}
            calls = [checkpoint(loss, s, target, **options) if repeat else loss(s, target) for s in (x, 0.5 * x)]
            value = sum(calls)
            value.backward()
            found += [value.detach(), x.grad]
            found.append(loss(input, target))
        return [*found, loss.get_extra_state()]

    for plain, repeated in zip(steps(False), steps(True), strict=True):
        torch.testing.assert_close(plain, repeated, rtol=1e-5, atol=1e-7)
