"""The optimizer's one kernel for all parameters: gradients are clipped also in mixed precision."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.conftest import Entry


def test_gradients_are_clipped_in_mixed_precision(train: Entry, tmp_path: Path) -> None:
    """Two steps of a gradient that is next to nothing leave the bias next to its start, zero."""
    options = ("optimizer._target_=torch.optim.SGD", "optimizer.lr=1", "trainer.precision=bf16-mixed")
    few = "trainer.limit_train_batches=2"
    bias = {}
    for name in ("free", "norm", "value"):
        clipped = ("trainer.gradient_clip_val=1e-6", f"+trainer.gradient_clip_algorithm={name}")
        result = train(f"name={name}", few, *options, *(clipped if name != "free" else ()))
        assert result.code == 0, result.err
        file = tmp_path / "runs" / "tiny" / name / "checkpoints" / "last.ckpt"
        bias[name] = torch.load(file, weights_only=True)["state_dict"]["net.mix.bias"].abs().item()
    assert max(bias["norm"], bias["value"]) <= 2.1e-6
    assert bias["free"] > 1e-4
