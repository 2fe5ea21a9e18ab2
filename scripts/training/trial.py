"""A training tried by a few steps and a validation, of which nothing is kept: ``+trainer.fast_dev_run=true``."""

from __future__ import annotations

import copy
import logging
from contextlib import suppress
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from models.callbacks import TrainingBar
from models.system import SCORE
from scripts.training import parts, trainer_options
from scripts.training.first_checks import check_memory

log = logging.getLogger(__name__)


def tried(cfg: DictConfig, folder: Path) -> float:
    """The validation score after one step, or as many as `fast_dev_run` says, on as many blocks of validation.

    Lightning leaves out loggers, early stopping and its own checkpoints. A run that the folder holds stays as it is; a
    folder that was made for this is removed.

    Raises:
        ValueError: for options that Lightning refuses.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    system, data = parts.made(cfg)
    try:
        trainer = trainer_options.trainer(cfg.trainer, bar=TrainingBar(str(cfg.name)), logger=False)
        if trainer.strategy.root_device.type == "cpu":
            check_memory(system.net, copy.deepcopy(system.loss), cfg)
        trainer.fit(system, datamodule=data)
    except MisconfigurationException as error:
        raise ValueError(str(error)) from error
    score = float(trainer.callback_metrics[SCORE])
    if trainer.is_global_zero:
        log.info("Tried %d step(s) and a validation, its score %.4g; nothing is kept.", trainer.global_step, score)
    with suppress(OSError):  # it holds a run
        folder.rmdir()
        folder.parent.rmdir()
    return score
