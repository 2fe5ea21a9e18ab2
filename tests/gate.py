"""Holds trainings in the middle of an epoch until a test lets them go on, so that what befalls them falls there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from scripts.training.stops import StopAfterStep

POLL_SECONDS = 0.05


class Gate(Callback):
    """Waits before the second batch of each epoch that is not open yet; a signal ends the wait.

    Args:
        folder: holds the file `open`, with the number of epochs that are; a run that waits leaves a file of its name.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        if index != 1:
            return
        here = self.folder / f"{Path(trainer.default_root_dir).name}-{trainer.current_epoch}"
        (stop,) = (callback for callback in trainer.callbacks if isinstance(callback, StopAfterStep))
        while trainer.current_epoch >= int((self.folder / "open").read_text()) and stop.signals.received is None:
            here.touch()
            time.sleep(POLL_SECONDS)
        here.unlink(missing_ok=True)


def arguments(folder: Path) -> list[str]:
    """The options of a training that waits at the gate of a folder."""
    folder.mkdir(exist_ok=True)
    open_until(folder, 0)
    return [f"+trainer.callbacks._target_={Gate.__module__}.Gate", f"+trainer.callbacks.folder={folder}"]


def open_until(folder: Path, epochs: int) -> None:
    """Lets trainings into so many epochs."""
    partial = folder / ".open"
    partial.write_text(str(epochs))
    partial.replace(folder / "open")


def waits(folder: Path, run: str, epoch: int) -> bool:
    """Whether a run is held in an epoch."""
    return (folder / f"{run}-{epoch}").exists()
