"""Who may import whom: the three packages stand alone, heavy libraries stay where they are needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
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
    "scripts/scoring/metrics.py": {"pyloudnorm"},
    "models/compiled.py": {"numpy"},
    "models/gpu.py": {"triton"},
    "models/gpu_kernels.py": {"triton"},
    "models/kernels.py": {"numpy", "numba"},
    "models/vectors.py": {"numba", "llvmlite"},
    "data/datamodule.py": {"pytorch_lightning"},
    "data/audio.py": {"soundfile"},
    "data/audio_blocks.py": {"soundfile"},
    "data/resample.py": {"soxr"},
}
INSIDE_FUNCTIONS = {"auraloss": {"matplotlib"}, "models": {"matplotlib"}, "data": {"torchaudio"}}
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_package_may(file: Path) -> None:
    name = file.relative_to(ROOT).as_posix()
    package = name.split("/")[0]
    allowed = STANDARD | {package} | ALLOWED[package] | FURTHER.get(name, set())
    lazily = allowed | INSIDE_FUNCTIONS[package]
    found = list(imports(ast.parse(file.read_text(encoding="utf-8"))))
    for module, inside in found:
        assert module in (lazily if inside else allowed), f"{name} imports {module}"
    assert ("torchaudio", False) not in found
    assert ("matplotlib", False) not in found


def test_the_reader_of_imports_finds_them() -> None:
    source = "import os.path, numpy as np\nclass A:\n  def f(self):\n    from torchaudio.x import y\n    g(lambda: 0)"
    assert set(imports(ast.parse(source))) == {("os", False), ("numpy", False), ("torchaudio", True)}


def test_the_loss_library_loads_torch_and_scipy_alone() -> None:
    heavy = [
        "pytorch_lightning",
        "lightning",
        "soundfile",
        "torchaudio",
        "hydra",
        "omegaconf",
        "wandb",
        "matplotlib",
        "yaml",
        "data",
        "models",
    ]
    code = f"import auraloss, sys; print(*sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
