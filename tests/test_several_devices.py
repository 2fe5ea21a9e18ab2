"""Two processes train as one with the batch of both, and their validation is that of one."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import scored_runs
from tests.conftest import ROOT, TINY
from tests.test_stopping import rows, weights

EPOCHS = 2
OPTIONS = (
    *TINY,
    f"trainer.max_epochs={EPOCHS}",
    "trainer.limit_val_batches=1.0",
    "loss=l1",  # a mean over the crops; a loss that is one ratio for the batch sees that of its process
    "optimizer.lr=0.003",
    "+optimizer.eps=1e-4",  # or Adam makes steps of the rounding where there is no gradient
)
FOUR = ("trainer.devices=4", "+trainer.strategy=ddp", "data.batch_size=1", "trainer.max_epochs=1")
TWO = ("trainer.devices=2", "+trainer.strategy=ddp", "data.batch_size=2")
ONE = ("data.batch_size=4",)
ACCUMULATED = ("data.batch_size=2", "trainer.accumulate_grad_batches=2")


def trained(folder: Path, root: Path, *options: str) -> Path:
    command = [sys.executable, "train.py", *OPTIONS, *options, f"data.root={root}", f"hydra.run.dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def difference(a: Path, b: Path) -> float:
    """The largest difference of a weight, relative to the largest of its tensor."""
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    worst = 0.0
    for name, value in first.items():
        if value.is_floating_point():
            scale = max(float(value.abs().max()), 1e-3)
            worst = max(worst, float((value - second[name]).abs().max()) / scale)
    return worst


def scores(folder: Path) -> list[float]:
    return [float(row["val/score"]) for row in rows(folder)]


def scored(run: Path) -> list[float]:
    """All scores of a run on the test split."""
    command = [sys.executable, "evaluate.py", *scored_runs.LIGHT, f"runs={run}", f"out={run}/results"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (run / "results" / "scores.csv").open(newline="") as stream:
        return [float(row["value"]) for row in csv.DictReader(stream) if row["run"] == str(run)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
def test_two_processes_give_the_weights_of_the_batch_of_both(folder: Path, tiny_root: Path) -> None:
    two, one, accumulated, four = (
        trained(folder / f"frozen{number}", tiny_root, "+model.norm=frozen", *options)
        for number, options in enumerate((TWO, ONE, ACCUMULATED, FOUR))
    )
    assert {row["step"] for row in rows(two)} == {row["step"] for row in rows(one)}
    assert difference(one, two) < 1e-5
    assert difference(one, accumulated) < 1e-5
    assert scores(two) == pytest.approx(scores(one), rel=1e-5)
    assert scores(four) == pytest.approx(scores(one)[:1], rel=1e-5)  # of the 10 blocks two are given twice
    of_one, of_two = scored(one), scored(two)
    assert len(of_one) > 10
    assert of_two == pytest.approx(of_one, rel=1e-4, abs=1e-8)


@pytest.mark.slow
def test_batch_norm_sees_the_batch_of_its_process_alone(folder: Path, tiny_root: Path) -> None:
    two, one = (trained(folder / f"norm{number}", tiny_root, *options) for number, options in enumerate((TWO, ONE)))
    assert torch.isfinite(torch.tensor(scores(two))).all()
    assert 1e-5 < difference(one, two) < 1
