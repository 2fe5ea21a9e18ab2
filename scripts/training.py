"""What train.py does once its configuration is composed: everything that needs torch.

The folder of the run decides what happens: a new one is trained, an interrupted one continued, a finished one left as
it is.
"""

from __future__ import annotations

import copy
import logging
import os
import platform
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from torch._dynamo.exc import TorchDynamoException

from data.datamodule import AudioDataModule
from data.fingerprint import fingerprint
from models import run
from models.callbacks import Examples, MetricsFile, TrainingBar
from models.net import Net
from models.system import SCORE, System
from scripts import budget
from scripts.first_checks import check_lengths, check_memory
from scripts.same_run import changed

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path) -> None:
    """Trains, continues or skips the run of a folder."""
    _quiet()
    if HydraConfig.get().mode == RunMode.MULTIRUN and (
        cfg.trainer.devices != 1 or cfg.trainer.get("strategy", "auto") != "auto"
    ):
        raise ValueError(
            "a sweep cannot use several devices, each process would run all of it. "
            "Start one command for each job: for loss in l1 stft; do python train.py trainer=ddp study=a loss=$loss; "
            "done (with hydra.mode=RUN if the experiment is a sweep)"
        )
    minutes, length = budget.chosen(folder) if cfg.budget else (0.0, {})
    if length:
        OmegaConf.update(cfg, "trainer", length)
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    first_process = os.environ.get("LOCAL_RANK", "0") == "0"
    added = (cfg.budget or 0) - minutes  # to the budget of a run that is continued
    if first_process and is_finished(folder, config) and added <= 0:
        log.info("%s is finished already; delete it to train it again.", folder)
        return

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    net = instantiate(cfg.model)
    net.recompute = cfg.recompute
    if cfg.start_from:
        begin_with(net, Path(cfg.start_from))
    loss = instantiate(cfg.loss)
    data = instantiate(cfg.data, receptive_field=net.receptive_field, lookahead=net.lookahead, seed=cfg.seed)
    trial_loss = copy.deepcopy(loss)  # a call advances the generator of random resolutions
    check_lengths(trial_loss, cfg.data.channels, cfg.data.segment_length - net.receptive_field + 1)
    scheduler = instantiate(cfg.scheduler) if cfg.scheduler else None
    system = System(net, loss, instantiate(cfg.metrics), instantiate(cfg.optimizer), scheduler, cfg.calibration)
    if cfg.compile.backend:
        system.compile_net(cfg.compile.backend, cfg.compile.mode)

    if cfg.budget and added > 0:
        length = budget.measured(added, system, data, instantiate(cfg.trainer, logger=False), length)
        log.info("%s minutes: %s epochs of %s batches", cfg.budget, *length.values())
        OmegaConf.update(cfg, "trainer", length)
        config["trainer"] |= length

    checkpoints = folder / "checkpoints"
    logger: Any = instantiate(cfg.logger, save_dir=str(folder)) if cfg.logger else False
    trainer = instantiate(
        cfg.trainer,
        default_root_dir=str(folder),
        logger=logger,
        callbacks=[
            ModelCheckpoint(checkpoints, "best", monitor=SCORE, enable_version_counter=False),
            ModelCheckpoint(checkpoints, "last", enable_version_counter=False),
            MetricsFile(folder / "metrics.csv"),
            Examples(cfg.data.sample_rate),
            TrainingBar(str(cfg.name)),
        ],
    )
    if trainer.strategy.root_device.type == "cpu":
        check_memory(net, trial_loss, cfg)
    last = checkpoints / "last.ckpt"
    details: dict[str, Any] = {}
    if first_process:
        if last.exists():
            log.info("Continuing %s", folder)
        details = recorded_split(folder, data, continued=last.exists())
        run.write_config(folder, config)
        run.write_status(folder, "running", **details)
    started = time.time()
    state = "interrupted"
    try:
        if logger:
            logger.log_hyperparams(config)
        trainer.fit(system, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
        state = "finished"
    except TorchDynamoException as error:
        state, details["error"] = "failed", f"{type(error).__name__}: {error}"
        raise ValueError(f"the network cannot be compiled; pass compile.backend=null. {error}") from error
    except Exception as error:
        state, details["error"] = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        if first_process:
            details |= {"epochs": trainer.current_epoch, "steps": trainer.global_step}
            finish(folder, state, started, details)
        torch.compiler.reset()  # the next job of a sweep compiles its own, of which torch allows a few
        if hasattr(getattr(logger, "experiment", None), "finish"):  # W&B: the next job starts a run of its own
            logger.experiment.finish(exit_code=0 if state == "finished" else 1)


def is_finished(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the run of a folder needs no more training; a folder without a checkpoint holds none.

    Raises:
        ValueError: if the folder holds a run of another configuration.
    """
    if not (folder / "checkpoints" / "last.ckpt").exists():
        return False
    old = run.read_config(folder)
    if differences := changed(old, config):
        told = "; ".join(f"{key} is {before} there and {now} here" for key, (before, now) in differences.items())
        raise ValueError(
            f"{folder} holds a run of another configuration: {told}. "
            f"Choose another study=… or name=…, or delete the folder."
        )
    before, now = ((side["trainer"].get("max_epochs"), side["trainer"].get("max_time")) for side in (old, config))
    return run.read_status(folder)["state"] == "finished" and before == now


def begin_with(net: Net, folder: Path) -> None:
    """Gives a network the best weights of another run of the same one; a continued run replaces them by its own."""
    try:
        net.load_state_dict(run.load_net(folder).state_dict())
    except RuntimeError as error:
        raise ValueError(f"start_from={folder}: that run's network is another one: {error}") from error


def recorded_split(folder: Path, data: AudioDataModule, continued: bool) -> dict[str, str]:
    """The fingerprint of the test split at the start of a training, by which evaluate.py knows whether it has changed.

    A continued training keeps the one of its start, or none.
    """
    if continued:
        return {key: value for key, value in run.read_status(folder).items() if key == "test_split"}
    data.prepare_data()  # Lightning's own call finds it done
    return {"test_split": fingerprint(data.found["test"])}


def finish(folder: Path, state: str, started: float, details: dict[str, Any]) -> None:
    """Writes how a training ended."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "lightning": pl.__version__}
    run.write_status(folder, state, seconds=round(time.time() - started, 1), **details, versions=versions)
    log.info("%s: %s", folder, state)
    if state != "finished":
        log.info("The same command with study=%s name=%s continues it.", folder.parent.name, folder.name)


def _quiet() -> None:
    """Leaves out what Lightning says of every training here."""
    # The reader is faster than training on a processor, so that Lightning's advice on more workers does not apply.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # inside Lightning
    warnings.filterwarnings("ignore", message=".*number of training batches .* is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # on continuing
    # A frozen normalisation is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
