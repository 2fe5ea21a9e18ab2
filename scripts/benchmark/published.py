"""The published package, 0.4.0, which ours is compared with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def published_package(folder: Path) -> ModuleType:
    """The published package, under another name than ours.

    Raises:
        FileNotFoundError: if the folder holds none.
    """
    source = folder / "auraloss" / "__init__.py"
    if not source.is_file():
        raise FileNotFoundError(
            f"{folder} holds no published auraloss: make test puts it there, or "
            f"pip install --target {folder} --no-deps auraloss==0.4.0, or give its folder by --published."
        )
    spec = importlib.util.spec_from_file_location("auraloss_published", source)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{source} is no Python module.")
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package  # its modules import each other relative to this name
    spec.loader.exec_module(package)
    return package
