"""What the README tells a reader to type exists."""

import re
from pathlib import Path

import pytest

from tests.conftest import Entry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Commands of one line, from code blocks and from running text, without their comments.
COMMANDS = [
    command.split("#")[0].strip()
    for command in re.findall(r"(?:^|`)((?:make|python|\.venv/bin/python) [^`\n]+)", README, re.MULTILINE)
]


def test_commands_were_found() -> None:
    assert "make study" in COMMANDS
    assert sum(command.startswith("python train.py") for command in COMMANDS) >= 3


def test_every_room_and_file_of_scripts_is_listed() -> None:
    _, _, listed = README.partition("a folder for each subject:")
    for entry in (ROOT / "scripts").iterdir():
        if entry.suffix == ".py" or (entry / "__init__.py").is_file():
            assert entry.stem == "__init__" or re.search(rf"\b{entry.stem}\b", listed), entry.name


@pytest.mark.parametrize("target", sorted({c.split()[1] for c in COMMANDS if c.startswith("make ")}))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python train.py")])
def test_training_commands_compose(command: str, entry: Entry) -> None:
    """`--cfg job` composes what would run, and runs nothing."""
    arguments = [argument for argument in command.split()[2:] if argument != "-m"]
    single = [argument.split(",")[0] for argument in arguments]
    shown = entry("train.py", "--cfg", "job", *single)
    assert shown.code == 0, shown.err
    assert "auraloss." in shown.out
