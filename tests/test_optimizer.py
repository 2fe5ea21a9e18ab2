"""The optimizer's one kernel for all parameters: gradients are clipped also in mixed precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.conftest import Entry


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_gradients_are_clipped_in_mixed_precision(train: Entry, tmp_path: Path, algorithm: str) -> None:
    """Four steps of a gradient that is next to nothing leave the bias next to its start, zero."""
    options = ("optimizer._target_=torch.optim.SGD", "optimizer.lr=1", "trainer.precision=bf16-mixed")
    clipped = ("trainer.gradient_clip_val=1e-6", f"+trainer.gradient_clip_algorithm={algorithm}")
    bias = {}
    for name, more in (("free", ()), ("clipped", clipped)):
        result = train(f"name={name}", *options, *more)
        assert result.code == 0, result.err
        file = tmp_path / "runs" / "tiny" / name / "checkpoints" / "last.ckpt"
        bias[name] = torch.load(file, weights_only=True)["state_dict"]["net.mix.bias"].abs().item()
    assert bias["clipped"] <= 4.1e-6
    assert bias["free"] > 1e-4
