"""Optuna looks for the best score by what train.py returns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from models.run import Run
from tests.conftest import ROOT, TINY

RANGES = ("optimizer.lr=tag(log,interval(1e-4,1e-2))", "data.batch_size=choice(4,8)")


def tuned(folder: Path, root: Path, trials: int) -> str:
    """Trials of the tiny network; returns what is said."""
    options = ["experiment=tune", *TINY, f"data.root={root}", f"hydra.sweeper.n_trials={trials}", *RANGES, "loss=l1"]
    command = [sys.executable, str(ROOT / "train.py"), *options, "model=tcn", "study=tiny"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_optuna_finds_the_best_score_and_goes_on(tmp_path: Path, tiny_root: Path) -> None:
    tuned(tmp_path, tiny_root, 2)
    study = tmp_path / "runs" / "tiny"
    first = {folder.name for folder in study.iterdir() if folder.is_dir()}
    assert len(first) == 2
    said = tuned(tmp_path, tiny_root, 3)
    assert said.count("is finished already") == 2  # the same two trials, and a third
    folders = {folder.name: folder for folder in study.iterdir() if folder.is_dir()}
    assert len(folders) == 3
    assert first < {*folders}
    best = yaml.safe_load((study / "optimization_results.yaml").read_text())
    scores = {name: Run.read(folder).status["score"] for name, folder in folders.items()}
    assert best["best_value"] == min(scores.values())
    found = Run.read(folders[min(scores, key=lambda name: scores[name])]).config
    assert found["optimizer"]["lr"] == best["best_params"]["optimizer.lr"]
