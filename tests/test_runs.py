"""``python -m scripts.runs``: what is told of runs that are trained, have ended, or have died."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models import run_files
from models.atomic import HOST
from models.run_lock import RunLock
from models.system import SCORE
from scripts import runs
from tests.conftest import Entry


def make(folder: Path, epochs: int, planned: int = 10, **trainer: Any) -> Path:
    folder.mkdir(parents=True)
    run_files.write_config(folder, {"trainer": {"max_epochs": planned, **trainer}})
    rows = [f"{epoch},{4 * (epoch + 1)},{1 / (epoch + 1)}" for epoch in range(epochs)]
    (folder / "metrics.csv").write_text("\n".join([f"epoch,step,{SCORE}", *rows]) + "\n")
    return folder


def cells(folder: Path) -> dict[str, str]:
    return dict(zip(runs.HEAD, runs.line(folder), strict=True))


def test_a_finished_run(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 10)
    run_files.write_status(folder, "finished", score=0.1, host="node1", job="12_3")
    told = {"state": "finished", "epoch": "10/10", "score": "0.1", "left": "", "where": "node1 12_3", "why": ""}
    assert cells(folder) == {"run": "a", **told}


def test_a_running_one_tells_its_pace_from_where_it_was_continued(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5)
    run_files.write_status(folder, "running", epochs=3, host=HOST)
    now = time.time()
    os.utime(folder / "status.json", (now - 210, now - 210))
    os.utime(folder / "metrics.csv", (now - 10, now - 10))  # two epochs in 200 s; 5 to go, of which 10 s are over
    with RunLock(folder):
        told = cells(folder)
    assert told == {
        **{"run": "a", "state": "running", "epoch": "5/10", "score": "0.2", "left": "8 min", "why": ""},
        "where": f"{HOST} process {os.getpid()}",
    }


def test_one_that_is_continued_just_now_is_running(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5)
    run_files.write_status(folder, "failed", error="OSError: disk full")
    with RunLock(folder):
        told = cells(folder)
    assert (told["state"], told["left"], told["why"]) == ("running", "", "")


def test_one_whose_process_is_gone_has_died(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5)
    run_files.write_status(folder, "running")
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    for lock in ({"host": HOST, "pid": done.pid}, {"host": HOST, "pid": os.getpid(), "start": "of another"}):
        (folder / ".lock").write_text(json.dumps(lock))
        assert (cells(folder)["state"], cells(folder)["left"]) == ("died", "")
    (folder / ".lock").unlink()
    assert cells(folder)["state"] == "died"


def test_of_another_machine_the_signs_of_life_count(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 5)
    run_files.write_status(folder, "running", host="elsewhere", job="7")
    (folder / ".lock").write_text(json.dumps({"host": "elsewhere", "pid": 12}))
    assert (cells(folder)["state"], cells(folder)["where"]) == ("running", "elsewhere 7 process 12")
    old = time.time() - 300
    os.utime(folder / ".lock", (old, old))
    assert (cells(folder)["state"], cells(folder)["where"]) == ("died", "elsewhere 7")


@pytest.mark.parametrize(("steps", "epoch"), [(18, "3/5"), (400, "3/10")])
def test_what_ends_first_counts(tmp_path: Path, steps: int, epoch: str) -> None:
    folder = make(tmp_path / "a", 3, max_steps=steps)  # 4 steps an epoch
    run_files.write_status(folder, "interrupted", stopped_by="SIGTERM")
    assert (cells(folder)["epoch"], cells(folder)["why"]) == (epoch, "stopped by SIGTERM")


@pytest.mark.parametrize("damaged", ["config.yaml", "status.json", "metrics.csv"])
def test_damaged_files_cost_a_run_what_they_tell(tmp_path: Path, damaged: str) -> None:
    folder = make(tmp_path / "a", 3)
    run_files.write_status(folder, "failed", error="ValueError: no\nsuch thing")
    (folder / damaged).write_bytes(b"\xff\x00{[,\n1")
    told = cells(folder)
    assert told["run"] == "a"
    assert (told["why"] == "ValueError: no such thing") == (damaged != "status.json")


def test_trainings_are_listed(train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    assert train("-m", "loss=l1,esr", "name=${choices.loss}", "trainer.limit_train_batches=1").code == 0
    assert train("name=bad", "model.channels=0").code == 1
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["tiny"], ["runs/tiny"]):
        monkeypatch.setattr(sys, "argv", ["runs", *arguments])
        runs.main()
        out = capfd.readouterr().out.splitlines()
        assert out[0] == "runs/tiny"
        assert out[-1] == "2 finished"
        assert [re.split("  +", row)[:3] for row in out[2:-1]] == [
            ["esr", "finished", "1/1"],
            ["l1", "finished", "1/1"],
        ]
        assert all(HOST in row for row in out[2:-1])
    monkeypatch.setattr(sys, "argv", ["runs", "none"])
    with pytest.raises(SystemExit, match="neither runs/none nor none"):
        runs.main()


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["runs"])
    with pytest.raises(SystemExit, match="holds no run yet"):
        runs.main()
