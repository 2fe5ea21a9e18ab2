"""Every loss on the pairs of signals that have broken a loss before: finite, led on, and never deaf to a NaN."""

import math
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from tests.hostile_pairs import EVERY_INPUT, EVERY_TARGET, PAIRS, cases_where, of_each_case, steps_help
from tests.loss_calls import (
    DECIBELS,
    MAGNITUDE,
    STFT,
    T,
    build,
    evaluate,
    every_loss,
    finite,
    for_each,
    is_scale_invariant,
    ordinary,
    some_step_helps,
    values_of,
)

# Magnitudes know no polarity: they agree already, in a kink that no small step towards the other polarity leaves.
POLARITY = {"opposite polarity", "constant and its opposite", "squares at the Nyquist rate, opposite"}
# Below the floor all bins are equal. A gain on the target fits them as they are, so some are led below the floor.
BELOW_THE_FLOOR = {"silent input", "input 1e-9", "denormal input"}


def no_step_helps(call: str) -> set[str]:
    """The cases in which the loss has a local minimum that is not its least value."""
    if "CumulativeEnergy" in call:  # less now is more missing later
        return {"impulses one sample apart"}
    # Frames that agree already are in a kink, and cost more than is gained in the others.
    if "power=0.3" in call:
        return {"impulses one sample apart", "impulse and half of it"}
    if "Transport" in call:
        return {"both constant", "impulses apart", "one sample off"}
    if is_scale_invariant(call):
        return BELOW_THE_FLOOR
    return POLARITY if "w_phs" in call or ("WeightedSum" in call and "STFT" in call) else set()


def of_cases(wrong: Tensor) -> list[str]:
    """The names of the cases for which something is so."""
    return [case for case, is_wrong in zip(PAIRS, wrong, strict=True) if is_wrong]


@every_loss
def test_values_and_gradients_are_finite_and_a_step_against_them_helps(call: str) -> None:
    loss, input, target = of_each_case(call), EVERY_INPUT.float(), EVERY_TARGET.float()
    value, gradient, of_target = evaluate(loss, input, target)
    assert of_cases(~value.isfinite()) == []
    assert cases_where(~(gradient.isfinite() & of_target.isfinite())) == []
    if call not in DECIBELS:
        assert of_cases(value < 0) == []
    least = loss(target, target) + (1e-3 if call in DECIBELS else 0)
    helped = value <= least
    stuck = ~helped
    helped[stuck] = steps_help(loss, gradient[stuck], input[stuck], target[stuck])
    assert set(of_cases(~helped)) <= no_step_helps(call)


@every_loss
def test_equal_signals_of_every_kind_cost_least_and_have_no_gradient(call: str) -> None:
    loss, target = values_of(call), EVERY_TARGET.float()
    value, gradient, _ = evaluate(loss, target, target)
    if call in DECIBELS:
        worse = loss(0.9 * target + 0.1 * target.roll(1, -1), target)
        assert set(cases_where(value > worse)) <= {"both 1e-5"}  # below the floor, where eps outweighs the target
    elif is_scale_invariant(call):
        assert cases_where(value > 1e-6) == []  # the gain that fits best is 1 up to rounding
    else:
        # The phases of two equal numbers differ by the rounding of their product.
        assert cases_where(value > 1e-15) == []
        assert cases_where(gradient.abs() > 1e-8) == []


def test_the_phase_alone_leads_to_the_phase_of_the_target() -> None:
    loss = build(f"{STFT}, w_sc=0.0, w_log_mag=0.0, w_phs=1.0)")
    for case, (input, target) in PAIRS.items():
        assert finite(*evaluate(loss, input.float(), target.float())), case
    _, gradient, _ = evaluate(loss, *ordinary())
    assert some_step_helps(loss, gradient, *ordinary())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@for_each(MAGNITUDE)
def test_losses_of_magnitudes_are_finite_on_every_pair(call: str, dtype: torch.dtype) -> None:
    loss = of_each_case(call)
    input, target = (signal.to(dtype).abs().unflatten(-1, (20, 15)) for signal in (EVERY_INPUT, EVERY_TARGET))
    value, *gradients = evaluate(loss, input, target)
    assert of_cases(~value.isfinite() | (value < 0)) == []
    assert [cases_where(~gradient.isfinite()) for gradient in gradients] == [[], []]
    assert of_cases(loss(target, target) != 0) == []


# What is not a number stays visible.


def spoiled(case: str, sample: int, value: float) -> list[tuple[Tensor, Tensor]]:
    """An item with such a sample in one channel of the input, and one with it in the target."""
    items = []
    for side in (0, 1):
        input, target = (signal[:1].float() for signal in PAIRS[case])
        (input, target)[side][0, 1, sample] = value
        items.append((input, target))
    return items


def batch(items: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    input, target = map(torch.cat, zip(*items, strict=True))
    return input, target


@every_loss
def test_a_nan_gives_nan(call: str) -> None:
    spots = [("noise", 0), ("both silent", 150), ("both 1e4", T - 1), ("both silent", T - 1)]
    values = of_each_case(call)(*batch(item for spot in spots for item in spoiled(*spot, math.nan)))
    sides = [(*spot, side) for spot in spots for side in ("input", "target")]
    assert [where for where, value in zip(sides, values.tolist(), strict=True) if not math.isnan(value)] == []


@every_loss
def test_an_infinity_is_never_scored_as_a_number(call: str) -> None:
    spots = [("noise", math.inf), ("both silent", math.inf), ("both silent", -math.inf)]
    values = of_each_case(call)(*batch(item for case, value in spots for item in spoiled(case, 150, value)))
    assert values.isfinite().tolist() == 6 * [False]
