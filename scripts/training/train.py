"""What train.py does once its configuration is composed: everything that needs torch.

The folder of the run decides what happens: a new one is trained, an interrupted one continued, a finished one left as
it is.
"""

from __future__ import annotations

import copy
import logging
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch._dynamo.exc import TorchDynamoException

from models import run_files
from models.callbacks import Examples, MetricsFile, TrainingBar
from models.memory import keep_freed
from models.run import Run
from models.run_lock import RunLock
from scripts import extras
from scripts.training import budget, checkpoints, parts, processes, state, trainer_options, trial
from scripts.training.first_checks import check_memory
from scripts.training.stops import Signals, StopAfterStep, Stopped, is_preempted, requeue

LOGGERS = {"WandbLogger": "wandb", "TensorBoardLogger": "tensorboard"}  # class, and the extra that it needs

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path) -> float | None:
    """Trains, continues or skips the run of a folder; returns its best validation score, if it was ever validated.

    Raises:
        Stopped: after a signal that asked for the end; a `SystemExit`, which also ends a sweep.
    """
    _quiet()
    trainer_options.refuse(cfg.trainer)
    if cfg.logger and (extra := LOGGERS.get(cfg.logger._target_.rpartition(".")[2])):
        extras.require(extra, f"logger={extra}")
    processes.check_tasks(cfg.trainer)
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if sweep and (cfg.trainer.devices != 1 or cfg.trainer.get("strategy", "auto") != "auto"):
        raise ValueError(
            "a sweep cannot use several devices, each process would run all of it. "
            "Start one command for each job: for loss in l1 stft; do python train.py trainer=ddp study=a loss=$loss; "
            "done (with hydra.mode=RUN if the experiment is a sweep)"
        )
    if cfg.trainer.get("fast_dev_run"):
        return trial.tried(cfg, folder)
    before = Run.read_if_any(folder)
    if cfg.budget:
        OmegaConf.update(cfg, "trainer", budget.chosen(before))
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    first_process = processes.is_first(config["trainer"])
    if before and state.is_done(before, config):  # before the lock, which would touch the folder
        return state.recorded_score(before)
    with Signals() as signals, RunLock(folder) if first_process else nullcontext():
        before = Run.read_if_any(folder)  # another process may have had the lock
        if first_process and before and state.is_done(before, config):
            return state.recorded_score(before)
        try:
            score = _train(cfg, config, folder, before, first_process, signals)
            if sweep and signals.received is not None:
                raise Stopped(signals.received)
        except Stopped as stop:
            if first_process and (stop.signal == signal.SIGUSR1 or is_preempted()):
                requeue()
            raise
        except MisconfigurationException as error:
            raise ValueError(str(error)) from error
    return score


def _train(
    cfg: DictConfig, config: dict[str, Any], folder: Path, before: Run | None, first_process: bool, signals: Signals
) -> float | None:
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    system, data = parts.made(cfg)
    if added := budget.missing(cfg.budget, before):
        trainer = trainer_options.trainer(cfg.trainer, logger=False)
        length = budget.measured(added, system, data, trainer, budget.chosen(before))
        log.info("%s minutes: %s epochs of %s batches", cfg.budget, *length.values())
        OmegaConf.update(cfg, "trainer", length)
        config["trainer"] |= length

    last = checkpoints.to_continue(folder / "checkpoints")
    details: dict[str, Any] = {}
    if first_process:
        details = state.begin(folder, before, config, data, continued=last is not None)
    kept = checkpoints.Checkpoints(folder / "checkpoints", state.recorded_score(before) if before and last else None)
    logger = _logger(cfg, folder, details)
    trainer = trainer_options.trainer(
        cfg.trainer,
        own=[
            StopAfterStep(signals),
            checkpoints.Generators(cfg.seed),
            kept,
            MetricsFile(folder / "metrics.csv"),
            Examples(cfg.data.sample_rate),
        ],
        bar=TrainingBar(str(cfg.name)),
        default_root_dir=str(folder),
        logger=logger,
    )
    if trainer.strategy.root_device.type == "cpu":
        check_memory(system.net, copy.deepcopy(system.loss), cfg)
        keep_freed()
    if first_process:
        run_files.write_config(folder, config)
        run_files.write_status(folder, "running", **details)
    if processes.on_several_devices(config["trainer"]):
        signals.kill()  # while the processes wait for each other; the first step listens again
    with outcome(folder if first_process else None, details, trainer, kept, signals):
        if logger:
            logger.log_hyperparams(config)
        trainer.fit(system, datamodule=data, ckpt_path=last, weights_only=True)
    signals.raise_at_once()
    return kept.best


@contextmanager
def outcome(
    folder: Path | None, details: dict[str, Any], trainer: pl.Trainer, kept: checkpoints.Checkpoints, signals: Signals
) -> Iterator[None]:
    """How the training within ends: as an exception, in the status of its run (if this process writes it), at W&B.

    Raises:
        Stopped: in the place of the exit that a signal asked for.
        ValueError: if the network cannot be compiled.
    """
    started = time.time()
    end = "interrupted"
    try:
        yield
        end = "finished"
    except TorchDynamoException as error:
        end, details["error"] = "failed", f"{type(error).__name__}: {error}"
        raise ValueError(f"the network cannot be compiled; pass compile.backend=null. {error}") from error
    except SystemExit as stop:
        if signals.received is None:
            raise
        details["stopped_by"] = signal.Signals(signals.received).name
        raise Stopped(signals.received) from stop
    except Exception as error:
        end, details["error"] = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        if folder:
            details |= {"epochs": trainer.current_epoch, "steps": trainer.global_step, "score": kept.best}
            details |= {"ended_early": True} if kept.ended_early else {}
            state.finish(folder, end, started, details)
        torch.compiler.reset()  # the next job of a sweep compiles its own, of which torch allows a few
        if hasattr(getattr(trainer.logger, "experiment", None), "finish"):  # W&B: the next job starts a run of its own
            trainer.logger.experiment.finish(exit_code=0 if end == "finished" else 1)


def _logger(cfg: DictConfig, folder: Path, details: dict[str, Any]) -> Any:
    """The logger; a continued run has the number at W&B that it had, so that `wandb sync` joins its parts."""
    if not cfg.logger:
        return False
    more = {"id": details["wandb_id"]} if "wandb_id" in details and "WandbLogger" in cfg.logger._target_ else {}
    return instantiate(cfg.logger, save_dir=str(folder), **more)


def _quiet() -> None:
    """Leaves out what Lightning says of every training here."""
    # The reader is faster than training on a processor, so that Lightning's advice on more workers does not apply.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # inside Lightning
    warnings.filterwarnings("ignore", message=".*number of training batches .* is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="The `srun` command is available")  # where jobs are submitted
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # on continuing
    # A frozen normalisation is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for asked_for in ("callbacks", "profilers"):  # what early stopping, the summary and profilers say was ordered
        logging.getLogger(f"pytorch_lightning.{asked_for}").setLevel(logging.INFO)
