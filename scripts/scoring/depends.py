"""What a score depends on of the project's code, in words for its key.

Listed are the files that make every score. Of a network and of a metric all count that its file imports of the project,
at any depth. Another version of a library is another word as well.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.digest import digest, digest_files

ROOT = Path(__file__).parents[2]
ALWAYS = (
    "models/build.py",  # constructs a network
    "models/net.py",
    "models/rendering.py",  # runs it
    "data/audio.py",  # reads what it is run on
    "data/segments.py",
    "scripts/scoring/scorer.py",
)
ROWS = ROOT / "scripts" / "scoring" / "rows.py"  # has the metrics computed: counts with the losses that it imports
PACKAGES = ("auraloss", "models", "data", "scripts")
LIBRARIES = ("torch", "scipy")


def of_network(file: Path) -> str:
    """A word for the code that runs and scores a network of a file."""
    files = {*(ROOT / name for name in ALWAYS), *with_imports([file]), *with_imports([ROWS], ("auraloss", "scripts"))}
    return digest(digest_files(files), [_version(library) for library in LIBRARIES])


def of_metric(files: Iterable[Path]) -> str:
    """A word for the code of a metric that lies in some files, which may be the user's own."""
    return digest_files(with_imports(files))


def with_imports(files: Iterable[Path], packages: Collection[str] = PACKAGES) -> set[Path]:
    """Files, and all of some packages of the project that they import, at any depth and wherever in the file."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in found and file.suffix == ".py":
            waiting += [ROOT / name for name in _imports(file.read_bytes()) if name.split("/")[0] in packages]
        found.add(file)
    return found


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
