"""The study on a GPU, rehearsed on the CPU in miniature."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from models.run import Run
from scripts import gpu_study


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
    assert titles == ["data", "tests", "benchmark", "product", "paper", "scores", "report"]
    product, paper = budgets(commands)
    assert 0.4 * 540 < 60 * 6 * (product + paper) < 0.8 * 540
    assert all(seconds <= 540 for _, _, seconds in commands)


def test_a_second_call_does_what_is_missing_and_trains_on(
    commands: list[tuple[str, list[str], float]], tmp_path: Path
) -> None:
    gpu_study.study(9, tmp_path, "cuda")
    first = budgets(commands)
    commands.clear()
    gpu_study.study(9, tmp_path, "cuda")
    assert [title for title, _, _ in commands] == ["data", "product", "paper", "scores", "report"]
    assert budgets(commands) == pytest.approx([2 * minutes for minutes in first], rel=0.02)


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    assert not gpu_study.run(
        "long", ["-c", "import time; print('begun', flush=True); time.sleep(60)"], 2, tmp_path / "l"
    )
    assert time.monotonic() - started < 30
    assert (tmp_path / "l").read_text().startswith("begun")
    assert not gpu_study.run("none", ["-c", "raise SystemExit(0)"], 0)


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
