"""What is refused before a training begins: crops too short for the loss, metrics that are no measure of error, batches
larger than the memory, a few batches learned by a schedule that does not follow them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress

import torch
from omegaconf import DictConfig

from models.memory import physical_bytes, saved_bytes
from models.net import Net
from models.system import geometric_mean

METRIC_SAMPLES = 2**16  # of the trial of a metric
MEMORY_FACTOR = 1.5  # of a training step over what its backward pass keeps; for the paper's network 1.2 to 1.4


def check_lengths(loss: torch.nn.Module, channels: int, samples: int) -> None:
    """Raises a ValueError if the outputs of training are too short for the loss, before anything is read."""
    noise = torch.randn(2, 1, channels, max(samples, 0), generator=torch.Generator().manual_seed(0))
    try:
        loss(noise[0], noise[1])
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the loss cannot use training outputs of {samples} samples and {channels} channel(s): {error} "
            f"(a crop of data.segment_length samples is shortened by the receptive field minus 1)"
        ) from error


def check_metrics(metrics: Mapping[str, torch.nn.Module], channels: int) -> None:
    """Raises a ValueError if a metric is negative for an output that is nearly right, too soft, wrong or silent."""
    noise = torch.randn(2, 1, channels, METRIC_SAMPLES, generator=torch.Generator().manual_seed(0)) / 10
    target, other = noise[0], noise[1]
    for output in (target + other / 1000, target / 2, other, torch.zeros_like(target)):
        values = {}
        for name, metric in metrics.items():
            with torch.no_grad(), suppress(ValueError, RuntimeError):  # one that needs longer signals
                values[name] = float(metric(output, target))
        geometric_mean(values or {"none": 1.0})


def check_overfitting(cfg: DictConfig) -> None:
    """Raises a ValueError if the options of a training on few batches (trainer.overfit_batches) contradict that."""
    if cfg.budget:
        raise ValueError(
            f"budget={cfg.budget} chooses the batches of an epoch, and so does trainer.overfit_batches: pass "
            "trainer.max_epochs=… instead of the budget"
        )
    if cfg.scheduler and "ReduceLROnPlateau" in cfg.scheduler._target_:
        raise ValueError(
            "the schedule of the learning rate follows val/score, which does not fall while a network learns a few "
            "batches (trainer.overfit_batches) by heart: pass scheduler=none or scheduler=cosine"
        )


def check_memory(net: Net, loss: torch.nn.Module, cfg: DictConfig) -> None:
    """Raises a ValueError if a batch is larger than the memory, instead of being ended by the system in the middle."""
    crop = torch.zeros(1, cfg.data.channels, cfg.data.segment_length)
    controls = torch.zeros(1, cfg.model.get("controls", 2))
    needed = MEMORY_FACTOR * cfg.data.batch_size * saved_bytes(net, loss, crop, controls)
    there = physical_bytes()
    if there is not None and needed > there:
        parts = 2 ** math.ceil(math.log2(2 * needed / there))
        raise ValueError(
            f"a batch of {cfg.data.batch_size} crops takes about {needed / 1e9:.0f} GB in training, this machine has "
            f"{there / 1e9:.0f} GB. Pass data.batch_size={max(cfg.data.batch_size // parts, 1)} "
            f"trainer.accumulate_grad_batches={parts}, or try recompute=true or experiment=quick."
        )
