"""The checkpoints of a run, written by Lightning's trainer: each appears whole, and only whole epochs are continued.

    best.ckpt    weights of the validation with the best score; of a training without any, those of its end
    last.ckpt    all that a training is continued from, after each whole epoch, and as it was at its end
    whole.ckpt   those after the last whole epoch, where the training ended within one

A training that was stopped within an epoch trains that epoch again, by the same batches: what it has drawn at random is
a function of the seed and the epoch, or in the checkpoint.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, Timer
from pytorch_lightning.plugins.io import TorchCheckpointIO

from models import checksums
from models.atomic import replacing
from models.system import SCORE, is_whole_epoch

FULL = 2**20  # bytes left on a disk that is full
STATE = "Checkpoints"  # key of the callback's state in a checkpoint


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the old one and replaces that in one step.

    (Lightning's own goes through the folder of temporary files, from where it is copied.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            try:
                torch.save(checkpoint, partial)
            except RuntimeError as error:  # torch does not tell why it cannot write
                if shutil.disk_usage(file.parent).free > FULL:
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from error


class Checkpoints(Checkpoint):
    """Writes the checkpoints of a run.

    Args:
        folder: of the checkpoints.
        best: score of the best.ckpt that is there already.
    """

    def __init__(self, folder: Path, best: float | None = None) -> None:
        self.folder = folder
        self.best = best
        self.whole = True
        self.ended_early = False
        """Whether a callback, such as early stopping, has ended the training."""

    @property
    def state_key(self) -> str:
        return STATE

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "whole": self.whole, "ended_early": self.ended_early}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.ended_early = state_dict["best"], state_dict["ended_early"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.ended_early:
            trainer.should_stop = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        score = float(trainer.callback_metrics[SCORE])
        if self.best is None or score < self.best:
            self.best = score
            self._save(trainer, "best", weights_only=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.whole = is_whole_epoch(trainer)
        steps = getattr(pl_module, "max_steps", None)
        left = [callback.time_remaining() for callback in trainer.callbacks if isinstance(callback, Timer)]
        at_its_end = (steps is not None and trainer.global_step >= steps) or any(t is not None and t <= 0 for t in left)
        self.ended_early = trainer.should_stop and not at_its_end
        if not self.whole and trainer.is_global_zero and _is_whole(self.folder / "last.ckpt"):
            with replacing(self.folder / "whole.ckpt") as partial:
                shutil.copyfile(self.folder / "last.ckpt", partial)
        self._save(trainer, "last")
        if self.whole and trainer.is_global_zero:
            (self.folder / "whole.ckpt").unlink(missing_ok=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.best is None:
            self._save(trainer, "best", weights_only=True)

    def _save(self, trainer: pl.Trainer, name: str, weights_only: bool = False) -> None:
        trainer.save_checkpoint(self.folder / f"{name}.ckpt", weights_only)


class Generators(Callback):
    """Seeds the generators of torch, NumPy and Python by seed and epoch, for whatever draws from them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        if index == 0 and trainer.current_epoch:  # the first epoch goes on from where the network was made
            words = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank]).generate_state(3)
            torch.manual_seed(int(words[0]))
            np.random.seed(int(words[1]))  # noqa: NPY002  # the global one is meant
            random.seed(int(words[2]))


def to_continue(folder: Path) -> Path | None:
    """The checkpoint of a run from which its training is continued: the latest of a whole epoch."""
    for file in (folder / "last.ckpt", folder / "whole.ckpt"):
        if _is_whole(file):
            return file
    return None


def clear(folder: Path) -> None:
    """Removes the checkpoints of a training that has to start again."""
    for name in ("best", "last", "whole"):
        (folder / f"{name}.ckpt").unlink(missing_ok=True)


def _is_whole(file: Path) -> bool:
    """Whether a checkpoint is there and of a whole epoch; those of earlier versions are."""
    if not file.exists():
        return False
    try:
        checksums.check(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # there is no end to what the reading of damaged bytes can raise
        raise ValueError(f"{file} is damaged ({error}). Delete it, and the run is trained from its start.") from error
    return bool(content.get("callbacks", {}).get(STATE, {}).get("whole", True))
