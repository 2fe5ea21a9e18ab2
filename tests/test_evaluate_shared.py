"""Several processes score the runs of one evaluation, and the results are those of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.run_lock import RunLock
from scripts.scoring import share
from scripts.scoring.cache import Scored
from scripts.scoring.scorer import Job
from tests import scored_runs
from tests.conftest import ROOT, Entry

RUNS = 3


def studies(tmp_path: Path, data_root: Path, *names: str) -> list[Path]:
    for study in names:
        for number in range(RUNS):
            scored_runs.make_run(tmp_path / study / f"l1-seed{number}", data_root, number)
    return [tmp_path / study for study in names]


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "evaluate.py"), *scored_runs.LIGHT, *arguments]


def table(study: Path) -> str:
    return (study / "results" / "scores.csv").read_text().replace(str(study), "STUDY")


def left(study: Path) -> list[Path]:
    return [file for file in study.rglob("*") if file.name.startswith(".")]


@pytest.mark.slow
def test_processes_side_by_side_score_as_one(tmp_path: Path, data_root: Path, evaluate: Entry) -> None:
    one, several = studies(tmp_path, data_root, "one", "several")
    assert evaluate(f"runs={one}").code == 0
    done = subprocess.run(command(f"runs={several}", "workers=3"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert table(several) == table(one)
    assert left(several) == []


def test_one_scores_what_another_has_not_taken(tmp_path: Path, data_root: Path, evaluate: Entry) -> None:
    one, shared = studies(tmp_path, data_root, "one", "shared")
    taken = shared / "l1-seed2" / "scores"
    with RunLock(taken):
        assert evaluate(f"runs={shared}", "score_only=true").code == 0
        assert not (shared / "results" / "scores.csv").exists()
        assert not list(taken.glob("*.json"))
        assert len(list(shared.glob("l1-*/scores/*.json"))) == RUNS - 1
    assert evaluate(f"runs={shared}").code == 0
    assert evaluate(f"runs={one}").code == 0
    assert table(shared) == table(one)


@pytest.mark.slow
def test_tasks_of_slurm_share_and_the_first_collects(tmp_path: Path, data_root: Path, evaluate: Entry) -> None:
    one, tasks = studies(tmp_path, data_root, "one", "tasks")
    assert evaluate(f"runs={one}").code == 0
    started = [
        subprocess.Popen(
            command(f"runs={tasks}"),
            env=os.environ | {"SLURM_NTASKS": "3", "SLURM_PROCID": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for rank in range(3)
    ]
    started[2].kill()  # what it may have taken is taken by the others
    assert [process.wait() for process in started] == [0, 0, -9]
    assert table(tasks) == table(one)
    assert left(tasks) == []


def test_what_others_have_taken_is_left_to_them(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    with share.taken(folders[:1]) as first, share.taken(folders) as second:
        assert (first, second) == ([folders[0]], [folders[1]])
    with share.taken(folders) as both:
        assert both == folders


def test_a_folder_that_cannot_be_written_is_scored_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no folder")
    with share.taken([tmp_path / "a" / "scores"]) as mine:
        assert mine == [tmp_path / "a" / "scores"]


@pytest.mark.parametrize(("shared_by", "at_once"), [(None, 4), ("4", 1)])
def test_a_process_takes_the_less_the_more_share(
    shared_by: str | None, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that another has started, of nine networks."""
    if shared_by:
        monkeypatch.setenv(share.SHARED_BY, shared_by)
    parts: list[int] = []

    def score(_: Any, jobs: list[Job]) -> dict[str, Scored]:
        parts.append(len(jobs))
        return {job.label: Scored() for job in jobs}

    monkeypatch.setattr(share.scorer, "complete", score)
    every: Any = SimpleNamespace(look_up=lambda job: job)
    jobs = [
        Job(label, tmp_path / label / "scores" / "a.json", "", Scored(), (("standard", "ESR"),), None)
        for label in "abcdefghi"
    ]
    share.complete(every, jobs, workers=1, score_only=True)
    assert parts[0] == at_once
    assert sum(parts) == 9
