"""What a run's folder tells of its training: whether it is done, what it began with, how it ended."""

from __future__ import annotations

import logging
import platform
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from data.datamodule import AudioDataModule
from data.fingerprint import fingerprint
from models import metrics_file, run_files
from models.atomic import HOST
from models.run import Run
from models.system import SCORE
from scripts.training import budget, checkpoints, processes

ENDS = ("max_epochs", "max_time", "max_steps")  # a finished run is trained on if one of them is another

log = logging.getLogger(__name__)


def is_done(run: Run, config: dict[str, Any]) -> bool:
    """Whether a run is finished, and has had all the minutes of its budget; says so, as it is left as it is."""
    done = is_finished(run, config) and not budget.missing(config["budget"], run)
    if done:
        log.info("%s is finished already; delete it to train it again.", run.folder)
    return done


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


def finish(folder: Path, state: str, started: float, details: dict[str, Any]) -> None:
    """Writes how a training ended."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "lightning": pl.__version__}
    run_files.write_status(folder, state, seconds=round(time.time() - started, 1), **details, versions=versions)
    log.info("%s: %s", folder, state)
    if state != "finished":
        does = "tries its last epoch again" if state == "failed" else "continues it"
        log.info("The same command with study=%s name=%s %s.", folder.parent.name, folder.name, does)
