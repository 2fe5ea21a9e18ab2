"""The optimizer's one kernel for all parameters: the same steps, and gradients clipped also in mixed precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.tcn import TCN
from tests.conftest import Entry


def test_fused_steps_are_the_same_steps() -> None:
    nets = [TCN(blocks=2, kernel_size=3, channels=4) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [
        torch.optim.Adam(net.parameters(), 1e-2, fused=fused) for net, fused in zip(nets, (False, True), strict=True)
    ]
    for step in range(5):
        for net, optimizer in zip(nets, optimizers, strict=True):
            generator = torch.Generator().manual_seed(step)
            for parameter in net.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
    torch.testing.assert_close(nets[1].state_dict(), nets[0].state_dict(), rtol=1e-5, atol=1e-7)


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
