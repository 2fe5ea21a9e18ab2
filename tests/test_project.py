"""What the project says of itself in several places agrees."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

import auraloss

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def requirement(name: str) -> str:
    """What the library says of a package that it needs, as in ``torch>=2.6``."""
    (found,) = [text for text in PROJECT["dependencies"] if text.startswith(name)]
    return found


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_every_python_that_is_named_is_tested() -> None:
    named = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r"Python :: \d", text)]
    assert WORKFLOW["study"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_the_oldest_torch_that_is_allowed_is_tested() -> None:
    oldest = WORKFLOW["library"]["strategy"]["matrix"]["include"][0]
    assert [oldest[name].removesuffix(".*") for name in ("torch", "scipy")] == [
        requirement(name).partition(">=")[2] for name in ("torch", "scipy")
    ]


def test_make_targets_of_the_workflow_exist() -> None:
    steps = [step.get("run", "") for job in WORKFLOW.values() for step in job["steps"]]
    targets = [target for step in steps for target in re.findall(r"make ([\w-]+)", step)]
    assert targets
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)


@cache
def imported(name: str) -> set[str]:
    """What a module of this folder imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"tests.{alias.name}" for alias in node.names}
            found |= inside if node.module == "tests" else {str(node.module)}
    return found


def packages(name: str) -> set[str]:
    """Top-level names of what a test imports, also by way of others in this folder; without Python's own."""
    reached, found = {name}, imported(name)
    while left := {other for other in found if other.startswith("tests.")} - reached:
        reached |= left
        found = found.union(*map(imported, left))
    return {other.split(".")[0] for other in found} - {"tests", *sys.stdlib_module_names}


def test_the_tests_of_the_library_are_all_that_need_nothing_else() -> None:
    listed = re.search(r"^LIBRARY := (.*?)\ntest-library", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert listed is not None
    enough = {"auraloss", "torch", "scipy", "numpy", "matplotlib", "librosa", "pytest", "hypothesis"}
    found = {
        file.stem.removeprefix("test_")
        for file in ROOT.glob("tests/test_*.py")
        if "published: ModuleType" not in file.read_text(encoding="utf-8")  # a fixture of conftest.py
        and {"auraloss"} <= packages(f"tests.{file.stem}") <= enough
    }
    assert set(listed[1].replace("\\", "").split()) == found


def test_hooks_name_tests_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    files = [word for hook in hooks for word in hook["entry"].split() if word.startswith("tests/")]
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_the_published_package_in_the_same_place_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "auraloss_study-0.5.0.dist-info").mkdir()
    auraloss._warn_of_another(tmp_path)
    (tmp_path / "auraloss-0.4.0.dist-info").mkdir()
    with pytest.warns(UserWarning, match=r"auraloss-0\.4\.0 and auraloss-study are installed in one place"):
        auraloss._warn_of_another(tmp_path)
