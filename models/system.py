"""Training of a network with a loss, as a Lightning module.

It receives network, loss, metrics and optimizer from outside and knows none of them by name.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision, Precision
from torch import Tensor, nn

from models.net import Net

SCORE = "val/score"


def is_whole_epoch(trainer: pl.Trainer) -> bool:
    """Whether the epoch that ends has seen all its batches; not so if the training ends within it."""
    return bool(trainer.fit_loop.epoch_loop.batch_progress.current.ready >= trainer.num_training_batches)


def geometric_mean(values: Mapping[str, float]) -> float:
    """Of metrics by name; a ValueError names one that is negative.

    >>> round(geometric_mean({"ESR": 0.02, "MR": 0.5}), 6)
    0.1
    """
    for name, value in values.items():
        if value < 0:
            raise ValueError(
                f"the validation metric {name} is {value:.4g}: val/score is the geometric mean of metrics that are "
                f"positive, and 0 at best. Leave {name} out of the metrics of training; evaluate.py can score it"
            )
    return math.exp(sum(math.log(max(value, 1e-30)) for value in values.values()) / len(values))


class System(pl.LightningModule):
    """Fits ``net(input, controls)`` to the target. A batch has these three fields; input and target span the same
    samples.

    Every epoch of validation reports ``val/<name>`` for each metric and their geometric mean ``val/score``: a number
    that is the same for every loss, and in which no metric dominates by its scale. The best checkpoint and the learning
    rate follow it.

    Args:
        net: the network.
        loss: module ``(output, target) → scalar``; computed in float32 whatever the precision of the network. One
            with a ``report`` of named terms, as those of auraloss have, gets each of them logged.
        metrics: such modules by name; positive, smaller is better.
        optimizer: makes an optimizer of parameters.
        scheduler: makes a scheduler of an optimizer. One that takes ``steps`` is told how many the training has, and is
            stepped after each of them; any other after each whole epoch, with the latest `val/score` where it asks for
            one, however often there is a validation.
        calibration: training batches by which a network with a frozen normalisation is calibrated before it learns.
        max_steps: after so many optimizer steps the training ends, with a validation, wherever in an epoch it is.
    """

    def __init__(
        self,
        net: Net,
        loss: nn.Module,
        metrics: Mapping[str, nn.Module],
        optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        calibration: int = 0,
        max_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.loss = loss
        self.metrics = nn.ModuleDict(metrics)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.calibration = calibration
        self.max_steps = max_steps
        self.score: float | None = None  # the latest
        self._compiled: Callable[[Tensor, Tensor], Tensor] | None = None

    def compile_net(self, backend: str = "inductor", mode: str = "default") -> None:
        """Has the network's training steps compiled by `torch.compile`; its weights keep their names.

        Crops have one length, and batches one size or that of the epoch's last: each is compiled once, for its shape.
        The blocks of validation differ in length, for which the network stays as it is; so do the losses.

        Args:
            backend: of `torch.compile`.
            mode: of `torch.compile`, such as ``"max-autotune"``.
        """
        self._compiled = torch.compile(self.net.forward, fullgraph=True, dynamic=False, backend=backend, mode=mode)

    def forward(self, input: Tensor, controls: Tensor) -> Tensor:
        return self.net(input, controls)

    def predict(self, batch: Any) -> tuple[Tensor, Tensor]:
        """The network's output and the samples of the target that belong to it, in float32."""
        net = self._compiled if self._compiled is not None and self.training else self.net
        return net(batch.input, batch.controls).float(), self.net.align(batch.target).float()

    def training_step(self, batch: Any, index: int) -> Tensor:
        output, target = self.predict(batch)
        with torch.autocast(output.device.type, enabled=False):
            report = getattr(self.loss, "report", None)
            terms = report(output, target) if report is not None else {"loss": self.loss(output, target)}
        for name, term in terms.items():
            self.log(f"train/{name}", term, on_step=False, on_epoch=True, batch_size=len(output), sync_dist=True)
        return terms["loss"]

    def validation_step(self, batch: Any, index: int) -> None:
        values, samples = self.validation_values(batch)
        if self._is_repeated(index):
            samples = 0
        for name, value in values.items():
            self.log(f"val/{name}", value, batch_size=samples, sync_dist=True)

    def validation_values(self, batch: Any) -> tuple[dict[str, Tensor], int]:
        """The metrics of a batch, and the samples behind them: the last block of a recording is shorter than the
        others, and every sample weighs the same."""
        output, target = (signal[..., self.net.memory :] for signal in self.predict(batch))
        with torch.no_grad(), torch.autocast(output.device.type, enabled=False):
            values = {name: metric(output, target) for name, metric in self.metrics.items()}
        return values, output.shape[0] * output.shape[-1]

    def _is_repeated(self, index: int) -> bool:
        """Whether a batch of validation was given once more, so that all devices make the same number of steps."""
        if self.trainer.world_size == 1:
            return False
        loader: Any = self.trainer.val_dataloaders
        return bool(index * self.trainer.world_size + self.global_rank >= len(loader.sampler.dataset))

    def on_validation_epoch_end(self) -> None:
        values = {name: float(self.trainer.callback_metrics[f"val/{name}"]) for name in self.metrics}
        if not all(math.isfinite(value) for value in values.values()):
            raise FloatingPointError(
                f"the validation metrics {values} are not finite after epoch {self.current_epoch}: the training "
                f"diverged; lower the learning rate (optimizer.lr)"
            )
        score = geometric_mean(values)
        self.log(SCORE, score)
        if not self.trainer.sanity_checking:
            self.score = score

    def on_train_batch_end(self, *_: Any) -> None:
        self._stop_after_max_steps()

    def _stop_after_max_steps(self) -> None:
        """(Lightning's own limit ends an epoch without a validation, and begins a continued one in its middle.)"""
        if self.max_steps is not None and self.trainer.global_step >= self.max_steps:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        """Steps a schedule that counts epochs.

        Lightning would step one that follows the score after the checkpoint is written, which a continued training
        would miss.
        """
        scheduler: Any = None if self._counts_steps else self.lr_schedulers()
        if scheduler is None or not is_whole_epoch(self.trainer):
            return
        if not isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step()
        elif self.score is not None:
            scheduler.step(self.score)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Called by Lightning; those that count epochs wait for `on_train_epoch_end`."""
        if self._counts_steps:
            scheduler.step()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[SCORE] = self.score

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.score = checkpoint.get(SCORE)

    def on_train_start(self) -> None:
        """Calibrates, unless the training is continued. The batches are the first that the training will see."""
        self._stop_after_max_steps()
        self._check_plateau()
        calibrate = getattr(self.net, "calibrate", None)
        if calibrate is None or not self.calibration or self.trainer.global_step:
            return
        loader: Any = self.trainer.train_dataloader
        keys = itertools.islice(loader.batch_sampler, self.calibration)
        batches = (loader.dataset.__getitems__(of_batch) for of_batch in keys)
        as_trained = self.trainer.precision_plugin.convert_input  # a network in double precision takes no other
        pairs = (as_trained((batch.input, batch.controls)) for batch in batches)
        calibrate((input.to(self.device), controls.to(self.device)) for input, controls in pairs)

    def _check_plateau(self) -> None:
        """Raises a ValueError if a schedule that follows the score hears of it too seldom."""
        schedule: Any = None if self._counts_steps else self.lr_schedulers()
        if not isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            return
        trainer = self.trainer
        if not trainer.enable_validation:
            raise ValueError(
                "the schedule of the learning rate follows val/score, and there is no validation "
                "(trainer.limit_val_batches=0): pass scheduler=none or scheduler=cosine"
            )
        if trainer.check_val_every_n_epoch is not None:
            between = trainer.check_val_every_n_epoch
        else:
            between = math.ceil((trainer.val_check_batch or 0) / trainer.num_training_batches)
        if schedule.patience < between - 1:
            raise ValueError(
                f"scheduler.patience={schedule.patience} epochs is over before the next validation, of which there is "
                f"one in {between} epochs: pass scheduler.patience={between - 1} or more, or validate more often"
            )

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: Any = None,
    ) -> None:
        """As Lightning does, which however refuses fused optimizers in every mixed precision: with the scaled gradients
        of float16 for a reason, without a scaler for none."""
        precision = self.trainer.precision_plugin
        if gradient_clip_val is not None and isinstance(precision, MixedPrecision) and precision.scaler is None:
            Precision.clip_gradients(precision, optimizer, gradient_clip_val, gradient_clip_algorithm or "norm")
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    @property
    def _counts_steps(self) -> bool:
        return self.scheduler is not None and "steps" in inspect.signature(self.scheduler).parameters

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.net.parameters())
        if self.scheduler is None:
            return optimizer
        if not self._counts_steps:
            # Stepped by `on_train_epoch_end`: whether there is a score is not Lightning's to ask.
            by_epoch = {"scheduler": self.scheduler(optimizer), "reduce_on_plateau": False}
            return {"optimizer": optimizer, "lr_scheduler": by_epoch}
        steps = min(self.trainer.estimated_stepping_batches, self.max_steps or math.inf)
        if not math.isfinite(steps):
            raise ValueError(
                "the schedule of the learning rate runs over the whole training, whose length is not given: pass "
                "trainer.max_epochs, trainer.max_steps or budget, or scheduler=none"
            )
        schedule = self.scheduler(optimizer, steps=int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
