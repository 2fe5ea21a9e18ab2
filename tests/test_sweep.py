"""Trainings side by side: which jobs there are, that all are run, and that one that fails costs the others nothing."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.types import RunMode

from models.run import Run
from scripts import sweep
from scripts.training.jobs import jobs_of, with_studies
from tests import composition
from tests.conftest import ROOT, TINY
from tests.forked import started


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep looks at its jobs every 10 ms, and a configuration is composed once."""
    composition.remembered(monkeypatch)
    monkeypatch.setattr(sweep, "REFRESH_SECONDS", 0.01)


class Copy:
    """What a sweep needs of `subprocess.Popen`, with a copy of this process: a start and its imports take seconds."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], **_: Any) -> None:
        python, script, *arguments = command
        assert python == sys.executable
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading)
        self.number = started(script, *arguments, output=Path(f"/dev/fd/{writing}"), cwd=Path.cwd(), **env)
        os.close(writing)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            number, status = os.waitpid(self.number, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if number else None
        return self.returncode


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
    importlib.import_module("scripts.training.train")  # once for both
    monkeypatch.setattr(sweep, "subprocess", SimpleNamespace(Popen=Copy, PIPE=PIPE, STDOUT=STDOUT))
    options = [*TINY, f"data.root={tiny_root}", "model.channels=0,2", "name=${model.channels}"]
    monkeypatch.setattr(sys, "argv", ["sweep", "--jobs", "2", *options])
    with pytest.raises(SystemExit) as ended:
        sweep.main()
    assert str(ended.value.code).startswith("1 of 2 jobs failed; the same command tries them again:\n")
    out = capsys.readouterr().out
    assert out.count(": finished") == 1
    assert "TCN: channels must be at least 1, got 0" in out
    assert Run.read(tmp_path / "runs" / "tiny" / "2").status["state"] == "finished"


def test_a_job_is_a_training_in_a_process_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """One that fails before it has imported what takes seconds."""
    assert sweep.run([["lots=l1"]], at_once=1) == ["lots=l1"]
    out = capsys.readouterr().out
    assert out.startswith("Failed (1): lots=l1\n  ")
    assert "Key 'lots' is not in struct" in out


def test_a_job_of_an_experiment_that_sweeps_is_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep of its own, in each of the processes, could not use several devices."""
    begun: list[list[str]] = []

    def ended_at_once(command: list[str], **_: Any) -> SimpleNamespace:
        begun.append(command)
        return SimpleNamespace(stdout=io.StringIO(), poll=lambda: 0, returncode=0)

    monkeypatch.setattr(sweep, "subprocess", SimpleNamespace(Popen=ended_at_once, PIPE=PIPE, STDOUT=STDOUT))
    (job,) = jobs_of(["experiment=quick", "loss=l1"])
    assert sweep.run([job], at_once=1) == []
    ((_, script, *overrides),) = begun
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        modes = [compose("train", given, return_hydra_config=True).hydra.mode for given in (job, overrides)]
    assert script == str(ROOT / "train.py")
    assert modes == [RunMode.MULTIRUN, RunMode.RUN]


def test_no_job_at_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", "--jobs", "0", "experiment=quick"])
    with pytest.raises(SystemExit) as ended:
        sweep.main()
    assert ended.value.code == 2


def test_what_is_swept_is_one_study_also_where_its_name_is_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its jobs start at different times. Options may stand before, among and after the overrides."""
    found: list[Sequence[Sequence[str]]] = []
    monkeypatch.setattr(sweep, "run", lambda jobs, at_once, gpus: found.append(jobs) or [])
    monkeypatch.setattr(sys, "argv", ["sweep", "loss=l1,esr", "--jobs", "2", "trainer.max_epochs=3"])
    sweep.main()
    (jobs,) = found
    assert [job[:-1] for job in jobs] == [[f"loss={loss}", "trainer.max_epochs=3"] for loss in ("l1", "esr")]
    assert len({job[-1] for job in jobs}) == 1
    assert jobs[0][-1].startswith("study=20")


def test_each_experiment_of_a_sweep_keeps_its_own_study() -> None:
    jobs, _ = with_studies([["experiment=quick", "loss=l1"], ["experiment=field", "loss=l1"]])
    assert [job[-1] for job in jobs] == ["study=quick", "study=field"]


def test_two_jobs_of_one_folder_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", "experiment=smoke", "loss=l1", "calibration=0,5"])
    with pytest.raises(SystemExit, match=r"^Error: two jobs have the folder runs/smoke/l1"):
        sweep.main()


def test_a_sweep_that_is_ended_ends_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Popen[bytes]] = []

    class Slow:
        """A job that has started when the signal comes."""

        def __init__(self, *_: Any) -> None:
            self.process = Popen(["sleep", "60"])
            self.listener = SimpleNamespace(join=lambda: None)
            self.said: list[str] = []
            begun.append(self.process)

        @property
        def ended(self) -> bool:
            os.kill(os.getpid(), signal.SIGTERM)
            return False

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sweep, "Job", Slow)
    monkeypatch.setattr(sys, "argv", ["sweep", "--jobs", "2", "loss=l1,esr"])
    try:
        with pytest.raises(SystemExit) as ended:
            sweep.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
    assert [process.returncode for process in begun] == [-signal.SIGTERM] * 2
