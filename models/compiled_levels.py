"""`models.levels.FeaturesInSteps` for blocks that are too short for torch's functions: its sums compiled by numba."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models import levels, step_kernels
from models.compiled import arrays
from models.track import Track


class CompiledFeaturesInSteps:
    """See `models.levels.FeaturesInSteps`; on the CPU."""

    def __init__(self, silence: Tensor, averages: int, longest: int) -> None:
        past = silence.squeeze(-1)
        self.averages = averages
        self.lines = [Track(past, 3 * apart, longest) for apart in levels.distances(averages)]
        self.lengths = silence.new_tensor(levels.lengths(averages)).view(1, -1, 1, 1)
        self.sums = np.empty((len(self.lines) + 1, *past.shape, longest), self.lengths.numpy().dtype)

    def __call__(self, block: Tensor) -> Tensor:
        items, channels, count = block.shape
        (x,) = arrays(block)
        sums = self.sums[..., :count]
        np.abs(x, out=sums[0])
        for n, line in enumerate(self.lines):
            step_kernels.sum_of_four(line.samples, line.slot(count), line.span // 3, sums[n], sums[n + 1])
        rows = block.new_empty(items, 2 + self.averages, channels, count)
        rows[:, 0] = block
        kept = [0, *range(levels.SHORTEST_POWER, len(sums))]
        means = torch.from_numpy(sums[kept]).transpose(0, 1) / self.lengths
        rows[:, 1:] = levels.level(means)
        return rows.flatten(1, 2)
