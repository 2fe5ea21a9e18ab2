"""The study on a GPU, rehearsed on the CPU in miniature."""

from __future__ import annotations

import ast
import importlib
import sys
import time
from pathlib import Path

import pytest

from models.run import Run
from models.run_files import write_config, write_status
from scripts import gpu_study
from tests.conftest import ROOT
from tests.forked import ended, started
from tests.test_imports import STANDARD, imports, modules, project
from tests.without import OURS, others, program

# What its parts run, beside the tests that need a GPU; train.py and evaluate.py import most only when they begin.
PARTS = ["scripts.make_dataset", "scripts.benchmark.train", "train", "evaluate", "scripts.report.__main__"]
PARTS += ["scripts.training.train", "scripts.scoring.evaluation"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], float]]:
    """What would be run: title, command, seconds."""
    seen: list[tuple[str, list[str], float]] = []

    def note(title: str, command: list[str], seconds: float, out: Path | None = None) -> bool:
        seen.append((title, command, seconds))
        if out and out.suffix in (".txt", ".md"):
            out.write_text("done\n")
        return True

    monkeypatch.setattr(gpu_study, "run", note)
    return seen


def budgets(commands: list[tuple[str, list[str], float]]) -> list[float]:
    return [float(part.partition("=")[2]) for _, command, _ in commands for part in command if "budget=" in part]


def test_all_parts_fit_into_the_time(commands: list[tuple[str, list[str], float]], tmp_path: Path) -> None:
    assert gpu_study.study(9, tmp_path / "out", "cuda")
    titles = [title for title, _, _ in commands]
    assert titles == ["data", "tests", "benchmark", "paper", "product", "scores", "report"]
    paper, product = budgets(commands)
    assert 0.4 * 540 < 60 * 6 * (product + paper) < 0.8 * 540
    assert all(seconds <= 540 for _, _, seconds in commands)


def trained(folder: Path, minutes: float, epochs: int = 8, state: str = "finished") -> None:
    """A run of 8 epochs that a budget has given it, or as many of them."""
    folder.mkdir(parents=True)
    write_config(folder, {"budget": minutes, "trainer": {"max_epochs": 8, "limit_train_batches": 5}})
    write_status(folder, state)
    (folder / "metrics.csv").write_text("epoch,step\n" + "".join(f"{n},{5 * n + 5}\n" for n in range(epochs)))


def test_a_second_call_does_what_is_missing_and_trains_on(
    commands: list[tuple[str, list[str], float]], tmp_path: Path
) -> None:
    gpu_study.study(9, tmp_path, "cuda")
    first = budgets(commands)
    for training, minutes in zip(gpu_study.TRAININGS, first, strict=True):
        for loss in training.losses:
            trained(tmp_path / "runs" / training.study / loss, minutes)
    commands.clear()
    gpu_study.study(9, tmp_path, "cuda")
    assert [title for title, _, _ in commands] == ["data", "paper", "product", "scores", "report"]
    assert budgets(commands) == pytest.approx([2 * minutes for minutes in first], rel=0.02)


def test_a_training_that_had_no_time_is_not_taken_for_done(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    training = gpu_study.TRAININGS[0]
    assert not gpu_study.train(training, 0.5, tmp_path, (), False, -1.0)
    commands = request.getfixturevalue("commands")
    gpu_study.train(training, 1.0, tmp_path, (), False, 100.0)
    assert budgets(commands) == [1.0]


def test_what_the_runs_have_had_is_told_by_themselves(
    commands: list[tuple[str, list[str], float]], tmp_path: Path
) -> None:
    training = gpu_study.TRAININGS[0]
    study = tmp_path / "runs" / training.study
    trained(study / "l1", 0.8)
    trained(study / "esr", 0.8, epochs=2, state="interrupted")
    assert gpu_study.given_and_had(study / "l1") == (0.8, 0.8)
    assert gpu_study.given_and_had(study / "esr") == (0.8, pytest.approx(0.2))
    assert gpu_study.given_and_had(study / "stft") == (0.0, 0.0)
    gpu_study.train(training, 1.0, tmp_path, (), False, 400.0)
    (total,) = budgets(commands)
    assert (total - 0.8) + (total - 0.2) + 4 * total == pytest.approx(6 * 1.0, abs=1e-3)


def test_a_part_is_done_when_it_has_ended_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, unfinished = tmp_path / "tests.txt", tmp_path / "tests.unfinished.txt"
    assert not gpu_study.run("tests", ["-c", "print('begun'); raise SystemExit(1)"], 60, out)
    assert not out.exists()
    assert unfinished.read_text() == "begun\n"
    assert f"exit 1, 0 s; what it said is in {unfinished}" in capsys.readouterr().out
    assert gpu_study.run("tests", ["-c", "print('all')"], 60, out)
    assert out.read_text() == "all\n"
    assert not unfinished.exists()


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    long = ["-IS", "-c", "import time; print('begun', flush=True); time.sleep(60)"]  # which starts in hundredths
    assert not gpu_study.run("long", long, 1, tmp_path / "l")
    assert time.monotonic() - started < 30
    assert (tmp_path / "l.unfinished").read_text().startswith("begun")
    assert not gpu_study.run("none", ["-c", "raise SystemExit(0)"], 0)


def test_it_names_every_package_that_its_parts_import() -> None:
    left, reached = [gpu_study.__name__, *PARTS], set()
    while left:
        name = left.pop()
        left += project()[name] - reached
        reached.add(name)
    trees = [ast.parse(modules(ROOT)[name].read_text(encoding="utf-8")) for name in reached]
    found = {name for tree in trees for name, _ in imports(tree)} - STANDARD - {*OURS}
    brought = {"omegaconf": "hydra", "llvmlite": "numba", "triton": "torch", "markupsafe": "jinja2"}
    assert found >= brought.keys()
    assert {brought.get(name, name) for name in found} | {"pytest"} == gpu_study.NEEDS.keys()


def test_its_parts_need_no_other_package(tmp_path: Path) -> None:
    for name in (*PARTS, "tests.test_cuda"):
        importlib.import_module(name)  # once for both: a copy of this process imports again what is ours
    text = f"import {', '.join(PARTS)}, tests.conftest, tests.test_cuda\nprint('all')"
    file, output = program(tmp_path / "without.py", others(gpu_study.NEEDS.values()), text), tmp_path / "output"
    assert ended(started(str(file), output=output, cwd=tmp_path)) == 0, output.read_text()
    assert output.read_text().endswith("all\n")


def test_what_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(gpu_study.NEEDS, "there_is_none", "There-Is-None")
    monkeypatch.setattr(sys, "argv", ["gpu_study", "--minutes", "9", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"not installed: There-Is-None\.(?s:.*)-w wheels There-Is-None\n"):
        gpu_study.main()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_in_miniature_on_the_cpu(tmp_path: Path) -> None:
    """Twice: the second time, the runs of the first are trained on."""
    earlier = [0] * 12
    for _ in range(2):
        gpu_study.study(6, tmp_path, "cpu", miniature=True)
        assert (tmp_path / "results" / "table1.md").exists()
        assert (tmp_path / "results" / "report.html").exists()
        folders = sorted(file.parent for file in (tmp_path / "runs").glob("*/*/status.json"))
        steps = [Run.read(folder).status["steps"] for folder in folders]
        assert all(now > before for now, before in zip(steps, earlier, strict=True))
        earlier = steps
