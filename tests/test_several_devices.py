"""Two processes train as one with the batch of both, and their validation is that of one."""

from __future__ import annotations

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
    "data.eval_length=117600",  # six blocks of one length in three batches, of which two devices get one twice
    "data.eval_batch_size=2",
)
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


def scored(*runs: Path) -> list[list[float]]:
    """All scores of each run on the test split."""
    folder = runs[0].parent / "results"
    named = ",".join(map(str, runs))
    command = [sys.executable, "evaluate.py", *scored_runs.LIGHT, f"runs=[{named}]", f"out={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [[float(row["value"]) for row in scored_runs.read(folder) if row["run"] == str(run)] for run in runs]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
def test_two_processes_give_the_weights_of_the_batch_of_both(folder: Path, tiny_root: Path) -> None:
    two, one, accumulated = (
        trained(folder / f"frozen{number}", tiny_root, "+model.norm=frozen", *options)
        for number, options in enumerate((TWO, ONE, ACCUMULATED))
    )
    assert {row["step"] for row in rows(two)} == {row["step"] for row in rows(one)}
    assert difference(one, two) < 1e-5
    assert difference(one, accumulated) < 1e-5
    assert scores(two) == pytest.approx(scores(one), rel=1e-5)
    of_one, of_two = scored(one, two)
    assert len(of_one) > 10
    assert of_two == pytest.approx(of_one, rel=1e-4, abs=1e-8)


@pytest.mark.slow
def test_batch_norm_sees_the_batch_of_its_process_alone(folder: Path, tiny_root: Path) -> None:
    two, one = (trained(folder / f"norm{number}", tiny_root, *options) for number, options in enumerate((TWO, ONE)))
    assert torch.isfinite(torch.tensor(scores(two))).all()
    assert difference(one, two) > 1e-2  # not to be taken for rounding
