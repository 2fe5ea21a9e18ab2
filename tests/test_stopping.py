"""Trainings that are stopped anywhere, and end at the same weights as without the stop."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from models import run_files
from models.callbacks import TrainingBar
from models.run import Run
from models.system import System
from scripts.training.stops import requeue
from tests.conftest import RANDOM, ROOT, TINY, Entry
from tests.forked import ended, forked, killed, started

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


def weights(folder: Path, checkpoint: str = "last") -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints" / f"{checkpoint}.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def same(a: Path, b: Path) -> bool:
    """Whether weights, generator of the loss, schedule, rows and files of two runs are equal."""
    for checkpoint in ("last", "best"):
        first, second = weights(a, checkpoint), weights(b, checkpoint)
        assert first.keys() == second.keys()
        if not all(torch.equal(first[name], second[name]) for name in first):
            return False
    files = [sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file()) for folder in (a, b)]
    return rows(a) == rows(b) and schedules(a) == schedules(b) and files[0] == files[1]


def schedules(folder: Path) -> Any:
    """What a continued training would know of the schedule."""
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["lr_schedulers"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def falls_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has something happen after a number of batches, once; the last that was asked for."""
    update = TrainingBar.on_train_batch_end

    def after(batches: int, what: Any) -> None:
        seen: list[int] = []

        def falls(self: TrainingBar, *arguments: Any) -> None:
            update(self, *arguments)
            seen.append(1)
            if len(seen) == batches:
                what()

        monkeypatch.setattr(TrainingBar, "on_train_batch_end", falls)

    return after


EVERY_3_BATCHES = ("+trainer.check_val_every_n_epoch=null", "+trainer.val_check_interval=3")  # validations


def interruption() -> None:
    raise KeyboardInterrupt


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


SHORT = "trainer.limit_train_batches=2"  # of an epoch
HALVES = "+trainer.val_check_interval=0.5"


@pytest.mark.parametrize(
    ("options", "stops"),  # after so many batches of a command, with so many whole epochs in all
    [
        ([HALVES, SHORT, "trainer.num_sanity_val_steps=1", "scheduler.patience=1", *RANDOM], [(4, 1), (4, 2)]),
        (["+trainer.check_val_every_n_epoch=2", SHORT, "scheduler.patience=1"], [(3, 1), (3, 2)]),
        (["trainer.accumulate_grad_batches=3", "scheduler=cosine", "trainer.max_epochs=2", *EVERY_3_BATCHES], [(5, 1)]),
        (["trainer.max_epochs=-1", "+trainer.max_steps=5", HALVES, SHORT, "scheduler=cosine"], [(4, 1)]),
        (["trainer.limit_val_batches=0", "trainer.max_epochs=2", SHORT, "scheduler=none"], [(3, 1)]),
    ],
    ids=["halves", "every_2_epochs", "every_3_batches", "steps", "no_validation"],
)
def test_what_is_stopped_within_an_epoch_ends_at_the_same_weights(
    train: Entry, runs: Path, falls_in: Any, options: list[str], stops: list[tuple[int, int]]
) -> None:
    options = ["trainer.max_epochs=3", *options]
    assert train("name=whole", *options).code == 0
    for batches, epochs in stops:
        falls_in(batches, interruption)
        assert train("name=parts", *options).code != 0
        assert run_files.read_status(runs / "parts")["state"] == "interrupted"
        assert len(rows(runs / "parts")) == epochs
        Run.read(runs / "parts", "last").net()  # what there is can be evaluated
    falls_in(0, interruption)
    assert train("name=parts", *options).code == 0
    assert same(runs / "whole", runs / "parts")
    assert run_files.read_status(runs / "parts")["state"] == "finished"


def test_an_end_within_an_epoch_is_continued_from_the_whole_one_before(train: Entry, runs: Path) -> None:
    options = (*RANDOM, "trainer.max_epochs=9", "trainer.limit_train_batches=3")
    assert train("name=whole", *options, "+trainer.max_steps=7").code == 0
    for steps in (1, 4, 5, 7):
        result = train("name=parts", *options, f"+trainer.max_steps={steps}")
        assert result.code == 0, result.err
        assert ("Continuing" in result.out) == (steps > 4)  # before, no epoch was whole
        assert run_files.read_status(runs / "parts")["steps"] == steps
        assert (runs / "parts/checkpoints/whole.ckpt").exists() == (steps > 1)
    assert same(runs / "whole", runs / "parts")


def test_early_stopping_stays_stopped(train: Entry, runs: Path) -> None:
    stopping = "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/score, patience: 1}"
    options = ("name=a", "optimizer.lr=0.0", "trainer.limit_train_batches=1", f"+trainer.callbacks=[{stopping}]")
    assert train(*options, "trainer.max_epochs=6").code == 0
    assert [row["epoch"] for row in rows(runs / "a")] == ["0", "1"]
    assert "is finished already" in train(*options, "trainer.max_epochs=9").out
    status = json.loads((runs / "a/status.json").read_text())
    (runs / "a/status.json").write_text(json.dumps(status | {"state": "running"}))  # killed before it could tell
    assert train(*options, "trainer.max_epochs=9").code == 0
    assert [row["epoch"] for row in rows(runs / "a")] == ["0", "1"]


# Signals


def test_a_signal_ends_the_step_the_run_and_the_sweep(train: Entry, runs: Path, falls_in: Any) -> None:
    options = ("trainer.max_epochs=2", "trainer.limit_train_batches=3")
    assert train("name=whole", "loss=esr", *options).code == 0
    falls_in(4, lambda: os.kill(os.getpid(), signal.SIGTERM))  # after what looks for it, hence within the next step
    result = train("-m", "loss=esr,l1", "name=${choices.loss}", *options)
    assert result.code == 143
    assert not (runs / "l1").exists()
    status = run_files.read_status(runs / "esr")
    assert (status["state"], status["stopped_by"], status["steps"]) == ("interrupted", "SIGTERM", 5)
    assert "name=esr continues it" in result.out
    assert train("-m", "loss=esr", "name=${choices.loss}", *options).code == 0
    assert same(runs / "whole", runs / "esr")


def test_a_signal_before_the_training_ends_it_at_once(
    train: Entry, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.datamodule.check_content", lambda found: os.kill(os.getpid(), signal.SIGTERM))
    assert train("name=a").code == 143
    assert not (runs / "a" / ".lock").exists()


def test_slurm_is_asked_to_queue_the_job_again(
    train: Entry, runs: Path, falls_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    told = tmp_path / "told"
    told.write_text("JobId=124 JobState=COMPLETING PreemptTime=None")
    scontrol.write_text(f'#!/bin/sh\n[ $1 = show ] && exec cat {told}\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "124")
    options = ("name=a", "trainer.limit_train_batches=3")
    falls_in(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(*options).code == 143
    assert not (tmp_path / "asked").exists()  # who sends SIGTERM decides on its own
    falls_in(1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert train(*options).code == 138
    status = run_files.read_status(runs / "a")
    assert (status["state"], status["stopped_by"]) == ("interrupted", "SIGUSR1")
    assert (tmp_path / "asked").read_text() == "requeue 124\n"
    told.write_text("JobId=124 JobState=RUNNING PreemptTime=2026-11-27T11:29:02")  # in the partition's GraceTime
    falls_in(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert train(*options).code == 143
    assert (tmp_path / "asked").read_text() == 2 * "requeue 124\n"
    assert train(*options).code == 0
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "120")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    requeue()
    assert (tmp_path / "asked").read_text().endswith("requeue 120_4\n")


def test_a_failing_requeue_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "124")
    monkeypatch.setenv("PATH", "")
    requeue()
    assert "cannot queue job 124 again" in caplog.text


# kill -9


def command(folder: Path, root: Path) -> list[str]:
    options = [*TINY, f"data.root={root}", "trainer.max_epochs=6", "loss=rrstft", "scheduler=cosine"]
    return ["train.py", *options, f"hydra.run.dir={folder}"]


def killed_until_finished(folder: Path, root: Path, kills: int, seed: int, output: Path) -> None:
    """A training that is killed at random moments, from its first line to its last, and starts again each time."""
    drawn, quiet = random.Random(seed), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for number in range(kills):
        if number % 4 == 0:  # a process of its own, killed while it imports, too
            process = subprocess.Popen([sys.executable, *command(folder, root)], cwd=ROOT, **quiet)
            time.sleep(drawn.uniform(0, 6))
            process.kill()
            process.wait()
        else:
            copy = started(*command(folder, root), output=output)
            end = time.monotonic() + 60
            while run_files.read_status(folder)["state"] not in ("running", "finished"):
                assert time.monotonic() < end, output.read_text()
                time.sleep(0.002)
            time.sleep(drawn.uniform(0, 1))
            killed(copy)
        if (folder / "status.json").exists():
            run_files.write_status(
                folder, "interrupted", **{k: v for k, v in run_files.read_status(folder).items() if k != "state"}
            )
    assert ended(started(*command(folder, root), output=output)) == 0, output.read_text()


def test_a_killed_training_is_continued(
    train: Entry, runs: Path, falls_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before its first checkpoint, and in the second epoch; its steps draw from torch's generator."""
    step = System.training_step
    monkeypatch.setattr(System, "training_step", lambda self, *batch: step(self, *batch) * (0.5 + torch.rand(())))
    options = (*RANDOM, "trainer.max_epochs=2", SHORT, "scheduler=cosine")
    assert train("name=whole", *options).code == 0
    for batches in (1, 3):
        falls_in(batches, dies)
        copy = forked(lambda: train("name=parts", *options))
        assert ended(copy) == -signal.SIGKILL
        assert run_files.read_status(runs / "parts")["state"] == "running"
    falls_in(0, dies)
    assert train("name=parts", *options).code == 0
    assert same(runs / "whole", runs / "parts")


@pytest.mark.slow
def test_a_training_killed_twenty_times_is_continued(tmp_path: Path, tiny_root: Path) -> None:
    output = tmp_path / "output"
    assert ended(started(*command(tmp_path / "whole", tiny_root), output=output)) == 0, output.read_text()
    killed_until_finished(tmp_path / "parts", tiny_root, kills=20, seed=2, output=output)
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_a_kill_while_a_checkpoint_is_written_leaves_the_old_one(
    train: Entry, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half of it is written when the process dies, so that nothing is cleaned up."""
    # At this rate the second epoch is the better one.
    options = ("trainer.max_epochs=2", SHORT, "optimizer.lr=0.01")
    assert train("name=whole", *options).code == 0
    save = torch.save
    for file in ("best", "last"):

        def half(content: dict[str, Any], path: Path, file: str = file) -> None:
            save(content, path)
            if file in path.name and content["epoch"] == 1:
                os.truncate(path, os.path.getsize(path) // 2)
                dies()

        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", half)
            copy = forked(lambda: train("name=parts", *options))
        assert ended(copy) == -signal.SIGKILL
        assert any(name.name.startswith(f".{file}.ckpt.") for name in (runs / "parts" / "checkpoints").iterdir())
    assert train("name=parts", *options).code == 0
    assert same(runs / "whole", runs / "parts")
