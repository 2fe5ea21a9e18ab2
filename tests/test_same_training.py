"""What makes a training the same: its processes, its data wherever they lie, its number at W&B; and its result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers.logger import DummyLogger

from models import run_files
from models.callbacks import TrainingBar
from models.run import Run
from models.same_run import changed, options_of
from scripts.training import processes
from scripts.training.first_checks import check_metrics
from tests.conftest import Entry
from tests.test_loggers import records

VARIABLES = ("RANK", "LOCAL_RANK", *processes.NODES, *processes.RANKS, "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID")


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "1", "LOCAL_RANK": "0"}, False),  # torchrun, the second machine
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),  # started by Lightning
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, False),  # by Lightning, within a job
        ({"SLURM_PROCID": "1", "SLURM_LOCALID": "1"}, False),
        ({"SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1"}, False),
        ({"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, True),
        ({"OMPI_COMM_WORLD_RANK": "3"}, False),
    ],
)
def test_the_first_process_is_found(variables: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert processes.is_first({"devices": 2, "strategy": "ddp"}) is first
    assert processes.is_first({"devices": 1})  # alone, whatever its task's number: a seed for each, say


def test_the_tasks_of_a_job_take_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(processes.study_name()) == len("2026-01-01_00-00-00")
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    assert processes.study_name() == "slurm-123"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "120")
    assert processes.study_name() == "slurm-120"
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert "slurm" not in processes.study_name()


def test_another_configuration_is_told_by_option() -> None:
    old = {"seed": 1, "model": {"blocks": 3, "channels": 8}, "trainer": {"max_epochs": 2, "precision": "32-true"}}
    new = {"seed": 1, "model": {"blocks": 3}, "trainer": {"max_epochs": 3, "precision": "bf16-mixed", "max_steps": 4}}
    assert options_of(changed(old, new)) == {
        "model.channels": (8, None),
        "trainer.precision": ("32-true", "bf16-mixed"),
    }


def test_what_an_experiment_plans_for_other_networks_changes_no_run() -> None:
    run = {
        "crops": {"tcn": {"epochs": 5}, "lstm": {"epochs": 9}},
        "trainer": {"max_epochs": 5},
        "data": {"batch_size": 4},
    }
    assert changed(run, run | {"crops": {"tcn": {"epochs": 5}}}) == {}
    assert set(changed(run, run | {"data": {"batch_size": 8}})) == {"data"}


def test_a_name_is_no_longer_than_a_folder_may_have_it(train: Entry, tmp_path: Path) -> None:
    monitors = ["{_target_: pytorch_lightning.callbacks.LambdaCallback, on_fit_start: null}"] * 4
    result = train(f"+trainer.callbacks=[{', '.join(monitors)}]")
    assert result.code == 0, result.err
    (folder,) = (tmp_path / "runs/tiny").iterdir()
    assert len(folder.name) == 200


# Data that moved


def test_data_that_moved_are_the_same_data(train: Entry, tmp_path: Path, tiny_root: Path, finished: Path) -> None:
    there = shutil.copytree(tiny_root, tmp_path / "job" / "tiny")
    result = train("name=a", f"data.root={there}", "trainer.max_epochs=2")
    assert result.code == 0, result.err
    assert Run.read(finished).config["data"]["root"] == str(there)
    assert Run.read(finished).status["epochs"] == 2


def test_other_data_are_refused_here_and_elsewhere(
    train: Entry, tmp_path: Path, tiny_root: Path, finished: Path
) -> None:
    here = shutil.copytree(tiny_root, tmp_path / "data")
    run_files.write_config(finished, read_at(finished, here))
    places = {split: shutil.copytree(here, tmp_path / split) for split in ("Train", "Test")}
    for split, root in (places | {"Val": here}).items():
        target = next((root / split).glob("target_*"))
        target.write_bytes(target.read_bytes()[:-2] + b"\0\0")
        result = train("name=a", f"data.root={root}", "trainer.max_epochs=2")
        assert result.code == 1
        assert f"the {split.lower()} split in {root} is not the one" in result.err


def read_at(folder: Path, root: Path) -> dict[str, Any]:
    """The configuration of a run, with other data."""
    config = Run.read(folder).config
    return config | {"data": config["data"] | {"root": str(root)}}


def test_data_that_moved_from_a_run_without_fingerprints_are_refused(
    train: Entry, tmp_path: Path, tiny_root: Path, finished: Path
) -> None:
    run_files.write_status(finished, "interrupted")
    there = shutil.copytree(tiny_root, tmp_path / "job")
    result = train("name=a", f"data.root={there}")
    assert f"data.root is {tiny_root} there and {there} here" in result.err


# Weights & Biases


def test_a_continued_run_has_the_number_that_it_had(
    train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[str] = []

    class Wandb(DummyLogger):
        def __init__(self, id: str, **_: Any) -> None:
            super().__init__()
            numbers.append(id)

    monkeypatch.setattr("pytorch_lightning.loggers.WandbLogger", Wandb)
    for interrupted in (True, False):
        with monkeypatch.context() as patch:
            if interrupted:
                patch.setattr(TrainingBar, "on_train_epoch_end", interruption, raising=False)
            once = train("name=a", "logger=wandb", "trainer.limit_train_batches=1")
            assert (once.code != 0) is interrupted
    assert numbers == 2 * [Run.read(tmp_path / "runs/tiny/a").status["wandb_id"]]
    assert train("name=b", "logger=wandb", "trainer.limit_train_batches=1").code == 0
    assert numbers[2] != numbers[0]


@pytest.mark.slow
def test_a_continued_run_is_one_run_of_wandb(train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(TrainingBar, "on_train_epoch_end", interruption, raising=False)
        assert train("name=a", "logger=wandb", "trainer.max_epochs=2").code != 0
    assert train("name=a", "logger=wandb", "trainer.max_epochs=2").code == 0
    files = list((tmp_path / "runs/tiny/a").rglob("*.wandb"))
    assert len(files) == 2
    numbers = {record.run.run_id for file in files for record in records(file) if record.HasField("run")}
    assert numbers == {Run.read(tmp_path / "runs/tiny/a").status["wandb_id"]}


def interruption(*_: Any) -> None:
    raise KeyboardInterrupt


# The result


def test_the_score_is_returned(train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shows.py").write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Shows(Callback):\n"
        "    def on_job_end(self, config, job_return, **_):\n"
        "        print('returned', job_return.return_value)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    shown = "+hydra.callbacks.shows._target_=shows.Shows"
    result = train("name=a", shown, "trainer.max_epochs=2", "+trainer.val_check_interval=0.5")
    score = Run.read(tmp_path / "runs/tiny/a").status["score"]
    best = torch.load(tmp_path / "runs/tiny/a/checkpoints/best.ckpt", weights_only=True)
    assert best["val/score"] == pytest.approx(score)
    assert f"returned {score}" in result.out
    again = train("name=a", shown, "trainer.max_epochs=2", "+trainer.val_check_interval=0.5")
    assert "is finished already" in again.out
    assert f"returned {score}" in again.out


@pytest.mark.parametrize("metric", ["auraloss.time.SISDRLoss", "auraloss.time.SNRLoss"])
def test_a_metric_that_can_be_negative_is_refused_with_the_reason(train: Entry, metric: str) -> None:
    result = train(f"+metrics.other._target_={metric}")
    assert result.code == 1
    assert "metric other is -" in result.err
    assert "geometric mean" in result.err
    assert "Traceback" not in result.err


def test_metrics_of_errors_are_accepted() -> None:
    check_metrics({"L1": torch.nn.L1Loss()}, channels=2)
