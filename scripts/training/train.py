"""What train.py does once its configuration is composed: everything that needs torch.

The folder of the run decides what happens: a new one is trained, an interrupted one continued, a finished one left as
it is.
"""

from __future__ import annotations

import copy
import logging
import platform
import signal
import time
import uuid
import warnings
from contextlib import nullcontext, suppress
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

from data.datamodule import AudioDataModule
from data.fingerprint import fingerprint
from models import metrics_file, run_files
from models.atomic import HOST
from models.callbacks import Examples, MetricsFile, TrainingBar
from models.memory import keep_freed
from models.net import Net
from models.run import Run
from models.system import SCORE, System
from scripts import extras
from scripts.training import budget, checkpoints, processes, trainer_options
from scripts.training.first_checks import check_lengths, check_memory, check_metrics
from scripts.training.run_lock import RunLock
from scripts.training.stops import Signals, StopAfterStep, Stopped, is_preempted, requeue

LOGGERS = {"WandbLogger": "wandb", "TensorBoardLogger": "tensorboard"}  # class, and the extra that it needs
ENDS = ("max_epochs", "max_time", "max_steps")  # a finished run is trained on if one of them is another

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
    before = Run.read_if_any(folder)
    if cfg.budget:
        OmegaConf.update(cfg, "trainer", budget.chosen(before))
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    first_process = processes.is_first(config["trainer"])
    if before and _is_done(before, config):  # before the lock, which would touch the folder
        return _left_as_it_is(before)
    with Signals() as signals, RunLock(folder) if first_process else nullcontext():
        before = Run.read_if_any(folder)  # another process may have had the lock
        if first_process and before and _is_done(before, config):
            return _left_as_it_is(before)
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
    net = instantiate(cfg.model)
    net.recompute = cfg.recompute
    if cfg.start_from:
        begin_with(net, Path(cfg.start_from))
    loss = instantiate(cfg.loss)
    hears = {name: getattr(net, name) for name in ("receptive_field", "lookahead", "memory")}
    data = instantiate(cfg.data, **hears, seed=cfg.seed)
    trial_loss = copy.deepcopy(loss)  # a call advances the generator of random resolutions
    check_lengths(trial_loss, cfg.data.channels, cfg.data.segment_length - net.receptive_field + 1)
    metrics = instantiate(cfg.metrics)
    check_metrics(metrics, cfg.data.channels)
    scheduler = instantiate(cfg.scheduler) if cfg.scheduler else None
    system = System(
        net,
        loss,
        metrics,
        instantiate(cfg.optimizer),
        scheduler,
        cfg.calibration,
        trainer_options.max_steps(config["trainer"]),
    )
    if cfg.compile.backend:
        system.compile_net(cfg.compile.backend, cfg.compile.mode)

    if added := budget.missing(cfg.budget, before):
        trainer = trainer_options.trainer(cfg.trainer, logger=False)
        length = budget.measured(added, system, data, trainer, budget.chosen(before))
        log.info("%s minutes: %s epochs of %s batches", cfg.budget, *length.values())
        OmegaConf.update(cfg, "trainer", length)
        config["trainer"] |= length

    last = checkpoints.to_continue(folder / "checkpoints")
    details: dict[str, Any] = {}
    if first_process:
        details = begin(folder, before, config, data, continued=last is not None)
    kept = checkpoints.Checkpoints(folder / "checkpoints", recorded_score(before) if before and last else None)
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
        check_memory(net, trial_loss, cfg)
        keep_freed()
    if first_process:
        run_files.write_config(folder, config)
        run_files.write_status(folder, "running", **details)
    started = time.time()
    state = "interrupted"
    if processes.on_several_devices(config["trainer"]):
        signals.kill()  # while the processes wait for each other; the first step listens again
    try:
        if logger:
            logger.log_hyperparams(config)
        trainer.fit(system, datamodule=data, ckpt_path=last, weights_only=True)
        state = "finished"
    except TorchDynamoException as error:
        state, details["error"] = "failed", f"{type(error).__name__}: {error}"
        raise ValueError(f"the network cannot be compiled; pass compile.backend=null. {error}") from error
    except SystemExit as end:
        if signals.received is None:
            raise
        details["stopped_by"] = signal.Signals(signals.received).name
        raise Stopped(signals.received) from end
    except Exception as error:
        state, details["error"] = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        if first_process:
            details |= {"epochs": trainer.current_epoch, "steps": trainer.global_step, "score": kept.best}
            details |= {"ended_early": True} if kept.ended_early else {}
            finish(folder, state, started, details)
        torch.compiler.reset()  # the next job of a sweep compiles its own, of which torch allows a few
        if hasattr(getattr(logger, "experiment", None), "finish"):  # W&B: the next job starts a run of its own
            logger.experiment.finish(exit_code=0 if state == "finished" else 1)
    signals.raise_at_once()
    return kept.best


def is_finished(run: Run, config: dict[str, Any]) -> bool:
    """Whether a run needs no more training; one without a checkpoint needs all.

    Raises:
        ValueError: if it is of another configuration.
    """
    folder = run.folder
    if not any((folder / "checkpoints" / f"{name}.ckpt").exists() for name in ("last", "best")):
        return False
    if differences := run.changed(config):
        told = "; ".join(f"{key} is {before} there and {now} here" for key, (before, now) in differences.items())
        raise ValueError(
            f"{folder} holds a run of another configuration: {told}. "
            f"Choose another study=… or name=…, or delete the folder."
        )
    before, now = ([side["trainer"].get(end) for end in ENDS] for side in (run.config, config))
    return run.status["state"] == "finished" and (before == now or bool(run.status.get("ended_early")))


def begin_with(net: Net, folder: Path) -> None:
    """Gives a network the best weights of another run of the same one; a continued run replaces them by its own."""
    try:
        net.load_state_dict(Run.read(folder).net().state_dict())
    except RuntimeError as error:
        raise ValueError(f"start_from={folder}: that run's network is another one: {error}") from error


def _is_done(run: Run, config: dict[str, Any]) -> bool:
    """Whether a run is finished, and has had all the minutes of its budget."""
    return is_finished(run, config) and not budget.missing(config["budget"], run)


def _left_as_it_is(run: Run) -> float | None:
    log.info("%s is finished already; delete it to train it again.", run.folder)
    return recorded_score(run)


def epochs_of(run: Run) -> int:
    """The epochs that a run has had, by its metrics.csv."""
    return len(metrics_file.read(run.folder / "metrics.csv"))


def recorded_score(run: Run) -> float | None:
    """The best validation score of a run, of which runs of earlier versions tell by their metrics.csv alone."""
    score = run.status.get("score")
    if isinstance(score, float):
        return score
    with suppress(OSError, ValueError):
        rows = metrics_file.read(run.folder / "metrics.csv")
        return min((float(row[SCORE]) for row in rows if row.get(SCORE)), default=None)
    return None


def begin(
    folder: Path, before: Run | None, config: dict[str, Any], data: AudioDataModule, continued: bool
) -> dict[str, Any]:
    """What the status of a run tells from its start on: where it is trained, the fingerprints of its data, its number
    at W&B, and how many epochs it had had.

    A continued training keeps those of its start. Of one that starts again, what is left is removed.

    Raises:
        ValueError: if the data of a continued training have become others.
    """
    status = before.status if before else {}
    details: dict[str, Any] = {key: status[key] for key in ("wandb_id", "score") if key in status}
    details["host"] = HOST
    if job := processes.job():
        details["job"] = job
    if "WandbLogger" in str(config["logger"]):
        details.setdefault("wandb_id", uuid.uuid4().hex[:8])
    data.prepare_data()  # Lightning's own call finds it done
    if before and continued:
        log.info("Continuing %s", folder)
        return details | same_splits(before, config, data) | {"epochs": epochs_of(before)}
    checkpoints.clear(folder / "checkpoints")
    details.pop("score", None)
    return details | {f"{split}_split": fingerprint(found) for split, found in data.found.items()}


def same_splits(run: Run, config: dict[str, Any], data: AudioDataModule) -> dict[str, str]:
    """The fingerprints that a run has recorded of its splits, by which evaluate.py knows whether Test has changed.

    Raises:
        ValueError: if what it trains or validates on has changed, or the data moved and are not the same.
    """
    folder = run.folder
    recorded = {f"{split}_split": run.status.get(f"{split}_split") for split in data.found}
    before, now = (side["data"].get("root") for side in (run.config, config))
    if before != now and not recorded["test_split"]:
        raise ValueError(
            f"{folder}: data.root is {before} there and {now} here, and the run has recorded no fingerprint by which "
            f"the data could be known as the same. Put them back, or choose another study=… or name=…"
        )
    for split, found in data.found.items():
        known = recorded[f"{split}_split"]
        if known and (split != "test" or before != now) and fingerprint(found) != known:
            raise ValueError(
                f"{folder}: the {split} split in {now} is not the one that the run was begun with, in {before}. "
                f"Bring that back, or choose another study=… or name=…"
            )
    return {key: value for key, value in recorded.items() if value}


def _logger(cfg: DictConfig, folder: Path, details: dict[str, Any]) -> Any:
    """The logger; a continued run has the number at W&B that it had, so that `wandb sync` joins its parts."""
    if not cfg.logger:
        return False
    more = {"id": details["wandb_id"]} if "wandb_id" in details and "WandbLogger" in cfg.logger._target_ else {}
    return instantiate(cfg.logger, save_dir=str(folder), **more)


def finish(folder: Path, state: str, started: float, details: dict[str, Any]) -> None:
    """Writes how a training ended."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "lightning": pl.__version__}
    run_files.write_status(folder, state, seconds=round(time.time() - started, 1), **details, versions=versions)
    log.info("%s: %s", folder, state)
    if state != "finished":
        log.info("The same command with study=%s name=%s continues it.", folder.parent.name, folder.name)


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
