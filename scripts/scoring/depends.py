"""What a score depends on of the project's code, in words for its key.

Of a network and of a metric all files count that theirs imports of the project, at any depth; of each its code, without
comments and docstrings. Listed are the files by which every network is made, run and scored, and those at which imports
are followed no further. What the recordings are is in the key by value (`scripts.scoring.scorer`).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.digest import digest

ROOT = Path(__file__).parents[2]
ALWAYS = (
    "models/build.py",  # makes a network, with its weights
    "scripts/scoring/scorer.py",  # runs and scores it
    "auraloss/together.py",  # what it imports of auraloss counts with the metrics of these classes
)
APART = (  # what these import besides, but no score is made of
    "data/signaltrain.py",  # finds recordings
    "data/replacing.py",  # writes files
    "models/run_files.py",
    "models/digest.py",
    "scripts/scoring/cache.py",
    "scripts/scoring/depends.py",
    "scripts/scoring/held_out.py",
    "models/tcn_steps.py",  # runs networks live
    "models/compiled_steps.py",
    "models/compiled_levels.py",
)
LIBRARIES = ("torch", "numpy", "scipy", "numba", "llvmlite", "soundfile")
PACKAGES = ("auraloss", "models", "data", "scripts")


def of_network(file: Path) -> str:
    """A word for the code that makes, runs and scores a network of a file, and for the libraries that do."""
    return digest(_word(behind_network(file)), [_version(library) for library in LIBRARIES])


def of_metric(files: Iterable[Path]) -> str:
    """A word for the code of a metric that lies in some files, which may be the user's own."""
    return _word(with_imports(files))


def behind_network(file: Path) -> set[Path]:
    """The files that make, run and score a network of a file."""
    return with_imports([file, *(ROOT / name for name in ALWAYS)], ("models", "data", "scripts"), APART)


def with_imports(files: Iterable[Path], packages: Collection[str] = PACKAGES, apart: Collection[str] = ()) -> set[Path]:
    """Files, and all of some packages of the project that they import, at any depth and wherever in the file.

    Args:
        files: to begin with.
        packages: of which imports are followed.
        apart: files of them that are left out, with what only they import.
    """
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found and file.suffix == ".py":
            names = _imports(file.read_bytes()) - set(apart)
            waiting += [ROOT / name for name in names if name.split("/")[0] in packages]
        found.add(file)
    return found


def _word(files: Iterable[Path]) -> str:
    """A word for what is executed of some files, whatever their names."""
    contents = [(file.suffix, file.read_bytes()) for file in files]
    return digest(*sorted(_of_code(content) if suffix == ".py" else digest(content) for suffix, content in contents))


@cache
def _of_code(source: bytes) -> str:
    """A word for a source without comments, docstrings and layout."""
    return digest(ast.dump(_WithoutTexts().visit(ast.parse(source))))


class _WithoutTexts(ast.NodeTransformer):
    """Takes out texts that stand as a statement, as docstrings do."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


@cache
def _imports(source: bytes) -> frozenset[str]:
    """The files of the project that a source imports, by their place in it."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {_place(name.name) for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {_place(f"{node.module}.{name.name}") or _place(str(node.module)) for name in node.names}
    return frozenset(name for name in found if name)


def _place(module: str) -> str | None:
    parts = module.split(".")
    places = ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])) if parts[0] in PACKAGES else ()
    return next((place for place in places if (ROOT / place).is_file()), None)


@cache
def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
