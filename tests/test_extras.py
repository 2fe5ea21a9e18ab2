"""Training, scoring and tables do without the packages of the other extras, and what needs one says so."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from scripts import extras
from scripts.report import __main__ as report
from tests.conftest import ROOT, TINY, Entry
from tests.forked import ended, started
from tests.without import others, program

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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


@pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["copy", "process"])
def test_training_and_evaluation_need_the_study_alone(tiny_root: Path, tmp_path: Path, alone: bool) -> None:
    """A copy of this process imports again what is ours; one of its own imports Lightning and all others, too."""
    train = ["train.py", *TINY, f"data.root={tiny_root}", "name=a"]
    evaluate = ["evaluate.py", "runs=runs/tiny", "~conventions.paper2020", "~conventions.further"]
    text = "".join(
        f"sys.argv = {command}\nrunpy.run_path({str(ROOT / command[0])!r}, run_name='__main__')\n"
        for command in (train, evaluate)
    )
    study = names(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["study"])
    absent = others(study | {"pytest"}) | {*chain(*extras.EXTRAS.values())}  # pytest has hooks in the copy
    file, output = program(tmp_path / "without.py", absent, text), tmp_path / "output"
    if alone:
        with output.open("w") as told:
            subprocess.run([sys.executable, file], cwd=tmp_path, stdout=told, stderr=subprocess.STDOUT, check=False)
    else:
        for name in ("scripts.training.train", "scripts.scoring.evaluation"):
            importlib.import_module(name)
        assert ended(started(str(file), output=output, cwd=tmp_path)) == 0, output.read_text()
    why = "No report: report.html needs matplotlib, jinja2: pip install -c constraints.txt -e '.[report]'"
    assert why in output.read_text()
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
