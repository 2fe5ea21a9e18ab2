"""The Lightning system: alignment, precision of the loss, the validation figure, accumulation, divergence."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from auraloss.base import WeightedSum
from auraloss.time import ESRLoss, L1Loss
from data.segments import Segment
from models.callbacks import TrainingBar
from models.net import Net
from models.schedules import cosine
from models.system import System
from models.tcn import TCN
from tests.reads import Reads

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # here the batches are in memory
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec"),  # inside Lightning
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
]


class Delay(Net):
    """Returns its input times a gain of 1, delayed as the contract says; without padding."""

    def __init__(self, receptive_field: int, lookahead: int, gain: float = 1.0) -> None:
        super().__init__()
        self.receptive_field = receptive_field
        self.lookahead = lookahead
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        samples = x.shape[-1] - self.receptive_field + 1
        start = self.receptive_field - 1 - self.lookahead
        return self.gain * x[..., start : start + samples]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def segment(batch: int, samples: int, seed: int = 0) -> Segment:
    x = noise(batch, 1, samples, seed=seed)
    return Segment(x, x + 0.1 * noise(batch, 1, samples, seed=seed + 99), torch.zeros(batch, 2))


def fit(system: System, train: Any, val: list[Segment], tmp_path: Path, **options: Any) -> pl.Trainer:
    """On batches; `train` may be a loader as well."""
    trainer = pl.Trainer(
        **{"max_epochs": 1, "accelerator": "cpu", "num_sanity_val_steps": 0, "enable_progress_bar": False} | options,
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader
    trainer.fit(system, loader(train, None) if isinstance(train, list) else train, loader(val, None))
    return trainer


def sgd(lr: float = 0.0) -> Any:
    return partial(torch.optim.SGD, lr=lr)


# Alignment


@pytest.mark.parametrize(("receptive_field", "lookahead"), [(1, 0), (7, 3), (7, 0), (8, 3), (8, 7), (101, 1)])
def test_output_and_target_are_aligned_to_the_sample(receptive_field: int, lookahead: int) -> None:
    net = Delay(receptive_field, lookahead)
    system = System(net, L1Loss(), {}, sgd())
    x = noise(2, 1, 200)
    output, target = system.predict(Segment(x, x.clone(), torch.zeros(2, 2)))
    assert output.shape == target.shape == (2, 1, 200 - receptive_field + 1)
    assert L1Loss()(output, target) == 0
    _, shifted = system.predict(Segment(x, x.roll(1, -1), torch.zeros(2, 2)))
    assert L1Loss()(output, shifted) > 0.5


# Precision


class Recorder(nn.Module):
    """A loss that notes what it is computed in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.dtype, ...]] = []

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        # Of a matrix product autocast would make bfloat16.
        self.seen.append((input.dtype, target.dtype, (input[0] @ input[0].mT).dtype))
        return (input - target).square().mean() + 1


class Layer(Delay):
    """Notes in what precision it computes."""

    def __init__(self) -> None:
        super().__init__(1, 0)
        self.layer = nn.Conv1d(1, 1, 1)
        self.seen: list[torch.dtype] = []

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        y = self.layer(x)
        self.seen.append(y.dtype)
        return y


def test_loss_and_metrics_are_computed_in_float32_when_the_network_is_not(tmp_path: Path) -> None:
    net, loss, metric = Layer(), Recorder(), Recorder()
    system = System(net, loss, {"m": metric}, sgd())
    fit(system, [segment(2, 50)], [segment(2, 50)], tmp_path, precision="bf16-mixed")
    assert net.seen == [torch.bfloat16] * 2
    assert loss.seen == [(torch.float32,) * 3]
    assert metric.seen == [(torch.float32,) * 3]


# The validation figure


def test_every_sample_of_the_validation_weighs_the_same(tmp_path: Path) -> None:
    blocks = [segment(2, 1000, seed=1), segment(1, 1000, seed=2), segment(1, 90, seed=3), segment(3, 400, seed=4)]
    net = Delay(31, 10, gain=0.5)
    trainer = fit(System(net, L1Loss(), {"L1": L1Loss(), "ESR": ESRLoss()}, sgd()), [segment(1, 99)], blocks, tmp_path)

    absolute = count = ratio = 0.0
    for block in blocks:
        for x, y in zip(block.input.double(), block.target.double(), strict=True):
            x, y = 0.5 * x[:, 20 : len(x[0]) - 10], y[:, 20 : len(y[0]) - 10]
            absolute += float((x - y).abs().sum())
            ratio += float((x - y).square().sum() / y.square().sum()) * y.shape[-1]
            count += y.shape[-1]
    assert trainer.callback_metrics["val/L1"] == pytest.approx(absolute / count, rel=1e-5)
    assert trainer.callback_metrics["val/ESR"] == pytest.approx(ratio / count, rel=1e-5)
    score = math.sqrt(absolute * ratio) / count
    assert trainer.callback_metrics["val/score"] == pytest.approx(score, rel=1e-5)


def test_a_perfect_validation_has_a_score_near_zero(tmp_path: Path) -> None:
    x = noise(1, 1, 100)
    perfect = Segment(x, x.clone(), torch.zeros(1, 2))
    trainer = fit(System(Delay(1, 0), L1Loss(), {"L1": L1Loss()}, sgd()), [perfect], [perfect], tmp_path)
    assert 0 <= trainer.callback_metrics["val/score"] < 1e-20


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_without_a_number_names_the_learning_rate(value: float, tmp_path: Path) -> None:
    block = segment(1, 100)
    block.target[0, 0, 3] = value
    system = System(Delay(1, 0), L1Loss(), {"ESR": ESRLoss(), "L1": L1Loss()}, sgd())
    with pytest.raises(FloatingPointError, match=r"'ESR': nan.*not finite after epoch 0.*optimizer\.lr"):
        fit(system, [segment(1, 100)], [segment(1, 100), block], tmp_path)


# Optimization


def test_the_loss_reaches_every_parameter_of_the_network_only() -> None:
    class Trainable(L1Loss):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Parameter(torch.ones(()))

    system = System(Delay(5, 2), Trainable(), {}, sgd(0.1))
    optimizer = system.configure_optimizers()
    assert [parameter for group in optimizer.param_groups for parameter in group["params"]] == [system.net.gain]


def test_the_scheduler_follows_the_validation_figure(tmp_path: Path) -> None:
    """Without progress the plateau halves the rate after each epoch but the first."""
    plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=0)
    system = System(Delay(1, 0), L1Loss(), {"L1": L1Loss()}, sgd(1e-30), plateau)
    fit(system, [segment(1, 50)], [segment(1, 50)], tmp_path, max_epochs=3)
    scheduler = system.lr_schedulers()
    assert scheduler.optimizer.param_groups[0]["lr"] == pytest.approx(0.25e-30)


def test_a_schedule_over_steps_counts_steps_and_not_validations(tmp_path: Path) -> None:
    """Two epochs of 4 batches, validated twice an epoch: 4 steps of 2 batches, half a cosine over them."""
    batch = segment(1, 50)
    system = System(Delay(1, 0), L1Loss(), {"L1": L1Loss()}, sgd(1e-30), cosine)
    rates: list[float] = []

    def step(optimizer: Any, *_: Any) -> None:
        rates.append(optimizer.param_groups[0]["lr"])

    system.on_before_optimizer_step = step  # type: ignore[method-assign,assignment]
    fit(system, [batch] * 4, [batch], tmp_path, max_epochs=2, val_check_interval=2, accumulate_grad_batches=2)
    expected = [1e-30 * (1 + math.cos(math.pi * n / 4)) / 2 for n in range(4)]
    assert rates == pytest.approx(expected, abs=1e-36)


def test_a_schedule_without_an_end_is_refused(tmp_path: Path) -> None:
    system = System(Delay(1, 0), L1Loss(), {"L1": L1Loss()}, sgd(), cosine)
    with pytest.raises(ValueError, match=r"pass trainer\.max_epochs, trainer\.max_steps or budget, or scheduler=none"):
        fit(system, [segment(1, 50)], [segment(1, 50)], tmp_path, max_epochs=-1, max_time="00:00:00:05")


def test_accumulated_batches_are_one_step_along_their_mean_gradient(tmp_path: Path) -> None:
    batches = [segment(1, 80, seed=seed) for seed in range(4)]
    system = System(Delay(3, 1, gain=0.5), nn.MSELoss(), {"L1": L1Loss()}, sgd(0.1))
    trainer = fit(system, batches, batches[:1], tmp_path, accumulate_grad_batches=4)
    assert trainer.global_step == 1
    # d/dg mean((g·x − y)²) = 2·mean((g·x − y)·x)
    gradients = [
        float((2 * (0.5 * x - y) * x).mean()) for x, y in ((b.input[..., 1:-1], b.target[..., 1:-1]) for b in batches)
    ]
    assert system.net.gain.item() == pytest.approx(0.5 - 0.1 * sum(gradients) / 4, rel=1e-5)


def test_the_state_of_a_system_is_plain_tensors(tmp_path: Path) -> None:
    trainer = fit(System(Delay(1, 0), L1Loss(), {"L1": L1Loss()}, sgd()), [segment(1, 9)], [segment(1, 9)], tmp_path)
    trainer.save_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    loaded = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert list(loaded["state_dict"]) == ["net.gain"]
    assert "hyper_parameters" not in loaded


def test_the_terms_of_a_loss_are_logged_and_any_module_is_a_loss(tmp_path: Path) -> None:
    batch = segment(2, 200)
    net = Delay(1, 0)
    loss = WeightedSum({"l1": L1Loss(), "esr": ESRLoss()}, {"l1": 1.0, "esr": 0.5})
    logged = fit(System(net, loss, {"L1": L1Loss()}, sgd()), [batch], [batch], tmp_path).callback_metrics
    expected = {"train/l1": L1Loss()(batch.input, batch.target), "train/esr": ESRLoss()(batch.input, batch.target)}
    for name, value in expected.items():
        torch.testing.assert_close(logged[name], value)
    torch.testing.assert_close(logged["train/loss"], expected["train/l1"] + 0.5 * expected["train/esr"])

    plain = fit(System(net, nn.L1Loss(), {"L1": L1Loss()}, sgd()), [batch], [batch], tmp_path).callback_metrics
    torch.testing.assert_close(plain["train/loss"], expected["train/l1"])


class InSteps(pl.Callback):
    """Counts what is read from tensors from each training batch's start to its end."""

    def __init__(self) -> None:
        self.reads = Reads()

    def on_train_batch_start(self, *_: Any) -> None:
        self.reads.__enter__()

    def on_train_batch_end(self, *_: Any) -> None:
        self.reads.__exit__(None, None, None)


def test_a_step_waits_for_no_number(tmp_path: Path) -> None:
    """With all that a training does in a step: the terms of a loss logged, a schedule, gradients clipped."""
    batches = [segment(2, 200, seed) for seed in range(3)]
    loss = WeightedSum({"l1": L1Loss(), "esr": ESRLoss()}, {"l1": 1.0, "esr": 0.5})
    adam = partial(torch.optim.Adam, fused=True)
    system = System(TCN(blocks=2, channels=2), loss, {"L1": L1Loss()}, adam, partial(cosine, warmup=0.1), max_steps=3)
    steps = InSteps()
    with Reads() as in_all:
        own = {"callbacks": [steps, TrainingBar("a")], "enable_progress_bar": True}
        trainer = fit(system, batches, batches[:1], tmp_path, **own, gradient_clip_val=1.0)
    assert trainer.global_step == 3
    assert steps.reads.count == 0
    assert in_all.count > 0  # after the epoch
