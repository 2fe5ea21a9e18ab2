"""Help and composed configurations come at once: what takes seconds to import is loaded by what needs it."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import suppress

import pytest

from scripts import start_up
from tests.conftest import ROOT

HEAVY = {"torch", "pytorch_lightning", "lightning_fabric", "scipy", "pandas", "matplotlib", "wandb", "tensorboard"}
# Runs an entry point as the command line would, and names at its end what it has loaded.
PROGRAM = f"""
import runpy, sys
name, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_path(name, run_name="__main__") if name.endswith(".py") else runpy.run_module(name, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("LOADED", *sorted({HEAVY} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ("train.py --cfg job loss=mrstft name=a", "name: a"),
        ("evaluate.py --help", "eval_length"),
        ("scripts.benchmark --help", "losses"),
        ("scripts.report --help", "results"),
        ("scripts.results --help", "results"),
    ],
)
def test_help_loads_nothing_heavy(command: str, shows: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert shows in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


def test_garbage_is_looked_for_once_all_is_imported() -> None:
    with suppress(ImportError), start_up.imports():
        seen = gc.isenabled()
        raise ImportError
    assert not seen
    assert gc.isenabled()
