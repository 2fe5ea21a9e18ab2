"""Help and composed configurations come at once: what takes seconds to import is loaded by what needs it."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import suppress

import pytest

from scripts import garbage
from tests.conftest import ROOT

HEAVY = {"torch", "pytorch_lightning", "lightning_fabric", "scipy", "pandas", "matplotlib", "wandb", "tensorboard"}
# Runs entry points as the command line would, and names at the end of each what has been loaded.
PROGRAM = f"""
import runpy, sys
for command in sys.argv[1:]:
    name, *_ = sys.argv = command.split()
    try:
        (runpy.run_path if name.endswith(".py") else runpy.run_module)(name, run_name="__main__")
    except SystemExit as end:
        assert not end.code, end.code
    print("LOADED", *sorted({HEAVY} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "commands",  # in one process, as far as they import the same
    [
        {"train.py --cfg job loss=mrstft name=a": "name: a", "evaluate.py --help": "eval_length"},
        {"scripts.benchmark --help": "losses", "scripts.report --help": "results", "scripts.results --help": "results"},
    ],
    ids=["hydra", "argparse"],
)
def test_help_loads_nothing_heavy(commands: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *commands], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *outputs, rest = done.stdout.split("LOADED\n")
    assert rest == ""
    for command, output in zip(commands, outputs, strict=True):
        assert commands[command] in output


def test_garbage_is_looked_for_once_all_is_imported() -> None:
    with suppress(ImportError), garbage.never():
        seen = gc.isenabled()
        raise ImportError
    assert not seen
    assert gc.isenabled()


def test_garbage_is_looked_for_seldom_until_an_error() -> None:
    usual = gc.get_threshold()
    with suppress(ValueError), garbage.seldom():
        seen = gc.get_threshold()
        raise ValueError
    assert seen == (garbage.SELDOM, *usual[1:])
    assert gc.get_threshold() == usual
