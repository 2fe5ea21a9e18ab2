"""An evaluation that is killed anywhere ends with the same results, and leaves nothing to clean up."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Entry
from tests.forked import ended, forked, killed

SEED, ROUNDS = 2, 5


def results(study: Path) -> dict[str, bytes]:
    """All that an evaluation has written, hidden files included."""
    files = [file for file in study.rglob("*") if file.is_file() and "checkpoints" not in file.parts]
    return {str(file.relative_to(study)): file.read_bytes() for file in files}


@contextmanager
def killed_in(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """The process dies when half of a file is written that has this in its name."""
    write = Path.write_text

    def half(self: Path, text: str, *arguments: Any, **options: Any) -> int:
        written = write(self, text[: len(text) // 2] if name in self.name else text, *arguments, **options)
        if name in self.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        yield


def test_an_evaluation_killed_in_each_of_its_files_is_taken_up_again(
    evaluate: Entry, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched = shutil.copytree(study, study.with_name("untouched"))
    assert evaluate(f"runs={study}").code == 0
    expected = results(study)
    shutil.rmtree(study)
    untouched.rename(study)
    for name in (".best-", "scores.csv", "evaluation.json", "table1.html"):
        with killed_in(monkeypatch, name):
            copy = forked(lambda: evaluate(f"runs={study}"))
        assert ended(copy) == -signal.SIGKILL
        assert not (study / "results" / name).exists()
    assert evaluate(f"runs={study}").code == 0
    assert results(study) == expected


def reached(study: Path, started: float) -> str:
    """What an evaluation was at when it was killed, by what it has written since its start."""

    def is_new(name: str) -> bool:
        file = study / "results" / name
        return file.exists() and file.stat().st_mtime > started

    if is_new("report.html"):
        return "done"
    if is_new("table1.html"):
        return "report"
    if is_new("scores.csv"):
        return "tables"
    return "scoring"


@pytest.mark.slow
def test_an_evaluation_killed_at_twenty_moments_is_taken_up_again(evaluate: Entry, study: Path) -> None:
    """Four times in a row, then to its end, five times; the report included, which takes the most of its time."""

    def seconds(*options: str) -> float:
        begun = time.monotonic()
        result = evaluate(f"runs={study}", *options)
        assert result.code == 0, result.err
        return time.monotonic() - begun

    def start_again() -> None:
        shutil.rmtree(study)
        shutil.copytree(untouched, study)

    untouched = shutil.copytree(study, study.with_name("untouched"))
    seconds("report=true")  # reads and compiles what is kept for later
    start_again()
    until_report = seconds()
    until_end = until_report + seconds("report=true")
    expected = results(study)
    drawn, phases = random.Random(SEED), Counter[str]()
    for _ in range(ROUNDS):
        start_again()
        for latest in (until_report, until_report, until_end, until_end):
            started = time.time()
            copy = forked(lambda: seconds("report=true"))
            time.sleep(drawn.uniform(0, latest))
            killed(copy)
            phases[reached(study, started)] += 1
        seconds("report=true")
        assert results(study) == expected
    print(f"Killed at: {dict(phases)}")
