"""What a training shows of itself: a bar with the time left, ``metrics.csv``, and examples for the ear and the eye."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ProgressBar
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from tqdm import tqdm

from models import metrics_file
from models.atomic import replacing
from models.system import SCORE, System


class TrainingBar(ProgressBar):
    """One bar for the whole training, so that the time left is that of the training and not of an epoch."""

    def __init__(self, description: str) -> None:
        super().__init__()
        self.description = description
        self.shown = True
        self.bar: tqdm | None = None
        self.blocks = 0  # validated in this epoch

    def disable(self) -> None:
        """Called by Lightning on every process but the first."""
        self.shown = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        batches = trainer.num_training_batches
        ends = [batches * (trainer.max_epochs or 0)] if (trainer.max_epochs or 0) > 0 else []
        if steps := getattr(pl_module, "max_steps", None):
            ends.append(steps * trainer.accumulate_grad_batches)
        self.bar = tqdm(
            total=min(ends, default=None),
            initial=batches * trainer.current_epoch,
            desc=self.description,
            unit="batch",
            dynamic_ncols=True,
            disable=not self.shown,
            mininterval=0.5,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.bar is not None:
            self.blocks += 1
            self.bar.set_postfix(validated=f"{self.blocks}/{sum(trainer.num_val_batches)}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.blocks = 0
        if self.bar is not None and SCORE in trainer.callback_metrics:
            self.bar.set_postfix(epoch=trainer.current_epoch + 1, score=f"{trainer.callback_metrics[SCORE]:.4f}")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the bar's last state on the screen."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class MetricsFile(Callback):
    """Writes ``metrics.csv``, one row an epoch; a continued training keeps the rows of its earlier part.

    Of several validations in an epoch the latest counts; where there was none, its columns are left empty.

    (Lightning's CSVLogger deletes the rows on continuing, and spreads an epoch over several.)
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics_file.read(self.file)  # one that is damaged costs no epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.validated = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = sorted(trainer.callback_metrics.items())  # on all devices: it gathers what they have
        if not trainer.is_global_zero:
            return
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "lr": self.lr,
        }
        row |= {name: value.item() for name, value in metrics if self.validated or not name.startswith("val/")}
        rows = [old for old in metrics_file.read(self.file) if int(old["epoch"]) < trainer.current_epoch]
        names = list(dict.fromkeys(name for of_epoch in (*rows, row) for name in of_epoch))
        with replacing(self.file) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows([*rows, row])


class Examples(Callback):
    """Sends the first validation block to the loggers: input, target and output to hear, their waveforms and spectra to
    see.

    Args:
        sample_rate: of the data, in Hz.
        seconds: length of the example.
    """

    def __init__(self, sample_rate: int, seconds: float = 5.0) -> None:
        self.sample_rate = sample_rate
        self.samples = round(seconds * sample_rate)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: System,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx > 0 or trainer.sanity_checking or not trainer.is_global_zero:
            return
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger | TensorBoardLogger)]
        if not loggers:
            return
        with torch.no_grad():
            output, target = pl_module.predict(batch)
        signals = {"input": pl_module.net.align(batch.input), "target": target, "output": output}
        audio = {name: signal[0, :, : self.samples].float().cpu().T.numpy() for name, signal in signals.items()}
        figure = _figure(audio, self.sample_rate)
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                rates = [self.sample_rate] * len(audio)
                logger.log_audio("example", list(audio.values()), sample_rate=rates, caption=list(audio))
                logger.log_image("example/figure", [figure])
            else:
                for name, signal in audio.items():
                    logger.experiment.add_audio(
                        f"example/{name}", signal.mean(axis=1), trainer.global_step, self.sample_rate
                    )
                logger.experiment.add_figure("example/figure", figure, trainer.global_step)


def _figure(audio: dict[str, Any], sample_rate: int) -> Any:
    """Waveforms of the three signals, and the spectra of target and output."""
    from matplotlib.figure import Figure  # a figure without pyplot needs no display and keeps no state

    figure = Figure(figsize=(9, 6))
    waves, spectra = figure.subplots(2, 1)
    # Fixed margins: to find them ("constrained") lays all labels out twice.
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.09, top=0.97, hspace=0.25)
    for name, signal in audio.items():
        seconds = torch.arange(len(signal)) / sample_rate
        waves.plot(seconds, signal[:, 0], label=name, linewidth=0.5)
        window = min(8192, len(signal))
        spectra.magnitude_spectrum(signal[:window, 0], Fs=sample_rate, scale="dB", label=name, linewidth=0.7)
    waves.set(xlabel="time (s)", ylabel="amplitude (full scale = 1)")
    spectra.set(xlabel="frequency (Hz)", ylabel="magnitude (dB)", xscale="log", xlim=(20, sample_rate / 2))
    waves.legend(loc="upper right")
    return figure
