"""Schedules of the learning rate over a whole training, counted in optimizer steps."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine(optimizer: Optimizer, steps: int, warmup: float = 0.0) -> LambdaLR:
    """From the optimizer's learning rate to zero by half a cosine; before it a rise in a straight line, if asked for.

        (n + 1) / (W + 1)                       in step n of N for n < W, the warm-up
        (1 + cos(π · (n − W) / (N − W))) / 2    from there on

    Args:
        optimizer: whose rates are the highest ones.
        steps: of the training, N.
        warmup: share of them, W / N, 0 … 1.

    Raises:
        ValueError: if the share lies outside its range, or there is no step.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule, rates = cosine(optimizer, steps=4), []
        >>> for _ in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     optimizer.step()
        ...     schedule.step()
        >>> rates
        [1.0, 0.8536, 0.5, 0.1464]
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"the warm-up is a share of the training, 0 … 1, got {warmup}")
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, got {steps}")
    rising = round(warmup * steps)

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return (1 + math.cos(math.pi * min((step - rising) / max(steps - rising, 1), 1))) / 2

    return LambdaLR(optimizer, share)
