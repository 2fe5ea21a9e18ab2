"""How much training fits into a time: measured once, at the start of a run, and then a number of steps like any other.

The time is that of the steps and validations. Both are tried on the run's own network, data and device; the training
that follows has as many epochs of as many batches as fit, so that its schedule ends where its time does, and can be
repeated by these two numbers anywhere (trainer.max_epochs and trainer.limit_train_batches, in config.yaml). A run that
is given more minutes than it had goes on for the rest of them.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from data.datamodule import AudioDataModule
from models.run import Run
from models.same_run import MEASURED
from models.system import System

EPOCHS = 8  # at least: a validation ends each
WARM_UP = 3  # steps before the clock starts: compilers and caches
TIMED = 10  # steps; their median counts


def chosen(run: Run | None) -> dict[str, int]:
    """The length that a run with a budget has been given already, as options of the trainer; empty for any other."""
    config = run.config if run else {}
    return {key: config["trainer"][key] for key in MEASURED} if config.get("budget") else {}


def missing(minutes: float | None, run: Run | None) -> float:
    """What of a budget a run has not been given yet: all, or what is more than it had."""
    return max((minutes or 0.0) - ((run.config.get("budget") if run else None) or 0.0), 0.0)


def length(minutes: float, step_seconds: float, validation_seconds: float, batches: int) -> dict[str, int]:
    """The training that fits into a time, as options of the trainer.

    Args:
        minutes: of the training.
        step_seconds: of a training step.
        validation_seconds: of a validation.
        batches: that the data set has; an epoch cannot have more.

    Raises:
        ValueError: if not even a step in each epoch fits.

    >>> length(10, step_seconds=0.1, validation_seconds=5, batches=156)
    {'max_epochs': 30, 'limit_train_batches': 150}
    >>> length(10, step_seconds=0.1, validation_seconds=5, batches=10_000)
    {'max_epochs': 8, 'limit_train_batches': 700}
    """
    seconds = 60 * minutes
    epochs = max(EPOCHS, math.ceil(seconds / (batches * step_seconds + validation_seconds)))
    fit = math.floor((seconds / epochs - validation_seconds) / step_seconds)
    if fit < 1:
        raise ValueError(
            f"budget={minutes:g} minutes is too short: a step takes {step_seconds:.2g} s and a validation "
            f"{validation_seconds:.2g} s, of which there are {EPOCHS} at least"
        )
    return dict(zip(MEASURED, (epochs, min(fit, batches)), strict=True))


def longer(before: Mapping[str, int], minutes: float, step_seconds: float, validation_seconds: float) -> dict[str, int]:
    """A training that goes on for a time beyond its length so far, in epochs of as many batches: one at least.

    >>> longer({"max_epochs": 8, "limit_train_batches": 100}, 1, step_seconds=0.1, validation_seconds=5)
    {'max_epochs': 12, 'limit_train_batches': 100}
    """
    epoch = before["limit_train_batches"] * step_seconds + validation_seconds
    return dict(before) | {"max_epochs": before["max_epochs"] + max(1, int(60 * minutes / epoch))}


def measured(
    minutes: float, system: System, data: AudioDataModule, trainer: pl.Trainer, before: Mapping[str, int]
) -> dict[str, int]:
    """The training of a system that fits into a time on the device of a trainer; the system stays as it is.

    Args:
        minutes: of the training, or of what is added to it.
        system: network and loss.
        data: to be trained with.
        trainer: for the device and the precision.
        before: the length so far of a training that is continued, as options of the trainer; else empty.
    """
    if trainer.world_size > 1:
        raise ValueError("budget=… measures one device; on several, pass trainer.max_epochs")
    device = trainer.strategy.root_device
    data.prepare_data()
    data.setup("fit")
    kept = copy.deepcopy(system.state_dict())
    loss = copy.deepcopy(system.loss)  # a call advances the generator of random resolutions
    system.to(device)
    loss.to(device)
    batches: Any = itertools.islice(itertools.cycle(data.train_dataloader()), WARM_UP + TIMED)
    steps = []
    for batch in batches:
        batch = type(batch)(*(field.to(device) for field in batch))

        def step(batch: Any = batch) -> None:
            with trainer.precision_plugin.forward_context():
                output, target = system.predict(batch)
            loss(output, target).backward()

        steps.append(_seconds(step, device))
    system.zero_grad(set_to_none=True)
    block = next(iter(data.val_dataloader()))
    block = type(block)(*(field.to(device) for field in block))
    system.eval()

    def validate(block: Any) -> None:
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            system.validation_values(block)

    validation = min(_seconds(lambda: validate(block), device) for _ in range(2)) * _validations(data, trainer)
    system.train()
    system.load_state_dict(kept)
    times = sorted(steps[WARM_UP:])
    seconds = times[len(times) // 2], validation
    if before:
        return longer(before, minutes, *seconds)
    return length(minutes, *seconds, len(data.train_dataloader()))


def _validations(data: AudioDataModule, trainer: pl.Trainer) -> int:
    """Batches of a validation."""
    batches, limit = len(data.val_dataloader()), trainer.limit_val_batches
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
