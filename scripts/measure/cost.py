"""What a network costs when it runs: parameters, multiplications, latency, and its speed live."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from models.net import Net
from models.stream import Stream

BLOCKS = (64, 512)  # samples
IN_A_ROW = 16  # blocks: beside another program a block finds less of what it needs in the caches
SECONDS = 0.5  # of measuring, for each length of a block


class Cost(NamedTuple):
    """Of a network, at a sample rate."""

    parameters: int
    multiplications: float  # a sample, see `Net.multiplications`
    latency: float  # ms
    speeds: tuple[float, ...]  # multiples of real time on one core, in `Stream`, for each of `BLOCKS`


def cost(net: Net, sample_rate: int, seconds: float = SECONDS) -> Cost:
    """Measures a network in evaluation mode; speeds are medians of blocks in a row.

    Args:
        seconds: of measuring, for each length of a block.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        speeds = tuple(samples / sample_rate / _block(net, samples, seconds) for samples in BLOCKS)
    finally:
        torch.set_num_threads(threads)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Cost(parameters, net.multiplications(), 1000 * net.lookahead / sample_rate, speeds)


def _block(net: Net, samples: int, seconds: float) -> float:
    """Seconds for a block."""
    stream = Stream(net, [0.5] * int(getattr(net, "controls", 2)))
    block = 0.1 * torch.randn(1, net.in_channels, samples, generator=torch.Generator().manual_seed(0))
    feed: Callable[[], object] = lambda: stream.feed(block)  # noqa: E731
    for _ in range(3):  # what is compiled or allocated at first
        feed()
    taken: list[float] = []
    stop = time.perf_counter() + seconds
    while not taken or time.perf_counter() < stop:
        start = time.process_time()  # of this process: neighbours slow the clock, and hardly the work
        for _ in range(IN_A_ROW):
            feed()
        taken.append(max(time.process_time() - start, 1e-9) / IN_A_ROW)
    return statistics.median(taken)
