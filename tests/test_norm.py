"""Normalisation by constants: the same in training and evaluation, calibrated once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from auraloss.time import L1Loss
from data.segments import Segment
from models.system import System
from models.tcn import TCN
from tests.test_system import fit, pytestmark  # noqa: F401
from tests.test_tcn import randomised

SIZES = {"blocks": 2, "kernel_size": 3, "channels": 4}


def batches(count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        (0.2 * torch.randn(2, 1, 200, generator=generator) + 0.1, torch.rand(2, 2, generator=generator))
        for _ in range(count)
    ]


def frozen() -> TCN:
    torch.manual_seed(0)
    return randomised(TCN(**SIZES, norm="frozen"))  # type: ignore[arg-type]


def test_training_and_evaluation_compute_the_same_and_leave_the_constants_alone() -> None:
    net = frozen()
    net.calibrate(batches())
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    x, controls = batches(1)[0]
    trained = net.train()(x, controls)
    torch.testing.assert_close(net.eval()(x, controls), trained)
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    batch_norm = randomised(TCN(**SIZES))  # type: ignore[arg-type]
    assert not torch.allclose(batch_norm.train()(x, controls), batch_norm.eval()(x, controls))


def test_calibration_is_the_mean_over_all_batches() -> None:
    """Of the first block, by hand: means and unbiased variances of its convolution, one for each batch."""
    net = frozen()
    net.calibrate(batches())
    outputs = [torch.nn.functional.conv1d(x, net.blocks[0].conv.weight) for x, _ in batches()]  # type: ignore[union-attr]
    norm = net.blocks[0].film.norm  # type: ignore[union-attr]
    mean = torch.stack([y.mean((0, 2)) for y in outputs]).mean(0)
    variance = torch.stack([y.transpose(0, 1).flatten(1).var(1) for y in outputs]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert net.training
    assert not norm.training


def test_without_calibration_the_constants_are_0_and_1() -> None:
    net = frozen()  # which is in training, as all new modules
    net(*batches(1)[0])
    norm = net.blocks[1].film.norm  # type: ignore[union-attr]
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert torch.equal(norm.running_var, torch.ones(4))


def test_gradients_against_plain_modules() -> None:
    net, (x, controls) = frozen().double(), batches(1)[0]
    net.calibrate([(x.double(), controls.double()) for x, controls in batches()])
    x, controls = x.double(), controls.double()
    condition = net.conditioning(controls) if net.conditioning is not None else controls
    parameters = list(net.parameters())
    fast = torch.autograd.grad(net(x, controls).square().sum(), parameters)
    plain = torch.tanh(net._plain(x, condition) + net.mix.bias[:, None])  # type: ignore[index]
    for a, b in zip(fast, torch.autograd.grad(plain.square().sum(), parameters), strict=True):
        torch.testing.assert_close(a, b)


def test_a_batch_norm_has_nothing_to_calibrate() -> None:
    """Its constants would be the mean over the training, and those of a continued one others."""
    with pytest.raises(ValueError, match=r"pass calibration=0, or model\.norm=frozen"):
        TCN(**SIZES).calibrate(batches())  # type: ignore[arg-type]
    net = frozen()
    net.calibrate(batches())
    assert all(block.film.norm.momentum == 0.1 for block in net.blocks)  # type: ignore[union-attr]


def test_another_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="norm must be one of batch, frozen, got 'layer'"):
        TCN(norm="layer")


class _Crops(Dataset[Segment]):
    """What a data module serves: batches by their keys."""

    def __len__(self) -> int:
        return 8

    def __getitems__(self, keys: list[int]) -> Segment:
        drawn = [torch.randn(1, 100, generator=torch.Generator().manual_seed(key)) for key in keys]
        return Segment(torch.stack(drawn), torch.stack(drawn), torch.zeros(len(keys), 2))


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_a_training_calibrates_once_before_its_first_step(precision: Any, tmp_path: Path) -> None:
    """By the first batches that it will see; a rate of 0 leaves everything else as it was."""
    net, by_hand = frozen(), frozen()
    loader = DataLoader(_Crops(), batch_size=2, collate_fn=lambda batch: batch)
    system = System(net, L1Loss(), {"L1": L1Loss()}, partial(torch.optim.SGD, lr=0.0), calibration=3)
    fit(system, loader, [_Crops().__getitems__([0])], tmp_path, max_epochs=2, precision=precision)
    dtype = net.mix.weight.dtype
    by_hand = by_hand.to(dtype)
    by_hand.calibrate(
        [(b.input.to(dtype), b.controls.to(dtype)) for b in (_Crops().__getitems__([k, k + 1]) for k in (0, 2, 4))]
    )
    for a, b in zip(net.buffers(), by_hand.buffers(), strict=True):
        torch.testing.assert_close(a, b)
