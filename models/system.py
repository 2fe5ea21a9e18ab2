"""Training of a network with a loss, as a Lightning module.

It receives network, loss, metrics and optimizer from outside and knows none of them by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision, Precision
from torch import Tensor, nn

from models.net import Net

SCORE = "val/score"


class System(pl.LightningModule):
    """Fits ``net(input, controls)`` to the target. A batch has these three fields; input and target span the same
    samples.

    Every epoch of validation reports ``val/<name>`` for each metric and their geometric mean ``val/score``: a figure
    that is the same for every loss, and in which no metric dominates by its scale. The best checkpoint and the learning
    rate follow it.

    Args:
        net: the network.
        loss: module ``(output, target) → scalar``; computed in float32 whatever the precision of the network. One
            with a ``report`` of named terms, as those of auraloss have, gets each of them logged.
        metrics: such modules by name; positive, smaller is better.
        optimizer: makes an optimizer of parameters.
        scheduler: makes a scheduler of an optimizer; stepped once an epoch, with `val/score` where it asks for a
        figure.
    """

    def __init__(
        self,
        net: Net,
        loss: nn.Module,
        metrics: Mapping[str, nn.Module],
        optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.loss = loss
        self.metrics = nn.ModuleDict(metrics)
        self.optimizer = optimizer
        self.scheduler = scheduler
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
        output, target = self.predict(batch)
        # The last block of a recording is shorter than the others: every sample weighs the same.
        weight = output.shape[0] * output.shape[-1]
        with torch.autocast(output.device.type, enabled=False):
            for name, metric in self.metrics.items():
                self.log(f"val/{name}", metric(output, target), batch_size=weight, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        values = [float(self.trainer.callback_metrics[f"val/{name}"]) for name in self.metrics]
        if not all(math.isfinite(value) for value in values):
            raise FloatingPointError(
                f"the validation metrics {dict(zip(self.metrics, values, strict=True))} are not finite after epoch "
                f"{self.current_epoch}: the training diverged; lower the learning rate (optimizer.lr)"
            )
        score = math.exp(sum(math.log(max(value, 1e-30)) for value in values) / len(values))
        self.log(SCORE, score)
        scheduler: Any = self.lr_schedulers()
        if scheduler is not None and self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            takes_score = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
            scheduler.step(score) if takes_score else scheduler.step()

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Nothing: Lightning would step it after the checkpoint is written, which a continued training would miss."""

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

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.net.parameters())
        if self.scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.scheduler(optimizer), "monitor": SCORE},
        }
