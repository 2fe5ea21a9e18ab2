"""Training, scoring and tables do without the packages of the other extras, and what needs one says so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import extras
from scripts.report import __main__ as report
from tests.conftest import ROOT, TINY, Entry

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Makes a process as if none of the packages was installed.
PROGRAM = f"""
import importlib.metadata, runpy, sys
from importlib.machinery import PathFinder
absent = {sorted({name for names in extras.EXTRAS.values() for name in names})}
find, distribution = PathFinder.find_spec, importlib.metadata.distribution
def find_spec(name, *more):
    return None if name.split(".")[0] in absent else find(name, *more)
def known(name):
    if name in absent:
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)
PathFinder.find_spec, importlib.metadata.distribution = find_spec, known
sys.path[0] = {str(ROOT)!r}
"""


def without(*commands: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs scripts one after another in a process, as its imports take seconds."""
    program = PROGRAM
    for script, *arguments in commands:
        path = str(ROOT / script)
        program += f"sys.argv = {[path, *arguments]}\nrunpy.run_path({path!r}, run_name='__main__')\n"
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_an_extra_brings_what_its_part_needs(extra: str) -> None:
    assert names(PROJECT["optional-dependencies"][extra]) == set(extras.EXTRAS[extra])


def test_all_is_every_extra_of_the_study() -> None:
    (requirement,) = PROJECT["optional-dependencies"]["all"]
    listed = requirement.removeprefix(f"{PROJECT['name']}[").removesuffix("]").split(",")
    assert set(listed) == set(PROJECT["optional-dependencies"]) - {"all", "dev"}
    assert {"study", *extras.EXTRAS} <= set(listed)


def test_training_and_evaluation_need_the_study_alone(tiny_root: Path, tmp_path: Path) -> None:
    train = ["train.py", *TINY, f"data.root={tiny_root}", "name=a"]
    evaluate = ["evaluate.py", "runs=runs/tiny", "~conventions.paper2020", "~conventions.further"]
    done = without(train, evaluate, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "No report: report.html needs matplotlib, jinja2: pip install -c constraints.txt -e '.[report]'" in done.stdout
    )
    assert (tmp_path / "runs/tiny/results/table1.md").is_file()


@pytest.mark.parametrize("extra", ["wandb", "tensorboard"])
def test_a_logger_that_is_not_installed_is_said_before_anything_else(
    extra: str, train: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == extra else found(name, *more))
    shown = train(f"logger={extra}")
    assert shown.code == 1
    assert f"logger={extra} needs {extra}: pip install -c constraints.txt -e '.[{extra}]'" in shown.err
    assert not [*tmp_path.rglob("status.json")]


def test_a_report_without_its_packages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    monkeypatch.setattr(sys, "argv", ["scripts.report", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"report.html needs matplotlib, jinja2: pip install .*\[report\]"):
        report.main()
