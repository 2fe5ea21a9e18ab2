"""The kernels of a GPU, run by Triton's interpreter on the CPU, against the block of the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forked import ended, started

# Triton decides at its first import whether it interprets: a copy of this process imports it anew, and what uses it.
SCRIPT = """
import sys
for name in list(sys.modules):
    if name.split(".")[0] in ("triton", "models") and not name.startswith("triton._C"):
        del sys.modules[name]

import torch
from models import gpu
from models.fused import FusedBlock, Layout
from models.gpu import GPUBlock

gpu.ROWS, gpu.PARTS = 32, 2  # so that few samples are several programs, of several tiles each, and a rest

def distance(inputs, outputs, mixed, dilation, of_batch, recompute):
    torch.manual_seed(0)
    samples = 80 - 4 * dilation
    layout = Layout(dilation, 4 * dilation, 3, samples, samples, slice(5, samples - 7))
    shapes = [(2, 80, inputs), (outputs, inputs, 5), (2, outputs), (2, outputs), (outputs,)]
    shapes += [(outputs,) if inputs == outputs else (inputs, outputs), (outputs, mixed)]
    values = [torch.randn(shape) for shape in shapes]
    moments = (None, None) if of_batch else (torch.randn(outputs), torch.rand(outputs) + 0.5)
    weights, found = None, []
    for block in (FusedBlock, GPUBlock):
        own = [value.clone().requires_grad_() for value in values]
        results = block.apply(*own, *moments, 1e-5, layout, recompute)
        weights = weights or [torch.randn_like(result) for result in results[:2]]
        sum((result * weight).sum() for result, weight in zip(results, weights)).backward()
        found.append([*results, *(value.grad for value in own)])
    return max(float((b - a).norm() / a.norm()) for a, b in zip(*found))

worst = max(distance(*case) for case in CASES)
assert worst < 2e-6, worst
"""


def test_kernels_give_the_same_block_and_the_same_gradients(tmp_path: Path) -> None:
    """With moments of the batch and given ones, recomputed and not, and every kind of residual and tile."""
    pytest.importorskip("triton")
    cases = [
        (1, 8, 1, 1, True, False),
        (8, 8, 2, 3, False, True),
        (8, 8, 2, 3, True, True),
        (2, 12, 4, 2, False, False),
    ]
    script, output = tmp_path / "interpreted.py", tmp_path / "output"
    script.write_text(SCRIPT.replace("CASES", repr(cases)))
    assert ended(started(str(script), output=output, TRITON_INTERPRET="1")) == 0, output.read_text()
