"""An evaluation that is killed at random moments ends with the same results, and leaves nothing to clean up."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import scored_runs
from tests.conftest import ROOT, Entry
from tests.forked import forked, killed


def command(folder: Path) -> list[str]:
    return [sys.executable, "evaluate.py", *scored_runs.LIGHT, f"runs={folder}"]


def results(folder: Path) -> dict[str, str]:
    """All that the evaluation wrote; where a study lies, and when it was scored, aside."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "checkpoints" not in file.parts]
    return {
        str(file.relative_to(folder)): file.read_text().replace(str(folder), "STUDY")
        for file in files
        if file.parent.name == "results"
    } | {str(file.relative_to(folder)): "" for file in files if file.parent.name != "results"}


def make(tmp_path: Path, data_root: Path) -> None:
    for study in ("whole", "parts"):
        for name, number in (("l1-seed1", 1), ("mrstft-seed1", 2)):
            scored_runs.make_run(tmp_path / study / name, data_root, number)


def test_a_killed_evaluation_is_taken_up_again(evaluate: Entry, tmp_path: Path, data_root: Path) -> None:
    """Killed when the first run has its scores, before there are results."""
    make(tmp_path, data_root)
    assert evaluate(f"runs={tmp_path / 'whole'}").code == 0
    copy = forked(lambda: evaluate(f"runs={tmp_path / 'parts'}"))
    end = time.monotonic() + 100
    while not list(tmp_path.glob("parts/*/scores/*.json")):
        assert time.monotonic() < end
        time.sleep(0.001)
    killed(copy)
    assert not (tmp_path / "parts/results/table1.md").exists()
    assert evaluate(f"runs={tmp_path / 'parts'}").code == 0
    assert results(tmp_path / "parts") == results(tmp_path / "whole")


@pytest.mark.slow
def test_an_evaluation_killed_twenty_times_is_taken_up_again(tmp_path: Path, data_root: Path) -> None:
    make(tmp_path, data_root)
    done = subprocess.run(command(tmp_path / "whole"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn = random.Random(2)
    for _ in range(20):
        process = subprocess.Popen(command(tmp_path / "parts"), cwd=ROOT, stdout=-3, stderr=-3)
        time.sleep(drawn.uniform(2, 9))
        process.kill()
        process.wait()
    done = subprocess.run(command(tmp_path / "parts"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "parts") == results(tmp_path / "whole")
