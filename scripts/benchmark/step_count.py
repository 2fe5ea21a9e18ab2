"""What a training step of a TCN computes and moves at least, counted from its shapes.

Arithmetic: the multiplications and additions of the convolutions (two for each tap), forward, for the gradient of the
weight and for that of the input, which the first block does not need.

Memory: every pass over the activations reads and writes each of them once; whatever can be computed on the way is. The
batch norm separates the passes: it needs sums over all samples before it can scale the first one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from models.tcn import TCN


class Pass(NamedTuple):
    """How many tensors of a block's input and of its output a pass reads and writes."""

    name: str
    inputs: int
    outputs: int


PASSES = (
    Pass("convolution", 1, 1),
    Pass("sums of the batch norm", 0, 1),
    Pass("batch norm, FiLM, PReLU and residual", 1, 2),
    Pass("backward: sums of the batch norm", 0, 2),
    Pass("backward: batch norm, FiLM and PReLU", 0, 3),
    Pass("backward: gradient of the weight", 1, 1),
)
INPUT_GRADIENT = Pass("backward: gradient of the input, by convolution and residual", 1, 2)


@dataclass(frozen=True)
class Count:
    """Of a training step with one crop; proportional to the batch."""

    operations: int  # multiplications and additions of the convolutions
    elements: int  # of activations, read or written

    def seconds(self, operations_per_second: float, bytes_per_second: float, element_size: int) -> tuple[float, float]:
        """The least time for the arithmetic, and for the memory, with elements of so many bytes."""
        return self.operations / operations_per_second, self.elements * element_size / bytes_per_second


def training_step(net: TCN, samples: int) -> Count:
    """Counts a training step with a crop of so many input samples."""
    crop = samples - net.receptive_field + 1
    operations = elements = 0
    block: Any
    for number, block in enumerate(net.blocks):
        channels_out, channels_in, taps = block.conv.weight.shape
        entering, samples = channels_in * samples, samples - block.span
        leaving = channels_out * samples
        convolution = 2 * channels_in * taps * leaving
        operations += convolution * (3 if number else 2)
        for work in (*PASSES, *((INPUT_GRADIENT,) if number else ())):
            elements += work.inputs * entering + work.outputs * leaving
        elements += channels_out * crop  # for the sum of all blocks, which is mixed at once
    outputs, channels, _ = net.mix.weight.shape
    operations += 3 * 2 * outputs * channels * crop
    return Count(operations, elements + outputs * crop)
