"""Times of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch


def milliseconds(work: Callable[[], object], device: str) -> float:
    """How long some work takes; on a GPU, until it is done."""
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return 1e3 * (time.perf_counter() - start)


def finish(device: str) -> None:
    """Waits for a GPU; there is nothing to wait for on a processor."""
    if device != "cpu":
        torch.cuda.synchronize()


def median(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))
