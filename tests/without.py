"""Programs that run as if only some packages were installed, for tests of what a part of the project needs."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
OURS = ("auraloss", "models", "data", "scripts", "tests", "train", "evaluate")
# Begins a process as if some packages were not installed, and nothing of ours imported.
BEGIN = """
import importlib.metadata, runpy, sys
from importlib.machinery import PathFinder
absent = {absent}
for name in list(sys.modules):
    if name.split(".")[0] in (*absent, *{ours}):
        del sys.modules[name]
find, distribution = PathFinder.find_spec, importlib.metadata.distribution
def find_spec(name, *more):
    return None if name.split(".")[0] in absent else find(name, *more)
def known(name):
    if name in absent:
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)
PathFinder.find_spec, importlib.metadata.distribution = find_spec, known
sys.path.insert(0, {root!r})
"""


def program(file: Path, absent: Iterable[str], text: str) -> Path:
    """Writes a program that runs without some modules.

    Args:
        file: to write.
        absent: top-level names of the modules.
        text: what it does.
    """
    file.write_text(BEGIN.format(absent=sorted(absent), ours=OURS, root=str(ROOT)) + text)
    return file


def others(packages: Iterable[str]) -> set[str]:
    """Top-level names of all installed modules that come neither with these packages nor with what they require."""
    left, brought = [(_plain(name), "") for name in packages], set()
    while left:
        name, extra = left.pop()
        if (name, extra) in brought:
            continue
        brought.add((name, extra))
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # one that this platform does without
            continue
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                left += [(_plain(requirement.name), more) for more in ("", *requirement.extras)]
    known = {name for name, _ in brought}
    found = importlib.metadata.packages_distributions()
    return {module for module, whose in found.items() if known.isdisjoint(map(_plain, whose))} - {*OURS}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
