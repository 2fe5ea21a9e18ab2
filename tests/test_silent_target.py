"""A silent target means one thing for every loss: the prediction is led towards silence, and rests there."""

import math

import torch
from torch import Tensor

from tests.hostile_pairs import of_each_case, silence, steps_help
from tests.loss_calls import DECIBELS, LOSSES, SHAPE, build, evaluate, every_loss, for_each, is_scale_invariant, noise

# The flat spectrum of a silent target scaled to the prediction's is as near to it at any level; and the gain reduction
# does not count where the target is quieter than its floor.
HEARS_LEVELS = [call for call in LOSSES if not is_scale_invariant(call) and "GainReduction" not in call]


def audible(levels: list[float]) -> Tensor:
    """Noise with an offset, which is all that the DC loss hears; an item of each level."""
    return torch.tensor(levels, dtype=torch.float64)[:, None, None] * (noise(1, *SHAPE[1:], seed=2) + 0.1)


@for_each(HEARS_LEVELS)
def test_a_silent_target_costs_more_the_louder_the_prediction(call: str) -> None:
    levels = [0.0, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    input = audible(levels)
    values = of_each_case(call)(input, torch.zeros_like(input)).tolist()
    assert all(map(math.isfinite, values))
    assert values == sorted(values)
    heard = [values[0], *values[levels.index(1e-3) :]]
    assert len(set(heard)) == len(heard)


@for_each(HEARS_LEVELS)
def test_a_silent_target_leads_the_prediction_towards_silence(call: str) -> None:
    loss, input = of_each_case(call), audible([1e-3, 1.0])
    target = torch.zeros_like(input)
    value, gradient, _ = evaluate(loss, input, target)
    assert ((gradient * input).sum((1, 2)) > 0).all()  # the loss falls when the prediction is turned down
    assert (loss((1 - 1e-3) * input, target) < value).all()
    assert steps_help(loss, gradient, input, target).all()


@every_loss
def test_a_silent_target_and_a_silent_prediction_are_at_rest(call: str) -> None:
    value, gradient, _ = evaluate(build(call), silence().float(), silence().float())
    assert not gradient.any()
    if call not in DECIBELS:
        assert value <= 1e-6 if is_scale_invariant(call) else value == 0
