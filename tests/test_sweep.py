"""Trainings side by side: which jobs there are, that all are run, and that one that fails costs the others nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from models.run import Run
from scripts import sweep
from scripts.training.jobs import jobs_of
from tests.conftest import TINY


def test_the_experiments_own_sweep_is_taken_unless_it_is_given() -> None:
    losses = ["l1", "esr", "logcosh", "stft", "mrstft", "rrstft"]
    assert jobs_of(["experiment=quick"]) == [["experiment=quick", f"loss={loss}"] for loss in losses]
    both = jobs_of(["experiment=quick", "loss=l1,stft", "seed=1,2"])
    assert sorted(map(tuple, both)) == [
        ("experiment=quick", f"loss={loss}", f"seed={seed}") for loss in ("l1", "stft") for seed in (1, 2)
    ]
    assert jobs_of(["loss=l1"]) == [["loss=l1"]]


def test_a_failing_job_is_named_and_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [*TINY, f"data.root={tiny_root}", "model.channels=0,2", "name=${model.channels}"]
    monkeypatch.setattr(sys, "argv", ["sweep", "--jobs", "2", *options])
    with pytest.raises(SystemExit) as ended:
        sweep.main()
    assert str(ended.value.code).startswith("1 of 2 jobs failed; the same command tries them again:\n")
    out = capsys.readouterr().out
    assert out.count(": finished") == 1
    assert "TCN: channels must be at least 1, got 0" in out
    assert Run.read(tmp_path / "runs" / "tiny" / "2").status["state"] == "finished"


def test_no_job_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", "--jobs", "0", "experiment=quick"])
    with pytest.raises(SystemExit) as ended:
        sweep.main()
    assert ended.value.code == 2
