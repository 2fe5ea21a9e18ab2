"""Who may import whom: the three packages stand alone, each room of scripts/ knows a few others, heavy libraries stay
where they are needed, and nothing goes round in a circle."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STANDARD = sys.stdlib_module_names | {"__future__"}

# Libraries that any file of a package may import, and the files that may import more.
ALLOWED = {
    "auraloss": {"torch", "scipy"},
    "models": {"torch", "yaml"},  # yaml reads config.yaml, with safe_load
    "data": {"torch", "numpy", "scipy", "tqdm"},
}
FURTHER = {
    "models/system.py": {"pytorch_lightning"},
    "models/callbacks.py": {"pytorch_lightning", "tqdm", "matplotlib"},
    "models/ballistics.py": {"numpy"},
    "models/compiled.py": {"numpy"},
    "models/compiled_levels.py": {"numpy"},
    "models/compiled_steps.py": {"numpy"},
    "models/gpu.py": {"triton"},
    "models/gpu_kernels.py": {"triton"},
    "models/kernels.py": {"numpy", "numba"},
    "models/vectors.py": {"numba", "llvmlite"},
    "data/datamodule.py": {"pytorch_lightning"},
    "data/audio.py": {"soundfile"},
    "data/audio_blocks.py": {"soundfile"},
    "data/audio_layout.py": {"soundfile"},
    "data/resample.py": {"soxr"},
}
INSIDE_FUNCTIONS = {"auraloss": {"matplotlib"}, "models": {"matplotlib"}, "data": {"torchaudio"}}

# Which rooms the files of a room may import: a room is a folder, or a file that stands alone.
BASE = {"auraloss", "models", "data"}
ROOMS: dict[str, set[str]] = {
    "auraloss": set(),
    "models": set(),
    "data": set(),
    "scripts": set(),  # its __init__.py
    "scripts.extras": set(),
    "scripts.garbage": set(),
    "scripts.training": {"models", "data", "scripts.extras"},
    "scripts.results": {"models", "data"},
    "scripts.measure": BASE,
    "scripts.report": {*BASE, "scripts.extras", "scripts.garbage", "scripts.results", "scripts.measure"},
    "scripts.export": {"models", "data", "scripts.extras", "scripts.results"},
    "scripts.scoring": {*BASE, "scripts.extras", "scripts.results", "scripts.report"},
    "scripts.benchmark": {*BASE, "scripts.extras", "scripts.scoring", "scripts.export"},
    "scripts.render": {"models", "data", "scripts.rendering"},
    "scripts.rendering": {"models", "data"},
    "scripts.make_dataset": {"data"},
    "scripts.check_dataset": {"data"},
    "scripts.reactions": {"auraloss", "data"},
    "scripts.listening": {"models", "data", "scripts.results"},
    "scripts.tracking": {"models", "data", "scripts.measure", "scripts.results"},
    "scripts.trained": {"models", "data", "scripts.results"},
    "scripts.sweep": {"scripts.training"},
    "scripts.submit": {"scripts.training"},
    "scripts.runs": {"models"},
    "scripts.gpu_study": {"models", "scripts.runs"},
    "train": {"scripts.training", "scripts.garbage"},
    "evaluate": {"scripts.scoring", "scripts.garbage"},
}
FILES = sorted(file for package in ALLOWED for file in (ROOT / package).rglob("*.py"))


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Top-level names that a file imports, and whether it does so inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name.split(".")[0], inside) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides what is imported"
            yield str(node.module).split(".")[0], inside
        yield from imports(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def modules(root: Path) -> dict[str, Path]:
    """The files of the project by the names under which they are imported."""
    files = [*root.glob("*.py"), *(file for package in (*BASE, "scripts") for file in (root / package).rglob("*.py"))]
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def arrows(root: Path) -> dict[str, set[str]]:
    """Which files of the project each of them imports, wherever in the file."""
    known = modules(root)
    found: dict[str, set[str]] = {name: set() for name in known}
    for name, file in known.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}, line {node.lineno}: a relative import hides what is imported"
                module = str(node.module)
                inner = (f"{module}.{alias.name}" for alias in node.names)
                targets = [target if target in known else module for target in inner]
            else:
                continue
            found[name] |= {target for target in targets if target in known}
    return found


@cache
def project() -> dict[str, set[str]]:
    """Those of this project."""
    return arrows(ROOT)


def room(module: str) -> str:
    """The room of a file: a package, a folder of scripts/, or a file that stands alone."""
    parts = module.split(".")
    return ".".join(parts[:2] if parts[0] == "scripts" else parts[:1])


def between_rooms(files: Mapping[str, set[str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, targets in files.items():
        found.setdefault(room(name), set()).update({room(target) for target in targets} - {room(name)})
    return found


def circle(found: Mapping[str, set[str]]) -> list[str]:
    """A way from a name to itself again; empty if there is none."""
    left = dict(found)
    while ends := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in ends:
            del left[name]
    way = sorted(left)[:1]
    while way and way.count(way[-1]) < 2:
        way.append(min(left[way[-1]] & left.keys()))
    return way[way.index(way[-1]) :] if way else []


def test_a_room_imports_only_those_that_it_may() -> None:
    for name, imported in between_rooms(project()).items():
        assert name in ROOMS, f"{name} is a new room: say in ROOMS whom it may import, or move it into one"
        further = imported - ROOMS[name]
        assert not further, f"{name} imports {', '.join(sorted(further))}"


def test_the_rooms_are_there() -> None:
    assert {room(module) for module in modules(ROOT)} == ROOMS.keys()


def test_nothing_is_imported_in_a_circle() -> None:
    assert circle(project()) == []
    assert circle(between_rooms(project())) == []
    assert circle(ROOMS) == []  # nor may it ever be


def test_a_circle_is_found(tmp_path: Path) -> None:
    for package in (*BASE, "scripts/results"):
        (tmp_path / package).mkdir(parents=True)
    (tmp_path / "scripts/results/__init__.py").touch()
    (tmp_path / "scripts/results/a.py").write_text("from scripts.results import b, c\n")
    (tmp_path / "scripts/results/b.py").write_text("def f():\n    import data.d\n")
    (tmp_path / "scripts/results/c.py").write_text("import torch\n")
    (tmp_path / "data/d.py").write_text("from scripts.results import name\nfrom os import path\n")
    assert circle(arrows(tmp_path)) == []
    assert circle(between_rooms(arrows(tmp_path))) == ["data", "scripts.results", "data"]
    (tmp_path / "data/d.py").write_text("if True:\n    from scripts.results.a import name\n")
    assert arrows(tmp_path)["scripts.results.a"] == {"scripts.results.b", "scripts.results.c"}
    assert circle(arrows(tmp_path)) == ["data.d", "scripts.results.a", "scripts.results.b", "data.d"]


def test_the_room_of_a_file() -> None:
    assert room("scripts.results.table") == room("scripts.results") == "scripts.results"
    assert [room(name) for name in ("scripts.render", "models.net", "train")] == ["scripts.render", "models", "train"]


def test_a_file_imports_only_what_its_package_may() -> None:
    assert FILES
    for file in FILES:
        name = file.relative_to(ROOT).as_posix()
        package = name.split("/")[0]
        allowed = STANDARD | {package} | ALLOWED[package] | FURTHER.get(name, set())
        lazily = allowed | INSIDE_FUNCTIONS[package]
        found = list(imports(ast.parse(file.read_text(encoding="utf-8"))))
        for module, inside in found:
            assert module in (lazily if inside else allowed), f"{name} imports {module}"
        assert ("torchaudio", False) not in found, name
        assert ("matplotlib", False) not in found, name


def test_the_reader_of_imports_finds_them() -> None:
    source = "import os.path, numpy as np\nclass A:\n  def f(self):\n    from torchaudio.x import y\n    g(lambda: 0)"
    assert set(imports(ast.parse(source))) == {("os", False), ("numpy", False), ("torchaudio", True)}


HEAVY = {
    "pytorch_lightning",
    "lightning",
    "soundfile",
    "torchaudio",
    "hydra",
    "omegaconf",
    "wandb",
    "matplotlib",
    "yaml",
}


def test_the_loss_library_loads_torch_and_scipy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported anew, beside the torch and the SciPy of this process."""
    for name in list(sys.modules):
        if name.split(".")[0] in HEAVY | BASE:
            monkeypatch.delitem(sys.modules, name)
    importlib.import_module("auraloss")
    assert {name.split(".")[0] for name in sys.modules} & (HEAVY | BASE) == {"auraloss"}
