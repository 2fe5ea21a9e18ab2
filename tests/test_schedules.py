"""The schedule over steps: its rates by hand, its warm-up, what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from models.schedules import cosine


def rates(steps: int, warmup: float, taken: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = cosine(optimizer, steps, warmup)
    found = []
    for _ in range(taken):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_half_a_cosine() -> None:
    assert rates(6, 0.0, 6) == pytest.approx([1 + math.cos(math.pi * n / 6) for n in range(6)])


def test_warm_up_rises_to_the_rate_in_a_straight_line() -> None:
    """2 of 8 steps: 1/3 and 2/3 of the rate, then the whole of it, from where the cosine falls over 6 steps."""
    assert rates(8, 0.25, 8) == pytest.approx([2 / 3, 4 / 3, *(1 + math.cos(math.pi * n / 6) for n in range(6))])


def test_a_warm_up_may_round_to_the_whole_training() -> None:
    assert rates(4, 0.9, 5) == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])


def test_beyond_its_end_it_stays_at_zero() -> None:
    assert rates(3, 0.0, 6)[3:] == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warm_up_is_a_share(warmup: float) -> None:
    with pytest.raises(ValueError, match="a share of the training"):
        rates(3, warmup, 1)


def test_no_steps_no_schedule() -> None:
    with pytest.raises(ValueError, match="at least one step, got 0"):
        rates(0, 0.0, 1)
