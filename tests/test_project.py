"""What the project says of itself in several places agrees."""

from __future__ import annotations

import re
import tomllib
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


def test_the_tests_of_the_library_exist_and_import_nothing_else() -> None:
    listed = re.search(r"^LIBRARY := (.*?)\ntest-library", MAKEFILE, re.MULTILINE | re.DOTALL)
    assert listed is not None
    for name in listed[1].replace("\\", "").split():
        imports = re.findall(r"^(?:from|import) (\w+)", (ROOT / f"tests/test_{name}.py").read_text(), re.MULTILINE)
        assert not {"data", "models", "scripts", "hydra", "yaml"} & set(imports), name


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
